//! Many tasks through a flow, each a real call of a guest, journaled in SQLite.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use hdrhistogram::Histogram;
use kennel::call::{Call, CallError, Reply, Request};
use kennel::engine::{Calls, Engine, Watch};
use kennel::flow;
use kennel::grants::Grants;
use kennel::plan::{CallStep, Kind, Plan, StepRef};
use kennel::policy;
use kennel::record::{Event, Held, Outcome};
use kennel::slots::Sizes;
use kennel::store::SharedBackend;
use kennel::store::sqlite::SqliteStore;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::agents::{self, ECHO, agent};

/// Tasks in each run.
const EACH: usize = 100;
/// Runs at the same time.
const AT_ONCE: usize = 16;
/// Every item of a list is a task.
const FLOW: &str = "kennel: 1\npipeline:\n  - { agent: asked, each: true, concurrency: 100 }\n";

/// What was seen.
pub(crate) struct Seen {
    /// Tasks that were asked.
    pub(crate) tasks: usize,
    /// Items in the outputs of runs that are what was asked there.
    pub(crate) outputs: usize,
    /// Tasks whose end is in the journal.
    pub(crate) ends: usize,
    /// The time that all took.
    pub(crate) took: Duration,
    /// Microseconds from asking a step's agent to its answer, waiting for a slot included.
    pub(crate) steps: Histogram<u64>,
    /// Microseconds of each run, from its acceptance to its end.
    pub(crate) runs: Histogram<u64>,
    /// How often the store waited for the disk.
    pub(crate) syncs: u64,
}

/// Measures how long a call takes.
struct Timed {
    call: Arc<dyn Call>,
    took: Arc<Mutex<Histogram<u64>>>,
}

impl Call for Timed {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let reply = self.call.call(request).await;
            record(&mut self.took.lock(), begun.elapsed());
            reply
        })
    }
}

/// Runs `tasks` tasks, a hundred in each run.
pub(crate) async fn measure(tasks: usize) -> Seen {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path()).expect("a store");
    let backend: SharedBackend = Arc::new(store.clone());
    let sizes = Sizes {
        queue: EACH * AT_ONCE,
        ..Sizes::default()
    };
    let host = agents::host(sizes, backend.clone());
    let sandbox = agents::sandbox(&host, ECHO, Grants::default());
    let (providers, _) = agents::providers(sandbox, sizes);
    let call = policy::stack(&CallStep::of(agent("asked")), &providers).expect("it is there");
    let steps = Arc::new(Mutex::new(histogram()));
    let took = steps.clone();
    let call: Arc<dyn Call> = Arc::new(Timed { call, took });
    let plan = Arc::new(flow::parse(FLOW, "load").expect("a flow"));
    let is_call = |(at, step): (usize, &_)| calls(step).then(|| (StepRef(at), call.clone()));
    let calls: Arc<Calls> = Arc::new(plan.steps.iter().enumerate().filter_map(is_call).collect());
    let engine = Engine::new(backend, Duration::from_secs(10));

    let begun = Instant::now();
    let runs = (0..tasks / EACH).map(|nth| {
        let (engine, plan, calls) = (engine.clone(), plan.clone(), calls.clone());
        tokio::spawn(async move { run(&engine, plan, &calls, nth).await })
    });
    // The runs are spawned as they are taken, so there are only so many at once.
    let mut running = stream::iter(runs).buffer_unordered(AT_ONCE);
    let (mut outputs, mut ends, mut run_times) = (0, 0, histogram());
    let mut ids = Vec::new();
    while let Some(ended) = running.next().await {
        let (id, right, took) = ended.expect("no panic");
        outputs += right;
        record(&mut run_times, took);
        ids.push(id);
    }
    let took = begun.elapsed();
    for id in ids {
        let mut ended = BTreeSet::new();
        let mut reading = engine.read(id);
        while let Some(record) = reading.next().await.expect("a journal") {
            if let Event::StepSucceeded { step, trail, .. } = record.event
                && !trail.attempts.is_empty()
            {
                ended.insert(step.to_string());
            }
        }
        ends += ended.len();
    }
    let steps = steps.lock().clone();
    Seen {
        tasks,
        outputs,
        ends,
        took,
        steps,
        runs: run_times,
        syncs: store.syncs(),
    }
}

fn calls(step: &kennel::plan::Step) -> bool {
    matches!(step.kind, Kind::Call(_))
}

/// One run; says how many of its outputs are right.
async fn run(
    engine: &Engine,
    plan: Arc<Plan>,
    calls: &Calls,
    nth: usize,
) -> (kennel::id::RunId, usize, Duration) {
    let items = (0..EACH).map(|n| json!({ "task": nth * EACH + n }));
    let items: Vec<Value> = items.collect();
    let begun = Instant::now();
    let accepted = engine.accept(&plan, BTreeMap::new(), Value::Array(items.clone()));
    let run = accepted.await.expect("a run");
    let watch = Watch::default();
    let driven = engine.drive(run, plan, calls, &watch, std::future::pending());
    let state = driven.await.expect("an end");
    let took = begun.elapsed();
    let given = match state.outcome() {
        Some(Outcome::Succeeded {
            output: Held::Inline(output),
        }) => output.as_array().cloned().unwrap_or_default(),
        other => {
            eprintln!("run {run}: {other:?}");
            Vec::new()
        }
    };
    let right = given
        .iter()
        .zip(&items)
        .filter(|(given, asked)| given == asked);
    (run, right.count(), took)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("up to an hour, three digits")
}

fn record(into: &mut Histogram<u64>, took: Duration) {
    into.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}
