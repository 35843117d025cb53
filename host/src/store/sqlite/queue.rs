//! Queues in SQLite: a row for each task, with its lease in it.
//!
//! A lease is held by the pair of row number and count of deliveries: neither is ever used again, so no token is needed.
//!
//! Leases are measured by the wall clock, which must mean the same to every process and after a reboot. When it is set forward, leases
//! lapse early and work may be done twice, which the run log makes harmless; when it is set back, a lease that ends more than two terms
//! from now cannot be right and counts as lapsed, so nothing is stuck for longer than that. Delayed tasks wait longer by as much as
//! the clock was set back; others do not wait.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::time::Instant;

use super::super::{Claim, LEASE_TERM, Lease, Put, Queue, QueueTask, Result, follow};
use super::holder::Holder;
use super::writer::Touches;
use super::{SqliteStore, integer};

/// When a row is free to be handed out at the time `?2`, with two terms in milliseconds as `?3`.
const NOT_LEASED: &str = "(lease_until IS NULL OR lease_until <= ?2 OR lease_until > ?2 + ?3)";

#[async_trait]
impl Queue for SqliteStore {
    async fn put(&self, queue: &str, task: QueueTask) -> Result<Put> {
        task.check()?;
        let due = due_at(self.now(), task.delay);
        let (queue, limit) = (
            queue.to_owned(),
            integer(self.inner.options.queue_limit as u64),
        );
        let touches = match task.body.is_empty() {
            true => Touches::Entry,
            false => Touches::Queue,
        };
        let work = move |tx: &Connection| put(tx, &queue, &task, due, limit);
        self.inner.writer.write(touches, work).await
    }

    async fn pull(&self, queue: &str, free: usize, wait: Duration) -> Result<Vec<Box<dyn Lease>>> {
        if free == 0 {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let mut changed = self.inner.writer.queue_changes();
        loop {
            // Marked as seen before looking, so that a task put while looking is not slept through.
            changed.mark_unchanged();
            let taken = self.take_due(queue, free).await?;
            let left = wait.saturating_sub(started.elapsed());
            if !taken.is_empty() || left.is_zero() {
                return Ok(taken);
            }
            follow::wait(&mut changed, Some(left.min(self.inner.options.poll))).await;
        }
    }

    async fn claim(&self, queue: &str, key: &str) -> Result<Claim> {
        let (queue, key, now) = (queue.to_owned(), key.to_owned(), self.now());
        let work = move |tx: &Connection| claim(tx, &queue, &key, now);
        Ok(match self.inner.writer.write(Touches::Lease, work).await? {
            Claimed::Taken(row) => Claim::Taken(self.lease(row)),
            Claimed::Held(who) => Claim::Held(who),
            Claimed::Absent => Claim::Absent,
        })
    }

    async fn room(&self, queue: &str, key: &str) -> Result<Put> {
        let (queue, key) = (queue.to_owned(), key.to_owned());
        let limit = integer(self.inner.options.queue_limit as u64);
        let look = move |db: &Connection| room(db, &queue, &key, limit);
        self.inner.readers.read(look).await
    }

    async fn clear(&self, queue: &str) -> Result<usize> {
        let queue = queue.to_owned();
        let clear = move |tx: &Connection| {
            let mut statement = tx.prepare_cached("DELETE FROM tasks WHERE queue = ?1")?;
            Ok(statement.execute([&queue])?)
        };
        self.inner.writer.write(Touches::Other, clear).await
    }
}

impl SqliteStore {
    /// Takes what is due. Looks first with a reader: an empty queue costs nobody the writer's time.
    async fn take_due(&self, queue: &str, free: usize) -> Result<Vec<Box<dyn Lease>>> {
        let now = self.now();
        let name = queue.to_owned();
        let look = move |db: &Connection| {
            let gone = gone(db, &name, now)?;
            Ok((!gone.is_empty() || !due(db, &name, now, 1)?.is_empty()).then_some(gone))
        };
        let Some(gone) = self.inner.readers.read(look).await? else {
            return Ok(Vec::new());
        };
        let name = queue.to_owned();
        let take = move |tx: &Connection| {
            for holder in &gone {
                give_back(tx, &name, holder)?;
            }
            let rows = due(tx, &name, now, free)?;
            rows.into_iter()
                .map(|row| take(tx, row, now))
                .collect::<Result<Vec<_>>>()
        };
        let taken = self.inner.writer.write(Touches::Lease, take).await?;
        Ok(taken.into_iter().map(|row| self.lease(row)).collect())
    }

