//! Whole runs: accepted, driven and finished, over a store.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use kennel::engine::{Calls, Engine, Watch};
use kennel::flow;
use kennel::payload::Payload;
use kennel::plan::{Kind, Plan, StepRef};
use kennel::policy;
use kennel::record::Outcome;
use kennel::store::SharedBackend;
use serde_json::Value;

use crate::agents::{Guest, task};

/// A flow, and the calls of its steps with the policies that every step has.
pub(crate) struct Flow {
    plan: Arc<Plan>,
    calls: Calls,
    input: Value,
}

impl Flow {
    /// Four steps one after the other; each gets what the one before answered.
    pub(crate) fn sequence(guest: &Guest) -> Self {
        Self::of(guest, "sequential", 4, "")
    }

    /// The same with an input that expressions put together for each step.
    pub(crate) fn expressions(guest: &Guest) -> Self {
        let with = r#", with: { text: "${{ prev.text }}", tags: "${{ input.tags }}" }"#;
        Self::of(guest, "sequential", 4, with)
    }

    /// A hundred steps at once.
    pub(crate) fn fan_out(guest: &Guest) -> Self {
        Self::of(guest, "parallel", 100, "")
    }

    /// A list of a hundred items streams through three stages.
    pub(crate) fn pipeline(guest: &Guest) -> Self {
        let mut source = "kennel: 1\npipeline:\n".to_owned();
        for n in 0..3 {
            writeln!(
                source,
                "  - {{ agent: asked, id: s{n}, each: true, concurrency: 100 }}"
            )
            .expect("a string takes it");
        }
        let items = (0..100).map(task).map(|item| value(&item));
        Self::new(guest, &source, items.collect())
    }

    fn of(guest: &Guest, shape: &str, steps: usize, with: &str) -> Self {
        let mut source = format!("kennel: 1\n{shape}:\n");
        for n in 0..steps {
            writeln!(source, "  - {{ agent: asked, id: s{n}{with} }}").expect("a string takes it");
        }
        Self::new(guest, &source, value(&guest.input))
    }

    fn new(guest: &Guest, source: &str, input: Value) -> Self {
        let plan = flow::parse(source, "bench").expect("a flow");
        let providers = guest.providers();
        let calls = plan.steps.iter().enumerate();
        let calls = calls.filter_map(|(at, step)| match &step.kind {
            Kind::Call(call) => {
                let stack = policy::stack(call, &providers).expect("the agent is there");
                Some((StepRef(at), stack))
            }
            _ => None,
        });
        Self {
            calls: calls.collect(),
            plan: Arc::new(plan),
            input,
        }
    }

    /// One run from its acceptance to its end.
    pub(crate) async fn run(&self, backend: SharedBackend) {
        let engine = Engine::new(backend, Duration::from_secs(10));
        let pins = std::collections::BTreeMap::new();
        let accepted = engine.accept(&self.plan, pins, self.input.clone()).await;
        let run = accepted.expect("a run");
        let watch = Watch::default();
        let driven = engine.drive(
            run,
            self.plan.clone(),
            &self.calls,
            &watch,
            std::future::pending(),
        );
        let state = driven.await.expect("an end");
        assert!(
            matches!(state.outcome(), Some(Outcome::Succeeded { .. })),
            "{:?}",
            state.outcome()
        );
    }
}

/// A JSON task as flows hold it.
fn value(task: &Payload) -> Value {
    let Payload::Json(text) = task else {
        panic!("the task is JSON")
    };
    serde_json::from_str(text).expect("the task is JSON")
}
