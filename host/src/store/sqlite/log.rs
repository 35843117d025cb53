//! The journals in SQLite: one row for each record, its event as JSON text, and the list of runs kept beside in the same transaction.

use std::collections::BTreeMap;
use std::fmt::Display;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::BoxStream;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use ulid::Ulid;

use super::super::depth;
use super::super::follow::{self, PAGE};
use super::super::projection::Change;
use super::super::{
    Cas, Cursor, Head, Lane, LaneId, Result, Rev, RunLog, RunSummary, StoreError, Stored,
};
use super::writer::Touches;
use super::{SqliteStore, integer, kv, natural, runs, sum};
use crate::id::RunId;
use crate::record::{self, Event, Record};

#[async_trait]
impl RunLog for SqliteStore {
    async fn append(&self, lane: LaneId, expect: Rev, records: &[Record]) -> Result<Cas> {
        depth::check(records)?;
        let rows = records.iter().map(NewRow::of).collect::<Result<Vec<_>>>()?;
        let work = move |tx: &Connection| append(tx, lane, expect, &rows);
        self.inner.writer.write(Touches::Log, work).await
    }

    async fn page(&self, run: RunId, after: Cursor, limit: usize) -> Result<Vec<Stored>> {
        let page = move |db: &Connection| {
            let records = read(db, Some(run), after, limit)?;
            let records = records.into_iter().collect::<Result<Vec<_>>>()?;
            whole(db, after, &records).map(|()| records)
        };
        self.inner.readers.read(page).await
    }

    async fn head(&self, lane: LaneId) -> Result<Option<Head>> {
        self.inner.readers.read(move |db| head(db, lane)).await
    }

    async fn tail(
        &self,
        from: Cursor,
        run: Option<RunId>,
    ) -> Result<BoxStream<'static, Result<Stored>>> {
        let store = self.clone();
        let page = move |after| {
            let store = store.clone();
            async move {
                let page = move |db: &Connection| read(db, run, after, PAGE);
                let page = store.inner.readers.read(page).await;
                page.unwrap_or_else(|error| vec![Err(error)])
            }
            .boxed()
        };
        let changed = self.inner.writer.log_changes();
        let poll = Some(self.inner.options.poll);
        Ok(follow::follow(from, changed, poll, Box::new(page)))
    }

    async fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunSummary>> {
        let list = move |db: &Connection| runs::list(db, before, limit);
        self.inner.readers.read(list).await
    }

    async fn purge(&self, run: RunId) -> Result<()> {
        let purge = move |tx: &Connection| {
            let run = run.to_string();
            for sql in [
                "DELETE FROM events WHERE run = ?1",
                "DELETE FROM runs WHERE run = ?1",
            ] {
                tx.prepare_cached(sql)?.execute([&run])?;
            }
            Ok(())
        };
        self.inner.writer.write(Touches::Other, purge).await
    }
}

impl SqliteStore {
    /// Makes the list of runs anew from the records, and the present shared state from its history. Reads every record once, while
    /// nobody else can write.
    pub async fn rebuild(&self) -> Result<()> {
        let rebuild = |tx: &Connection| {
            tx.execute("DELETE FROM runs", [])?;
            let mut rows = tx.prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY gseq"))?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let Stored { lane, record, .. } = stored(row)?;
                let (run, at) = (lane.run.to_string(), record.at.to_string());
                runs::project(tx, &run, &at, &Change::of(&record))?;
            }
            kv::rebuild(tx)
        };
        self.inner.writer.write(Touches::Other, rebuild).await
    }
}

/// A record as its row, made before the writer's turn so that the writer only writes.
struct NewRow {
    id: Ulid,
    at: String,
    version: u16,
    body: String,
    change: Change,
}

impl NewRow {
    fn of(record: &Record) -> Result<Self> {
        let body = serde_json::to_string(&record.event)
            .map_err(|error| StoreError::Refused(format!("a record has no JSON text: {error}")))?;
        Ok(Self {
            id: record.id,
            at: record.at.to_string(),
            version: record.version,
            body,
            change: Change::of(record),
        })
    }
}

