//! A run taken apart into its attempts: for each, what the agent got and what came out. Pure; who executes them again is not its
//! business.
//!
//! The inputs are not in the journal. They follow from the state as it was when a step began, which the records rebuild.

use std::sync::Arc;

use serde_json::Value;

use super::state::{IllegalMove, RunState};
use crate::call::{Answers, Attempt, Trail, Usage};
use crate::failure::Failure;
use crate::id::{AgentName, RunId, SkillName, StepPath};
use crate::plan::{CallStep, Fallback, Kind, Plan};
use crate::record::{Event, Held, Record};

/// One attempt of a run.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Who was asked.
    pub agent: AgentName,
    /// For which skill; `None` when the agent has only one.
    pub skill: Option<SkillName>,
    /// The attempt's number.
    pub attempt: u32,
    /// What the agent got; the failure when an expression gives no value any more.
    pub input: Result<Arc<Value>, Failure>,
    /// What the host answered.
    pub answers: Option<Answers>,
    /// What came out.
    pub expected: Expected,
    /// What it used.
    pub usage: Usage,
}

/// What came out of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// An output.
    Output(Arc<Value>),
    /// A failure.
    Failure(Failure),
    /// An output that the journal could not hold.
    Unkept,
}

/// Every attempt in `records`, in the order in which their steps ended.
///
/// # Errors
/// When the records are not those of a run of `plan`.
pub fn executions(
    plan: Arc<Plan>,
    run: RunId,
    records: &[Record],
) -> Result<Vec<Execution>, IllegalMove> {
    let mut state = RunState::new(plan.clone(), run);
    let mut begun = Vec::<(StepPath, Vec<Asked>)>::new();
    let mut executions = Vec::new();
    for Record { event, .. } in records {
        state.check(event)?;
        match event {
            Event::StepStarted { step, .. } => {
                let input = state.input_of(step);
                state.apply(event);
                begun.retain(|(path, _)| path != step);
                begun.push((step.clone(), asked(&state, step, input)));
                continue;
            }
            Event::StepSucceeded {
                step,
                output,
                trail,
            } => {
                let last = match output {
                    Held::Inline(value) => Expected::Output(value.clone()),
                    Held::Blob(_) => Expected::Unkept,
                };
                let asked = begun.iter().find(|(path, _)| path == step);
                executions.extend(of_step(run, step, asked, trail, &last));
            }
            Event::StepFailed { step, trail, .. } => {
                let asked = begun.iter().find(|(path, _)| path == step);
                executions.extend(of_step(run, step, asked, trail, &Expected::Unkept));
            }
            _ => {}
        }
        state.apply(event);
    }
    Ok(executions)
}

/// Somebody who may be asked in a step: the agent, when it is fixed, and what it gets.
struct Asked {
    agent: Option<AgentName>,
    skill: Option<SkillName>,
    input: Result<Arc<Value>, Failure>,
}

/// Everybody who may be asked in a step, in the order in which they are.
fn asked(state: &RunState, path: &StepPath, input: Result<Arc<Value>, Failure>) -> Vec<Asked> {
    let mut all = Vec::new();
    if let Some(step) = state.step(path)
        && let Kind::Call(call) = &state.plan().step(step.step).kind
    {
        collect(state, path, call, input, &mut all);
    }
    all
}

fn collect(
    state: &RunState,
    path: &StepPath,
    call: &CallStep,
    input: Result<Arc<Value>, Failure>,
    all: &mut Vec<Asked>,
) {
    all.push(Asked {
        agent: call.agent().cloned(),
        skill: call.skill.clone(),
        input: input.clone(),
    });
    for Fallback { call, with } in &call.policy.fallback {
        // One without a `with` of its own gets what the one before it got.
        let own = match with {
            Some(with) => state.evaluate(path, with),
            None => input.clone(),
        };
        collect(state, path, call, own, all);
    }
}

/// The attempts of a step; the last one, if it did not fail, gave `last`.
fn of_step(
    run: RunId,
    step: &StepPath,
    asked: Option<&(StepPath, Vec<Asked>)>,
    trail: &Trail,
    last: &Expected,
) -> Vec<Execution> {
    let Some((_, asked)) = asked else {
        return Vec::new();
    };
    let mut at = 0;
    let mut before = 0;
    let mut executions = Vec::new();
    for attempt in &trail.attempts {
        at = whom(asked, at, attempt, before);
        before = attempt.number;
        let Some(to) = asked.get(at) else {
            return executions;
        };
        let expected = match &attempt.failure {
            Some(failure) => Expected::Failure(failure.clone()),
            None => last.clone(),
        };
        executions.push(Execution {
            run,
            step: step.clone(),
            agent: attempt.agent.clone(),
            skill: to.skill.clone(),
            attempt: attempt.number,
            input: to.input.clone(),
            answers: attempt.answers.clone(),
            expected,
            usage: attempt.usage,
        });
    }
    executions
}

/// Who made `attempt`: whoever was asked last, or the next with that name. Numbers grow while one is asked, and begin again with the
/// next. An agent that nobody names stands in for whoever was asked: it has the skill, or it serves while the load is high.
fn whom(asked: &[Asked], at: usize, attempt: &Attempt, before: u32) -> usize {
    let named = |asked: &Asked| asked.agent.as_ref() == Some(&attempt.agent);
    let from = if attempt.number > before { at } else { at + 1 };
    let rest = asked.iter().enumerate().skip(from);
    rest.filter(|(_, asked)| named(asked))
        .map(|(at, _)| at)
        .next()
        .unwrap_or_else(|| {
            let open = |at: &usize| asked.get(*at).is_some_and(|asked| asked.agent.is_none());
            (from..asked.len()).find(open).unwrap_or(at)
        })
}

#[cfg(test)]
mod tests;
