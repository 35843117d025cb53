//! The neighbour: an agent that means well, called twenty times a second whatever goes on beside it.
//!
//! The calls are due at fixed times, and each counts from when it was due: a host that is too busy to even begin a call is as late
//! as one that takes long to answer it.

use std::sync::Arc;
use std::time::Duration;

use kennel::call::{Call, Request};
use kennel::payload::Payload;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

/// Twenty times a second.
const EVERY: Duration = Duration::from_millis(50);
/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The neighbour while it is called.
pub(crate) struct Neighbour {
    stop: oneshot::Sender<()>,
    calls: JoinHandle<Served>,
}

/// How it was served.
#[derive(Debug, Default)]
pub(crate) struct Served {
    times: Vec<Duration>,
    /// What went wrong with the calls that were not answered rightly.
    pub(crate) failures: Vec<String>,
}

impl Neighbour {
    /// Calls `agent` until it is told to stop.
    pub(crate) fn call(agent: Arc<dyn Call>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let calls = tokio::spawn(calls(agent, stopped));
        Self { stop, calls }
    }

    pub(crate) async fn stop(self) -> Served {
        let _ = self.stop.send(());
        self.calls.await.expect("it ends when it is told to")
    }
}

async fn calls(agent: Arc<dyn Call>, mut stopped: oneshot::Receiver<()>) -> Served {
    let mut ticks = interval(EVERY);
    let mut begun = Vec::new();
    loop {
        tokio::select! {
            due = ticks.tick() => begun.push(tokio::spawn(one(agent.clone(), due))),
            _ = &mut stopped => break,
        }
    }
    let mut served = Served::default();
    for call in begun {
        match call.await.expect("it ends") {
            Ok(took) => served.times.push(took),
            Err(failure) => served.failures.push(failure),
        }
    }
    served.times.sort();
    served
}

async fn one(agent: Arc<dyn Call>, due: Instant) -> Result<Duration, String> {
    let hello = Arc::new(Payload::Text("hello".into()));
    let called = agent.call(Request::new("neighbour", hello.clone()));
    let ended = timeout(PATIENCE, called).await;
    let reply = ended.map_err(|_| "no answer in time".to_owned())?;
    let reply = reply.map_err(|error| error.to_string())?;
    match reply.output == hello {
        true => Ok(due.elapsed()),
        false => Err(format!("a wrong answer: {:?}", reply.output)),
    }
}

impl Served {
    pub(crate) fn calls(&self) -> usize {
        self.times.len() + self.failures.len()
    }

    /// The time within which 99 of 100 calls were answered.
    pub(crate) fn p99(&self) -> Duration {
        let at = (self.times.len() * 99).div_ceil(100);
        self.times
            .get(at.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}