    fn lease(&self, row: TaskRow) -> Box<dyn Lease> {
        Box::new(SqliteLease {
            store: self.clone(),
            row,
        })
    }
}

/// A task as it stands in the table.
struct TaskRow {
    seq: i64,
    deliveries: u32,
    task: QueueTask,
}

const TASK_COLUMNS: &str = "seq, deliveries, key, priority, body";

impl TaskRow {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            deliveries: row.get(1)?,
            task: QueueTask {
                key: row.get(2)?,
                priority: row.get(3)?,
                delay: Duration::ZERO,
                body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
            },
        })
    }
}

/// Whether there is room for a task with this key.
fn room(db: &Connection, queue: &str, key: &str, limit: i64) -> Result<Put> {
    let there = db
        .prepare_cached("SELECT 1 FROM tasks WHERE queue = ?1 AND key = ?2")?
        .exists([queue, key])?;
    if there {
        return Ok(Put::Duplicate);
    }
    let waiting: i64 = db
        .prepare_cached("SELECT count(*) FROM tasks WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))?;
    Ok(match waiting >= limit {
        true => Put::Full,
        false => Put::Queued,
    })
}

fn put(tx: &Connection, queue: &str, task: &QueueTask, due: i64, limit: i64) -> Result<Put> {
    match room(tx, queue, &task.key, limit)? {
        Put::Queued => {}
        refused => return Ok(refused),
    }
    tx.prepare_cached(
        "INSERT INTO tasks (queue, key, priority, not_before, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        queue,
        task.key,
        task.priority,
        due,
        task.body.as_ref()
    ])?;
    Ok(Put::Queued)
}

fn due(db: &Connection, queue: &str, now: i64, limit: usize) -> Result<Vec<TaskRow>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {TASK_COLUMNS} FROM tasks WHERE queue = ?1 AND not_before <= ?2 AND {NOT_LEASED}
         ORDER BY priority DESC, seq LIMIT ?4"
    ))?;
    let limit = integer(limit as u64);
    let rows = statement.query_map(params![queue, now, two_terms(), limit], TaskRow::of)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// The holders of leases that hold still, though the process has gone: nobody has to wait for those to lapse.
fn gone(db: &Connection, queue: &str, now: i64) -> Result<Vec<String>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT DISTINCT holder FROM tasks WHERE queue = ?1 AND holder IS NOT NULL AND NOT {NOT_LEASED}"
    ))?;
    let holders = statement.query_map(params![queue, now, two_terms()], |row| row.get(0))?;
    let mut holders = holders.collect::<rusqlite::Result<Vec<String>>>()?;
    holders.retain(|holder| holder.parse().is_ok_and(|holder: Holder| holder.is_gone()));
    Ok(holders)
}

fn give_back(tx: &Connection, queue: &str, holder: &str) -> Result<()> {
    tx.prepare_cached(
        "UPDATE tasks SET lease_until = NULL, leased_at = NULL, holder = NULL WHERE queue = ?1 AND holder = ?2",
    )?
    .execute([queue, holder])?;
    Ok(())
}

fn take(tx: &Connection, mut row: TaskRow, now: i64) -> Result<TaskRow> {
    row.deliveries = row.deliveries.saturating_add(1);
    let holder = Holder::this().map(|holder| holder.to_string());
    tx.prepare_cached(
        "UPDATE tasks SET deliveries = ?2, lease_until = ?3, leased_at = ?4, holder = ?5 WHERE seq = ?1",
    )?
    .execute(params![row.seq, row.deliveries, now.saturating_add(term()), now, holder])?;
    Ok(row)
}

