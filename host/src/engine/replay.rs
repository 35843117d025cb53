//! A run taken apart into its attempts: for each, what the agent got and what came out. Pure; who executes them again is not its
//! business.
//!
//! The inputs are not in the journal. They follow from the state as it was when a step began, which the records rebuild.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::state::{IllegalMove, RunState};
use crate::call::{Answers, Attempt, Trail, Usage};
use crate::expr::Template;
use crate::failure::Failure;
use crate::id::{AgentName, RunId, SkillName, StepPath};
use crate::plan::{CallStep, Fallback, Kind, Plan};
use crate::record::{Event, Held};

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

/// Takes a run apart, record by record.
pub struct Executions {
    state: RunState,
    begun: BTreeMap<StepPath, Begun>,
}

impl Executions {
    /// Those of a run of `plan`, from its beginning.
    pub fn new(plan: Arc<Plan>, run: RunId) -> Self {
        Self {
            state: RunState::new(plan, run),
            begun: BTreeMap::new(),
        }
    }

    /// The attempts of the step that ends with `event`, the next of the run; none when no step does.
    ///
    /// # Errors
    /// When the run cannot have gone on with it.
    pub fn next(&mut self, event: &Event) -> Result<Vec<Execution>, IllegalMove> {
        self.state.check(event)?;
        let ended = match event {
            Event::StepStarted { step, .. } => {
                let input = self.state.input_of(step);
                self.state.apply(event);
                let begun = Begun::of(&self.state, step, &input);
                self.begun.insert(step.clone(), begun);
                return Ok(Vec::new());
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
                let begun = self.begun.remove(step).unwrap_or_default();
                begun.attempts(self.state.run(), step, trail, &last)
            }
            Event::StepFailed { step, trail, .. } => {
                let begun = self.begun.remove(step).unwrap_or_default();
                begun.attempts(self.state.run(), step, trail, &Expected::Unkept)
            }
            _ => Vec::new(),
        };
        self.state.apply(event);
        Ok(ended)
    }
}

/// Somebody who may be asked in a step: the agent, when it is fixed, and what it gets.
struct Asked {
    agent: Option<AgentName>,
    skill: Option<SkillName>,
    input: Result<Arc<Value>, Failure>,
}

/// Everybody who may be asked in a step that was begun, in the order in which they are.
#[derive(Default)]
struct Begun {
    asked: Vec<Asked>,
    /// The same when a cheaper agent is asked instead.
    degraded: Vec<Asked>,
}

/// How the fallbacks of a call get their inputs.
type Input<'a> = &'a dyn Fn(&Template) -> Option<Result<Arc<Value>, Failure>>;

impl Begun {
    fn of(state: &RunState, path: &StepPath, input: &Result<Arc<Value>, Failure>) -> Self {
        let mut begun = Self::default();
        let Some(step) = state.step(path) else {
            return begun;
        };
        let Kind::Call(call) = &state.plan().step(step.step).kind else {
            return begun;
        };
        let skill = step.skill.as_ref();
        let own: Input<'_> = &|with| Some(state.evaluate(path, with));
        collect(call, skill, input, own, &mut begun.asked);
        if let Some(degrade) = &call.policy.degrade {
            // Its fallbacks get what it gets, whatever they say.
            collect(&degrade.to, skill, input, &|_| None, &mut begun.degraded);
        }
        begun
    }

    /// The attempts of the step; the last one, if it did not fail, gave `last`.
    fn attempts(
        &self,
        run: RunId,
        step: &StepPath,
        trail: &Trail,
        last: &Expected,
    ) -> Vec<Execution> {
        let asked = match trail.degraded_to {
            Some(_) => &self.degraded,
            None => &self.asked,
        };
        let (mut at, mut before) = (0, 0);
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
}

fn collect(
    call: &CallStep,
    chosen: Option<&SkillName>,
    input: &Result<Arc<Value>, Failure>,
    own: Input<'_>,
    all: &mut Vec<Asked>,
) {
    let agent = call.agent().cloned();
    // A fixed agent is asked for the skill of its step; whoever is found by skill, also for the one that the run chose.
    let skill = match agent {
        Some(_) => call.skill.clone(),
        None => call.skill.as_ref().or(chosen).cloned(),
    };
    all.push(Asked {
        agent,
        skill,
        input: input.clone(),
    });
    for Fallback { call, with } in &call.policy.fallback {
        // One without a `with` of its own gets what the one before it got.
        let given = with.as_ref().and_then(own);
        collect(call, chosen, given.as_ref().unwrap_or(input), own, all);
    }
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
