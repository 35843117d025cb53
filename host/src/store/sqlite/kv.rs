//! Shared state in SQLite: a row for each change, and beside it which change of each key is the present one, which are past, what
//! each namespace holds, and one counter for the revisions of all keys. All but the first can be made anew from it.
//!
//! One counter for everything is what lets a revision grow over a deletion without keeping a row for what was deleted.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::kv_rules::{self, Held, Past, Used, Verdict};
use super::super::{
    Blobs, Expect, KV_INLINE_MAX, Kv, KvAdd, KvBy, KvCas, KvChange, KvData, KvEntry, KvKept, KvOp,
    KvQuota, KvSpace, KvValue, Namespace, Result, Rev, StoreError,
};
use super::writer::Touches;
use super::{SqliteStore, integer, kv_past, natural};
use crate::id::Digest;

#[async_trait]
impl Kv for SqliteStore {
    async fn get(&self, ns: &Namespace, key: &str) -> Result<Option<KvEntry>> {
        let (of, named) = (ns.to_owned(), key.to_owned());
        let found = self
            .inner
            .readers
            .read(move |db| get(db, &of, &named))
            .await?;
        match found {
            Some((rev, kept)) => Ok(Some(self.entry(rev, kept).await?)),
            None => Ok(None),
        }
    }

