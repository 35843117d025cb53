//! What only the SQLite store does: its file, other processes, damage, and a disk that is full.

mod answers;
mod batches;
mod files;
mod processes;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::super::conformance::{new_lane, run_started, run_succeeded, step_started};
use super::super::{Cas, LaneId, Rev};
use super::*;
use crate::record::Record;

fn open() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    (dir, store)
}

/// The file as anybody else sees it.
fn raw(dir: &TempDir) -> Connection {
    Connection::open(dir.path().join("kennel.db")).unwrap()
}

async fn append(store: &SqliteStore, lane: LaneId, expect: u64, records: &[Record]) -> Result<Cas> {
    store.log().append(lane, Rev(expect), records).await
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}