enum Claimed {
    Taken(TaskRow),
    Held(String),
    Absent,
}

fn claim(tx: &Connection, queue: &str, key: &str, now: i64) -> Result<Claimed> {
    let found = tx
        .prepare_cached(&format!(
            "SELECT {TASK_COLUMNS}, {NOT_LEASED}, leased_at, holder FROM tasks WHERE queue = ?1 AND key = ?4"
        ))?
        .query_row(params![queue, now, two_terms(), key], |row| {
            Ok((TaskRow::of(row)?, row.get(5)?, row.get(6)?, row.get(7)?))
        })
        .optional()?;
    let Some((row, free, since, holder)): Option<(_, bool, Option<i64>, Option<String>)> = found
    else {
        return Ok(Claimed::Absent);
    };
    let holder: Option<Holder> = holder.and_then(|text| text.parse().ok());
    if free || holder.as_ref().is_some_and(Holder::is_gone) {
        return Ok(Claimed::Taken(take(tx, row, now)?));
    }
    Ok(Claimed::Held(held_by(holder.as_ref(), since)))
}

/// Who holds a task, for people.
fn held_by(holder: Option<&Holder>, since: Option<i64>) -> String {
    let who = holder.map_or_else(
        || "a process on this machine".to_owned(),
        |holder| format!("process {} on this machine", holder.pid()),
    );
    match since.and_then(|since| Timestamp::from_millisecond(since).ok()) {
        Some(since) => format!("{who}, since {since}"),
        None => who,
    }
}

struct SqliteLease {
    store: SqliteStore,
    row: TaskRow,
}

impl SqliteLease {
    /// Changes the own row while it is still this delivery; `change` gets the row and the delivery. Says whether it still was.
    async fn change(
        &self,
        touches: Touches,
        change: impl FnOnce(&Connection, i64, u32) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<bool> {
        let (seq, deliveries) = (self.row.seq, self.row.deliveries);
        let work = move |tx: &Connection| Ok(change(tx, seq, deliveries)? > 0);
        self.store.inner.writer.write(touches, work).await
    }
}

#[async_trait]
impl Lease for SqliteLease {
    fn task(&self) -> &QueueTask {
        &self.row.task
    }

    fn deliveries(&self) -> u32 {
        self.row.deliveries
    }

    fn term(&self) -> Duration {
        LEASE_TERM
    }

    async fn renew(&self) -> Result<bool> {
        let until = self.store.now().saturating_add(term());
        let renew = move |tx: &Connection, seq, deliveries| {
            tx.prepare_cached(
                "UPDATE tasks SET lease_until = ?3 WHERE seq = ?1 AND deliveries = ?2",
            )?
            .execute(params![seq, deliveries, until])
        };
        self.change(Touches::Lease, renew).await
    }

    async fn done(self: Box<Self>) -> Result<()> {
        let remove = |tx: &Connection, seq, deliveries| {
            tx.prepare_cached("DELETE FROM tasks WHERE seq = ?1 AND deliveries = ?2")?
                .execute(params![seq, deliveries])
        };
        self.change(Touches::Lease, remove).await.map(drop)
    }

    async fn retry(self: Box<Self>, delay: Duration) -> Result<()> {
        let due = due_at(self.store.now(), delay);
        let release = move |tx: &Connection, seq, deliveries| {
            tx.prepare_cached(
                "UPDATE tasks SET not_before = ?3, lease_until = NULL, leased_at = NULL, holder = NULL
                 WHERE seq = ?1 AND deliveries = ?2",
            )?
            .execute(params![seq, deliveries, due])
        };
        self.change(Touches::Queue, release).await.map(drop)
    }
}

/// From when on a task is handed out. One that is not delayed is due whatever becomes of the clock.
fn due_at(now: i64, delay: Duration) -> i64 {
    match delay.is_zero() {
        true => 0,
        false => now.saturating_add(millis(delay)),
    }
}

fn term() -> i64 {
    millis(LEASE_TERM)
}

fn two_terms() -> i64 {
    term().saturating_mul(2)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
