//! Journals: any sequence of records, handed to the state of a run.
//!
//! An input is one event in each line, as the store keeps it. The oracle: nothing panics; what is refused changes nothing; what is
//! taken keeps the promises (a step that has succeeded never begins again, nothing follows the end, a run that has not ended can go
//! on); and reading it all again gives the same state.

use std::collections::BTreeSet;
use std::sync::Arc;

use kennel::engine::state::RunState;
use kennel::flow;
use kennel::id::{RunId, StepPath};
use kennel::record::Event;
use serde_json::Value;

use crate::harness::{Forest, Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "journal",
    ending: "jsonl",
    inputs: 250,
    seeds: Vec::new,
    words: super::record::TARGET.words,
    make,
    check,
};

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = match maker.chance(70) {
        true => super::play::run(maker).iter().map(line).collect(),
        false => maker
            .known()
            .split(|&b| b == b'\n')
            .map(<[u8]>::to_vec)
            .collect(),
    };
    for _ in 0..maker.below(4) {
        change(maker, &mut lines);
    }
    lines.join(&b'\n')
}

fn line(event: &Event) -> Vec<u8> {
    serde_json::to_vec(event).expect("an event has a text")
}

/// Something happens to the lines that no host would do to them.
fn change(maker: &mut Maker<'_>, lines: &mut Vec<Vec<u8>>) {
    if lines.is_empty() {
        return;
    }
    let (at, other) = (maker.below(lines.len()), maker.below(lines.len()));
    match maker.below(6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(other, lines[at].clone()),
        2 => lines.swap(at, other),
        3 => {
            // The same event, of another step of the run.
            let theirs = serde_json::from_slice::<Value>(&lines[other]).unwrap_or_default();
            if let (Some(step), Ok(mut event)) = (
                theirs.get("step"),
                serde_json::from_slice::<Value>(&lines[at]),
            ) && event.get("step").is_some()
            {
                event["step"] = step.clone();
                lines[at] = event.to_string().into_bytes();
            }
        }
        4 => {
            let all = lines.clone();
            let trees = Forest::of(all[1..].iter().map(Vec::as_slice), |text| {
                serde_json::from_slice(text).ok()
            });
            if let Ok(mut tree) = serde_json::from_slice::<Value>(&lines[at])
                && all.len() > 1
                && !trees.is_empty()
            {
                trees.change(maker, &mut tree);
                lines[at] = tree.to_string().into_bytes();
            }
        }
        _ => {
            let line = std::mem::take(&mut lines[at]);
            lines[at] = maker.mutate(line);
        }
    }
}

fn check(input: &[u8]) -> String {
    let lines = input.split(|&b| b == b'\n');
    let events: Vec<Event> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let started = events.iter().find_map(|event| match event {
        Event::RunStarted {
            source,
            sources,
            flow,
            ..
        } => Some((source, sources, flow)),
        _ => None,
    });
    let Some((source, sources, name)) = started else {
        return "no run started".to_owned();
    };
    let Ok(plan) = flow::parse_with(source, name, sources) else {
        return "no flow".to_owned();
    };
    let (plan, run) = (Arc::new(plan), RunId::generate());
    let mut state = RunState::new(plan.clone(), run);
    let (mut taken, mut refused) = (Vec::new(), BTreeSet::new());
    let mut succeeded = BTreeSet::new();
    for event in &events {
        match state.check(event) {
            Err(illegal) => {
                let said = illegal.to_string();
                refused.insert(said.split('`').step_by(2).collect::<String>());
            }
            Ok(()) => {
                assert!(state.outcome().is_none(), "after the end: {event:?}");
                promises(event, &mut succeeded);
                state.apply(event);
                taken.push(event.clone());
                goes_on(&state);
            }
        }
    }
    let again = RunState::replay(plan, run, &taken).expect("what was taken is taken again");
    assert_eq!(
        shown(&again),
        shown(&state),
        "reading the journal again gives another state"
    );
    let ended = state.outcome().map(std::mem::discriminant);
    let kinds: BTreeSet<_> = state
        .steps()
        .map(|step| super::kind(&state.plan().step(step.step).kind))
        .collect();
    format!(
        "{} records, {kinds:?}, refused {refused:?}, ended {ended:?}",
        taken.len().min(8)
    )
}

/// A step whose success was taken never begins again.
fn promises(event: &Event, succeeded: &mut BTreeSet<StepPath>) {
    match event {
        Event::StepSucceeded { step, .. } => {
            assert!(succeeded.insert(step.clone()), "`{step}` succeeds twice");
        }
        Event::StepStarted { step, .. } => {
            assert!(
                !succeeded.contains(step),
                "`{step}` has succeeded and begins again"
            );
        }
        _ => {}
    }
}

/// A run that has not ended has something to do, and nothing is both to be begun and under way.
fn goes_on(state: &RunState) {
    let (ready, running) = (state.ready(), state.running());
    if state.outcome().is_none() && state.conclusion().is_none() {
        assert!(
            !ready.is_empty() || !running.is_empty(),
            "the run is stuck: {}",
            shown(state)
        );
    }
    for (step, _) in &ready {
        assert!(!running.contains(step), "`{step}` waits and runs");
        assert!(state.input_of(step).is_ok() || state.step(step).is_some());
    }
    assert!(
        state.calls_under_way() <= running.len(),
        "{} calls of {} steps",
        state.calls_under_way(),
        running.len()
    );
}

/// What can be seen of a state.
fn shown(state: &RunState) -> String {
    let steps: Vec<_> = state.steps().map(|step| format!("{step:?}")).collect();
    let ready: Vec<_> = state
        .ready()
        .into_iter()
        .map(|(step, decision)| format!("{step} {decision:?}"))
        .collect();
    format!(
        "{steps:#?} {ready:?} {:?} {:?} {:?} {:?}",
        state.running(),
        state.outcome(),
        state.conclusion(),
        state.spent()
    )
}
