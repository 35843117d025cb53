//! Groups: how a step that holds others begins and goes on when one of these has ended.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::scope::{Frame, With, expression_failure};
use super::step::{Place, Status, Work};
use super::{RunState, Spot, StepState};
use crate::expr::MAX_DEPTH;
use crate::failure::{Failure, FailureKind};
use crate::flow;
use crate::id::StepPath;
use crate::payload::is_deeper;
use crate::plan::{Arm, Kind, Repeat, Require, StepRef, SubFlow};

/// Rounds of all loops between two records: loops in loops that do nothing would keep everybody waiting.
const MOST_ROUNDS: usize = 10_000;

impl RunState {
    /// The output of a group, which is deeper than what it was put together of.
    pub(super) fn succeed_whole(&mut self, at: Place, output: Value) {
        if is_deeper(&output, MAX_DEPTH) {
            let why = format!("the output is nested more than {MAX_DEPTH} levels deep");
            return self.fail_itself(at, Failure::new(FailureKind::OutputTooLarge, why));
        }
        self.succeed(at, Arc::new(output));
    }

    /// A group was reached: its guard, its input, and then its first children.
    pub(super) fn open(&mut self, at: Place) {
        let plan = self.plan.clone();
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        match self.guard(state) {
            Ok(true) => {}
            Ok(false) => return self.settle(at, Status::Skipped),
            Err(failure) => return self.fail_itself(at, failure),
        }
        let step = plan.step(state.step);
        let given = match self.value(state, step.with.as_ref()) {
            Ok(given) => given,
            Err(failure) => return self.fail_itself(at, failure),
        };
        self.change(at, |state| state.given = given.clone());
        match &step.kind {
            Kind::Call(_) | Kind::Emit(_) | Kind::Approve(_) => {}
            Kind::Sequential(steps) => match steps.first() {
                Some(&first) => {
                    self.enter_child(at, first, given);
                }
                None => self.succeed(at, given),
            },
            Kind::Parallel {
                branches,
                concurrency,
                ..
            } => {
                for &branch in branches.iter().take(concurrency.unwrap_or(usize::MAX)) {
                    self.enter_child(at, branch, given.clone());
                }
                if branches.is_empty() {
                    self.succeed(at, Arc::new(Value::Object(Map::new())));
                }
            }
            Kind::Hierarchical(parts) => {
                self.enter_child(at, parts.plan, given);
            }
            Kind::Pipeline(stages) => self.open_pipeline(at, stages, given),
            Kind::Route(arms) => self.take_arm(at, arms, given),
            Kind::Repeat(parts) => self.open_round(at, parts, 0, given),
            Kind::Flow(inner) => self.open_flow(at, inner, given),
        }
    }

    /// A child of a group has ended.
    pub(super) fn child_ended(&mut self, at: Place, child: Place) {
        let plan = self.plan.clone();
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        if state.status.has_ended() {
            return;
        }
        match &plan.step(state.step).kind {
            Kind::Call(_) | Kind::Emit(_) | Kind::Approve(_) => {}
            Kind::Sequential(steps) => self.next_in_sequence(at, child, steps),
            Kind::Parallel {
                branches, require, ..
            } => {
                if let Some(&next) = branches.get(state.children.len()) {
                    let given = state.given.clone();
                    self.enter_child(at, next, given);
                } else if self.children(at).all(|branch| branch.status.has_ended()) {
                    self.join(at, *require);
                }
            }
            Kind::Hierarchical(parts) => self.hierarchical_went_on(at, child, parts),
            Kind::Pipeline(stages) => self.stage_ended(at, child, stages),
            Kind::Route(_) => match self.given_on(child) {
                Ok(output) => self.succeed(at, output),
                Err((by, failure)) => self.fail(at, by, failure),
            },
            Kind::Repeat(parts) => self.round_ended(at, child, parts),
            Kind::Flow(inner) => self.flow_ended(at, child, inner),
        }
    }

    /// A child of a plain group: it sees what the group sees.
    pub(super) fn enter_child(&mut self, at: Place, step: StepRef, given: Arc<Value>) -> Place {
        let spot = self.steps.get(&at).map(inside).unwrap_or_default();
        self.enter(step, Some(at), spot, given)
    }

    /// What a child that has ended hands to the step after it; a skipped one is as if it were not there.
    pub(super) fn given_on(&self, child: Place) -> Result<Arc<Value>, (StepPath, Failure)> {
        let Some(state) = self.steps.get(&child) else {
            return Ok(Arc::new(Value::Null));
        };
        match &state.status {
            Status::Succeeded(output) | Status::Excused(_, _, output) => Ok(output.clone()),
            Status::Failed(by, failure) => Err((by.clone(), failure.clone())),
            Status::Skipped | Status::Waiting | Status::Running => Ok(state.given.clone()),
        }
    }

    fn next_in_sequence(&mut self, at: Place, child: Place, steps: &[StepRef]) {
        let given = match self.given_on(child) {
            Ok(given) => given,
            Err((by, failure)) => return self.fail(at, by, failure),
        };
        let reached = self.children(at).count();
        match steps.get(reached) {
            Some(&next) => {
                self.enter_child(at, next, given);
            }
            None => self.succeed(at, given),
        }
    }