fn append(tx: &Connection, lane: LaneId, expect: Rev, rows: &[NewRow]) -> Result<Cas> {
    let head = head(tx, lane)?;
    if let (Some(head), Some(last)) = (head, rows.last())
        && head.id == last.id
    {
        return Ok(Cas::Committed(head.rev));
    }
    if head.map_or(Rev::NONE, |head| head.rev) != expect {
        return Ok(Cas::Conflict(head));
    }
    let (run, name) = (lane.run.to_string(), lane.lane.to_string());
    let mut insert = tx.prepare_cached(
        "INSERT INTO events (run, lane, rev, id, at, version, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut rev = expect;
    for row in rows {
        rev.0 += 1;
        let id = row.id.to_string();
        let sum = sum::Row {
            run: &run,
            lane: &name,
            rev: rev.0,
            id: &id,
            at: &row.at,
            version: row.version,
            body: &row.body,
        };
        insert.execute(params![
            run,
            name,
            integer(rev.0),
            id,
            row.at,
            row.version,
            row.body,
            sum.sum()
        ])?;
        runs::project(tx, &run, &row.at, &row.change)?;
    }
    Ok(Cas::Committed(rev))
}

fn head(db: &Connection, lane: LaneId) -> Result<Option<Head>> {
    let row = db
        .prepare_cached(
            "SELECT rev, id FROM events WHERE run = ?1 AND lane = ?2 ORDER BY rev DESC LIMIT 1",
        )?
        .query_row([lane.run.to_string(), lane.lane.to_string()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    row.map(|(rev, id)| {
        let rev = Rev(natural(rev)?);
        let id = Ulid::from_string(&id)
            .map_err(|_| damaged(&lane.run, &lane.lane, rev, "its id is not a ULID"))?;
        Ok(Head { rev, id })
    })
    .transpose()
}

const COLUMNS: &str = "gseq, run, lane, rev, id, at, version, body, sum";

/// Up to `limit` records after a cursor, in commit order. Stops at the first that cannot be read, which is then the last.
fn read(
    db: &Connection,
    run: Option<RunId>,
    after: Cursor,
    limit: usize,
) -> Result<Vec<Result<Stored>>> {
    // Both forms take the same parameters; only the first can use the index by run.
    let of_run = if run.is_some() {
        "run = ?3 AND"
    } else {
        "?3 IS NULL AND"
    };
    let sql =
        format!("SELECT {COLUMNS} FROM events WHERE {of_run} gseq > ?1 ORDER BY gseq LIMIT ?2");
    let run = run.map(|run| run.to_string());
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![integer(after.0), integer(limit as u64), run])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let record = stored(row);
        let broken = record.is_err();
        records.push(record);
        if broken {
            break;
        }
    }
    Ok(records)
}

fn stored(row: &Row<'_>) -> Result<Stored> {
    let (run, lane): (String, String) = (row.get(1)?, row.get(2)?);
    let rev = Rev(natural(row.get(3)?)?);
    let damaged = |reason: &str| damaged(&run, &lane, rev, reason);
    let text = |column| -> Result<String> {
        let text = row.get(column);
        text.map_err(|error: rusqlite::Error| damaged(&error.to_string()))
    };
    let version = version(row.get(6)?).map_err(|reason| damaged(&reason))?;
    let (id, at, body) = (text(4)?, text(5)?, text(7)?);
    let event: Event = serde_json::from_str(&body).map_err(|error| damaged(&error.to_string()))?;
    let stored = Stored {
        cursor: Cursor(natural(row.get(0)?)?),
        lane: LaneId {
            run: run.parse().map_err(|_| damaged("its run is not an id"))?,
            lane: lane_of(&lane).ok_or_else(|| damaged("its lane has no such name"))?,
        },
        rev,
        record: Record {
            id: Ulid::from_string(&id).map_err(|_| damaged("its id is not a ULID"))?,
            at: at.parse().map_err(|_| damaged("its time cannot be read"))?,
            version,
            event,
        },
    };
    // Last, because what is wrong with it in particular says more.
    let sum = sum::Row {
        run: &run,
        lane: &lane,
        rev: rev.0,
        id: &id,
        at: &at,
        version,
        body: &body,
    };
    match row.get::<_, Option<i64>>(8)? {
        Some(written) if written != i64::from(sum.sum()) => {
            Err(damaged("it is not what was written: its checksum differs"))
        }
        _ => Ok(stored),
    }
}

/// Whether nothing is missing before and between the records of the page after a cursor: each lane counts them from 1. What was lost at
/// the end is not noticed.
fn whole(db: &Connection, after: Cursor, records: &[Stored]) -> Result<()> {
    let mut ends = BTreeMap::new();
    for stored in records {
        let LaneId { run, lane } = stored.lane;
        let seen = ends.get(&lane).copied();
        let before = match seen {
            Some(end) => end,
            None => place(db, stored.lane, stored.rev.0.saturating_sub(1))?,
        };
        // What an index knows of and the page should have held is missing too.
        let missing = seen.is_none() && before.1 > after;
        if missing || before.0 + 1 != stored.rev.0 || before.1 >= stored.cursor {
            let reason = format!("it does not follow record {}", before.0);
            return Err(damaged(&run, &lane, stored.rev, &reason));
        }
        ends.insert(lane, (stored.rev.0, stored.cursor));
    }
    Ok(())
}

/// A record's number in its lane and its place among all; that before the first when there is no such record.
fn place(db: &Connection, lane: LaneId, rev: u64) -> Result<(u64, Cursor)> {
    let found = db
        .prepare_cached("SELECT gseq FROM events WHERE run = ?1 AND lane = ?2 AND rev = ?3")?
        .query_row(
            params![lane.run.to_string(), lane.lane.to_string(), integer(rev)],
            |row| row.get::<_, i64>(0),
        )
        .optional()?;
    Ok(match found {
        Some(gseq) => (rev, Cursor(natural(gseq)?)),
        None => (0, Cursor(0)),
    })
}

/// The format of a record, when this code can read it.
fn version(found: i64) -> std::result::Result<u16, String> {
    let known = record::VERSION;
    match u16::try_from(found) {
        Ok(version) if (1..=known).contains(&version) => Ok(version),
        _ if found > i64::from(known) => Err(format!(
            "it has format {found}, and this kennel reads up to {known}; update kennel"
        )),
        _ => Err(format!("there is no format {found}")),
    }
}

fn lane_of(name: &str) -> Option<Lane> {
    match name.strip_prefix('s') {
        Some(place) => place.parse().ok().map(Lane::Step),
        None => (name == "_").then_some(Lane::Run),
    }
}

fn damaged(run: &impl Display, lane: &impl Display, rev: Rev, reason: &str) -> StoreError {
    StoreError::Damaged(format!(
        "run {run}, lane {lane}, record {}: {reason}",
        rev.0
    ))
}
