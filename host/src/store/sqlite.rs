//! The store in one SQLite file: the default, with nothing to start, and `sqlite3 kennel.db` can look inside while it runs.
//!
//! One thread writes and commits in groups; a few connections read. Other processes may have the same file open. For one machine
//! only: a network file system does not keep the promises that SQLite's locks and write-ahead log need.

mod answers;
mod blobs;
mod holder;
mod kv;
mod kv_past;
mod log;
mod names;
mod queue;
mod readers;
mod runs;
mod schema;
mod sum;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{ErrorCode, ffi};

use self::readers::Readers;
use self::writer::Writer;
use super::broadcast::Broadcast;
use super::{Backend, Blobs, Caps, Hints, Kv, QUEUE_LIMIT, Queue, Result, RunLog, StoreError};
use crate::answers::Answers;

/// A clock: milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What can be chosen when a store is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The most tasks in one queue.
    pub queue_limit: usize,
    /// What leases and delays are measured by.
    pub clock: Clock,
    /// How often those who wait look for what other processes committed, and for leases that lapsed. Commits of this process wake
    /// them at once.
    pub poll: Duration,
    /// The bytes that earlier answers may take.
    pub answers: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            queue_limit: QUEUE_LIMIT,
            clock: Arc::new(wall_clock),
            poll: Duration::from_millis(200),
            answers: 256 << 20,
        }
    }
}

/// The store in one SQLite file. Cloning is cheap and gives the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    readers: Readers,
    hints: Broadcast,
    blob_dir: PathBuf,
    checked: blobs::Checked,
    options: SqliteOptions,
}

impl SqliteStore {
    /// Opens (or makes) `kennel.db` and `blobs/` in `dir`, which is made with access for its owner only.
    ///
    /// Does blocking file work, for a few milliseconds. Refuses a file that a newer kennel made.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, SqliteOptions::default())
    }

    /// Like [`SqliteStore::open`], with other than the usual options.
    pub fn open_with(dir: &Path, options: SqliteOptions) -> Result<Self> {
        let _alone = schema::lock(dir)?;
        let file = schema::make_file(dir)?;
        let mut connection = schema::connect(&file)?;
        schema::migrate(&mut connection)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer: Writer::start(connection)?,
                readers: Readers::new(file),
                hints: Broadcast::new(),
                blob_dir: dir.join("blobs"),
                checked: blobs::Checked::default(),
                options,
            }),
        })
    }

    /// How often this store has waited for the disk to commit changes, since it was opened. Folding the write-ahead log into the file, now
    /// and then, is not counted.
    pub fn syncs(&self) -> u64 {
        self.inner.writer.syncs()
    }

    fn now(&self) -> i64 {
        (self.inner.options.clock)()
    }
}

impl Backend for SqliteStore {
    fn log(&self) -> &dyn RunLog {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn kv(&self) -> &dyn Kv {
        self
    }

    fn blobs(&self) -> &dyn Blobs {
        self
    }

    fn hints(&self) -> &dyn Hints {
        &self.inner.hints
    }

    fn answers(&self) -> Arc<dyn Answers> {
        Arc::new(self.clone())
    }

    fn caps(&self) -> Caps {
        Caps {
            durable: true,
            replicas: 1,
            name: "sqlite",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match (&error, error.sqlite_error_code()) {
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            | (
                E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::InvalidColumnType(..)
                | E::Utf8Error(..),
                _,
            ) => Self::Damaged(error.to_string()),
            (_, Some(ErrorCode::DiskFull)) => Self::Unavailable(format!(
                "{error}: the disk is full; make room where the state directory is, then `kennel runs resume` goes on with every accepted run"
            )),
            // The first to open a store makes the index of its write-ahead log, which needs room.
            (E::SqliteFailure(code, _), _) if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                Self::Unavailable(format!(
                    "{error}: the disk is full, or cannot be written; make room where the state directory is, even to read what is there"
                ))
            }
            (_, Some(ErrorCode::TooBig)) => Self::Refused(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// A number as SQLite keeps it. Counts and places stay far below the bound; what does not is cut there.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count or a place as it was kept; a negative one was never written by this code.
fn natural(number: i64) -> Result<u64> {
    u64::try_from(number)
        .map_err(|_| StoreError::Damaged(format!("{number} where a count belongs")))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