    /// Every branch has ended: the group's output is a map from id to output, if enough have succeeded.
    fn join(&mut self, at: Place, require: Require) {
        let mut output = Map::new();
        let mut succeeded = 0;
        let mut failed: Vec<(StepPath, Failure)> = Vec::new();
        for branch in self.children(at) {
            let id = self.plan.step(branch.step).id.as_str();
            match &branch.status {
                Status::Succeeded(value) => {
                    succeeded += 1;
                    output.insert(id.to_owned(), Value::clone(value));
                }
                Status::Excused(_, _, value) => {
                    output.insert(id.to_owned(), Value::clone(value));
                }
                Status::Failed(by, failure) => failed.push((by.clone(), failure.clone())),
                Status::Skipped | Status::Waiting | Status::Running => {}
            }
        }
        let enough = match require {
            Require::All => failed.is_empty(),
            Require::Any => failed.is_empty() || succeeded > 0,
            Require::AtLeast(count) => succeeded >= count,
        };
        match failed.first() {
            _ if enough => self.succeed_whole(at, Value::Object(output)),
            Some((first, failure)) => {
                let failure = joined_failure(failure, &failed);
                self.fail(at, first.clone(), failure);
            }
            None => {
                let why = format!("only {succeeded} branches succeeded, the others were skipped");
                self.fail_itself(at, Failure::new(FailureKind::Fatal, why));
            }
        }
    }

    fn take_arm(&mut self, at: Place, arms: &[Arm], given: Arc<Value>) {
        let Some(frame) = self.steps.get(&at).map(|state| state.frame) else {
            return;
        };
        for arm in arms {
            let holds = arm.when.as_ref().map_or(Ok(true), |when| {
                self.in_scope(frame, With::prev(&given), |scope| when.holds(scope))
            });
            match holds {
                Ok(false) => {}
                Ok(true) => {
                    self.enter_child(at, arm.step, given);
                    return;
                }
                Err(error) => return self.fail_itself(at, expression_failure(&error)),
            }
        }
        self.succeed(at, given);
    }

    fn open_round(&mut self, at: Place, parts: &Repeat, round: usize, given: Arc<Value>) {
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        let (around, outer) = (state.frame, state.outer.clone());
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS {
            let why = format!("{MOST_ROUNDS} rounds went by without any step to do");
            return self.fail_itself(at, Failure::new(FailureKind::FanOut, why));
        }
        let frame = self.open_frame(Frame::of_item(around, None, round));
        self.change(at, |state| state.work = Work::Round(round));
        let spot = Spot {
            frame,
            outer,
            index: Some(round),
            ..Spot::default()
        };
        self.enter(parts.body, Some(at), spot, given);
    }

    fn round_ended(&mut self, at: Place, child: Place, parts: &Repeat) {
        let Some(frame) = self.steps.get(&child).map(|state| state.frame) else {
            return;
        };
        let output = match self.given_on(child) {
            Ok(output) => output,
            Err((by, failure)) => {
                self.close_frame(frame);
                return self.fail(at, by, failure);
            }
        };
        let round = match self.steps.get(&at).map(|state| &state.work) {
            Some(Work::Round(round)) => *round,
            _ => 0,
        };
        let until = parts.until.as_ref().map_or(Ok(false), |until| {
            let with = With {
                prev: &output,
                error: Some(&Value::Null),
            };
            self.in_scope(frame, with, |scope| until.holds(scope))
        });
        self.close_frame(frame);
        match until {
            Err(error) => self.fail_itself(at, expression_failure(&error)),
            Ok(true) => self.succeed(at, output),
            Ok(false) if round + 1 >= parts.max => self.succeed(at, output),
            Ok(false) => self.open_round(at, parts, round + 1, output),
        }
    }

    fn open_flow(&mut self, at: Place, inner: &SubFlow, given: Arc<Value>) {
        if let Err(failure) = flow::check_input(&inner.name, inner.input.as_ref(), &given) {
            return self.fail_itself(at, failure);
        }
        let frame = self.open_frame(Frame::of_flow(given.clone()));
        let outer = self.steps.get(&at).map(|state| state.path.clone());
        let spot = Spot {
            frame,
            outer,
            ..Spot::default()
        };
        self.enter(inner.root, Some(at), spot, given);
    }

    fn flow_ended(&mut self, at: Place, child: Place, inner: &SubFlow) {
        let Some(frame) = self.steps.get(&child).map(|state| state.frame) else {
            return;
        };
        let output = self.given_on(child).and_then(|output| match &inner.output {
            None => Ok(output),
            Some(template) => {
                let value = self.eval(frame, With::prev(&output), template);
                value.map_err(|failure| (self.path_of(at), failure))
            }
        });
        self.close_frame(frame);
        match output {
            Ok(output) => self.succeed(at, output),
            Err((by, failure)) => self.fail(at, by, failure),
        }
    }

    fn path_of(&self, at: Place) -> StepPath {
        let root = || StepPath::of(&self.plan.step(StepRef(0)).id);
        self.steps
            .get(&at)
            .map_or_else(root, |state| state.path.clone())
    }
}

/// Where the children of a plain group stand.
pub(super) fn inside(state: &StepState) -> Spot {
    Spot {
        frame: state.frame,
        outer: state.outer.clone(),
        ..Spot::default()
    }
}

/// The first failure speaks for the group; the message names all of them.
fn joined_failure(first: &Failure, all: &[(StepPath, Failure)]) -> Failure {
    if all.len() == 1 {
        return first.clone();
    }
    let each: Vec<_> = all
        .iter()
        .map(|(step, failure)| format!("`{step}` {failure}"))
        .collect();
    Failure::new(
        first.kind,
        format!("{} branches failed: {}", all.len(), each.join("; ")),
    )
}