    async fn cas(
        &self,
        ns: &Namespace,
        key: &str,
        expect: Expect,
        value: Option<KvValue>,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvCas> {
        let asked = Asked {
            ns: ns.to_owned(),
            key: key.to_owned(),
            expect,
            op: kv_rules::op(expect, value.as_ref()),
            quota,
            by: by.clone(),
        };
        let asked = Arc::new(asked);
        // A large value is there before the change that refers to it. What would be refused now is not put; what others change
        // meanwhile may still refuse it, which leaves only a blob behind.
        let large = match &value {
            Some(value) if value.bytes.len() > KV_INLINE_MAX => {
                if let Some(refused) = self.refusal(&asked, value).await? {
                    return self.told(refused).await;
                }
                Some(self.put(value.bytes.clone()).await?)
            }
            _ => None,
        };
        let change = move |tx: &Connection| change(tx, &asked, value.as_ref(), large);
        let changed = self.inner.writer.write(Touches::Other, change).await?;
        self.told(changed).await
    }

    async fn add(
        &self,
        ns: &Namespace,
        key: &str,
        delta: i64,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvAdd> {
        let asked = Asked {
            ns: ns.to_owned(),
            key: key.to_owned(),
            expect: Expect::Any,
            op: KvOp::Add(delta),
            quota,
            by: by.clone(),
        };
        let add = move |tx: &Connection| {
            let current = match get(tx, &asked.ns, &asked.key)? {
                None => None,
                Some((rev, kept)) => Some(KvEntry {
                    rev,
                    value: KvValue {
                        format: kept.format,
                        // A value that became a blob is too long for a number, as an empty one is too short.
                        bytes: match kept.data {
                            KvData::Inline(bytes) => bytes,
                            KvData::Blob(_) => Bytes::new(),
                        },
                    },
                }),
            };
            let sum = match kv_rules::sum(current.as_ref(), delta) {
                Ok(sum) => sum,
                Err(reason) => return Ok(KvAdd::NotANumber(reason)),
            };
            Ok(
                match change(tx, &asked, Some(&kv_rules::number(sum)), None)? {
                    Changed::Quota(reason) => KvAdd::Quota(reason),
                    // Nothing was expected, so nothing conflicts.
                    Changed::Committed(_) | Changed::Conflict(_) => KvAdd::Committed(sum),
                },
            )
        };
        self.inner.writer.write(Touches::Other, add).await
    }

    async fn keys(
        &self,
        ns: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let (ns, prefix) = (ns.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        let keys = move |db: &Connection| keys(db, &ns, &prefix, after.as_deref(), limit);
        self.inner.readers.read(keys).await
    }

    async fn history(
        &self,
        ns: &Namespace,
        key: Option<&str>,
        after: Rev,
        limit: usize,
    ) -> Result<Vec<KvChange>> {
        if !kv_rules::has_history(ns) {
            return Ok(Vec::new());
        }
        let (ns, key) = (ns.to_owned(), key.map(str::to_owned));
        let history = move |db: &Connection| history(db, &ns, key.as_deref(), after, limit);
        self.inner.readers.read(history).await
    }

    async fn spaces(&self) -> Result<Vec<KvSpace>> {
        self.inner.readers.read(spaces).await
    }
}

impl SqliteStore {
    /// Why a change would not be made now; `None` when it would.
    async fn refusal(&self, asked: &Arc<Asked>, value: &KvValue) -> Result<Option<Changed>> {
        let (asked, value) = (asked.clone(), value.clone());
        let judge = move |db: &Connection| {
            // One look: what the key holds and what the namespace holds belong together.
            let snapshot = db.unchecked_transaction()?;
            let now = Present::of(&snapshot, &asked)?;
            Ok(match now.judge(&asked, Some(&value)) {
                Verdict::Conflict => Some(Changed::Conflict(now.current)),
                Verdict::Quota(reason) => Some(Changed::Quota(reason)),
                Verdict::Write(_) => None,
            })
        };
        self.inner.readers.read(judge).await
    }

    async fn told(&self, changed: Changed) -> Result<KvCas> {
        Ok(match changed {
            Changed::Committed(rev) => KvCas::Committed(rev),
            Changed::Conflict(None) => KvCas::Conflict(None),
            Changed::Conflict(Some((rev, kept))) => {
                KvCas::Conflict(Some(self.entry(rev, kept).await?))
            }
            Changed::Quota(reason) => KvCas::Quota(reason),
        })
    }

    async fn entry(&self, rev: Rev, kept: KvKept) -> Result<KvEntry> {
        let KvKept { format, data, .. } = kept;
        let bytes = match data {
            KvData::Inline(bytes) => bytes,
            KvData::Blob(digest) => Blobs::get(self, digest)
                .await?
                .ok_or_else(|| damaged(rev, "the blob of its value is gone"))?,
        };
        Ok(KvEntry {
            value: KvValue { format, bytes },
            rev,
        })
    }
}

/// A change that is asked for, but for its value.
struct Asked {
    ns: String,
    key: String,
    expect: Expect,
    op: KvOp,
    quota: KvQuota,
    by: KvBy,
}

/// What came of it.
enum Changed {
    Committed(Rev),
    Conflict(Option<(Rev, KvKept)>),
    Quota(String),
}

/// What is there before a change.
struct Present {
    current: Option<(Rev, KvKept)>,
    used: Used,
    past: Past,
}

impl Present {
    fn of(db: &Connection, asked: &Asked) -> Result<Self> {
        let (used, past) = used(db, &asked.ns)?;
        let current = get(db, &asked.ns, &asked.key)?;
        Ok(Self {
            current,
            used,
            past,
        })
    }

    fn judge(&self, asked: &Asked, value: Option<&KvValue>) -> Verdict {
        let held = self.current.as_ref().map(|(rev, kept)| Held {
            rev: *rev,
            size: kept.size,
        });
        kv_rules::judge(held, self.used, asked.expect, value, asked.quota)
    }
}

const VALUE: &str = "l.rev, l.format, l.size, l.bytes, l.blob";

fn get(db: &Connection, ns: &str, key: &str) -> Result<Option<(Rev, KvKept)>> {
    let sql = format!(
        "SELECT {VALUE} FROM kv JOIN kv_log l USING (rev) WHERE kv.ns = ?1 AND kv.key = ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([ns, key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let rev = Rev(natural(row.get(0)?)?);
    let kept = kept(row)?.ok_or_else(|| damaged(rev, "the present value is a deletion"))?;
    Ok(Some((rev, kept)))
}

/// The value in the columns [`VALUE`]; none after a deletion.
fn kept(row: &Row<'_>) -> Result<Option<KvKept>> {
    let rev = Rev(natural(row.get(0)?)?);
    let Some(format) = row.get::<_, Option<String>>(1)? else {
        return Ok(None);
    };
    let (bytes, blob): (Option<Vec<u8>>, Option<String>) = (row.get(3)?, row.get(4)?);
    let data = match (bytes, blob) {
        (Some(bytes), None) => KvData::Inline(bytes.into()),
        (None, Some(digest)) => KvData::Blob(
            digest
                .parse()
                .map_err(|_| damaged(rev, "its blob is no digest"))?,
        ),
        _ => return Err(damaged(rev, "it has not exactly one value")),
    };
    Ok(Some(KvKept {
        format,
        data,
        size: natural(row.get(2)?)?,
    }))
}

fn change(
    tx: &Connection,
    asked: &Asked,
    value: Option<&KvValue>,
    large: Option<Digest>,
) -> Result<Changed> {
    let now = Present::of(tx, asked)?;
    match now.judge(asked, value) {
        Verdict::Conflict => Ok(Changed::Conflict(now.current)),
        Verdict::Quota(reason) => Ok(Changed::Quota(reason)),
        Verdict::Write(after) => {
            let (rev, mut past) = (next_rev(tx)?, now.past);
            let nth = log(tx, rev, asked, value, large)?;
            if kv_rules::has_history(&asked.ns) {
                if let Some((before, kept)) = now.current {
                    let before = integer(before.0);
                    kv_past::outlive(tx, &mut past, &asked.ns, before, kept.size)?;
                }
                if value.is_none() {
                    kv_past::outlive(tx, &mut past, &asked.ns, rev, 0)?;
                }
                kv_past::trim_key(tx, &mut past, &asked.ns, &asked.key, nth)?;
                kv_past::trim(tx, &mut past, &asked.ns, asked.quota)?;
            }
            match value {
                Some(_) => point(tx, &asked.ns, &asked.key, rev)?,
                None => delete(tx, &asked.ns, &asked.key)?,
            }
            set_used(tx, &asked.ns, after, past)?;
            Ok(Changed::Committed(Rev(natural(rev)?)))
        }
    }
}

/// Writes the change down, and says which of its key it is. Without a history it is the only one, and a deletion is none.
fn log(
    tx: &Connection,
    rev: i64,
    asked: &Asked,
    value: Option<&KvValue>,
    large: Option<Digest>,
) -> Result<i64> {
    let Asked {
        ns, key, op, by, ..
    } = asked;
    let nth = if kv_rules::has_history(ns) {
        let last: Option<i64> = tx
            .prepare_cached(
                "SELECT nth FROM kv_log WHERE ns = ?1 AND key = ?2 ORDER BY rev DESC LIMIT 1",
            )?
            .query_row([ns, key], |row| row.get(0))
            .optional()?;
        last.unwrap_or(0) + 1
    } else {
        tx.prepare_cached("DELETE FROM kv_log WHERE ns = ?1 AND key = ?2")?
            .execute([ns, key])?;
        if value.is_none() {
            return Ok(0);
        }
        // The change is the only one of its key, so it is never one too many.
        1
    };
    let (op, delta) = match op {
        KvOp::Set => ("set", None),
        KvOp::Swap => ("swap", None),
        KvOp::Delete => ("delete", None),
        KvOp::Add(delta) => ("add", Some(*delta)),
    };
    let bytes = value
        .filter(|_| large.is_none())
        .map(|value| value.bytes.as_ref());
    tx.prepare_cached(
        "INSERT INTO kv_log (rev, ns, key, nth, op, delta, format, size, bytes, blob, at, run, task)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        rev,
        ns,
        key,
        nth,
        op,
        delta,
        value.map(|value| &value.format),
        integer(value.map_or(0, |value| value.bytes.len() as u64)),
        bytes,
        large.map(|digest| digest.to_string()),
        Timestamp::now().to_string(),
        by.run.map(|run| run.to_string()),
        by.task,
    ])?;
    Ok(nth)
}

fn point(tx: &Connection, ns: &str, key: &str, rev: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO kv (ns, key, rev) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET rev = ?3",
    )?
    .execute(params![ns, key, rev])?;
    Ok(())
}

fn delete(tx: &Connection, ns: &str, key: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM kv WHERE ns = ?1 AND key = ?2")?
        .execute([ns, key])?;
    Ok(())
}

fn next_rev(tx: &Connection) -> Result<i64> {
    let next = "UPDATE kv_last SET rev = rev + 1 RETURNING rev";
    Ok(tx.prepare_cached(next)?.query_row([], |row| row.get(0))?)
}

fn used(db: &Connection, ns: &str) -> Result<(Used, Past)> {
    let row: Option<[i64; 4]> = db
        .prepare_cached("SELECT keys, bytes, past, past_bytes FROM kv_used WHERE ns = ?1")?
        .query_row([ns], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })
        .optional()?;
    let [keys, bytes, past, past_bytes] = row.unwrap_or_default();
    let used = Used {
        keys: natural(keys)?,
        bytes: natural(bytes)?,
    };
    let past = Past {
        changes: natural(past)?,
        bytes: natural(past_bytes)?,
    };
    Ok((used, past))
}

fn set_used(tx: &Connection, ns: &str, used: Used, past: Past) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO kv_used (ns, keys, bytes, past, past_bytes) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET keys = ?2, bytes = ?3, past = ?4, past_bytes = ?5",
    )?
    .execute(params![
        ns,
        integer(used.keys),
        integer(used.bytes),
        integer(past.changes),
        integer(past.bytes),
    ])?;
    Ok(())
}

