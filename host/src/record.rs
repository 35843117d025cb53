//! Records: what a run's journal holds, one for each thing that happened.
//!
//! A stored format is a promise: every record carries its version, new fields have defaults, and no variant is ever renamed. What a
//! record means is said by the run state, live and on replay alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use crate::call::Trail;
use crate::event::no_hops;
use crate::failure::Failure;
use crate::id::{AgentName, Digest, EventType, RunId, StepPath};
use crate::payload::BlobRef;

/// The version that this code writes. A reader refuses newer ones.
pub const VERSION: u16 = 1;

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Unique; an append that is tried again is recognised by it.
    pub id: Ulid,
    /// When it was written; for people, nothing is ordered by it.
    pub at: Timestamp,
    /// The format of `event`.
    pub version: u16,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// A record of `event`, now. The one place that reads the wall clock for a journal.
    pub fn now(event: Event) -> Self {
        Self {
            id: Ulid::generate(),
            at: Timestamp::now(),
            version: VERSION,
            event,
        }
    }
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Event {
    /// The run was accepted. Always the first record.
    RunStarted {
        /// The flow's name.
        flow: String,
        /// The digest of the flow's text.
        digest: Digest,
        /// The flow's text.
        source: String,
        /// The agents it may call, with the digest of the plugin that provides each.
        agents: BTreeMap<AgentName, Digest>,
        /// The run's input.
        input: Held,
        /// The texts of the flows inside the flow, by the name under which it names them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        sources: BTreeMap<String, String>,
        /// The event that started it, for a run of an event-driven flow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<Arc<Cause>>,
        /// The run whose outputs it began with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forked_from: Option<RunId>,
    },
    /// A step is about to be executed. A second one for the same step means that the first owner was lost.
    StepStarted {
        /// Which step.
        step: StepPath,
        /// 1 for the first time.
        attempt: u32,
    },
    /// A step gave an output; it will never be executed again.
    StepSucceeded {
        /// Which step.
        step: StepPath,
        /// Its output, before any reshaping.
        output: Held,
        /// What happened on the way.
        trail: Trail,
    },
    /// A step failed for good.
    StepFailed {
        /// Which step.
        step: StepPath,
        /// Why.
        failure: Failure,
        /// What happened on the way.
        trail: Trail,
    },
    /// A step's guard was false.
    StepSkipped {
        /// Which step.
        step: StepPath,
    },
    /// A step has emitted its event, and with that has ended.
    EventEmitted {
        /// Which step.
        step: StepPath,
        /// The event's id.
        id: String,
        /// Its type.
        event_type: EventType,
    },
    /// A step waits for a person.
    ApprovalAsked {
        /// Which step.
        step: StepPath,
        /// The question.
        message: String,
        /// When the answer is taken for given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A person has answered, or nobody has in time; with that the step has ended.
    ApprovalAnswered {
        /// Which step.
        step: StepPath,
        /// The answer; none when there is none and no default.
        approved: Option<bool>,
        /// Who gave it.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The run ended. Always the last record.
    RunFinished {
        /// How.
        outcome: Outcome,
    },
}

impl Event {
    /// The one value that the event carries, if it carries one.
    pub fn value(&self) -> Option<&Held> {
        match self {
            Self::RunStarted { input, .. } => Some(input),
            Self::StepSucceeded { output, .. } => Some(output),
            Self::RunFinished {
                outcome: Outcome::Succeeded { output },
            } => Some(output),
            Self::RunFinished {
                outcome: Outcome::Failed { .. } | Outcome::Cancelled { .. },
            }
            | Self::StepStarted { .. }
            | Self::StepFailed { .. }
            | Self::StepSkipped { .. }
            | Self::EventEmitted { .. }
            | Self::ApprovalAsked { .. }
            | Self::ApprovalAnswered { .. } => None,
        }
    }

    /// The same, to be replaced.
    pub fn value_mut(&mut self) -> Option<&mut Held> {
        match self {
            Self::RunStarted { input, .. } => Some(input),
            Self::StepSucceeded { output, .. } => Some(output),
            Self::RunFinished {
                outcome: Outcome::Succeeded { output },
            } => Some(output),
            Self::RunFinished {
                outcome: Outcome::Failed { .. } | Outcome::Cancelled { .. },
            }
            | Self::StepStarted { .. }
            | Self::StepFailed { .. }
            | Self::StepSkipped { .. }
            | Self::EventEmitted { .. }
            | Self::ApprovalAsked { .. }
            | Self::ApprovalAnswered { .. } => None,
        }
    }
}

impl Event {
    /// What happened on the way to the end of a step, to be replaced.
    pub fn trail_mut(&mut self) -> Option<&mut Trail> {
        match self {
            Self::StepSucceeded { trail, .. } | Self::StepFailed { trail, .. } => Some(trail),
            _ => None,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "outcome",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Outcome {
    /// With an output.
    Succeeded {
        /// The run's output.
        output: Held,
    },
    /// Without one.
    Failed {
        /// The step that made it fail; absent when the flow's own output expression did.
        step: Option<StepPath>,
        /// Why.
        failure: Failure,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// The event that started a run: the attributes of a CloudEvent; its data is the run's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cause {
    /// Unique among the events of its source.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// What it is about, within the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// How many events led to it, as the host counted them.
    #[serde(default, skip_serializing_if = "no_hops")]
    pub hops: u8,
}

/// A value in a journal: small ones stand there, large ones are blobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The value itself.
    Inline(Arc<Value>),
    /// Where the value's JSON text is.
    Blob(BlobRef),
}
