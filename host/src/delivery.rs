//! Delivery: from whoever emits an event to every flow that listens for its type. Durable, at least once, and never twice.
//!
//! A subscription outlives the process that serves the flow, so what is emitted meanwhile waits for it. An event for which there is no
//! subscription is dropped, and the emitter is told. What an event starts is not known here: whoever [takes](Delivery::take) it makes
//! the run durable first and [says so](Taken::accepted) then.
//!
//! Three things keep one event from starting two runs of a flow, and each holds when the others do not:
//! while it waits, its key is unique in the flow's queue; once its run was accepted, a mark says so for good, written before the event
//! leaves the queue and looked at by whoever puts or takes one; and in between, the [id of its run](Taken::run) follows from the
//! event as it stands in the queue, so a second acceptance finds the journal begun.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::{CloudEvent, EventError, no_hops};
use crate::id::{Digest, EventType, MAX_NAME, RunId};
use crate::payload::BlobRef;
use crate::store::{
    Expect, KvBy, KvCas, KvQuota, KvValue, Lease, Put, QueueTask, Result, SharedBackend, StoreError,
};

/// The namespace of subscriptions. No agent's name begins with a dot, so none can have it.
const FLOWS: &str = ".flows";
/// The namespace of the marks of events whose run was accepted.
const SEEN: &str = ".events";
/// The format of what stands in a queue.
const VERSION: u16 = 1;
/// Longer events go into the queue as a blob's reference. A task's body has room for twice that.
const INLINE_MAX: usize = 32 << 10;
/// Subscriptions in one page.
const PAGE: usize = 1000;
/// When an event that cannot be read is looked at again: an operator may have put back what it needs.
const UNREADABLE: Duration = Duration::from_secs(600);
/// How often it is looked at before it is dropped, which is after an hour: it takes the place of one that can be read.
const LOOKS: u32 = 7;
/// The host's own marks are bounded by how many events there were, and each is some hundred bytes.
const UNBOUNDED: KvQuota = KvQuota {
    keys: u64::MAX,
    bytes: u64::MAX,
};

/// Delivers events over a store. Cheap to clone; holds no state of its own.
#[derive(Clone)]
pub struct Delivery {
    backend: SharedBackend,
}

/// A flow that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subscription {
    /// The flow's name.
    pub flow: String,
    /// The types of events that it handles.
    pub types: BTreeSet<EventType>,
    /// The digest of the flow's text.
    pub digest: Digest,
    /// When it was made or last changed.
    pub since: Timestamp,
}

/// What became of an event at one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivered {
    /// It waits in the flow's queue, durably.
    Queued,
    /// The flow has it already, or has handled it.
    Duplicate,
    /// Too many events wait for the flow; it did not get this one.
    Full,
}

impl From<Put> for Delivered {
    fn from(put: Put) -> Self {
        match put {
            Put::Queued => Self::Queued,
            Put::Duplicate => Self::Duplicate,
            Put::Full => Self::Full,
        }
    }
}

/// What became of an event, flow by flow. Empty when nobody listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Each flow that listens for its type.
    pub flows: Vec<(String, Delivered)>,
}

impl Published {
    /// The flows at which this became of it.
    pub fn at(&self, what: Delivered) -> impl Iterator<Item = &str> {
        let at = self.flows.iter().filter(move |(_, became)| *became == what);
        at.map(|(flow, _)| flow.as_str())
    }
}

impl Delivery {
    /// Delivery over `backend`.
    pub fn new(backend: SharedBackend) -> Self {
        Self { backend }
    }

    /// Subscribes `flow` to events of `types`, instead of what it was subscribed to before.
    pub async fn subscribe(
        &self,
        flow: &str,
        types: BTreeSet<EventType>,
        digest: Digest,
        since: Timestamp,
    ) -> Result<()> {
        let subscription = Subscription {
            flow: flow.to_owned(),
            types,
            digest,
            since,
        };
        let value = json(&subscription)?;
        self.write(FLOWS, &slug(flow), Some(value)).await
    }

    /// Ends the subscription of `flow` and drops the events that wait for it. Returns how many those were; `None` when it was not
    /// subscribed.
    pub async fn unsubscribe(&self, flow: &str) -> Result<Option<usize>> {
        let key = slug(flow);
        if self.backend.kv().get(FLOWS, &key).await?.is_none() {
            return Ok(None);
        }
        self.write(FLOWS, &key, None).await?;
        // Also what was put off, and what nobody could ever read.
        self.backend.queue().clear(&queue(flow)).await.map(Some)
    }

