//! Runs told as text: a flow, what its calls answer, and the records that come of it.

mod patterns;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::flow;
use crate::record::Record;

fn plan(source: &str) -> Arc<Plan> {
    Arc::new(
        flow::parse(source, "test")
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render("test", source, false))),
    )
}

/// Plays a run: every call that begins is answered by `answer` at once. Returns the events.
fn play(
    plan: &Arc<Plan>,
    input: Value,
    answer: impl Fn(&str, &Value) -> Result<Value, FailureKind>,
) -> Vec<Event> {
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let mut events = Vec::new();
    happen(&mut state, &mut events, begin(plan, input));
    loop {
        let ready = state.ready();
        for (step, decision) in &ready {
            let step = step.clone();
            match decision {
                Decision::Skip => happen(&mut state, &mut events, Event::StepSkipped { step }),
                Decision::Fail(failure) => {
                    let failure = failure.clone();
                    happen(
                        &mut state,
                        &mut events,
                        Event::StepFailed {
                            step,
                            failure,
                            trail: Trail::default(),
                        },
                    );
                }
                Decision::Start => {
                    happen(
                        &mut state,
                        &mut events,
                        Event::StepStarted {
                            step: step.clone(),
                            attempt: 1,
                        },
                    );
                    let event = match state.input_of(&step) {
                        Ok(asked) => ended(step.clone(), answer(step.as_str(), &asked)),
                        Err(failure) => Event::StepFailed {
                            step,
                            failure,
                            trail: Trail::default(),
                        },
                    };
                    happen(&mut state, &mut events, event);
                }
            }
        }
        if let Some(outcome) = state.conclusion() {
            happen(&mut state, &mut events, Event::RunFinished { outcome });
            return events;
        }
        assert!(!ready.is_empty(), "the run is stuck");
    }
}

fn begin(plan: &Plan, input: Value) -> Event {
    Event::RunStarted {
        flow: plan.name.clone(),
        digest: plan.digest,
        source: plan.source.clone(),
        agents: std::collections::BTreeMap::new(),
        input: Held::Inline(Arc::new(input)),
        sources: plan.sources.clone(),
        event: None,
        forked_from: None,
    }
}

fn ended(step: StepPath, answer: Result<Value, FailureKind>) -> Event {
    let trail = Trail::default();
    match answer {
        Ok(output) => Event::StepSucceeded {
            step,
            output: Held::Inline(Arc::new(output)),
            trail,
        },
        Err(kind) => Event::StepFailed {
            step,
            failure: Failure::new(kind, "it did not work"),
            trail,
        },
    }
}

fn happen(state: &mut RunState, events: &mut Vec<Event>, event: Event) {
    state.check(&event).expect("a legal move");
    state.apply(&event);
    events.push(event);
}

/// The events as lines, without the flow's text.
fn told(events: &[Event]) -> String {
    let line = |event: &Event| match event {
        Event::RunStarted { input, .. } => format!("run started with {}", inline(input)),
        Event::StepStarted { step, attempt } => format!("{step} started ({attempt})"),
        Event::StepSucceeded { step, output, .. } => format!("{step} gave {}", inline(output)),
        Event::StepFailed { step, failure, .. } => format!("{step} failed: {failure}"),
        Event::StepSkipped { step } => format!("{step} skipped"),
        Event::RunFinished {
            outcome: Outcome::Succeeded { output },
        } => format!("run gave {}", inline(output)),
        Event::RunFinished {
            outcome: Outcome::Failed { step, failure },
        } => {
            format!(
                "run failed at {}: {failure}",
                step.as_ref().map_or("its output", StepPath::as_str)
            )
        }
        Event::RunFinished {
            outcome: Outcome::Cancelled { by },
        } => format!("run cancelled by {by}"),
        Event::EventEmitted {
            step, event_type, ..
        } => format!("{step} emitted {event_type}"),
        Event::ApprovalAsked { step, message, .. } => format!("{step} asked: {message}"),
        Event::ApprovalAnswered {
            step, approved, by, ..
        } => {
            format!("{step} answered by {by}: {approved:?}")
        }
    };
    events.iter().map(|event| line(event) + "\n").collect()
}

/// Answers with what was asked, under the step's name; steps named `bad…` fail.
fn echo(step: &str, asked: &Value) -> Result<Value, FailureKind> {
    if step.starts_with("bad") {
        Err(FailureKind::Fatal)
    } else {
        Ok(json!({ step: asked }))
    }
}

fn check(source: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&told(&play(&plan(source), json!({ "n": 1 }), echo)));
}

