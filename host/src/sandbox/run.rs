//! One run of a guest's code: from a fresh store to an answer or a failure, with what it used in either case.
//!
//! Whatever happens in between - a trap, a panic of the host, a guest that never stops - ends here and nowhere else.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use wasmtime::Store;

use super::log::Log;
use super::meter::HostCalls;
use super::outcome::{self, Evidence};
use super::task::{self, Errand, Task};
use super::wait::HostWait;
use super::{Sandbox, text};
use crate::call::Usage;
use crate::failure::{Failure, FailureKind};
use crate::health::Directory;

impl Sandbox {
    /// Whom a task can call: the same from its begin to its end. An agent that calls nobody needs none.
    fn peers(&self) -> Option<Arc<Directory>> {
        let plugin = &self.plugin;
        let calls = !plugin.effective.peers.is_empty();
        calls.then(|| {
            let own = self.peers.upgrade();
            own.unwrap_or_else(|| plugin.host.directory.load_full())
        })
    }

    /// Runs `work` in a store of its own until it ends, fails, panics or runs out of time; says what it used in each case.
    pub(super) async fn run<T>(
        &self,
        errand: Errand,
        work: impl AsyncFnOnce(&mut Store<Task>) -> wasmtime::Result<T>,
    ) -> (Result<T, Failure>, Usage) {
        let started = Instant::now();
        let deadline = errand.deadline;
        let mut store = match task::store(&self.plugin, self.peers(), errand) {
            Ok(store) => store,
            Err(error) => {
                return (
                    Err(Failure::new(FailureKind::HostError, error.to_string())),
                    Usage::default(),
                );
            }
        };
        let fuel = store.get_fuel().unwrap_or(0);
        let calls = store.data().calls.clone();
        let wait = HostWait::new(self.plugin.limits.host_call_timeout);
        let guarded = guard(
            AssertUnwindSafe(work(&mut store)).catch_unwind(),
            &calls,
            wait,
        );
        let ended = match tokio::time::timeout_at(deadline, guarded).await {
            Ok(ended) => ended,
            Err(_) => Err(Ended::Failed(too_late(started))),
        };
        if let Some(log) = &store.data().log {
            log.finish();
        }
        let answer = ended.map_err(|ended| ended.into_failure(&store));
        let usage = Usage {
            fuel: fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
            peak_memory: store.data().meter.peak(),
            wall_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            host_calls: calls.made(),
            peer_calls: store.data().calls_below(),
            ..Usage::default()
        };
        (answer, usage)
    }
}

fn too_late(started: Instant) -> Failure {
    let waited =
        Duration::from_millis(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let message = format!(
        "the task was stopped after {}",
        humantime::format_duration(waited)
    );
    Failure::new(FailureKind::Deadline, message)
}

/// How a guest's work ended when it did not give an answer.
enum Ended {
    Failed(Failure),
    Error(wasmtime::Error),
    Panicked(Box<dyn Any + Send>),
}

impl Ended {
    fn into_failure(self, store: &Store<Task>) -> Failure {
        let task = store.data();
        match self {
            Self::Failed(failure) => failure,
            Self::Error(error) => {
                let last_words = || task.log.as_ref().and_then(Log::last_words);
                outcome::classify(
                    &error,
                    &Evidence {
                        meter: &task.meter,
                        last_words: &last_words,
                    },
                )
            }
            Self::Panicked(payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text
                    .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("no message");
                let message = format!("a host function panicked: {}", text::line(text, 1 << 10));
                Failure::new(FailureKind::HostError, message)
            }
        }
    }
}

/// Polls `work`; ends it when the guest has called the host too often, or waits in one call for too long. The guest yields by fuel,
/// so the former is noticed soon.
async fn guard<T>(
    work: impl Future<Output = std::thread::Result<wasmtime::Result<T>>>,
    calls: &HostCalls,
    mut wait: HostWait,
) -> Result<T, Ended> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        let polled = wait.poll(cx, calls, work.as_mut());
        if let Some(failure) = calls.exceeded() {
            return Poll::Ready(Err(Ended::Failed(failure)));
        }
        polled.map(|ended| match ended {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(Ended::Error(error)),
            Ok(Err(panic)) => Err(Ended::Panicked(panic)),
            Err(failure) => Err(Ended::Failed(failure)),
        })
    })
    .await
}
