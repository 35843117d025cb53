//! How often one run over SQLite waits for the disk, from its acceptance to its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kennel::call::{Call, CallError, Reply, Request, Trail};
use kennel::engine::{Calls, Engine, Watch};
use kennel::flow;
use kennel::plan::{Kind, StepRef};
use kennel::record::Outcome;
use kennel::store::sqlite::SqliteStore;
use serde_json::json;

/// Answers at once, with what it was asked.
struct Echo;

impl Call for Echo {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            Ok(Reply {
                output: request.input,
                trail: Trail::default(),
            })
        })
    }
}

/// How often a run of this flow waits.
async fn syncs(source: &str) -> u64 {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path()).expect("a store");
    let plan = Arc::new(flow::parse(source, "commits").expect("a flow"));
    let steps = plan.steps.iter().enumerate();
    let calls = steps.filter(|(_, step)| matches!(step.kind, Kind::Call(_)));
    let calls: Calls = calls
        .map(|(at, _)| (StepRef(at), Arc::new(Echo) as Arc<dyn Call>))
        .collect();
    let engine = Engine::new(Arc::new(store.clone()), Duration::from_secs(10));
    // In a task of its own, which has its turn after all those that it spawned.
    let run = tokio::spawn(async move {
        let accepted = engine.accept(&plan, BTreeMap::new(), json!({ "n": 1 }));
        let run = accepted.await.expect("a run");
        let watch = Watch::default();
        let driven = engine.drive(run, plan, &calls, &watch, std::future::pending());
        driven.await.expect("an end").outcome().cloned()
    });
    let outcome = run.await.expect("no panic");
    assert!(
        matches!(outcome, Some(Outcome::Succeeded { .. })),
        "{outcome:?}"
    );
    store.syncs()
}

#[tokio::test]
async fn a_durable_fan_out_of_a_hundred_waits_three_times_for_the_disk() {
    let mut source = "kennel: 1\nparallel:\n".to_owned();
    for n in 0..100 {
        writeln!(source, "  - {{ agent: a, id: s{n} }}").expect("a string takes it");
    }
    // The run, all beginnings, all ends. Its place in the queue, claiming it and leaving the queue wait for nothing.
    assert_eq!(syncs(&source).await, 3);
}

#[tokio::test]
async fn a_step_of_a_sequence_waits_once() {
    let one = syncs("kennel: 1\nsequential: [{ agent: a }]").await;
    let four = "{ agent: a, id: k }, { agent: a, id: l }, { agent: a, id: m }, { agent: a, id: n }";
    let four = syncs(&format!("kennel: 1\nsequential: [{four}]")).await;
    assert_eq!((one, four), (3, 6));
}
