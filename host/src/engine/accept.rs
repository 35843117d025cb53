//! Accepting the run that an event starts: as durable as any other, and once, however often the event comes.

use std::collections::BTreeMap;

use super::journal::Journal;
use super::{Engine, EngineError, started};
use crate::event::CloudEvent;
use crate::id::{AgentName, Digest, RunId};
use crate::plan::Plan;
use crate::record::Cause;
use crate::store::StoreError;

/// How an event's run was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It did not exist before.
    New,
    /// It was accepted before with the same agents, and has not ended.
    Open,
    /// It was accepted before with other versions of its agents, and has not ended.
    Foreign,
    /// It has ended.
    Ended,
}

impl Engine {
    /// Accepts `run` of an event-driven flow, whose input is the data of `event`. It must be the id that follows from the event: then a
    /// second acceptance finds the journal begun, and nothing is started twice.
    ///
    /// The data must have been checked against the plan's schema. When the queue of runs is full, the run stays accepted all the same: it
    /// is put into the queue when the event comes again, or when it is driven.
    pub async fn accept_event(
        &self,
        plan: &Plan,
        agents: BTreeMap<AgentName, Digest>,
        run: RunId,
        event: &CloudEvent,
    ) -> Result<Accepted, EngineError> {
        let cause = Cause {
            id: event.id.clone(),
            source: event.source.clone(),
            event_type: event.event_type.clone(),
            subject: event.subject.clone(),
            time: event.time,
            hops: event.hops,
        };
        let started = started(plan, agents.clone(), event.data.clone(), Some(cause));
        let found = match Journal::of_new(self, run).append(&[started]).await {
            Ok(_) => Accepted::New,
            // Whoever came first may have crashed before the run was in the queue.
            Err(EngineError::Fenced(_)) => self.begun(plan, &agents, run).await?,
            Err(error) => return Err(error),
        };
        // One that has ended must not come back into the queue: nobody would take it out.
        if found != Accepted::Ended {
            self.enqueue(run).await?;
        }
        Ok(found)
    }

    async fn begun(
        &self,
        plan: &Plan,
        agents: &BTreeMap<AgentName, Digest>,
        run: RunId,
    ) -> Result<Accepted, EngineError> {
        let beginning = self.beginning(run).await?;
        if beginning.flow != plan.name {
            let why = format!(
                "run {run} should belong to flow `{}`, but belongs to `{}`",
                plan.name, beginning.flow
            );
            return Err(StoreError::Damaged(why).into());
        }
        if self.has_ended(run).await? {
            return Ok(Accepted::Ended);
        }
        Ok(match beginning.agents == *agents {
            true => Accepted::Open,
            false => Accepted::Foreign,
        })
    }
}
