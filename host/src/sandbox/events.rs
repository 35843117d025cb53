//! `events` for guests: events that wake flows, of the types that the agent is granted.
//!
//! The host says where an event comes from and what its id is. The id follows from the task and from how many other events it has
//! emitted before, so a task that is tried again or resumed emits the same events and wakes nothing twice.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::bindings::kennel::agent::events;
use super::bindings::kennel::agent::types::PayloadResult;
use super::tape::wire;
use super::task::Task;
use super::{Plugin, convert};
use crate::delivery::{Delivered, Delivery, Published};
use crate::event::{CloudEvent, text_len};
use crate::failure::{Failure, FailureKind};
use crate::id::{Digest, EventType};
use crate::payload::Payload;

impl events::Host for Task {
    async fn emit(
        &mut self,
        event_type: String,
        subject: Option<String>,
        data: PayloadResult,
    ) -> wasmtime::Result<Result<(), String>> {
        let size = convert::size(&data);
        self.enter(event_type.len() + subject.as_ref().map_or(0, String::len) + size)?;
        let event_type = match self.plugin.may_emit(&event_type) {
            Ok(event_type) => event_type,
            Err(refused) => return Ok(Err(refused)),
        };
        self.take_event(size)?;
        let tape = self.tape();
        let asked = {
            let [kind, bytes] = wire::parts(&data);
            let about = subject.as_deref().unwrap_or_default().as_bytes();
            let args = [event_type.as_str().as_bytes(), about, kind, bytes];
            tape.asked("events.emit", event_type.as_str(), &args)
        };
        let sent = {
            let [kind, bytes] = wire::parts(&data);
            let about = subject.as_deref().unwrap_or_default().as_bytes();
            Sent::of(&[event_type.as_str().as_bytes(), about, kind, bytes])
        };
        let data = self.event_data(data).await?;
        let number = self.emitted.number(sent);
        let id = format!("{}/events/{number}", self.errand.task_id);
        let source = format!("/agents/{}", self.plugin.agent);
        let event =
            CloudEvent::new(source, id, event_type, data).and_then(|event| event.about(subject));
        let event = match event {
            Ok(event) => event,
            Err(error) => return Ok(Err(format!("it is not an event: {error}"))),
        };
        if let Some(answer) = tape.taped(asked.as_ref())? {
            return Ok(answer);
        }
        let now = Timestamp::now();
        let event = CloudEvent {
            time: Some(now),
            ..event
        };
        let event = match event.after(self.errand.lineage.hops) {
            Ok(event) => event,
            Err(error) => {
                let answer = Err(format!("it is not emitted: {error}"));
                tape.put_answer(asked, || answer.clone());
                return Ok(answer);
            }
        };
        let plugin = &self.plugin;
        let delivery = Delivery::new(plugin.host.backend.clone());
        let published = plugin
            .bounded("events.emit", delivery.publish(&event, now))
            .await?;
        let answer = match published {
            Ok(published) => told(&published),
            Err(error) => Err(error.to_string()),
        };
        if answer.is_err() {
            self.emitted.refuse(sent, number);
        }
        tape.put_answer(asked, || answer.clone());
        Ok(answer)
    }
}

/// What a task has emitted.
#[derive(Debug, Default)]
pub(super) struct Emitted {
    /// How often it asked; `limits.events` bounds it.
    asked: u64,
    /// The number of the newest event.
    newest: u64,
    /// The numbers of events that did not reach everybody. One that is emitted again is the same event, so that it reaches those that
    /// it did not reach and nobody twice.
    refused: HashMap<Sent, u64>,
}

impl Emitted {
    /// Remembers an event that did not reach everybody.
    pub(super) fn refuse(&mut self, sent: Sent, number: u64) {
        self.refused.insert(sent, number);
    }

    /// The number of an event: that of the same event when it was refused before, else a new one.
    pub(super) fn number(&mut self, sent: Sent) -> u64 {
        self.refused.remove(&sent).unwrap_or_else(|| {
            self.newest += 1;
            self.newest
        })
    }
}

/// What tells whether an event is emitted again: a digest of all that the guest says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sent(Digest);

impl Sent {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length keeps `a` + `bc` apart from `ab` + `c`.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(Digest::from_bytes(hash.finalize().into()))
    }
}

/// Nobody listening is no failure of whoever speaks.
fn told(published: &Published) -> Result<(), String> {
    let full: Vec<_> = published.at(Delivered::Full).collect();
    match full.as_slice() {
        [] => Ok(()),
        full => Err(format!(
            "overloaded: too many events wait for `{}`; emit it again when some have been handled",
            full.join("`, `")
        )),
    }
}

impl Task {
    /// Counts an event that is about to be emitted. What it starts costs more than the task itself, so both bounds end the task.
    fn take_event(&mut self, size: usize) -> Result<(), Failure> {
        self.fits(size)?;
        let limits = &self.plugin.limits;
        if self.emitted.asked >= limits.events {
            let limit = limits.events;
            let message =
                format!("the task emitted more than {limit} events; `limits.events` bounds them");
            return Err(Failure::new(FailureKind::Quota, message));
        }
        self.emitted.asked += 1;
        Ok(())
    }

    fn fits(&self, size: usize) -> Result<(), Failure> {
        let limit = self.plugin.limits.event;
        if size as u64 <= limit.0 {
            return Ok(());
        }
        let message = format!(
            "the data of an event has {size} bytes; `limits.event` allows {limit}; put what is large into a blob"
        );
        Err(Failure::new(FailureKind::TooMuchData, message))
    }

    /// The data, measured as the JSON text that is kept of it: escapes make it longer than what the guest handed over.
    fn measured(&self, data: Value) -> wasmtime::Result<Value> {
        self.fits(text_len(&data))?;
        Ok(data)
    }

    /// What the event carries: text and JSON as they are, bytes as a reference to the blob that they become.
    async fn event_data(&mut self, data: PayloadResult) -> wasmtime::Result<Value> {
        match convert::payload(data)? {
            Payload::Text(text) => self.measured(Value::String(text)),
            // It was checked to be JSON.
            Payload::Json(text) => self.measured(serde_json::from_str(&text)?),
            Payload::Blob(blob) => {
                self.take_blob(blob.bytes.len())?;
                let reference = blob.reference().to_value();
                if self.tape().plays() {
                    // A replay emits nothing, so nobody will ask for it.
                    return Ok(reference);
                }
                let plugin = &self.plugin;
                let kept = plugin.host.backend.blobs().put(blob.bytes);
                let kept = plugin.bounded("events.emit", kept).await?;
                kept.map_err(|error| Failure::new(FailureKind::HostError, error.to_string()))?;
                Ok(reference)
            }
        }
    }
}

impl Plugin {
    fn may_emit(&self, event_type: &str) -> Result<EventType, String> {
        let event_type: EventType = event_type
            .parse()
            .map_err(|error: crate::id::IdError| format!("denied: {error}"))?;
        if self.effective.events.contains(&event_type) {
            return Ok(event_type);
        }
        let agent = &self.agent;
        Err(format!(
            "denied: `{agent}` may not emit `{event_type}`; to allow it, write in kennel.toml:  [grants.{agent}]  events = [\"{event_type}\"]"
        ))
    }
}