    /// Every subscription, in the order of their keys.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let keys = self
                .backend
                .kv()
                .keys(FLOWS, "", after.as_deref(), PAGE)
                .await?;
            for key in &keys {
                // One that has just ended is not there any more.
                if let Some(entry) = self.backend.kv().get(FLOWS, key).await? {
                    all.push(read(&entry.value.bytes, || {
                        format!("subscription `{}`", key.escape_debug())
                    })?);
                }
            }
            match keys.last() {
                Some(last) if keys.len() == PAGE => after = Some(last.clone()),
                _ => return Ok(all),
            }
        }
    }

    /// Puts `event` into the queue of every flow that listens for its type. `now` is when it was accepted.
    ///
    /// Durable for every flow that the answer names as having it. After an error it may have reached some; publishing the same event
    /// again is harmless.
    pub async fn publish(&self, event: &CloudEvent, now: Timestamp) -> Result<Published> {
        let mut published = Published::default();
        for subscription in self.subscriptions().await? {
            if subscription.types.contains(&event.event_type) {
                let became = self.deliver(&subscription.flow, event, now).await?;
                published.flows.push((subscription.flow, became));
            }
        }
        Ok(published)
    }

    /// Puts `event` into the queue of one flow, subscribed or not.
    pub async fn deliver(
        &self,
        flow: &str,
        event: &CloudEvent,
        now: Timestamp,
    ) -> Result<Delivered> {
        let key = event.key();
        if self.was_accepted(flow, &key).await? {
            return Ok(Delivered::Duplicate);
        }
        let too_long = |error: EventError| StoreError::Refused(format!("an event: {error}"));
        let text = event.to_text().map_err(too_long)?;
        let (waiting, queue) = (self.backend.queue(), queue(flow));
        if text.len() > INLINE_MAX {
            // The blob is kept for good, so it is not put for an event that is not.
            match waiting.room(&queue, &key.hex()).await? {
                Put::Queued => {}
                refused => return Ok(refused.into()),
            }
        }
        let task = QueueTask {
            key: key.hex(),
            priority: 2,
            delay: Duration::ZERO,
            body: self.body(event, text, now).await?,
        };
        Ok(waiting.put(&queue, task).await?.into())
    }

    /// Up to `free` events for `flow`, waiting up to `wait` for the first. Those whose run was accepted already are not among them.
    ///
    /// An event that is not accepted or put off within its lease is handed out again.
    pub async fn take(&self, flow: &str, free: usize, wait: Duration) -> Result<Vec<Taken>> {
        let mut taken = Vec::new();
        for lease in self.backend.queue().pull(&queue(flow), free, wait).await? {
            let (at, event) = match self.event(&lease.task().body).await {
                Ok(entry) => entry,
                Err(StoreError::Damaged(why)) => {
                    unreadable(flow, lease, &why).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.was_accepted(flow, &event.key()).await? {
                lease.done().await?;
                continue;
            }
            let run = run_of(flow, &event, at);
            let delivery = self.clone();
            let flow = flow.to_owned();
            taken.push(Taken {
                delivery,
                flow,
                event,
                run,
                lease,
            });
        }
        Ok(taken)
    }

    async fn was_accepted(&self, flow: &str, key: &Digest) -> Result<bool> {
        let mark = self.backend.kv().get(SEEN, &mark(flow, key)).await?;
        Ok(mark.is_some())
    }

    async fn write(&self, ns: &str, key: &str, value: Option<KvValue>) -> Result<()> {
        match self
            .backend
            .kv()
            .cas(ns, key, Expect::Any, value, UNBOUNDED, &KvBy::default())
            .await?
        {
            KvCas::Committed(_) | KvCas::Conflict(_) => Ok(()), // nothing was expected, so nothing conflicts
            KvCas::Quota(which) => Err(StoreError::Refused(which)),
        }
    }

    async fn body(&self, event: &CloudEvent, text: String, now: Timestamp) -> Result<Bytes> {
        let hops = event.hops;
        let event = if text.len() > INLINE_MAX {
            let size = text.len() as u64;
            let digest = self.backend.blobs().put(Bytes::from(text)).await?;
            let media_type = "application/cloudevents+json".to_owned();
            BlobRef {
                digest,
                media_type,
                size,
            }
            .to_value()
        } else {
            event.to_value()
        };
        let at = now.as_millisecond();
        let version = VERSION;
        let entry = Entry {
            version,
            at,
            event,
            hops,
        };
        Ok(json(&entry)?.bytes)
    }

    async fn event(&self, body: &Bytes) -> Result<(i64, CloudEvent)> {
        let damaged = |why: String| StoreError::Damaged(format!("an event in a queue: {why}"));
        let Entry {
            version,
            at,
            event,
            hops,
        } = read(body, || "an event in a queue".into())?;
        if version > VERSION {
            return Err(damaged(format!(
                "it has version {version}, this kennel knows {VERSION}"
            )));
        }
        let text = match BlobRef::from_value(&event) {
            None => event.to_string(),
            Some(blob) => {
                let bytes = self.backend.blobs().get(blob.digest).await?;
                let bytes =
                    bytes.ok_or_else(|| damaged(format!("the blob {} is gone", blob.digest)))?;
                String::from_utf8(bytes.into()).map_err(|error| damaged(error.to_string()))?
            }
        };
        match CloudEvent::parse(&text) {
            Ok(event) => Ok((at, CloudEvent { hops, ..event })),
            Err(error) => Err(damaged(error.to_string())),
        }
    }
}

/// An event that this process has, for a flow. Dropping it does nothing: it is handed out again when the lease lapses.
pub struct Taken {
    delivery: Delivery,
    flow: String,
    event: CloudEvent,
    run: RunId,
    lease: Box<dyn Lease>,
}

impl Taken {
    /// The event.
    pub fn event(&self) -> &CloudEvent {
        &self.event
    }

    /// The id that the event's run must have: the same however often the event is handed out.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The run was accepted: marks the event for good, and then takes it out of the queue.
    pub async fn accepted(self) -> Result<()> {
        let run = self.run;
        self.mark(&serde_json::json!({ "run": run })).await
    }

    /// The flow no longer handles such events: marks it likewise, without a run.
    pub async fn dropped(self) -> Result<()> {
        self.mark(&serde_json::json!({ "dropped": true })).await
    }

    async fn mark(self, what: &Value) -> Result<()> {
        let key = mark(&self.flow, &self.event.key());
        self.delivery.write(SEEN, &key, Some(json(what)?)).await?;
        self.lease.done().await
    }

    /// Not now: hands it out again after `delay`.
    pub async fn later(self, delay: Duration) -> Result<()> {
        self.lease.retry(delay).await
    }
}

/// What stands in a queue.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u16,
    /// When the event was accepted, in milliseconds after 1970.
    at: i64,
    /// The event, or the reference of a blob that holds it.
    event: Value,
    /// How many events led to it.
    #[serde(default, skip_serializing_if = "no_hops")]
    hops: u8,
}

