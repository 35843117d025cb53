//! The store: small traits over whatever keeps runs, work, state and bytes.
//!
//! One rule: the run log is the only truth. Queue entries, hints and indexes are derived from it; they may be lost, doubled, late or
//! stale, and everything must still come out right. An implementation may do more in one transaction; no caller may need that.

pub mod append;
mod broadcast;
#[cfg(test)]
mod conformance;
mod depth;
mod follow;
mod kv_history;
mod kv_rules;
pub mod memory;
mod projection;
pub mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::answers::Answers;
use crate::id::{Digest, RunId};
use crate::record::Record;

pub use self::depth::MAX_DEPTH;
pub use self::kv_history::{
    KV_HISTORY, KV_INLINE_MAX, KV_PAST_BYTES, KV_PAST_CHANGES, KvBy, KvChange, KvData, KvKept,
    KvOp, KvSpace, state_of,
};

/// Why the store did not do what it was asked. A conflict is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or the disk is full: the same request may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What it holds cannot be read: damage, or a newer format.
    #[error("the store holds something that cannot be read: {0}")]
    Damaged(String),
    /// It will never do this: a limit is passed, and the text says which.
    #[error("the store refuses this: {0}")]
    Refused(String),
}

/// The most bytes in the body of a task; larger things are blobs. Bounds what one hand-out of a full queue can carry.
pub const MAX_TASK_BODY: usize = 64 * 1024;
/// The most tasks in one queue unless the backend was told otherwise; past it, [`Put::Full`] pushes back.
pub const QUEUE_LIMIT: usize = 1024;
/// How long a lease holds after each renewal. Long enough for two renewals to be missed at one every ten seconds.
pub const LEASE_TERM: Duration = Duration::from_secs(30);

/// The result of asking the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A run's records are kept in lanes; each lane is totally ordered and appended to by compare-and-append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The run.
    pub run: RunId,
    /// The lane.
    pub lane: Lane,
}

/// Which lane of a run. A run driven by one owner uses only its own lane; steps that other nodes execute get one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// The run's own.
    Run,
    /// That of one step, by its place in the plan.
    Step(u32),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("_"),
            Self::Step(n) => write!(f, "s{n}"),
        }
    }
}

/// A place in a lane, or the revision of a state key. Opaque except that 0 means "nothing there yet" and later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rev(pub u64);

impl Rev {
    /// Nothing there yet.
    pub const NONE: Self = Self(0);
}

/// The answer to a compare-and-append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cas {
    /// Durable; the place of the last appended record.
    Committed(Rev),
    /// Somebody else has appended: whoever asked no longer owns the lane. Only answered after a fresh look at the lane's end.
    Conflict(Option<Head>),
}

/// The end of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place.
    pub rev: Rev,
    /// The id of the last record.
    pub id: Ulid,
}

/// A record with where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The place in the order of all commits of this store.
    pub cursor: Cursor,
    /// The lane.
    pub lane: LaneId,
    /// The place in the lane.
    pub rev: Rev,
    /// The record.
    pub record: Record,
}

/// A place in the order of all commits; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Cursor(pub u64);

/// One line of a list of runs, derived from the log.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The flow's name.
    pub flow: String,
    /// When it was accepted.
    pub started: jiff::Timestamp,
    /// When its last record was written.
    pub updated: jiff::Timestamp,
    /// How it ended; `None` while it has not.
    pub outcome: Option<RunOutcome>,
}

/// How a run ended, as far as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// With an output.
    Succeeded,
    /// Without one.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// The journals.
#[async_trait]
pub trait RunLog: Send + Sync {
    /// Appends `records` to `lane` together or not at all, if its end is still `expect`. Durable when it answers.
    ///
    /// Idempotent by the id of the last record: when the lane already ends with it, the answer is [`Cas::Committed`]. Without
    /// records it only compares. Who must know for sure asks through [`append::append_surely`].
    ///
    /// Refuses a record whose value is nested more than [`MAX_DEPTH`] levels deep.
    async fn append(&self, lane: LaneId, expect: Rev, records: &[Record]) -> Result<Cas>;
    /// Up to `limit` records of the run after `after`, in commit order. Fewer only when these were all, everything committed before the
    /// call included.
    async fn page(&self, run: RunId, after: Cursor, limit: usize) -> Result<Vec<Stored>>;
    /// Every record of the run.
    #[cfg(test)]
    async fn replay(&self, run: RunId) -> Result<Vec<Stored>> {
        self.page(run, Cursor(0), usize::MAX).await
    }
    /// The end of the lane, freshly read.
    async fn head(&self, lane: LaneId) -> Result<Option<Head>>;
    /// Every record committed after `from`, of one run or of all, and then each new one as it comes.
    ///
    /// After an error the stream ends; whoever wants more asks again from the last cursor seen.
    async fn tail(
        &self,
        from: Cursor,
        run: Option<RunId>,
    ) -> Result<BoxStream<'static, Result<Stored>>>;
    /// Runs, newest first, at most `limit`, older than `before`.
    async fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunSummary>>;
    /// Forgets a run: its records and its line in the list. No cursor is ever used again.
    async fn purge(&self, run: RunId) -> Result<()>;
}

