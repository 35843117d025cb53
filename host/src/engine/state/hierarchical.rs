//! `hierarchical`: the master's plan becomes subtasks, workers do them, the master gets what came of each.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::scope::Frame;
use super::step::{Place, Status, Work};
use super::{RunState, Spot};
use crate::failure::{Failure, FailureKind};
use crate::id::SkillName;
use crate::plan::{Hierarchical, StepRef, Workers};

/// The keys by which a subtask names who does it.
const AGENT_TYPE: &str = "agent-type";
const SKILL: &str = "skill";

/// The subtasks of one `hierarchical` step.
#[derive(Debug, Clone)]
pub(super) struct Subtasks {
    all: Vec<Subtask>,
    /// How many were begun.
    begun: usize,
    /// The worker of each that was begun.
    workers: Vec<Place>,
    /// Set once the master puts the results together.
    synthesizing: bool,
}

#[derive(Debug, Clone)]
struct Subtask {
    worker: StepRef,
    /// The name that the master gave: a type or a skill.
    named: String,
    skill: Option<SkillName>,
    input: Arc<Value>,
}

impl RunState {
    /// The master's plan, a worker, or the master's synthesis has ended.
    pub(super) fn hierarchical_went_on(&mut self, at: Place, child: Place, parts: &Hierarchical) {
        let subtasks = match self.steps.get_mut(&at).map(|state| &mut state.work) {
            Some(Work::Subtasks(subtasks)) => subtasks,
            _ => return self.planned(at, child, parts),
        };
        if subtasks.synthesizing {
            return match self.given_on(child) {
                Ok(output) => self.succeed(at, output),
                Err((by, failure)) => self.fail(at, by, failure),
            };
        }
        if subtasks.begun < subtasks.all.len() {
            return self.begin_worker(at);
        }
        let ended = |worker: &Place| {
            let worker = self.steps.get(worker);
            worker.is_some_and(|worker| worker.status.has_ended())
        };
        let subtasks = match self.steps.get(&at).map(|state| &state.work) {
            Some(Work::Subtasks(subtasks)) => subtasks,
            _ => return,
        };
        if subtasks.workers.iter().all(ended) {
            self.synthesize(at, parts);
        }
    }

    fn planned(&mut self, at: Place, child: Place, parts: &Hierarchical) {
        let plan = match self.given_on(child) {
            Ok(plan) => plan,
            Err((by, failure)) => return self.fail(at, by, failure),
        };
        let all = match subtasks(&plan, parts) {
            Ok(all) => all,
            Err(failure) => {
                let by = self.steps.get(&child).map(|child| child.path.clone());
                return match by {
                    Some(by) => self.fail(at, by, failure),
                    None => self.fail_itself(at, failure),
                };
            }
        };
        let at_once = parts.concurrency.unwrap_or(usize::MAX).min(all.len());
        let work = Subtasks {
            all,
            begun: 0,
            workers: Vec::new(),
            synthesizing: false,
        };
        self.change(at, |state| state.work = Work::Subtasks(Box::new(work)));
        for _ in 0..at_once {
            self.begin_worker(at);
        }
    }

    fn begin_worker(&mut self, at: Place) {
        let Some(state) = self.steps.get_mut(&at) else {
            return;
        };
        let (around, outer) = (state.frame, state.outer.clone());
        let Work::Subtasks(work) = &mut state.work else {
            return;
        };
        let index = work.begun;
        let Some(subtask) = work.all.get(index).cloned() else {
            return;
        };
        work.begun += 1;
        let frame = Frame::of_item(around, Some(subtask.input.clone()), index);
        let frame = self.open_frame(frame);
        let spot = Spot {
            frame,
            outer,
            index: Some(index),
            skill: subtask.skill,
            cursor: None,
        };
        let worker = self.enter(subtask.worker, Some(at), spot, subtask.input);
        if let Some(Work::Subtasks(work)) = self.steps.get_mut(&at).map(|state| &mut state.work) {
            work.workers.push(worker);
        }
    }

