//! Earlier answers in SQLite: bounded by their bytes, the oldest go first.
//!
//! A cache and nothing else: what cannot be read is not there, and what cannot be written in time is not kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::Result;
use super::writer::Touches;
use super::{SqliteStore, integer, natural};
use crate::answers::Answers;
use crate::id::Digest;
use crate::payload::{Blob, Payload};

/// The largest answer that is kept: one more would push too many small ones out.
const LARGEST: usize = 4 << 20;
/// What an answer takes beside its bytes, rounded up, so that many small ones are bounded too.
const OVERHEAD: u64 = 256;
/// Answers that make room at a time.
const AT_ONCE: usize = 32;

impl Answers for SqliteStore {
    fn get(&self, key: Digest) -> BoxFuture<'_, Option<(Payload, Duration)>> {
        Box::pin(async move {
            let now = self.now();
            let found = self.inner.readers.read(move |db| get(db, key, now)).await;
            found.unwrap_or_else(|error| {
                tracing::debug!(%error, "an earlier answer cannot be read");
                None
            })
        })
    }

    fn put(&self, key: Digest, answer: &Arc<Payload>) {
        if answer.size() > LARGEST {
            return;
        }
        let (now, most) = (self.now(), self.inner.options.answers);
        let answer = answer.clone();
        let put = move |tx: &Connection| put(tx, key, &answer, now, most);
        self.inner.writer.offer(Touches::Other, put);
    }
}

fn get(db: &Connection, key: Digest, now: i64) -> Result<Option<(Payload, Duration)>> {
    let row: Option<(i64, String, Vec<u8>)> = db
        .prepare_cached("SELECT given, format, bytes FROM answers WHERE key = ?1")?
        .query_row([key.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let found = row.and_then(|(given, format, bytes)| {
        // From the future: the clock was put back, and nobody knows how old it is.
        let age = u64::try_from(now.checked_sub(given)?).ok()?;
        let payload = match format.as_str() {
            "text" => Payload::Text(String::from_utf8(bytes).ok()?),
            "json" => Payload::json(String::from_utf8(bytes).ok()?).ok()?,
            _ => Payload::Blob(Blob {
                media_type: format,
                bytes: Bytes::from(bytes),
            }),
        };
        Some((payload, Duration::from_millis(age)))
    });
    Ok(found)
}

fn put(tx: &Connection, key: Digest, answer: &Payload, now: i64, most: u64) -> Result<()> {
    let (format, bytes): (_, &[u8]) = match answer {
        Payload::Text(text) => ("text", text.as_bytes()),
        Payload::Json(text) => ("json", text.as_bytes()),
        Payload::Blob(blob) => (blob.media_type.as_str(), &blob.bytes),
    };
    let key = key.to_string();
    let before: Option<i64> = tx
        .prepare_cached("SELECT length(bytes) FROM answers WHERE key = ?1")?
        .query_row([&key], |row| row.get(0))
        .optional()?;
    tx.prepare_cached(
        "INSERT INTO answers (key, given, format, bytes) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET given = ?2, format = ?3, bytes = ?4",
    )?
    .execute(params![key, now, format, bytes])?;
    let used: i64 = tx
        .prepare_cached("SELECT bytes FROM answers_used")?
        .query_row([], |row| row.get(0))?;
    let mut used = natural(used)?.saturating_add(weight(bytes.len() as u64));
    if let Some(before) = before {
        used = used.saturating_sub(weight(natural(before)?));
    }
    while used > most {
        let freed = forget_oldest(tx, used - most)?;
        if freed == 0 {
            break;
        }
        used = used.saturating_sub(freed);
    }
    tx.prepare_cached("UPDATE answers_used SET bytes = ?1")?
        .execute([integer(used)])?;
    Ok(())
}

/// Forgets the oldest answers, some at a time, until `enough` is freed; says how much was.
fn forget_oldest(tx: &Connection, enough: u64) -> Result<u64> {
    let mut oldest = tx.prepare_cached(
        "SELECT rowid, length(bytes) FROM answers ORDER BY given, rowid LIMIT ?1",
    )?;
    let rows = oldest.query_map([integer(AT_ONCE as u64)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut freed = 0;
    for (row, bytes) in rows {
        if freed >= enough {
            break;
        }
        tx.prepare_cached("DELETE FROM answers WHERE rowid = ?1")?
            .execute([row])?;
        freed += weight(natural(bytes)?);
    }
    Ok(freed)
}

fn weight(bytes: u64) -> u64 {
    bytes.saturating_add(OVERHEAD)
}
