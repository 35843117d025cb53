//! One step of a run: what became of it, and what a group remembers of its children.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hierarchical::Subtasks;
use super::pipeline::Items;
use super::scope::FrameId;
use crate::call::{Trail, Usage};
use crate::failure::Failure;
use crate::id::{SkillName, StepPath};
use crate::plan::StepRef;

/// The place of a step in the run state; later ones are greater, and none is used twice.
pub(super) type Place = usize;

/// Where one step of a run stands.
#[derive(Debug, Clone)]
pub struct StepState {
    /// Which step of the plan.
    pub step: StepRef,
    /// Where it stands in the run.
    pub path: StepPath,
    /// What became of it so far.
    pub status: Status,
    /// What happened on the way, once it has ended.
    pub trail: Trail,
    /// How often it was begun.
    pub begun: u32,
    /// When the question that the step asks is over.
    pub until: Option<Timestamp>,
    /// The skill that the run chose for a call whose step names none.
    pub skill: Option<SkillName>,
    /// Of a stage whose items are not kept here one by one: how many of each kind there were.
    pub tally: Option<Tally>,
    pub(super) parent: Option<Place>,
    /// What its parent hands down: `prev`, and its input unless it has a `with`.
    pub(super) given: Arc<Value>,
    /// Goes into the input as `cursor`: the place at which a stage with `pages` goes on.
    pub(super) cursor: Option<Value>,
    /// What its expressions see besides.
    pub(super) frame: FrameId,
    /// What the paths of its children begin with.
    pub(super) outer: Option<StepPath>,
    /// The children that were reached and are kept, in the order in which they were.
    pub(super) children: Vec<Place>,
    pub(super) work: Work,
}

/// What a group remembers while its children are at work.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Its children say everything.
    Plain,
    /// The round of a `repeat`, from 0.
    Round(usize),
    /// The subtasks of a `hierarchical` step.
    Subtasks(Box<Subtasks>),
    /// The items of a `pipeline`.
    Items(Box<Items>),
}

/// What became of a step so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Reached, not begun; for a group: its children are at work.
    Waiting,
    /// A call that was begun.
    Running,
    /// Ended with an output.
    Succeeded(Arc<Value>),
    /// Ended without one. The path names the call that made it fail.
    Failed(StepPath, Failure),
    /// Failed, and the flow goes on with this value.
    Excused(StepPath, Failure, Arc<Value>),
    /// Its guard was false.
    Skipped,
}

impl Status {
    /// Whether nothing more can happen to it.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Succeeded(_) | Self::Failed(..) | Self::Excused(..) | Self::Skipped => true,
        }
    }

    /// What `steps.ID` sees of it.
    pub(super) fn seen(&self) -> Option<Arc<Value>> {
        match self {
            Self::Succeeded(output) | Self::Excused(_, _, output) => Some(output.clone()),
            Self::Skipped => Some(Arc::new(Value::Null)),
            Self::Waiting | Self::Running | Self::Failed(..) => None,
        }
    }
}

/// What became of the items of a stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Items that went through.
    pub succeeded: usize,
    /// Items that failed.
    pub failed: usize,
    /// What they used together.
    pub usage: Usage,
    /// The first failures.
    pub failures: Vec<(StepPath, Failure)>,
}

impl Tally {
    /// Failures that are kept; more are counted.
    const KEPT: usize = 20;

    pub(super) fn add(&mut self, usage: Usage, status: &Status) {
        self.usage = self.usage.plus(usage);
        match status {
            Status::Failed(path, failure) => {
                self.failed += 1;
                if self.failures.len() < Self::KEPT {
                    self.failures.push((path.clone(), failure.clone()));
                }
            }
            _ => self.succeeded += 1,
        }
    }
}

/// A failure as expressions and agents see it.
pub(super) fn as_value(step: &StepPath, failure: &Failure) -> Value {
    json!({ "kind": failure.kind, "message": failure.message, "step": step })
}
