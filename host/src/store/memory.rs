//! The store in memory: for tests and for runs that nobody needs to keep. With seeded faults it is the adversary of every test of
//! recovery: it fails before and after committing, loses hints, and hands work out twice. It never lies about what is committed.

mod answers;
mod faults;
mod kv;
mod log;
mod queue;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::watch;

use self::faults::Dice;
pub use self::faults::Faults;
use self::kv::Namespaces;
use self::log::Journals;
use self::queue::Queues;
use super::broadcast::Broadcast;
use super::{Backend, Blobs, Caps, Hints, Kv, Queue, Result, RunLog, part_of};
use crate::answers::Answers;
use crate::id::Digest;

/// The store in memory. Cloning is cheap and gives the same store; see [`MemoryStore::fork`] for a copy.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    journals: Mutex<Journals>,
    queues: Mutex<Queues>,
    namespaces: Mutex<Namespaces>,
    blobs: Mutex<HashMap<Digest, Bytes>>,
    answers: Mutex<answers::Kept>,
    log_changed: watch::Sender<()>,
    queue_changed: watch::Sender<()>,
    hints: Broadcast,
    dice: Dice,
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::with_faults(0, Faults::default())
    }

    /// An empty store whose faults come from `seed`: on one thread, the same calls meet the same faults.
    pub fn with_faults(seed: u64, faults: Faults) -> Self {
        Self::of(Inner {
            journals: Mutex::default(),
            queues: Mutex::default(),
            namespaces: Mutex::default(),
            blobs: Mutex::default(),
            answers: Mutex::default(),
            log_changed: watch::channel(()).0,
            queue_changed: watch::channel(()).0,
            hints: Broadcast::new(),
            dice: Dice::new(seed, faults),
        })
    }

    /// What a restart after a crash would find: a copy of everything committed, without faults. Whoever held a lease in the original
    /// is gone for the copy: the leases still have to lapse, or be taken over by a claim.
    pub fn fork(&self) -> Self {
        Self::of(Inner {
            journals: Mutex::new(self.inner.journals.lock().clone()),
            queues: Mutex::new(self.inner.queues.lock().after_crash()),
            namespaces: Mutex::new(self.inner.namespaces.lock().clone()),
            blobs: Mutex::new(self.inner.blobs.lock().clone()),
            answers: Mutex::new(self.inner.answers.lock().clone()),
            log_changed: watch::channel(()).0,
            queue_changed: watch::channel(()).0,
            hints: Broadcast::new(),
            dice: Dice::new(0, Faults::default()),
        })
    }

    /// From now on everything is unavailable, or is no longer: a disk that is full, and then has room again.
    pub fn set_down(&self, down: bool) {
        self.inner.dice.set_down(down);
    }

    /// The same store with queues that hold at most `limit` tasks each from now on.
    #[must_use]
    pub fn with_queue_limit(self, limit: usize) -> Self {
        self.inner.queues.lock().limit = limit;
        self
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Does `work`, unless a fault comes before it; and answers, unless a fault comes after it.
    async fn faulty<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let dice = &self.inner.dice;
        dice.before().await?;
        let answer = work();
        dice.after()?;
        Ok(answer)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Blobs for MemoryStore {
    async fn put(&self, bytes: Bytes) -> Result<Digest> {
        let digest = Digest::of(&bytes);
        self.faulty(|| {
            self.inner.blobs.lock().entry(digest).or_insert(bytes);
            digest
        })
        .await
    }

    async fn get(&self, digest: Digest) -> Result<Option<Bytes>> {
        self.faulty(|| self.inner.blobs.lock().get(&digest).cloned())
            .await
    }

    async fn get_part(&self, digest: Digest, offset: u64, length: usize) -> Result<Option<Bytes>> {
        let whole = Blobs::get(self, digest).await?;
        Ok(whole.map(|bytes| part_of(&bytes, offset, length)))
    }

    async fn has(&self, digest: Digest) -> Result<bool> {
        self.faulty(|| self.inner.blobs.lock().contains_key(&digest))
            .await
    }
}

impl Hints for MemoryStore {
    fn publish(&self, subject: &str, body: Bytes) {
        if !self.inner.dice.loses_hint() {
            self.inner.hints.publish(subject, body);
        }
    }

    fn subscribe(&self, prefix: &str) -> BoxStream<'static, (String, Bytes)> {
        self.inner.hints.subscribe(prefix)
    }
}

impl Backend for MemoryStore {
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
        self
    }

    fn answers(&self) -> Arc<dyn Answers> {
        Arc::new(self.clone())
    }

    fn caps(&self) -> Caps {
        Caps {
            durable: false,
            replicas: 1,
            name: "memory",
        }
    }
}

#[cfg(test)]
mod tests;
