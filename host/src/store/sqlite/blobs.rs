//! Blobs: small ones in the table, large ones as files, both under their digest and checked against it when they are read.
//!
//! A file appears under its name only when its bytes are on the disk, so a crash leaves a temporary file at worst, never half a blob.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};
use tempfile::NamedTempFile;

use super::super::{Blobs, Result, StoreError, part_of};
use super::writer::Touches;
use super::{SqliteStore, schema};
use crate::id::Digest;

/// The largest blob that stands in the table. Below about this size SQLite is faster than a file of its own; above it rows would
/// bloat the write-ahead log. See <https://sqlite.org/intern-v-extern-blob.html>.
const MAX_INLINE: usize = 64 * 1024;

/// So many files are remembered as checked. Forgetting costs only another look.
const MAX_CHECKED: usize = 1024;

/// Files whose bytes had the right digest, by it, as they were then: nobody writes to them, so their size and time say that they still
/// do. Whole reads are checked each time; this spares those of parts from reading the whole.
#[derive(Default)]
pub(super) struct Checked(Mutex<HashMap<Digest, (u64, Option<SystemTime>)>>);

impl Checked {
    /// Checks an open file, unless it is known. Leaves the place in it anywhere.
    fn check(&self, digest: Digest, file: &mut File, meta: &Metadata) -> io::Result<bool> {
        let as_now = (meta.len(), meta.modified().ok());
        if self.0.lock().get(&digest) == Some(&as_now) {
            return Ok(true);
        }
        let right = Digest::of_stream(&mut BufReader::with_capacity(MAX_INLINE, file))? == digest;
        if right {
            let mut checked = self.0.lock();
            if checked.len() >= MAX_CHECKED
                && let Some(any) = checked.keys().next().copied()
            {
                checked.remove(&any);
            }
            checked.insert(digest, as_now);
        }
        Ok(right)
    }
}

#[async_trait]
impl Blobs for SqliteStore {
    async fn put(&self, bytes: Bytes) -> Result<Digest> {
        if bytes.len() > MAX_INLINE {
            let root = self.inner.blob_dir.clone();
            return blocking(move || {
                let digest = Digest::of(&bytes);
                let path = path_of(&root, digest);
                write_file(&root, &path, &bytes)
                    .map(|()| digest)
                    .map_err(|error| schema::unavailable(&path, &error))
            })
            .await;
        }
        let digest = Digest::of(&bytes);
        if !self
            .inner
            .readers
            .read(move |db| in_table(db, digest))
            .await?
        {
            let put = move |tx: &Connection| {
                tx.prepare_cached("INSERT OR IGNORE INTO blobs (digest, bytes) VALUES (?1, ?2)")?
                    .execute(params![digest.to_string(), bytes.as_ref()])?;
                Ok(())
            };
            self.inner.writer.write(Touches::Other, put).await?;
        }
        Ok(digest)
    }

    async fn get(&self, digest: Digest) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.small(digest).await? {
            return Ok(Some(bytes));
        }
        let path = path_of(&self.inner.blob_dir, digest);
        blocking(move || match read_file(&path)? {
            Some(bytes) if Digest::of(&bytes) != digest => Err(damaged(digest)),
            found => Ok(found.map(Bytes::from)),
        })
        .await
    }

    async fn get_part(&self, digest: Digest, offset: u64, length: usize) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.small(digest).await? {
            return Ok(Some(part_of(&bytes, offset, length)));
        }
        let path = path_of(&self.inner.blob_dir, digest);
        let inner = self.inner.clone();
        blocking(move || {
            let unavailable = |error: io::Error| schema::unavailable(&path, &error);
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unavailable(error)),
            };
            let meta = file.metadata().map_err(unavailable)?;
            let checked = inner.checked.check(digest, &mut file, &meta);
            if !checked.map_err(unavailable)? {
                return Err(damaged(digest));
            }
            let there = meta.len().saturating_sub(offset).min(length as u64);
            let mut part = Vec::with_capacity(usize::try_from(there).unwrap_or(length));
            // There are offsets beyond the end that no file can be asked for.
            if there > 0 {
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.take(there).read_to_end(&mut part))
                    .map_err(unavailable)?;
            }
            Ok(Some(Bytes::from(part)))
        })
        .await
    }

    async fn has(&self, digest: Digest) -> Result<bool> {
        let path = path_of(&self.inner.blob_dir, digest);
        let has = move |db: &Connection| Ok(in_table(db, digest)? || path.is_file());
        self.inner.readers.read(has).await
    }
}

impl SqliteStore {
    /// The bytes of a blob that stands in the table. Files are not read by the few connections that read for everybody.
    async fn small(&self, digest: Digest) -> Result<Option<Bytes>> {
        let bytes = move |db: &Connection| read_table(db, digest);
        match self.inner.readers.read(bytes).await? {
            Some(bytes) if Digest::of(&bytes) != digest => Err(damaged(digest)),
            found => Ok(found.map(Bytes::from)),
        }
    }
}

fn damaged(digest: Digest) -> StoreError {
    StoreError::Damaged(format!(
        "the bytes kept as {digest} have another digest; delete them and put them again"
    ))
}

/// `blobs/ab/abcdef…`: a directory for each first byte keeps every directory short.
fn path_of(root: &Path, digest: Digest) -> PathBuf {
    let name = digest.hex();
    let shelf = name.get(..2).unwrap_or_default();
    root.join(shelf).join(&name)
}

fn in_table(db: &Connection, digest: Digest) -> Result<bool> {
    Ok(db
        .prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1")?
        .exists([digest.to_string()])?)
}

fn read_table(db: &Connection, digest: Digest) -> Result<Option<Vec<u8>>> {
    Ok(db
        .prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?
        .query_row([digest.to_string()], |row| row.get(0))
        .optional()?)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(schema::unavailable(path, &error)),
    }
}

/// Makes the file durable: its bytes, then its name, then the name of its directory. One that is there is written again only when its
/// size is wrong; its name is still made durable, since whoever wrote it may not have come so far.
fn write_file(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let shelf = path.parent().unwrap_or(root);
    schema::make_dir(shelf)?;
    let there = fs::metadata(path).is_ok_and(|meta| meta.len() == bytes.len() as u64);
    if !there {
        let mut file = NamedTempFile::new_in(shelf)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
    }
    for dir in [Some(shelf), Some(root), root.parent()]
        .into_iter()
        .flatten()
    {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Unavailable(format!("a write was cut short: {error}")))?
}
