//! Runs whose records are written by hand, taken apart.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::flow;

/// A step: its id, its attempts (agent, number, failed) and its output.
type Told<'a> = (&'a str, &'a [(&'a str, u32, bool)], Value);

/// The executions of a run of `flow` with these steps, each given by its id, its attempts (agent, number, failed) and its output.
fn taken_apart(source: &str, steps: &[Told<'_>]) -> Vec<Execution> {
    of(source, steps, false)
}

/// The same, perhaps with steps that were given to cheaper agents.
fn of(source: &str, steps: &[Told<'_>], degraded: bool) -> Vec<Execution> {
    let plan = Arc::new(
        flow::parse(source, "test")
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render("test", source, false))),
    );
    let held = |value: &Value| Held::Inline(Arc::new(value.clone()));
    let mut events = vec![Event::RunStarted {
        flow: plan.name.clone(),
        digest: plan.digest,
        source: plan.source.clone(),
        agents: BTreeMap::new(),
        input: held(&json!({ "n": 7 })),
        sources: BTreeMap::new(),
        event: None,
        forked_from: None,
    }];
    for (id, attempts, output) in steps {
        let step = StepPath::of(&id.parse().expect("an id"));
        let attempt = |&(agent, number, failed): &(&str, u32, bool)| Attempt {
            agent: agent.parse().expect("a name"),
            number,
            failure: failed.then(|| Failure::new(FailureKind::Recoverable, "again")),
            usage: Usage::default(),
            answers: None,
        };
        let trail = Trail {
            attempts: attempts.iter().map(attempt).collect(),
            degraded_to: degraded.then(|| "b".parse().expect("a name")),
            ..Trail::default()
        };
        events.push(Event::StepStarted {
            step: step.clone(),
            attempt: 1,
        });
        let failed = attempts.last().is_some_and(|(_, _, failed)| *failed);
        events.push(match failed {
            true => Event::StepFailed {
                step,
                failure: Failure::new(FailureKind::Recoverable, "again"),
                trail,
            },
            false => Event::StepSucceeded {
                step,
                output: held(output),
                trail,
            },
        });
    }
    let mut executions = Executions::new(plan, RunId::generate());
    let ended = events.iter().map(|event| executions.next(event));
    ended.flat_map(|ended| ended.expect("a run")).collect()
}

/// `step agent attempt input → outcome`.
fn told(execution: &Execution) -> String {
    let input = match &execution.input {
        Ok(input) => input.to_string(),
        Err(failure) => failure.to_string(),
    };
    let outcome = match &execution.expected {
        Expected::Output(value) => value.to_string(),
        Expected::Failure(failure) => failure.kind.to_string(),
        Expected::Unkept => "?".into(),
    };
    let Execution {
        step,
        agent,
        attempt,
        ..
    } = execution;
    format!("{step} {agent} {attempt} {input} → {outcome}")
}

#[test]
fn each_attempt_has_the_input_that_its_agent_got() {
    let flow = "kennel: 1\nname: f\nsequential:\n  - { agent: a, with: '${{ input.n }}', retry: { attempts: 3 } }\n  - { agent: b }\n  - { agent: c, with: '${{ steps.a + steps.b }}' }\n";
    let executions = taken_apart(
        flow,
        &[
            ("a", &[("a", 1, true), ("a", 2, false)], json!(1)),
            ("b", &[("b", 1, false)], json!(2)),
            ("c", &[("c", 1, true)], json!(null)),
        ],
    );
    assert_eq!(
        executions.iter().map(told).collect::<Vec<_>>(),
        [
            "a a 1 7 → recoverable",
            "a a 2 7 → 1",
            "b b 1 1 → 2",
            "c c 1 3 → recoverable"
        ]
    );
}

#[test]
fn fallbacks_get_their_own_input_or_that_of_whom_they_stand_in_for() {
    let flow = "kennel: 1\nname: f\nsequential:\n  - agent: a\n    with: one\n    fallback:\n      - b\n      - { agent: a, with: other }\n      - { agent: d, with: last }\n";
    let attempts: &[_] = &[
        ("a", 1, true),
        ("a", 2, true),
        ("b", 1, true),
        ("a", 1, true),
        ("d", 1, false),
    ];
    let executions = taken_apart(flow, &[("a", attempts, json!("ok"))]);
    assert_eq!(
        executions.iter().map(told).collect::<Vec<_>>(),
        [
            "a a 1 \"one\" → recoverable",
            "a a 2 \"one\" → recoverable",
            "a b 1 \"one\" → recoverable",
            "a a 1 \"other\" → recoverable",
            "a d 1 \"last\" → \"ok\"",
        ]
    );
}

#[test]
fn an_agent_that_nobody_names_stands_in_for_whoever_was_asked() {
    let flow = "kennel: 1\nname: f\nsequential:\n  - { agent: a, with: one }\n";
    let executions = taken_apart(flow, &[("a", &[("cheap", 1, false)], json!("ok"))]);
    assert_eq!(
        executions.iter().map(told).collect::<Vec<_>>(),
        ["a cheap 1 \"one\" → \"ok\""]
    );
}

#[test]
fn whoever_is_asked_instead_gets_what_the_step_got() {
    let flow = "kennel: 1\nname: f\nsequential:\n  - agent: a\n    with: one\n    degrade: { above: 0.8, to: b }\n    fallback:\n      - { agent: b, with: other }\n";
    for (degraded, input) in [(true, "one"), (false, "other")] {
        let attempts: &[_] = match degraded {
            true => &[("b", 1, false)],
            false => &[("a", 1, true), ("b", 1, false)],
        };
        let executions = of(flow, &[("a", attempts, json!("ok"))], degraded);
        let last = executions.last().map(told);
        assert_eq!(last, Some(format!("a b 1 \"{input}\" → \"ok\"")));
    }
}

#[test]
fn an_answer_from_the_cache_is_no_attempt() {
    let flow = "kennel: 1\nname: f\nsequential:\n  - { agent: a, with: one }\n";
    assert!(taken_apart(flow, &[("a", &[], json!("ok"))]).is_empty());
}