#[test]
fn a_sequence_hands_each_output_to_the_next() {
    check(
        "kennel: 1\nsequential: [{agent: a}, {agent: b}]",
        &expect_test::expect![[r#"
            run started with {"n":1}
            a started (1)
            a gave {"a":{"n":1}}
            b started (1)
            b gave {"b":{"a":{"n":1}}}
            run gave {"b":{"a":{"n":1}}}
        "#]],
    );
}

#[test]
fn a_skipped_step_is_as_if_it_were_not_there() {
    check(
        "kennel: 1\nsequential: [{agent: a}, {agent: b, if: input.n == 2}, {agent: c}]",
        &expect_test::expect![[r#"
            run started with {"n":1}
            a started (1)
            a gave {"a":{"n":1}}
            b skipped
            c started (1)
            c gave {"c":{"a":{"n":1}}}
            run gave {"c":{"a":{"n":1}}}
        "#]],
    );
}

#[test]
fn a_failed_branch_leaves_its_siblings_alone() {
    check(
        "kennel: 1\nparallel: [{agent: bad}, {agent: b}]",
        &expect_test::expect![[r#"
            run started with {"n":1}
            bad started (1)
            bad failed: fatal: it did not work
            b started (1)
            b gave {"b":{"n":1}}
            run failed at bad: fatal: it did not work
        "#]],
    );
}

#[test]
fn require_any_is_content_with_one_branch() {
    check(
        "kennel: 1\nsequential:\n  - {parallel: [{agent: bad}, {agent: b}], require: any, id: both}\n  - {agent: c}",
        &expect_test::expect![[r#"
            run started with {"n":1}
            bad started (1)
            bad failed: fatal: it did not work
            b started (1)
            b gave {"b":{"n":1}}
            c started (1)
            c gave {"c":{"b":{"b":{"n":1}}}}
            run gave {"c":{"b":{"b":{"n":1}}}}
        "#]],
    );
}

#[test]
fn groups_nest_and_reshape() {
    check(
        r#"
kennel: 1
sequential:
  - agent: a
  - parallel:
      - sequential: [{agent: b, with: "${{ input.n + 1 }}"}, {agent: c}]
        id: chain
        output: "${{ prev.c.b }}"
      - agent: d
output: "${{ {'chain': steps.chain, 'd': steps.d.d.a.n} }}"
"#,
        &expect_test::expect![[r#"
            run started with {"n":1}
            a started (1)
            a gave {"a":{"n":1}}
            b started (1)
            b gave {"b":2}
            d started (1)
            d gave {"d":{"a":{"n":1}}}
            c started (1)
            c gave {"c":{"b":2}}
            run gave {"chain":2,"d":1}
        "#]],
    );
}

#[test]
fn an_expression_without_a_value_fails_its_step() {
    let events = play(
        &plan("kennel: 1\nsequential: [{agent: a, with: '${{ input.missing.deep }}'}]"),
        json!({}),
        echo,
    );
    let refused = |event: &Event| matches!(event, Event::StepFailed { failure, .. } if failure.kind == FailureKind::InvalidInput);
    assert!(events.iter().any(refused), "{}", told(&events));
}

#[test]
fn moves_out_of_order_are_refused() {
    let plan = plan("kennel: 1\nsequential: [{agent: a}, {agent: b}]");
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let path = |id: &str| StepPath::of(&id.parse().expect("an id"));
    let started = |id: &str, attempt| Event::StepStarted {
        step: path(id),
        attempt,
    };
    assert!(
        state.check(&started("a", 1)).is_err(),
        "before the run has started"
    );
    state.apply(&begin(&plan, json!(null)));
    assert!(
        state.check(&begin(&plan, json!(null))).is_err(),
        "a second start"
    );
    assert!(
        state.check(&started("b", 1)).is_err(),
        "a step that was not reached"
    );
    assert!(
        state.check(&started("a", 2)).is_err(),
        "a second attempt before the first"
    );
    assert!(
        state.check(&ended(path("a"), Ok(json!(1)))).is_err(),
        "an end before the start"
    );
    state.apply(&started("a", 1));
    assert!(
        state
            .check(&Event::StepSkipped { step: path("a") })
            .is_err(),
        "a skip after the start"
    );
    assert_eq!(
        state.check(&started("a", 2)),
        Ok(()),
        "a second beginning after a crash"
    );
    state.apply(&ended(path("a"), Ok(json!(1))));
    assert!(
        state.check(&started("a", 2)).is_err(),
        "a step that has succeeded is never begun again"
    );
}

/// A random flow of groups and calls; `bad…` calls fail.
fn flows() -> impl Strategy<Value = Value> {
    let leaf = (
        any::<u16>(),
        prop::bool::weighted(0.2),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(n, bad, guard)| {
            let name = if bad { "bad" } else { "ok" };
            let mut step = json!({ "agent": name, "id": format!("{name}_{n}") });
            if let Some(guard) = guard {
                step["if"] = json!(guard.to_string());
            }
            step
        });
    leaf.prop_recursive(4, 24, 4, |inner| {
        let steps = prop::collection::vec(inner, 1..4);
        (steps, 0..8_u8, any::<bool>(), any::<u16>()).prop_map(|(steps, kind, choice, n)| {
            let first = steps[0].clone();
            let mut step = match kind {
                0 => json!({ "parallel": steps, "require": "any" }),
                1 => json!({ "parallel": steps, "concurrency": 1 + usize::from(choice) }),
                2 => {
                    let stages = steps.into_iter().enumerate().map(|(at, mut stage)| {
                        stage["each"] = json!(at > 0 || choice);
                        if stage["each"] == true {
                            stage["concurrency"] = json!(1 + (usize::from(n) + at) % 4);
                        }
                        if at > 0 && choice {
                            stage["on-item-error"] = json!("drop");
                        }
                        stage
                    });
                    json!({ "pipeline": stages.collect::<Vec<_>>() })
                }
                3 => {
                    let arms = steps.into_iter().enumerate().map(|(at, mut arm)| {
                        arm["if"] = json!((at > 0 || choice).to_string());
                        arm
                    });
                    json!({ "route": arms.collect::<Vec<_>>() })
                }
                4 => json!({ "repeat": { "do": first, "until": choice.to_string(), "max": 3 } }),
                5 => {
                    let workers = json!({ "a": "ok", "b": "bad" });
                    json!({ "hierarchical": { "master": "ok", "workers": workers, "concurrency": 1 + n % 3 } })
                }
                _ => json!({ "sequential": steps }),
            };
            step["id"] = json!(format!("g_{n}"));
            if choice {
                step["on-error"] = json!("continue");
            }
            step
        })
    })
}

/// Fails, or gives something of any shape, as `seed` and the step's path have it.
fn anything(seed: u64) -> impl Fn(&str, &Value) -> Result<Value, FailureKind> {
    move |step, asked| {
        let mut hash = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&(seed, step), &mut hash);
        let drawn = std::hash::Hasher::finish(&hash);
        let item = |n: u64| json!({ "agent-type": if n.is_multiple_of(2) { "a" } else { "b" }, "input": n });
        match (drawn % 8, step.ends_with(".plan")) {
            (0, _) => Err(FailureKind::Fatal),
            (1..=6, true) => {
                Ok(json!({ "subtasks": (0..drawn % 5).map(item).collect::<Vec<_>>() }))
            }
            (1, _) => Err(FailureKind::Recoverable),
            (2 | 3, _) => Ok(json!((0..drawn % 7).collect::<Vec<_>>())),
            (4, _) => Ok(Value::Null),
            _ => Ok(asked.clone()),
        }
    }
}

/// Chooses what ends next: Knuth's multiplier on 64 bits, of which the high ones are taken.
struct Order(u64);

impl Order {
    fn below(&mut self, bound: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// Goes on with a run until its end, as a driver does: begins again what somebody has left behind, begins all that is ready, and lets
/// some of what runs end, in the order that `order` draws. Shows every state on the way.
fn go_on(
    state: &mut RunState,
    events: &mut Vec<Event>,
    order: &mut Order,
    answer: &impl Fn(&str, &Value) -> Result<Value, FailureKind>,
    mut show: impl FnMut(&RunState),
) {
    let mut happen = |state: &mut RunState, event| {
        happen(state, events, event);
        show(state);
    };
    if state.outcome().is_some() {
        return;
    }
    for step in state.running() {
        let attempt = state.step(&step).map_or(0, |step| step.begun) + 1;
        happen(state, Event::StepStarted { step, attempt });
    }
    let trail = Trail::default;
    loop {
        let mut ready = state.ready();
        while !ready.is_empty() {
            for (step, decision) in ready {
                let event = match decision {
                    Decision::Start => Event::StepStarted { step, attempt: 1 },
                    Decision::Skip => Event::StepSkipped { step },
                    Decision::Fail(failure) => Event::StepFailed {
                        step,
                        failure,
                        trail: trail(),
                    },
                };
                happen(state, event);
            }
            ready = state.ready();
        }
        if let Some(outcome) = state.conclusion() {
            return happen(state, Event::RunFinished { outcome });
        }
        let mut running = state.running();
        assert!(!running.is_empty(), "the run is stuck");
        for _ in 0..=order.below(running.len()) {
            let step = running.swap_remove(order.below(running.len()));
            let event = match state.input_of(&step) {
                Ok(asked) => {
                    let answer = answer(step.as_str(), &asked);
                    ended(step, answer)
                }
                Err(failure) => Event::StepFailed {
                    step,
                    failure,
                    trail: trail(),
                },
            };
            happen(state, event);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the plan, whatever its calls answer: the run ends, and cut anywhere, a replay stands where the live run stood.
    #[test]
    fn a_replay_of_any_beginning_stands_where_the_run_stood(flow in flows(), seed: u64) {
        let first = json!({ "agent": "first", "id": "first" });
        let source = json!({ "kennel": 1, "sequential": [first, flow] }).to_string();
        // Random ids may collide, which the parser refuses; those flows say nothing.
        prop_assume!(flow::parse(&source, "test").is_ok());
        let plan = plan(&source);
        let events = play(&plan, json!([1, 2, 3]), anything(seed));
        let run = RunId::generate();
        for cut in 0..=events.len() {
            let replayed = RunState::replay(plan.clone(), run, &events[..cut]).expect("every beginning is legal");
            let mut live = RunState::new(plan.clone(), run);
            events[..cut].iter().for_each(|event| live.apply(event));
            prop_assert_eq!(format!("{replayed:?}"), format!("{live:?}"));
            let ended = replayed.steps().filter(|step| step.status.has_ended()).count();
            prop_assert!(cut < events.len() || ended == replayed.steps().count());
        }
    }

    /// The same when leaves run side by side and end in any order: cut anywhere, a replay stands where the live run stood, whoever goes on
    /// from there ends the run whatever ends first now, and how it ends does not depend on any of it.
    #[test]
    fn whatever_ends_first_and_wherever_it_is_cut_a_run_ends_in_the_same_way(
        flow in flows(), seed: u64, orders: [u64; 3], cut: prop::sample::Index,
    ) {
        let first = json!({ "agent": "first", "id": "first" });
        let source = json!({ "kennel": 1, "sequential": [first, flow] }).to_string();
        prop_assume!(flow::parse(&source, "test").is_ok());
        let plan = plan(&source);
        let (answer, run) = (anything(seed), RunId::generate());
        let mut live = RunState::new(plan.clone(), run);
        let mut events = Vec::new();
        happen(&mut live, &mut events, begin(&plan, json!([1, 2, 3])));
        let (mut states, mut random) = (vec![live.clone()], Order(orders[0]));
        go_on(&mut live, &mut events, &mut random, &answer, |state| states.push(state.clone()));
        // Those of one cut in detail, since a state is long when it is written down.
        let cut = 1 + cut.index(events.len());
        let mut replayed = RunState::replay(plan.clone(), run, &events[..cut]).expect("every beginning is legal");
        prop_assert_eq!(format!("{replayed:?}"), format!("{:?}", states[cut - 1]));
        // Whoever goes on may be lost as well.
        let mut events = events[..cut].to_vec();
        let (mut random, mut states) = (Order(orders[1]), vec![replayed.clone()]);
        go_on(&mut replayed, &mut events, &mut random, &answer, |state| states.push(state.clone()));
        let again = cut + (events.len() - cut) / 2;
        let mut third = RunState::replay(plan, run, &events[..again]).expect("every beginning is legal");
        prop_assert_eq!(format!("{third:?}"), format!("{:?}", states[again - cut]));
        let mut events = events[..again].to_vec();
        go_on(&mut third, &mut events, &mut Order(orders[2]), &answer, |_| {});
        let how = |state: &RunState| match state.outcome() {
            // Which of several failures comes first, and is told, is a matter of the order.
            Some(Outcome::Failed { .. }) => "failed".to_owned(),
            other => format!("{other:?}"),
        };
        prop_assert_eq!(how(&replayed), how(&live));
        prop_assert_eq!(how(&third), how(&live));
        let ends = events.iter().filter(|event| matches!(event, Event::RunFinished { .. }));
        prop_assert_eq!(ends.count(), 1);
    }

    /// What is stored reads back as what was meant.
    #[test]
    fn records_survive_their_json(flow in flows()) {
        let source = json!({ "kennel": 1, "sequential": [flow] }).to_string();
        prop_assume!(flow::parse(&source, "test").is_ok());
        for event in play(&plan(&source), json!({ "deep": [1, 2.5, "x", null] }), echo) {
            let record = Record::now(event);
            let text = serde_json::to_string(&record).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), record);
        }
    }
}
