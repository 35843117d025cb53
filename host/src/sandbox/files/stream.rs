//! The stream into a file whose agent has a quota: each write takes the room that it needs before it happens.
//!
//! In the place of wasmtime-wasi's, which starts a write by itself: here it waits for its turn while the quota is counted.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::quota::{Quota, warn};
use super::walk::Used;
use crate::sandbox::log::Log;

/// What a guest is told that one write may carry. wasmtime allocates this much for `write-zeroes`.
const PERMIT: usize = 64 << 10;

/// Where in a file something is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// From this byte on.
    Position(u64),
    /// Wherever the file ends by then.
    End,
}

/// Writes all of `bytes`, if there is room.
///
/// # Errors
/// `QuotaExceeded` when there is none, and those of the file.
pub(super) async fn write(
    quota: &Arc<Quota>,
    file: Arc<File>,
    at: At,
    bytes: Bytes,
) -> io::Result<u64> {
    let writing = quota.change(move |room| {
        let count = bytes.len() as u64;
        room.take(match at {
            At::Position(_) if count == 0 => Used::default(),
            At::Position(from) => growth(&file, from.saturating_add(count))?,
            At::End => Used::bytes(count),
        })?;
        match at {
            At::Position(from) => file.write_all_at(&bytes, from)?,
            At::End => append(&file, &bytes)?,
        }
        Ok(count)
    });
    writing.await
}

/// What `file` will take more when it ends at `end`.
pub(super) fn growth(file: &File, end: u64) -> io::Result<Used> {
    Ok(Used::bytes(end.saturating_sub(file.metadata()?.len())))
}

fn append(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Not every kernel has it; there, two that append at once may get into each other's way.
            Err(Errno::NOSYS | Errno::NOTSUP) => {
                return file.write_all_at(bytes, file.metadata()?.len());
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A guest's stream into a file.
pub(super) struct FileStream {
    quota: Arc<Quota>,
    log: Log,
    file: Arc<File>,
    at: At,
    state: State,
}

enum State {
    Ready,
    Writing(BoxFuture<'static, io::Result<u64>>),
    Failed(io::Error),
    Closed,
}

impl FileStream {
    pub(super) fn new(quota: Arc<Quota>, log: Log, file: Arc<File>, at: At) -> Self {
        Self {
            quota,
            log,
            file,
            at,
            state: State::Ready,
        }
    }

    fn written(&mut self, ended: io::Result<u64>) {
        self.state = match ended {
            Ok(count) => {
                if let At::Position(position) = &mut self.at {
                    *position = position.saturating_add(count);
                }
                State::Ready
            }
            Err(error) => {
                warn(&self.log, &error);
                State::Failed(error)
            }
        };
    }

    /// What a stream says of itself: once that it failed, and from then on that it is closed.
    fn check(&mut self) -> StreamResult<()> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {
        if let State::Writing(writing) = &mut self.state {
            let ended = writing.await;
            self.written(ended);
        }
    }
}

#[async_trait]
impl OutputStream for FileStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.state {
            State::Ready => {}
            State::Closed => return Err(StreamError::Closed),
            State::Writing(_) | State::Failed(_) => {
                return Err(StreamError::trap(
                    "written without a permit of `check-write`",
                ));
            }
        }
        let (quota, file, at) = (self.quota.clone(), self.file.clone(), self.at);
        let mut writing = async move { write(&quota, file, at, bytes).await }.boxed();
        // Asked once, so that it begins now and not when the guest waits for it.
        match (&mut writing).now_or_never() {
            Some(ended) => self.written(ended),
            None => self.state = State::Writing(writing),
        }
        Ok(())
    }

    /// Nothing is held back here.
    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        Ok(match self.state {
            State::Ready => PERMIT,
            _ => 0,
        })
    }

    /// What has begun is brought to its end, so that no guest leaves more behind it than one write for each stream that it still has.
    async fn cancel(&mut self) {
        if let State::Writing(writing) = std::mem::replace(&mut self.state, State::Closed) {
            // Nobody is left to be told.
            let _ = writing.await;
        }
    }
}