/// Makes everything but the history anew from it. Of the columns beside `max`, SQLite takes the values of the row that has it.
pub(super) fn rebuild(tx: &Connection) -> Result<()> {
    tx.execute_batch(
        "DELETE FROM kv;
         INSERT INTO kv (ns, key, rev)
             SELECT ns, key, rev FROM (SELECT ns, key, max(rev) AS rev, op FROM kv_log GROUP BY ns, key)
             WHERE op <> 'delete';
         DELETE FROM kv_past;
         INSERT INTO kv_past SELECT ns, rev, size FROM kv_log WHERE rev NOT IN (SELECT rev FROM kv);
         DELETE FROM kv_used;
         INSERT INTO kv_used (ns, keys, bytes, past, past_bytes)
             SELECT l.ns, count(kv.rev), coalesce(sum(l.size) FILTER (WHERE kv.rev IS NOT NULL), 0),
                 count(*) - count(kv.rev), coalesce(sum(l.size) FILTER (WHERE kv.rev IS NULL), 0)
             FROM kv_log l LEFT JOIN kv ON kv.ns = l.ns AND kv.key = l.key AND kv.rev = l.rev GROUP BY l.ns;
         UPDATE kv_last SET rev = max(rev, (SELECT coalesce(max(rev), 0) FROM kv_log));",
    )?;
    Ok(())
}