    fn synthesize(&mut self, at: Place, parts: &Hierarchical) {
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        let Work::Subtasks(work) = &state.work else {
            return;
        };
        let named = match parts.workers {
            Workers::Fixed(_) => AGENT_TYPE,
            Workers::BySkill(_) => SKILL,
        };
        let mut results = Vec::new();
        let mut failures = Vec::new();
        for (index, (subtask, worker)) in work.all.iter().zip(&work.workers).enumerate() {
            let mut told = Map::new();
            told.insert("index".into(), index.into());
            told.insert(named.into(), subtask.named.clone().into());
            told.insert("input".into(), Value::clone(&subtask.input));
            let failed = match self.steps.get(worker).map(|worker| &worker.status) {
                Some(Status::Failed(_, failure) | Status::Excused(_, failure, _)) => Some(failure),
                _ => None,
            };
            match failed {
                Some(failure) => {
                    told.insert("kind".into(), json!(failure.kind));
                    told.insert("message".into(), failure.message.clone().into());
                    failures.push(Value::Object(told));
                }
                None => {
                    let output = self.given_on(*worker).unwrap_or_default();
                    told.insert("output".into(), Value::clone(&output));
                    results.push(Value::Object(told));
                }
            }
        }
        let input = Value::clone(&state.given);
        let frames: Vec<_> = work
            .workers
            .iter()
            .filter_map(|worker| Some(self.steps.get(worker)?.frame))
            .collect();
        frames.into_iter().for_each(|frame| self.close_frame(frame));
        if let Some(Work::Subtasks(work)) = self.steps.get_mut(&at).map(|state| &mut state.work) {
            work.synthesizing = true;
        }
        let all = json!({ "input": input, "results": results, "failures": failures });
        self.enter_child(at, parts.synthesize, Arc::new(all));
    }
}

/// Reads the master's plan: `{"subtasks": [{"agent-type" | "skill": NAME, "input": …}]}`.
fn subtasks(plan: &Value, parts: &Hierarchical) -> Result<Vec<Subtask>, Failure> {
    let malformed = |why: String| Failure::new(FailureKind::AbiViolation, why);
    let list = plan.get("subtasks").and_then(Value::as_array);
    let Some(list) = list else {
        return Err(malformed(
            "the master's plan is malformed: it should be {\"subtasks\": [{…}, …]}".into(),
        ));
    };
    if list.is_empty() {
        return Err(malformed(
            "the master's plan is empty: it has no subtasks".into(),
        ));
    }
    if list.len() > parts.max_subtasks {
        let why = format!(
            "the master planned {} subtasks; `max-subtasks` allows {}",
            list.len(),
            parts.max_subtasks
        );
        return Err(Failure::new(FailureKind::FanOut, why));
    }
    let read = |(index, subtask): (usize, &Value)| {
        read(subtask, &parts.workers)
            .map_err(|why| malformed(format!("subtask {index} of the master's plan {why}")))
    };
    list.iter().enumerate().map(read).collect()
}

fn read(subtask: &Value, workers: &Workers) -> Result<Subtask, String> {
    let key = match workers {
        Workers::Fixed(_) => AGENT_TYPE,
        Workers::BySkill(_) => SKILL,
    };
    let named = subtask.get(key).and_then(Value::as_str);
    let named = named.ok_or_else(|| format!("is malformed: it has no text at `{key}`"))?;
    let input = Arc::new(subtask.get("input").cloned().unwrap_or_default());
    let short: String = named.chars().take(64).collect();
    let (worker, skill) = match workers {
        Workers::Fixed(known) => match known.get(named) {
            Some(&worker) => (worker, None),
            None => {
                let known: Vec<_> = known.keys().map(|name| format!("`{name}`")).collect();
                return Err(format!(
                    "names the unknown agent type `{}`; the flow has {}",
                    short.escape_debug(),
                    known.join(", ")
                ));
            }
        },
        Workers::BySkill(worker) => {
            let skill: SkillName = named
                .parse()
                .map_err(|error| format!("names no skill: {error}"))?;
            (*worker, Some(skill))
        }
    };
    Ok(Subtask {
        worker,
        named: named.to_owned(),
        skill,
        input,
    })
}
