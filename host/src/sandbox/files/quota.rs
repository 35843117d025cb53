//! The quota of an agent's files: `limits.files` and `limits.file-count` over all directories that it may write in, for all of its tasks
//! in this process together.
//!
//! What grows is added up before it does; what shrinks is not followed. When the sum would pass the quota, the directories are walked
//! and the true figure takes its place, and only if that leaves no room either, the change is refused. So what other processes do there,
//! and the version of the agent before a reload, is noticed at the next walk and no sooner.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::RwLock;
use tokio::time::Instant;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::walk::{Opened, Used, walk};
use crate::limits::Limits;
use crate::sandbox::log::Log;
use crate::units::Bytes;

/// After a walk, the next one waits for so many times as long as it took: a guest that is always just below its quota makes the host
/// walk for a tenth of the time at most.
const REST: u32 = 9;

/// How much an agent's files may take, and how much they do.
pub(in crate::sandbox) struct Quota {
    limit: Used,
    /// The directories that the agent may write in, none of them inside another.
    roots: Vec<OwnedFd>,
    opened: Opened,
    /// Held for reading by whoever changes anything there and for writing by who walks: so a walk sees no change half done, and none is
    /// forgotten by it.
    sum: Arc<RwLock<Sum>>,
    walks: AtomicU64,
    /// No walk begins sooner.
    rested: Mutex<Instant>,
    /// How long a walk waits for changes that have begun: as long as a call may take, for one of them may hang (in a pipe that somebody
    /// placed there, on a network).
    patience: Duration,
}

/// What the files take at most.
struct Sum {
    bytes: AtomicU64,
    entries: AtomicU64,
    /// What a walk found to be too much.
    over: Option<Over>,
}

impl Sum {
    fn of(used: Used, over: Option<Over>) -> Self {
        Self {
            bytes: used.bytes.into(),
            entries: used.entries.into(),
            over,
        }
    }

    /// What a walk has found. Of what is too much, only so much was counted: nothing may grow until there is less.
    fn walked(used: Used, limit: Used) -> Self {
        match used.passes(limit) {
            false => Self::of(used, None),
            true if used.entries > limit.entries => Self::of(Used::TOO_MUCH, Some(Over::Entries)),
            true => Self::of(Used::TOO_MUCH, Some(Over::Bytes)),
        }
    }
}

impl Quota {
    /// For the directories `roots`, of which none is walked yet: that is for the first change.
    pub(super) fn new(limits: &Limits, roots: Vec<OwnedFd>) -> Self {
        Self {
            limit: Used {
                bytes: limits.files.0,
                entries: limits.file_count,
            },
            roots,
            opened: Opened::default(),
            sum: Arc::new(RwLock::new(Sum::of(Used::TOO_MUCH, None))),
            walks: AtomicU64::new(0),
            rested: Mutex::new(Instant::now()),
            patience: limits.host_call_timeout.0,
        }
    }

