//! A store that belongs to a process that dies: at the nth thing asked of it, or the nth append to a journal, before or after it is
//! done, and then nothing is ever answered again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::id::{Digest, RunId};
use crate::record::Record;
use crate::store::{
    Backend, Blobs, Caps, Cas, Claim, Cursor, Expect, Head, Hints, Kv, KvAdd, KvBy, KvCas,
    KvChange, KvEntry, KvQuota, KvSpace, KvValue, LaneId, Lease, Put, Queue, QueueTask, Result,
    Rev, RunLog, RunSummary, SharedBackend, Stored,
};

#[derive(Clone)]
pub(in crate::engine) struct Mortal {
    inner: SharedBackend,
    /// Whether only appends count.
    appends: bool,
    left: Arc<AtomicUsize>,
    /// Whether the last thing is still done.
    after: bool,
    death: CancellationToken,
}

impl Mortal {
    /// One that dies at the `n`th thing asked of it.
    pub(in crate::engine) fn new(inner: SharedBackend, n: usize, after: bool) -> Self {
        Self {
            inner,
            appends: false,
            left: Arc::new(AtomicUsize::new(n + 1)),
            after,
            death: CancellationToken::new(),
        }
    }

    /// One that dies at the `n`th append to a journal.
    pub(in crate::engine) fn at_append(inner: SharedBackend, n: usize, after: bool) -> Self {
        Self {
            appends: true,
            ..Self::new(inner, n, after)
        }
    }

    /// Ends when the process dies.
    pub(in crate::engine) fn died(&self) -> impl Future<Output = ()> + use<> {
        self.death.clone().cancelled_owned()
    }

    async fn ask<T>(&self, what: impl Future<Output = T>) -> T {
        if self.appends && !self.death.is_cancelled() {
            return what.await;
        }
        self.count(what).await
    }

    async fn count<T>(&self, what: impl Future<Output = T>) -> T {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match left {
            Ok(2..) => return what.await,
            Ok(_) if self.after => drop(what.await),
            Ok(_) | Err(_) => {}
        }
        self.death.cancel();
        std::future::pending().await
    }

    fn lease(&self, inner: Box<dyn Lease>) -> Box<dyn Lease> {
        let store = self.clone();
        Box::new(MortalLease { store, inner })
    }
}

#[async_trait]
impl RunLog for Mortal {
    async fn append(&self, lane: LaneId, expect: Rev, records: &[Record]) -> Result<Cas> {
        self.count(self.inner.log().append(lane, expect, records))
            .await
    }
    async fn page(&self, run: RunId, after: Cursor, limit: usize) -> Result<Vec<Stored>> {
        self.ask(self.inner.log().page(run, after, limit)).await
    }
    async fn head(&self, lane: LaneId) -> Result<Option<Head>> {
        self.ask(self.inner.log().head(lane)).await
    }
    async fn tail(
        &self,
        from: Cursor,
        run: Option<RunId>,
    ) -> Result<BoxStream<'static, Result<Stored>>> {
        self.ask(self.inner.log().tail(from, run)).await
    }
    async fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunSummary>> {
        self.ask(self.inner.log().runs(before, limit)).await
    }
    async fn purge(&self, run: RunId) -> Result<()> {
        self.ask(self.inner.log().purge(run)).await
    }
}

#[async_trait]
impl Queue for Mortal {
    async fn put(&self, queue: &str, task: QueueTask) -> Result<Put> {
        self.ask(self.inner.queue().put(queue, task)).await
    }
    async fn pull(&self, queue: &str, free: usize, wait: Duration) -> Result<Vec<Box<dyn Lease>>> {
        let pulled = self.ask(self.inner.queue().pull(queue, free, wait)).await?;
        Ok(pulled.into_iter().map(|lease| self.lease(lease)).collect())
    }
    async fn claim(&self, queue: &str, key: &str) -> Result<Claim> {
        Ok(
            match self.ask(self.inner.queue().claim(queue, key)).await? {
                Claim::Taken(lease) => Claim::Taken(self.lease(lease)),
                other => other,
            },
        )
    }
    async fn room(&self, queue: &str, key: &str) -> Result<Put> {
        self.ask(self.inner.queue().room(queue, key)).await
    }
    async fn clear(&self, queue: &str) -> Result<usize> {
        self.ask(self.inner.queue().clear(queue)).await
    }
}

struct MortalLease {
    store: Mortal,
    inner: Box<dyn Lease>,
}

#[async_trait]
impl Lease for MortalLease {
    fn task(&self) -> &QueueTask {
        self.inner.task()
    }
    fn deliveries(&self) -> u32 {
        self.inner.deliveries()
    }
    fn term(&self) -> Duration {
        self.inner.term()
    }
    async fn renew(&self) -> Result<bool> {
        self.store.ask(self.inner.renew()).await
    }
    async fn done(self: Box<Self>) -> Result<()> {
        self.store.ask(self.inner.done()).await
    }
    async fn retry(self: Box<Self>, delay: Duration) -> Result<()> {
        self.store.ask(self.inner.retry(delay)).await
    }
}

#[async_trait]
impl Kv for Mortal {
    async fn get(&self, ns: &str, key: &str) -> Result<Option<KvEntry>> {
        self.ask(self.inner.kv().get(ns, key)).await
    }
    async fn cas(
        &self,
        ns: &str,
        key: &str,
        expect: Expect,
        value: Option<KvValue>,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvCas> {
        self.ask(self.inner.kv().cas(ns, key, expect, value, quota, by))
            .await
    }
    async fn add(
        &self,
        ns: &str,
        key: &str,
        delta: i64,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvAdd> {
        self.ask(self.inner.kv().add(ns, key, delta, quota, by))
            .await
    }
    async fn keys(
        &self,
        ns: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.ask(self.inner.kv().keys(ns, prefix, after, limit))
            .await
    }
    async fn history(
        &self,
        ns: &str,
        key: Option<&str>,
        after: Rev,
        limit: usize,
    ) -> Result<Vec<KvChange>> {
        self.ask(self.inner.kv().history(ns, key, after, limit))
            .await
    }
    async fn spaces(&self) -> Result<Vec<KvSpace>> {
        self.ask(self.inner.kv().spaces()).await
    }
}

#[async_trait]
impl Blobs for Mortal {
    async fn put(&self, bytes: Bytes) -> Result<Digest> {
        self.ask(self.inner.blobs().put(bytes)).await
    }
    async fn get(&self, digest: Digest) -> Result<Option<Bytes>> {
        self.ask(self.inner.blobs().get(digest)).await
    }
    async fn get_part(&self, digest: Digest, offset: u64, length: usize) -> Result<Option<Bytes>> {
        self.ask(self.inner.blobs().get_part(digest, offset, length))
            .await
    }
    async fn has(&self, digest: Digest) -> Result<bool> {
        self.ask(self.inner.blobs().has(digest)).await
    }
}

impl Hints for Mortal {
    fn publish(&self, subject: &str, body: Bytes) {
        self.inner.hints().publish(subject, body);
    }
    fn subscribe(&self, prefix: &str) -> BoxStream<'static, (String, Bytes)> {
        self.inner.hints().subscribe(prefix)
    }
}

impl Backend for Mortal {
    fn log(&self) -> &dyn RunLog {
        self
    }
    fn queue(&self) -> &dyn Queue {
        self
    }
    fn answers(&self) -> Arc<dyn crate::answers::Answers> {
        self.inner.answers()
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
    fn caps(&self) -> Caps {
        self.inner.caps()
    }
}