/// Puts off what cannot be read, and drops it when that was done often enough.
async fn unreadable(flow: &str, lease: Box<dyn Lease>, why: &str) -> Result<()> {
    let (flow, key) = (flow.escape_debug(), lease.task().key.escape_debug());
    if lease.deliveries() < LOOKS {
        tracing::warn!("flow `{flow}`: event {key} is put off: {why}");
        return lease.retry(UNREADABLE).await;
    }
    tracing::warn!("flow `{flow}`: event {key} is dropped after {LOOKS} looks at it: {why}");
    lease.done().await
}

/// The id of the run of `flow` that `event`, accepted `at`, starts.
pub fn run_of(flow: &str, event: &CloudEvent, at: i64) -> RunId {
    let mut hash = Sha256::new();
    hash.update((flow.len() as u64).to_be_bytes());
    hash.update(flow);
    hash.update(event.key().as_bytes());
    let cause = Digest::from_bytes(hash.finalize().into());
    RunId::caused_by(u64::try_from(at).unwrap_or(0), &cause)
}

/// The flow's name as it may stand in keys and subjects: itself when it is plain, else its digest.
fn slug(flow: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !flow.is_empty() && flow.len() < MAX_NAME && flow.bytes().all(plain) {
        flow.to_owned()
    } else {
        Digest::of(flow.as_bytes()).hex()
    }
}

fn queue(flow: &str) -> String {
    format!("events.{}", slug(flow))
}

fn mark(flow: &str, key: &Digest) -> String {
    format!("{}/{}", slug(flow), key.hex())
}

fn json(value: &impl Serialize) -> Result<KvValue> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| StoreError::Refused(error.to_string()))?;
    Ok(KvValue {
        format: "json".into(),
        bytes: bytes.into(),
    })
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: impl Fn() -> String) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Damaged(format!("{}: {error}", what())))
}

#[cfg(test)]
mod tests;