/// Work that waits for somebody to do it.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts a task; one with the same key that is still there makes it a no-op. A body over [`MAX_TASK_BODY`] is refused.
    async fn put(&self, queue: &str, task: QueueTask) -> Result<Put>;
    /// Up to `free` tasks that are due and not leased, highest priority first and then the oldest, waiting up to `wait` for the
    /// first one.
    async fn pull(&self, queue: &str, free: usize, wait: Duration) -> Result<Vec<Box<dyn Lease>>>;
    /// Exactly this task, now, due or not: for somebody who was asked to do it. Also takes it over from a holder that is known to
    /// be gone.
    async fn claim(&self, queue: &str, key: &str) -> Result<Claim>;
    /// What [`Queue::put`] would answer now to a task with this key. Changes nothing, and may be out of date when it is read.
    async fn room(&self, queue: &str, key: &str) -> Result<Put>;
    /// Removes every task of the queue, due or not, and also those that somebody has: their leases are lost. Returns how many.
    async fn clear(&self, queue: &str) -> Result<usize>;
}

/// A task in a queue. The body is small; large things are blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTask {
    /// Unique in its queue.
    pub key: String,
    /// Higher goes first.
    pub priority: u8,
    /// Not handed out before this much time has passed; zero in a task that was handed out.
    pub delay: Duration,
    /// For whoever does it; at most [`MAX_TASK_BODY`]. Without one the task only points at something that is kept elsewhere, such as
    /// a run in its journal: it may be lost when the power is, and whoever put it must be able to put it again.
    pub body: Bytes,
}

impl QueueTask {
    /// Refuses a body that is too large. Every backend asks this first.
    fn check(&self) -> Result<()> {
        let size = self.body.len();
        if size <= MAX_TASK_BODY {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "the body of task `{}` has {size} bytes, and {MAX_TASK_BODY} are allowed; put it in a blob",
            self.key.escape_debug()
        )))
    }
}

/// The answer to [`Queue::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is in the queue.
    Queued,
    /// One with the same key already was.
    Duplicate,
    /// The queue is at its limit.
    Full,
}

/// The answer to [`Queue::claim`].
pub enum Claim {
    /// The caller has it now.
    Taken(Box<dyn Lease>),
    /// Somebody who still lives has it; the text says who.
    Held(String),
    /// It is not in the queue.
    Absent,
}

/// A task that somebody works on. It lapses unless renewed; then the task is handed to the next who asks. Dropping it does nothing.
#[async_trait]
pub trait Lease: Send + Sync {
    /// The task.
    fn task(&self) -> &QueueTask;
    /// How often the task was handed out, this time included.
    fn deliveries(&self) -> u32;
    /// How long the lease holds after each renewal.
    fn term(&self) -> Duration;
    /// Holds the lease for another term. `false` when it was lost to somebody else.
    async fn renew(&self) -> Result<bool>;
    /// The task is finished: remove it. Does nothing when the lease was lost: then the task is somebody else's.
    async fn done(self: Box<Self>) -> Result<()>;
    /// Not now: hand it out again after `delay`. Does nothing when the lease was lost.
    async fn retry(self: Box<Self>, delay: Duration) -> Result<()>;
}

/// A namespace of shared state: by default the name of the agent that it belongs to.
pub type Namespace = str;

/// A value in shared state, with how to read it: `text`, `json`, or a media type (which always holds a `/`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    /// `text`, `json` or a media type.
    pub format: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// A value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The value.
    pub value: KvValue,
    /// Its revision; revisions of one key only grow, also over a deletion, and stay below 2^53.
    pub rev: Rev,
}

/// What a change of state may not pass; checked in the same transaction as the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvQuota {
    /// Keys in the namespace.
    pub keys: u64,
    /// Bytes of all values in the namespace.
    pub bytes: u64,
}

/// What must be there for a change to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// Nothing.
    Absent,
    /// This revision; [`Rev::NONE`] means nothing.
    Rev(Rev),
}

