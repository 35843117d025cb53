//! Runs whose agent spins, cancelled from another process's view of the store: how soon they have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel::engine::{Calls, Engine, Stopping, Watch};
use kennel::flow;
use kennel::grants::Grants;
use kennel::plan::{CallStep, StepRef};
use kennel::policy;
use kennel::record::Outcome;
use kennel::slots::Sizes;
use kennel::store::SharedBackend;
use kennel::store::sqlite::SqliteStore;
use serde_json::Value;

use crate::agents::{self, ECHO, agent};

/// Runs, one after the other.
pub(crate) const RUNS: usize = 20;
/// From asking for the end until the run has ended, its last record on the disk.
pub(crate) const MOST: Duration = Duration::from_millis(50);

/// How long each took.
pub(crate) async fn measure() -> Vec<Duration> {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || -> SharedBackend { Arc::new(SqliteStore::open(dir.path()).expect("a store")) };
    let (own, others) = (open(), open());
    let host = agents::host(Sizes::default(), own.clone());
    let sandbox = agents::sandbox(&host, &spinning(), Grants::default());
    let (providers, _) = agents::providers(sandbox, Sizes::default());
    let call = policy::stack(&CallStep::of(agent("asked")), &providers).expect("it is there");
    let calls: Arc<Calls> = Arc::new([(StepRef(0), call)].into());
    let plan = Arc::new(flow::parse("kennel: 1\nagent: asked\n", "spin").expect("a flow"));
    let [engine, other] = [own, others].map(|store| Engine::new(store, Duration::from_secs(10)));
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let accepted = engine.accept(&plan, BTreeMap::new(), Value::Null);
        let run = accepted.await.expect("a run");
        let driving = tokio::spawn({
            let (engine, plan, calls) = (engine.clone(), plan.clone(), calls.clone());
            async move {
                let watch = Watch::default();
                let never = std::future::pending();
                engine.drive(run, plan, &calls, &watch, never).await
            }
        });
        // It is in the middle of its work by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        let stopping = other.cancel(run, plan.clone(), "load").await;
        assert!(
            matches!(stopping, Ok(Stopping::Asked)),
            "somebody drives it"
        );
        let state = driving.await.expect("no panic").expect("an end");
        took.push(asked.elapsed());
        let cancelled = matches!(state.outcome(), Some(Outcome::Cancelled { .. }));
        assert!(cancelled, "{:?}", state.outcome());
    }
    took
}

/// The agent that answers, but first it spins for ever.
fn spinning() -> String {
    let first = "(i32.store (i32.const 16) (i32.const 0))";
    let spins = ECHO.replacen(first, &format!("(loop $on (br $on)) {first}"), 1);
    assert_ne!(spins, ECHO, "it begins otherwise");
    spins
}
