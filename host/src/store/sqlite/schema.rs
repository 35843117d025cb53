//! The file: how it is made, opened and brought up to date. A stored format is a promise, so steps are only ever added here.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::super::{Result, StoreError};
use super::{integer, names};

/// The name of the file.
const FILE: &str = "kennel.db";

/// The steps from an empty file to the present format; `user_version` says how many were taken. Never change one that was released.
pub(super) const STEPS: &[&str] = &[
    "
    CREATE TABLE events (
        gseq    INTEGER PRIMARY KEY AUTOINCREMENT,
        run     TEXT    NOT NULL,
        lane    TEXT    NOT NULL,
        rev     INTEGER NOT NULL,
        id      TEXT    NOT NULL,
        at      TEXT    NOT NULL,
        version INTEGER NOT NULL,
        kind    TEXT    GENERATED ALWAYS AS
                        (CASE WHEN json_valid(body) THEN json_extract(body, '$.type') END) VIRTUAL,
        body    TEXT    NOT NULL,
        UNIQUE (run, lane, rev)
    ) STRICT;
    CREATE INDEX events_by_run ON events (run);

    CREATE TABLE runs (
        run     TEXT PRIMARY KEY,
        flow    TEXT NOT NULL,
        started TEXT NOT NULL,
        updated TEXT NOT NULL,
        outcome TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tasks (
        seq         INTEGER PRIMARY KEY AUTOINCREMENT,
        queue       TEXT    NOT NULL,
        key         TEXT    NOT NULL,
        priority    INTEGER NOT NULL,
        not_before  INTEGER NOT NULL,
        deliveries  INTEGER NOT NULL DEFAULT 0,
        lease_until INTEGER,
        leased_at   INTEGER,
        holder      TEXT,
        body        BLOB    NOT NULL,
        UNIQUE (queue, key)
    ) STRICT;
    CREATE INDEX tasks_by_rank ON tasks (queue, priority DESC, seq);

    CREATE TABLE kv (
        ns     TEXT    NOT NULL,
        key    TEXT    NOT NULL,
        rev    INTEGER NOT NULL,
        format TEXT    NOT NULL,
        bytes  BLOB    NOT NULL,
        PRIMARY KEY (ns, key)
    ) STRICT;
    CREATE TABLE kv_used (
        ns    TEXT PRIMARY KEY,
        keys  INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kv_last (rev INTEGER NOT NULL) STRICT;
    INSERT INTO kv_last VALUES (0);

    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        bytes  BLOB NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE answers (
        key    TEXT    NOT NULL UNIQUE,
        given  INTEGER NOT NULL,
        format TEXT    NOT NULL,
        bytes  BLOB    NOT NULL
    ) STRICT;
    CREATE INDEX answers_by_age ON answers (given);
    CREATE TABLE answers_used (bytes INTEGER NOT NULL) STRICT;
    INSERT INTO answers_used VALUES (0);
  ",
    "
    -- Every change of shared state. `kv` then only says which change of a key is the present one.
    CREATE TABLE kv_log (
        rev    INTEGER PRIMARY KEY,
        ns     TEXT    NOT NULL,
        key    TEXT    NOT NULL,
        nth    INTEGER NOT NULL,
        op     TEXT    NOT NULL,
        delta  INTEGER,
        format TEXT,
        size   INTEGER NOT NULL,
        bytes  BLOB,
        blob   TEXT,
        at     TEXT,
        run    TEXT,
        task   TEXT
    ) STRICT;
    INSERT INTO kv_log (rev, ns, key, nth, op, format, size, bytes)
        SELECT rev, ns, key, 1, 'set', format, length(bytes), bytes FROM kv;
    CREATE INDEX kv_log_by_key ON kv_log (ns, key, rev);
    CREATE TABLE kv_now (
        ns  TEXT    NOT NULL,
        key TEXT    NOT NULL,
        rev INTEGER NOT NULL,
        PRIMARY KEY (ns, key)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO kv_now SELECT ns, key, rev FROM kv;
    DROP TABLE kv;
    ALTER TABLE kv_now RENAME TO kv;
",
    "
    -- The changes of `kv_log` that made no present value, in the order in which they are forgotten, and what they come to.
    CREATE TABLE kv_past (
        ns   TEXT    NOT NULL,
        rev  INTEGER NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (ns, rev)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO kv_past SELECT ns, rev, size FROM kv_log WHERE rev NOT IN (SELECT rev FROM kv);
    ALTER TABLE kv_used ADD COLUMN past INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE kv_used ADD COLUMN past_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE kv_used SET (past, past_bytes) =
        (SELECT count(*), coalesce(sum(size), 0) FROM kv_past WHERE kv_past.ns = kv_used.ns);
",
    "
    -- The checksum of each record. Those that were written before, or by a kennel that knows of none, have none.
    ALTER TABLE events ADD COLUMN sum INTEGER;
",
];

/// Makes the directory, for its owner only, and lets one store at a time be opened in it, until what is returned is dropped. Without it
/// two that switch a new file to its write-ahead log together may both be refused: SQLite does not wait there, since each would wait for
/// the other.
pub(super) fn lock(dir: &Path) -> Result<File> {
    make_dir(dir).map_err(|error| unavailable(&dir.join(FILE), &error))?;
    let lock = File::open(dir).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| unavailable(dir, &error))
}

/// Makes an empty file in the directory, for its owner only, and says where it is; the directory must be locked. SQLite gives its side
/// files the mode of the main one.
///
/// A file that is there is not opened. When a process closes a file, the system takes away all locks that it has on it, through whatever
/// descriptor: another store of this process would go on without, and other processes would remove the write-ahead log under it.
pub(super) fn make_file(dir: &Path) -> Result<PathBuf> {
    let file = dir.join(FILE);
    if !file.exists() {
        // First: who finds the file knows that its directory stays.
        let made = names::keep(dir).and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&file)
        });
        made.map_err(|error| unavailable(&file, &error))?;
    }
    Ok(file)
}

/// Makes a directory, and those above it, for their owner only.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A connection with the settings that durability rests on.
pub(super) fn connect(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let file = file.display();
        return Err(StoreError::Unavailable(format!(
            "{file} cannot have a write-ahead log: move the state directory to a local file system"
        )));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Takes the steps that the file has not taken yet. Safe when several processes open a new file at once.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = STEPS.len();
    let left = usize::try_from(taken)
        .ok()
        .and_then(|taken| STEPS.get(taken..))
        .ok_or_else(|| {
            StoreError::Damaged(format!(
                "kennel.db was made by a newer kennel: it has format {taken}, this one reads up to {known}; update kennel"
            ))
        })?;
    for step in left {
        tx.execute_batch(step)?;
    }
    if !left.is_empty() {
        tx.pragma_update(None, "user_version", integer(known as u64))?;
    }
    tx.commit()?;
    Ok(())
}

/// A failure of the file system, with the path that it is about.
pub(super) fn unavailable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
