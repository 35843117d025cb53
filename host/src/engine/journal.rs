//! The journal of one run: records appended by compare-and-append, large values kept as blobs.
//!
//! Whoever holds a [`Journal`] owns the run for as long as nobody else appends; the first append after that fails with
//! [`EngineError::Fenced`], and everything it was about to do is dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Engine, EngineError};
use crate::call::Answers;
use crate::id::RunId;
use crate::payload::BlobRef;
use crate::record::{Event, Held, Record, VERSION};
use crate::store::append::append_surely;
use crate::store::{Cas, Cursor, Lane, LaneId, Rev, SharedBackend, StoreError, Stored};

/// Values up to about this many bytes stand in the journal itself; larger ones become blobs. The cluster's messages carry 64 KiB, and a
/// record holds more than its value.
const INLINE_MAX: usize = 32 << 10;

/// The host's answers to an attempt stand in the journal up to this many bytes. Nobody but a replay reads them, so they are moved out
/// of everybody's way sooner than values.
const ANSWERS_MAX: usize = 4 << 10;

/// How many records are read at once: their values are small, larger ones are blobs.
pub(super) const PAGE: usize = 64;

/// What the media type of answers that became a blob is.
const ANSWERS: &str = "application/vnd.kennel.answers";

/// What the media type of a value that became a blob is.
const JSON: &str = "application/json";

/// A run's journal, from the owner's side.
pub(super) struct Journal {
    backend: SharedBackend,
    lane: LaneId,
    end: Rev,
    give_up: Duration,
}

impl Journal {
    /// The journal of a run that has no records yet.
    pub(super) fn of_new(engine: &Engine, run: RunId) -> Self {
        let lane = LaneId {
            run,
            lane: Lane::Run,
        };
        Self {
            backend: engine.backend.clone(),
            lane,
            end: Rev::NONE,
            give_up: engine.give_up,
        }
    }

    /// The journal of a run; `each` gets what happened so far.
    pub(super) async fn open(
        engine: &Engine,
        run: RunId,
        mut each: impl FnMut(Record) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        let mut reading = engine.read(run);
        while let Some(record) = reading.next().await? {
            each(record)?;
        }
        Ok(Self {
            end: reading.end,
            ..Self::of_new(engine, run)
        })
    }

    /// Appends `events` together; durable when it returns. Returns the records as they were given, values inline.
    pub(super) async fn append(&mut self, events: &[Event]) -> Result<Vec<Record>, EngineError> {
        let records: Vec<_> = events.iter().cloned().map(Record::now).collect();
        let mut kept = Vec::with_capacity(records.len());
        for record in &records {
            kept.push(self.keep(record.clone()).await?);
        }
        match append_surely(self.backend.log(), self.lane, self.end, &kept, self.give_up).await? {
            Cas::Committed(end) => self.end = end,
            Cas::Conflict(_) => return Err(EngineError::Fenced(self.lane.run)),
        }
        Ok(records)
    }

    async fn keep(&self, mut record: Record) -> Result<Record, EngineError> {
        if let Some(held) = record.event.value_mut()
            && let Held::Inline(value) = &*held
            && weight(value) > INLINE_MAX
        {
            let bytes = Bytes::from(value.to_string());
            let size = bytes.len() as u64;
            // The store digests the bytes anyway; doing it here too would be half of what a large value costs.
            let digest = self.backend.blobs().put(bytes).await?;
            *held = Held::Blob(BlobRef {
                digest,
                media_type: JSON.into(),
                size,
            });
        }
        for attempt in record
            .event
            .trail_mut()
            .into_iter()
            .flat_map(|trail| &mut trail.attempts)
        {
            if let Some(Answers::Inline(bytes)) = &attempt.answers
                && bytes.len() > ANSWERS_MAX
            {
                let size = bytes.len() as u64;
                attempt.answers = Some(Answers::Blob(BlobRef {
                    digest: self.backend.blobs().put(bytes.clone()).await?,
                    media_type: ANSWERS.into(),
                    size,
                }));
            }
        }
        Ok(record)
    }
}

/// A journal being read from its beginning. Holds a page of records, and the value of one.
pub struct Reading {
    backend: SharedBackend,
    lane: LaneId,
    page: VecDeque<Stored>,
    /// The last record that was read from the store; `None` when it has no more.
    after: Option<Cursor>,
    /// How many records are read at once.
    size: usize,
    end: Rev,
}

impl Reading {
    /// Reads `size` records at once.
    pub(super) fn of(engine: &Engine, run: RunId, size: usize) -> Self {
        let lane = LaneId {
            run,
            lane: Lane::Run,
        };
        Self {
            backend: engine.backend.clone(),
            lane,
            page: VecDeque::new(),
            after: Some(Cursor(0)),
            size,
            end: Rev::NONE,
        }
    }

    /// The next record; a value that became a blob is read back.
    pub async fn next(&mut self) -> Result<Option<Record>, EngineError> {
        loop {
            let Some(stored) = self.page.pop_front() else {
                let Some(after) = self.after else {
                    return Ok(None);
                };
                let page = self
                    .backend
                    .log()
                    .page(self.lane.run, after, self.size)
                    .await?;
                let more = page.len() == self.size;
                self.after = page.last().map(|last| last.cursor).filter(|_| more);
                self.page = page.into();
                continue;
            };
            if stored.lane == self.lane {
                self.end = stored.rev;
                return self.inline(stored.record).await.map(Some);
            }
        }
    }

    /// Every record that is left.
    #[cfg(test)]
    pub(crate) async fn all(mut self) -> Result<Vec<Record>, EngineError> {
        let mut all = Vec::new();
        while let Some(record) = self.next().await? {
            all.push(record);
        }
        Ok(all)
    }

    async fn inline(&self, mut record: Record) -> Result<Record, EngineError> {
        if record.version > VERSION {
            let why = format!(
                "run {} has records of version {}, this kennel knows {VERSION}",
                self.lane.run, record.version
            );
            return Err(StoreError::Damaged(why).into());
        }
        if let Some(held) = record.event.value_mut()
            && let Held::Blob(blob) = &*held
        {
            *held = Held::Inline(Arc::new(self.value(blob).await?));
        }
        Ok(record)
    }

    async fn value(&self, blob: &BlobRef) -> Result<Value, StoreError> {
        let missing = |why: String| {
            StoreError::Damaged(format!(
                "run {}, value {}: {why}",
                self.lane.run, blob.digest
            ))
        };
        let bytes = self.backend.blobs().get(blob.digest).await?;
        let bytes = bytes.ok_or_else(|| missing("its bytes are gone".into()))?;
        serde_json::from_slice(&bytes).map_err(|error| missing(error.to_string()))
    }
}

/// About how many bytes the JSON text of `value` has, without writing it. Stops counting once it is certainly large.
fn weight(value: &Value) -> usize {
    let mut sum = 0;
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        sum += match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                rest.extend(items);
                2
            }
            Value::Object(map) => {
                rest.extend(map.values());
                map.keys().map(|key| key.len() + 4).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        };
        if sum > INLINE_MAX {
            break;
        }
    }
    sum
}
