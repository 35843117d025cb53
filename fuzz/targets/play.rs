//! Plays runs by chance: whatever a run may do next happens in some order, and calls answer anything. What comes of it is a journal
//! that a host could have written.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kennel::call::Trail;
use kennel::engine::state::{Decision, RunState};
use kennel::event::CloudEvent;
use kennel::failure::{Failure, FailureKind};
use kennel::flow;
use kennel::id::{RunId, StepPath};
use kennel::plan::{Entry, Kind, Plan};
use kennel::record::{Cause, Event, Held, Outcome};
use serde_json::{Value, json};

use crate::harness::Maker;

/// The most records of one run.
const LONGEST: usize = 120;

/// The plans that runs are played from.
static PLANS: LazyLock<Vec<Arc<Plan>>> = LazyLock::new(|| {
    let texts =
        super::files("plugins/flows", "yaml").chain(super::files("fuzz/seeds/flow", "yaml"));
    let plan = |text: Vec<u8>| {
        let text = String::from_utf8(text).expect("a flow is text");
        Arc::new(
            flow::parse_with(&text, "flow", &super::flow::OTHERS)
                .unwrap_or_else(|problems| panic!("{}", problems.render("flow", &text, false))),
        )
    };
    texts.map(plan).collect()
});

/// The records of a run, or of the beginning of one.
pub(super) fn run(maker: &mut Maker<'_>) -> Vec<Event> {
    let plan = PLANS[maker.below(PLANS.len())].clone();
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let mut events = Vec::new();
    let mut happen = |state: &mut RunState, event: Event| {
        state
            .check(&event)
            .unwrap_or_else(|illegal| panic!("{illegal}: {event:?}"));
        state.apply(&event);
        events.push(event);
        events.len() < LONGEST
    };
    let begun = begin(maker, &plan);
    happen(&mut state, begun);
    loop {
        if let Some(outcome) = state.conclusion() {
            happen(&mut state, Event::RunFinished { outcome });
            break;
        }
        if maker.chance(1) {
            happen(
                &mut state,
                Event::RunFinished {
                    outcome: Outcome::Cancelled {
                        by: "a person".into(),
                    },
                },
            );
            break;
        }
        let Some(event) = next(maker, &state) else {
            panic!(
                "the run is stuck: {:?}",
                state.steps().map(|step| &step.path).collect::<Vec<_>>()
            );
        };
        if !happen(&mut state, event) {
            break;
        }
    }
    events
}

fn begin(maker: &mut Maker<'_>, plan: &Plan) -> Event {
    let cause = match &plan.entry {
        Entry::Root(_) => None,
        Entry::On(handlers) => {
            let kinds: Vec<_> = handlers.keys().collect();
            let kind = maker.one_of(&kinds).clone();
            let event = CloudEvent::new("/fuzz", "1", kind, Value::Null).expect("an event");
            Some(Arc::new(Cause {
                id: event.id,
                source: event.source,
                event_type: event.event_type,
                subject: maker.chance(30).then(|| "something".into()),
                time: maker
                    .chance(50)
                    .then(|| "2026-01-31T12:00:00.123456789Z".parse().expect("a time")),
                hops: maker.below(9) as u8,
            }))
        }
    };
    Event::RunStarted {
        flow: plan.name.clone(),
        digest: plan.digest,
        source: plan.source.clone(),
        agents: BTreeMap::new(),
        input: Held::Inline(Arc::new(answer(maker))),
        sources: plan.sources.clone(),
        event: cause,
        forked_from: None,
    }
}

/// Something that may happen now.
fn next(maker: &mut Maker<'_>, state: &RunState) -> Option<Event> {
    let (ready, running) = (state.ready(), state.running());
    let at = maker.below((ready.len() + running.len()).max(1));
    if let Some((step, decision)) = ready.get(at) {
        return Some(begins(maker, state, step.clone(), decision));
    }
    let step = running.get(at - ready.len())?.clone();
    Some(ends(maker, state, step))
}

