//! Which records may follow which: the other half of the run state, and the one that can say no.

use super::{RunState, Status, StepState};
use crate::id::StepPath;
use crate::plan::Kind;
use crate::record::{Event, Held, Outcome};

/// A move that the state does not allow: a journal that was damaged or written by something else, never a bad flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is not consistent: {0}")]
pub struct IllegalMove(String);

impl IllegalMove {
    /// No step can go on, and the run has not ended.
    pub(in crate::engine) fn stuck() -> Self {
        Self("no step can go on, and the run has not ended".into())
    }
}

impl RunState {
    /// Whether `event` may happen now.
    pub fn check(&self, event: &Event) -> Result<(), IllegalMove> {
        let illegal = |why: String| Err(IllegalMove(why));
        if self.outcome.is_some() {
            return illegal(format!("{} after the run has finished", name(event)));
        }
        match event {
            Event::RunStarted {
                digest,
                input,
                event,
                ..
            } => match (self.started, input) {
                (true, _) => illegal("the run started twice".into()),
                _ if *digest != self.plan.digest => {
                    illegal("it belongs to another version of the flow".into())
                }
                (false, Held::Blob(_)) => illegal("the input was not read".into()),
                (false, Held::Inline(_)) => {
                    let event = event.as_deref().map(|cause| &cause.event_type);
                    match self.entry(event) {
                        Some(_) => Ok(()),
                        None => illegal("the flow has no step for what started the run".into()),
                    }
                }
            },
            _ if !self.started => illegal(format!("{} before the run has started", name(event))),
            Event::StepStarted { step, attempt } => {
                let state = self.leaf(step, |kind| !matches!(kind, Kind::Approve(_)))?;
                match state.status {
                    Status::Waiting | Status::Running if *attempt == state.begun + 1 => Ok(()),
                    _ => illegal(format!(
                        "step `{step}` cannot start for the {attempt}. time"
                    )),
                }
            }
            Event::StepSucceeded { step, output, .. } => {
                let state = self.leaf(step, |kind| matches!(kind, Kind::Call(_)))?;
                match (&state.status, output) {
                    (Status::Running, Held::Inline(_)) => Ok(()),
                    (Status::Running, Held::Blob(_)) => {
                        illegal(format!("the output of step `{step}` was not read"))
                    }
                    _ => illegal(format!("step `{step}` succeeded, but was not running")),
                }
            }
            Event::StepFailed { step, .. } => match self.leaf(step, Kind::is_leaf)?.status {
                Status::Running | Status::Waiting => Ok(()),
                _ => illegal(format!("step `{step}` failed, but had ended")),
            },
            Event::StepSkipped { step } => match self.leaf(step, Kind::is_leaf)?.status {
                Status::Waiting => Ok(()),
                _ => illegal(format!("step `{step}` was skipped, but had been started")),
            },
            Event::EventEmitted { step, .. } => {
                let state = self.leaf(step, |kind| matches!(kind, Kind::Emit(_)))?;
                match state.status {
                    Status::Running => Ok(()),
                    _ => illegal(format!("step `{step}` emitted, but was not running")),
                }
            }
            Event::ApprovalAsked { step, .. } => match self.approval(step)?.status {
                Status::Waiting => Ok(()),
                _ => illegal(format!("step `{step}` asked twice")),
            },
            Event::ApprovalAnswered { step, .. } => match self.approval(step)?.status {
                Status::Running => Ok(()),
                _ => illegal(format!("step `{step}` was answered, but did not wait")),
            },
            Event::RunFinished {
                outcome: Outcome::Cancelled { .. },
            } => Ok(()),
            Event::RunFinished { .. } if self.root_ended() => Ok(()),
            Event::RunFinished { .. } => illegal("the run finished while steps were open".into()),
        }
    }

    fn root_ended(&self) -> bool {
        let root = self.steps.first_key_value();
        root.is_some_and(|(_, root)| root.status.has_ended())
    }

    fn approval(&self, path: &StepPath) -> Result<&StepState, IllegalMove> {
        self.leaf(path, |kind| matches!(kind, Kind::Approve(_)))
    }

    fn leaf(
        &self,
        path: &StepPath,
        fits: impl FnOnce(&Kind) -> bool,
    ) -> Result<&StepState, IllegalMove> {
        let state = self
            .step(path)
            .filter(|state| fits(&self.plan.step(state.step).kind));
        state.ok_or_else(|| IllegalMove(format!("there is no such step `{path}` at this point")))
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::RunStarted { .. } => "run-started",
        Event::StepStarted { .. } => "step-started",
        Event::StepSucceeded { .. } => "step-succeeded",
        Event::StepFailed { .. } => "step-failed",
        Event::StepSkipped { .. } => "step-skipped",
        Event::EventEmitted { .. } => "event-emitted",
        Event::ApprovalAsked { .. } => "approval-asked",
        Event::ApprovalAnswered { .. } => "approval-answered",
        Event::RunFinished { .. } => "run-finished",
    }
}
