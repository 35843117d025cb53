//! Ten thousand agents, each suspended in a call into the host, all at the same moment.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use kennel::call::{Call, CallError, Reply, Request, Trail};
use kennel::grants::Grants;
use kennel::health::{Directory, Peer};
use kennel::payload::Payload;
use kennel::plan::CallStep;
use kennel::policy;
use kennel::slots::Sizes;
use kennel::store::memory::MemoryStore;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::agents::{self, WAITS, agent};
use crate::resident;

/// How many there are, which is the most that a host may be told to have in flight.
pub(crate) const AGENTS: usize = 10_000;
/// The memory that they and the host may have together, in MiB.
pub(crate) const MOST_MIB: u64 = 900;

/// What was seen.
pub(crate) struct Seen {
    /// Resident memory in MiB when nobody had been asked yet.
    pub(crate) before: u64,
    /// The same when all were suspended.
    pub(crate) during: u64,
    /// Memory mappings of the process at that moment.
    pub(crate) mappings: usize,
    /// The time until all were suspended.
    pub(crate) took: Duration,
    /// How many gave the right answer once they were let go.
    pub(crate) answered: usize,
}

/// Answers when it is let go, and tells when everybody has come.
#[derive(Default)]
struct Gatekeeper {
    came: AtomicUsize,
    all: Notify,
    open: Notify,
}

impl Call for Gatekeeper {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let opened = self.open.notified();
            tokio::pin!(opened);
            opened.as_mut().enable(); // heard from now on, so that nobody who has come is left behind
            if self.came.fetch_add(1, Ordering::SeqCst) + 1 == AGENTS {
                self.all.notify_one();
            }
            opened.await;
            Ok(Reply {
                output: request.input,
                trail: Trail::default(),
            })
        })
    }
}

/// Suspends them, looks, and lets them go.
pub(crate) async fn measure() -> Seen {
    let sizes = Sizes {
        in_flight: NonZeroUsize::new(AGENTS).expect("some"),
        ..Sizes::default()
    };
    let host = agents::host(sizes, Arc::new(MemoryStore::new()));
    let gate = Arc::new(Gatekeeper::default());
    host.directory.store(Arc::new(knowing(gate.clone())));
    let granted = Grants {
        peers: vec!["wait".parse().expect("a skill")],
        ..Grants::default()
    };
    let (providers, slots) = agents::providers(agents::sandbox(&host, WAITS, granted), sizes);
    let stack = policy::stack(&CallStep::of(agent("asked")), &providers).expect("it is there");
    let before = resident();
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..AGENTS {
        let stack = stack.clone();
        calls.spawn(async move {
            let input = Arc::new(Payload::Text(format!("task {n}")));
            let reply = stack
                .call(Request::new(format!("task-{n}"), input.clone()))
                .await;
            reply.map(|reply| reply.output == input)
        });
    }
    // One that fails never comes to the gate: then nobody must wait for it.
    let failed = tokio::select! {
        () = gate.all.notified() => None,
        ended = calls.join_next() => ended,
    };
    if let Some(ended) = failed {
        panic!("one ended before all were there: {ended:?}");
    }
    let took = begun.elapsed();
    assert_eq!(slots.in_flight(), AGENTS);
    let during = resident();
    let mappings =
        std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    gate.open.notify_waiters();
    let mut answered = 0;
    while let Some(ended) = calls.join_next().await {
        match ended.expect("no panic") {
            Ok(true) => answered += 1,
            Ok(false) => eprintln!("an answer belongs to another task"),
            Err(error) => eprintln!("{:?}", error.failure),
        }
    }
    Seen {
        before,
        during,
        mappings,
        took,
        answered,
    }
}

fn knowing(call: Arc<dyn Call>) -> Directory {
    let peer = Peer {
        agent: agent("gatekeeper"),
        description: String::new(),
        call,
        health: Arc::default(),
        breaker: None,
    };
    let mut directory = Directory::default();
    let skill = "wait".parse().expect("a skill");
    directory.skills.insert(skill, vec![peer]);
    directory
}