/// The answer to a change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvCas {
    /// Durable, under this revision.
    Committed(Rev),
    /// What is there was not what was expected.
    Conflict(Option<KvEntry>),
    /// The change would pass a quota; the text says which.
    Quota(String),
}

/// The answer to an increment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvAdd {
    /// Durable; the new value.
    Committed(i64),
    /// The value there is not a whole number, or the sum leaves the range of 64 bits; the text says which.
    NotANumber(String),
    /// The change would pass a quota; the text says which.
    Quota(String),
}

/// Shared state: revisioned values by namespace and key. Every change is kept in a history, in the same transaction.
#[async_trait]
pub trait Kv: Send + Sync {
    /// The value of a key, freshly read.
    async fn get(&self, ns: &Namespace, key: &str) -> Result<Option<KvEntry>>;
    /// Sets (or with `None` deletes) a key, if what is there is what was expected. A deletion has a revision too, and is never
    /// refused for a quota; nor is a change that does not add to what is over it.
    async fn cas(
        &self,
        ns: &Namespace,
        key: &str,
        expect: Expect,
        value: Option<KvValue>,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvCas>;
    /// Adds to a whole number, kept as its JSON text with the format `json`; a missing key counts as 0.
    async fn add(
        &self,
        ns: &Namespace,
        key: &str,
        delta: i64,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvAdd>;
    /// Up to `limit` keys that begin with `prefix`, in byte order, after `after`.
    async fn keys(
        &self,
        ns: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>>;
    /// Up to `limit` changes with a revision after `after`, oldest first, of one key or of the whole namespace. Of each key the
    /// newest [`KV_HISTORY`] changes are kept, deletions included. Of the namespace, the changes that made no present value are
    /// bounded by the quota of whoever makes the next: [`KV_PAST_CHANGES`] and [`KV_PAST_BYTES`] say how; the oldest go first. What
    /// is kept says all about the present state. Namespaces that begin with `.` are the host's own and have no history.
    async fn history(
        &self,
        ns: &Namespace,
        key: Option<&str>,
        after: Rev,
        limit: usize,
    ) -> Result<Vec<KvChange>>;
    /// The namespaces that hold anything, by name.
    async fn spaces(&self) -> Result<Vec<KvSpace>>;
}

/// Bytes under their SHA-256, each kept once.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps the bytes; durable when it answers. Cheap when they are there already.
    async fn put(&self, bytes: Bytes) -> Result<Digest>;
    /// The bytes, checked against the digest; `None` when they are not there.
    async fn get(&self, digest: Digest) -> Result<Option<Bytes>>;
    /// Up to `length` of the bytes from `offset` on; none beyond their end, `None` when they are not there. The whole is checked against
    /// the digest the first time, without holding it.
    async fn get_part(&self, digest: Digest, offset: u64, length: usize) -> Result<Option<Bytes>>;
    /// Whether they are there.
    async fn has(&self, digest: Digest) -> Result<bool>;
}

/// Up to `length` of `bytes` from `offset` on, not copied.
pub(crate) fn part_of(bytes: &Bytes, offset: u64, length: usize) -> Bytes {
    let from = usize::try_from(offset).map_or(bytes.len(), |from| from.min(bytes.len()));
    bytes.slice(from..from.saturating_add(length).min(bytes.len()))
}

/// Wake-ups: best effort, never waited for, never the truth.
pub trait Hints: Send + Sync {
    /// Tells whoever listens now.
    fn publish(&self, subject: &str, body: Bytes);
    /// Hears what is published from now on under subjects that begin with `prefix`.
    fn subscribe(&self, prefix: &str) -> BoxStream<'static, (String, Bytes)>;
}

/// What a backend promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Caps {
    /// Whether what was acknowledged outlives the process and a loss of power.
    pub durable: bool,
    /// How many copies are kept.
    pub replicas: u32,
    /// The backend's name, for people.
    pub name: &'static str,
}

/// One place that keeps everything.
pub trait Backend: Send + Sync {
    /// The journals.
    fn log(&self) -> &dyn RunLog;
    /// Waiting work.
    fn queue(&self) -> &dyn Queue;
    /// Shared state.
    fn kv(&self) -> &dyn Kv;
    /// Bytes.
    fn blobs(&self) -> &dyn Blobs;
    /// Wake-ups.
    fn hints(&self) -> &dyn Hints;
    /// Earlier answers, for the cache.
    fn answers(&self) -> Arc<dyn Answers>;
    /// What it promises.
    fn caps(&self) -> Caps;
}

/// The store as everybody holds it.
pub type SharedBackend = Arc<dyn Backend>;
