//! What a record means for the list of runs. The list is derived, live and when rebuilt alike, by this one function.

use super::RunOutcome;
use crate::record::{Event, Outcome, Record};

/// What one record changes in its run's line; each also sets when the run was last written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The line begins, with the flow's name.
    Started(String),
    /// The run ended.
    Finished(RunOutcome),
    /// Nothing else.
    Touched,
}

impl Change {
    /// What `record` changes.
    pub(super) fn of(record: &Record) -> Self {
        match &record.event {
            Event::RunStarted { flow, .. } => Self::Started(flow.clone()),
            Event::RunFinished {
                outcome: Outcome::Succeeded { .. },
            } => Self::Finished(RunOutcome::Succeeded),
            Event::RunFinished {
                outcome: Outcome::Failed { .. },
            } => Self::Finished(RunOutcome::Failed),
            Event::RunFinished {
                outcome: Outcome::Cancelled { .. },
            } => Self::Finished(RunOutcome::Cancelled),
            Event::StepStarted { .. }
            | Event::StepSucceeded { .. }
            | Event::StepFailed { .. }
            | Event::StepSkipped { .. }
            | Event::EventEmitted { .. }
            | Event::ApprovalAsked { .. }
            | Event::ApprovalAnswered { .. } => Self::Touched,
        }
    }
}