    /// Does `change` on a thread for blocking work, to the end even when nobody waits for it any more. It first takes the room that it
    /// needs, and is done a second time, after a walk, when there was too little.
    ///
    /// # Errors
    /// `QuotaExceeded` when there is not enough room, and those of `change`.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl Fn(&Room<'_>) -> io::Result<T> + Send + Sync + 'static,
    ) -> io::Result<T> {
        let change = Arc::new(change);
        let attempt = async || {
            // Waited for here, and not on a thread that others need.
            let sum = self.sum.clone().read_owned().await;
            let (quota, change) = (self.clone(), change.clone());
            let work = move || {
                let room = Room {
                    sum: &sum,
                    quota: &quota,
                };
                (change(&room), quota.walks.load(Ordering::Relaxed))
            };
            blocking(work).await
        };
        match attempt().await? {
            (Err(error), walks) if may_fit(&error) && self.walk_after(walks).await? => {
                attempt().await?.0
            }
            (changed, _) => changed,
        }
    }

    /// Does `change` on a thread for blocking work while nobody changes anything else.
    pub(super) async fn change_alone<T: Send + 'static>(
        &self,
        change: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let sum = self.sum.clone().write_owned().await;
        let work = move || {
            let changed = change();
            drop(sum);
            changed
        };
        blocking(work).await
    }

    /// Walks the directories, unless somebody has done so since there had been `walks`. Not when that would take too long to wait for;
    /// then the answer is `false`.
    async fn walk_after(self: &Arc<Self>, walks: u64) -> io::Result<bool> {
        if self.walks.load(Ordering::Relaxed) != walks {
            return Ok(true);
        }
        let rested = *self.rested.lock();
        if rested.saturating_duration_since(Instant::now()) > self.patience / 2 {
            return Ok(false);
        }
        tokio::time::sleep_until(rested).await;
        let alone = tokio::time::timeout(self.patience, self.sum.clone().write_owned());
        let mut sum = alone.await.map_err(|_| ErrorKind::TimedOut)?;
        let quota = self.clone();
        let work = move || {
            if quota.walks.load(Ordering::Relaxed) != walks {
                return;
            }
            let begun = std::time::Instant::now();
            *sum = Sum::walked(walk(&quota.roots, &quota.opened, quota.limit), quota.limit);
            quota.walks.fetch_add(1, Ordering::Relaxed);
            *quota.rested.lock() = Instant::now() + rest(begun.elapsed());
        };
        blocking(work).await.map(|()| true)
    }
}

fn rest(walk: Duration) -> Duration {
    walk.saturating_mul(REST)
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

/// What is left of the quota, while something is changed.
pub(super) struct Room<'a> {
    sum: &'a Sum,
    quota: &'a Quota,
}

impl Room<'_> {
    /// Takes as much as the change will need at most.
    pub(super) fn take(&self, need: Used) -> io::Result<()> {
        let limit = self.quota.limit;
        let full = |by| Err(full(by, limit, !need.passes(limit)));
        if !take(&self.sum.bytes, need.bytes, limit.bytes) {
            return full(self.sum.over.unwrap_or(Over::Bytes));
        }
        if !take(&self.sum.entries, need.entries, limit.entries) {
            self.sum.bytes.fetch_sub(need.bytes, Ordering::Relaxed);
            return full(self.sum.over.unwrap_or(Over::Entries));
        }
        Ok(())
    }

    /// Remembers a file that was opened.
    pub(super) fn opened(&self, file: &Arc<std::fs::File>) {
        self.quota.opened.note(file);
    }
}

/// Adds `need` to `sum`, unless that would pass `limit`.
fn take(sum: &AtomicU64, need: u64, limit: u64) -> bool {
    let more = |sum: u64| sum.checked_add(need).filter(|sum| *sum <= limit);
    need == 0
        || sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
}

/// Which of the two limits is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Bytes,
    Entries,
}

/// There is too little room.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Full {
    message: String,
    /// Whether there could be enough, if there were less in the directories.
    may_fit: bool,
}

fn full(by: Over, limit: Used, may_fit: bool) -> io::Error {
    let message = match by {
        Over::Bytes => format!(
            "the files would take more than {}; `limits.files` bounds them all together",
            Bytes(limit.bytes)
        ),
        Over::Entries => format!(
            "there would be more than {} files, directories and links; `limits.file-count` bounds them",
            limit.entries
        ),
    };
    io::Error::new(ErrorKind::QuotaExceeded, Full { message, may_fit })
}

/// Whether it was this quota that had too little room, and not that of a file system, and a walk may find more.
fn may_fit(error: &io::Error) -> bool {
    let own = error.get_ref().and_then(|own| own.downcast_ref::<Full>());
    own.is_some_and(|full| full.may_fit)
}

/// What a guest is told. wasmtime-wasi has no word for a full quota.
pub(super) fn code(error: &io::Error) -> ErrorCode {
    match error.kind() {
        ErrorKind::QuotaExceeded => ErrorCode::Quota,
        _ => ErrorCode::from(error),
    }
}

/// Says in the task's log which limit was met: C libraries make an error of input and output of whatever goes wrong in a stream.
pub(super) fn warn(log: &Log, error: &io::Error) {
    if error.kind() == ErrorKind::QuotaExceeded {
        log.warn_once("files", &error.to_string());
    }
}

#[cfg(test)]
mod tests;