fn begins(maker: &mut Maker<'_>, state: &RunState, step: StepPath, decision: &Decision) -> Event {
    match decision {
        Decision::Skip => Event::StepSkipped { step },
        Decision::Fail(failure) => Event::StepFailed {
            step,
            failure: failure.clone(),
            trail: Trail::default(),
        },
        Decision::Start => match kind(state, &step) {
            Some(Kind::Approve(_)) => Event::ApprovalAsked {
                step,
                message: "may it?".into(),
                until: maker
                    .chance(50)
                    .then(|| "2030-01-01T00:00:00Z".parse().expect("a time")),
            },
            _ => Event::StepStarted { step, attempt: 1 },
        },
    }
}

fn ends(maker: &mut Maker<'_>, state: &RunState, step: StepPath) -> Event {
    match kind(state, &step) {
        Some(Kind::Approve(_)) => Event::ApprovalAnswered {
            step,
            approved: maker.one_of(&[Some(true), Some(true), Some(false), None]),
            by: "a person".into(),
            note: maker.chance(30).then(|| "because".into()),
        },
        _ if maker.chance(10) => again(state, step),
        _ if maker.chance(15) => Event::StepFailed {
            step,
            failure: failure(maker),
            trail: trail(maker),
        },
        Some(Kind::Emit(kind)) => Event::EventEmitted {
            id: format!("{step}"),
            event_type: kind.clone(),
            step,
        },
        _ => {
            drop(state.input_of(&step));
            Event::StepSucceeded {
                step,
                output: Held::Inline(Arc::new(answer(maker))),
                trail: trail(maker),
            }
        }
    }
}

/// The owner was lost, and the next one begins the step again.
fn again(state: &RunState, step: StepPath) -> Event {
    let begun = state.step(&step).map_or(0, |step| step.begun);
    Event::StepStarted {
        attempt: begun + 1,
        step,
    }
}

fn kind<'s>(state: &'s RunState, step: &StepPath) -> Option<&'s Kind> {
    Some(&state.plan().step(state.step(step)?.step).kind)
}

fn failure(maker: &mut Maker<'_>) -> Failure {
    Failure::new(maker.one_of(FailureKind::ALL), "it went \u{1b}[31mwrong")
}

/// What an agent might answer: often what the flows look for.
fn answer(maker: &mut Maker<'_>) -> Value {
    match maker.below(8) {
        0 => {
            json!({"subtasks": [{"agent-type": "digger", "input": 1}, {"agent-type": "painter"}, {"skill": "look"}]})
        }
        1 => json!({"items": [1, {"a": 2}, "x"], "next": maker.chance(30)}),
        2 => {
            json!({"document": "text", "text": "some text", "label": "x", "items": [1, 2, 3], "done": maker.chance(50)})
        }
        3 => json!([1, 2.5, "three", null, {"n": maker.edge()}]),
        4 => json!(f64::from_bits(maker.number())),
        5 => {
            json!({"alert": {"alert": maker.chance(50)}, "signal": {"signal": "buy"}, "n": maker.below(5)})
        }
        6 => Value::Null,
        _ => json!({"answers": {"deep": [[[[maker.word()]]]]}, "size": maker.edge()}),
    }
}

fn trail(maker: &mut Maker<'_>) -> Trail {
    if maker.chance(50) {
        return Trail::default();
    }
    let attempt = json!({
        "agent": "a", "number": maker.below(4), "usage": {"fuel": maker.edge(), "wall-us": maker.edge(), "peak-memory": maker.edge()},
        "answers": maker.one_of(&[json_null, lost, inline])(),
    });
    let mut trail = json!({"attempts": [attempt.clone(), attempt]});
    if maker.chance(30) {
        trail["cached"] = json!(f64::from_bits(maker.number() >> 2));
        trail["fell-back-to"] = json!("b");
    }
    serde_json::from_value(trail).expect("a trail")
}

fn json_null() -> Value {
    Value::Null
}

fn lost() -> Value {
    json!({"lost": "too much"})
}

fn inline() -> Value {
    json!({"inline": "aGVsbG8="})
}