fn history(
    db: &Connection,
    ns: &str,
    key: Option<&str>,
    after: Rev,
    limit: usize,
) -> Result<Vec<KvChange>> {
    // Both forms take the same parameters; only the first can use the index by key.
    let of_key = if key.is_some() {
        "l.key = ?2"
    } else {
        "?2 IS NULL"
    };
    let sql = format!(
        "SELECT {VALUE}, l.key, l.op, l.delta, l.at, l.run, l.task FROM kv_log l
         WHERE l.ns = ?1 AND {of_key} AND l.rev > ?3 ORDER BY l.rev LIMIT ?4"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![ns, key, integer(after.0), integer(limit as u64)])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(recorded(row)?);
    }
    Ok(changes)
}

fn recorded(row: &Row<'_>) -> Result<KvChange> {
    let rev = Rev(natural(row.get(0)?)?);
    let (op, delta): (String, Option<i64>) = (row.get(6)?, row.get(7)?);
    let op = match (op.as_str(), delta) {
        ("set", None) => KvOp::Set,
        ("swap", None) => KvOp::Swap,
        ("delete", None) => KvOp::Delete,
        ("add", Some(delta)) => KvOp::Add(delta),
        _ => return Err(damaged(rev, "its kind has no such name")),
    };
    let (at, run): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    let at = at.map(|at| at.parse()).transpose();
    let run = run.map(|run| run.parse()).transpose();
    Ok(KvChange {
        rev,
        key: row.get(5)?,
        op,
        value: kept(row)?,
        at: at.map_err(|_| damaged(rev, "its time cannot be read"))?,
        by: KvBy {
            run: run.map_err(|_| damaged(rev, "its run is not an id"))?,
            task: row.get(10)?,
        },
    })
}

fn spaces(db: &Connection) -> Result<Vec<KvSpace>> {
    let mut statement =
        db.prepare_cached("SELECT ns, keys, bytes FROM kv_used WHERE keys > 0 ORDER BY ns")?;
    let mut rows = statement.query([])?;
    let mut spaces = Vec::new();
    while let Some(row) = rows.next()? {
        spaces.push(KvSpace {
            agent: row.get(0)?,
            keys: natural(row.get(1)?)?,
            bytes: natural(row.get(2)?)?,
        });
    }
    Ok(spaces)
}

/// Keys compare as bytes in SQLite and in Rust alike, and those with one prefix stand together.
fn keys(
    db: &Connection,
    ns: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>> {
    let (sql, from) = match after {
        Some(after) if after >= prefix => (
            "SELECT key FROM kv WHERE ns = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
            after,
        ),
        _ => (
            "SELECT key FROM kv WHERE ns = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
            prefix,
        ),
    };
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![ns, from, integer(limit as u64)])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

fn damaged(rev: Rev, reason: &str) -> StoreError {
    StoreError::Damaged(format!("the change {} of shared state: {reason}", rev.0))
}
