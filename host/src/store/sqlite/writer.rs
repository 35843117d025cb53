//! The one writer: a thread that takes whatever changes wait, makes them in one transaction, and answers after the commit.
//!
//! One `fsync` then serves everybody who waited. Each change has its own savepoint and its own answer: one that fails is undone
//! alone. When the commit itself fails nothing happened, everybody is told so, and the thread goes on with the next batch.
//!
//! A transaction of nothing but leases does not wait for the disk. After a loss of power the file holds what came before some moment, and
//! a lease that is missing there was held by a process that ended with the power.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{Result, StoreError};

/// The most changes that wait, and so the most in one transaction. Past it, whoever wants a change waits to hand it in.
const MAX_BATCH: usize = 512;

/// What a change touches, so that those who wait for it can be woken after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touches {
    Log,
    Queue,
    /// An entry of a queue for something that is kept elsewhere, so that it can be made anew.
    Entry,
    /// Who works on what. Other processes see it at once; the disk may have it later.
    Lease,
    Other,
}

impl Touches {
    /// Whether it must be on the disk before anybody is told that it was made.
    fn waits(self) -> bool {
        match self {
            Self::Log | Self::Queue | Self::Other => true,
            Self::Entry | Self::Lease => false,
        }
    }
}

/// The handle to the writer's thread, which ends with the last handle.
pub(super) struct Writer {
    ops: mpsc::Sender<Box<dyn Op>>,
    log: watch::Receiver<()>,
    queue: watch::Receiver<()>,
    syncs: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (ops, waiting) = mpsc::channel(MAX_BATCH);
        let (log_changed, log) = watch::channel(());
        let (queue_changed, queue) = watch::channel(());
        let syncs = Arc::new(AtomicU64::new(0));
        let thread = Thread {
            connection,
            log_changed,
            queue_changed,
            waits: true,
            syncs: syncs.clone(),
        };
        std::thread::Builder::new()
            .name("kennel-store".into())
            .spawn(move || thread.serve(waiting))
            .map_err(|error| StoreError::Unavailable(format!("no thread to write: {error}")))?;
        Ok(Self {
            ops,
            log,
            queue,
            syncs,
        })
    }

    /// Makes a change, and answers when it is durable (or when it was not made). Dropping the future does not take the change back.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        touches: Touches,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let op = Change {
            touches,
            work: Some(work),
            answer: None,
            reply,
        };
        let stopped = || StoreError::Unavailable("its writer has stopped".into());
        self.ops.send(Box::new(op)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Hands in a change that nobody waits for. It is made before those that are handed in later, and not at all while too many wait.
    pub(super) fn offer(
        &self,
        touches: Touches,
        work: impl FnOnce(&Connection) -> Result<()> + Send + 'static,
    ) {
        let (reply, _nobody) = oneshot::channel();
        let op = Change {
            touches,
            work: Some(work),
            answer: None,
            reply,
        };
        if self.ops.try_send(Box::new(op)).is_err() {
            tracing::debug!("the store is busy: a change that nobody waits for is not made");
        }
    }

    /// How many transactions waited for the disk so far.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Says when records were appended by this process.
    pub(super) fn log_changes(&self) -> watch::Receiver<()> {
        self.log.clone()
    }

    /// Says when a queue was changed by this process.
    pub(super) fn queue_changes(&self) -> watch::Receiver<()> {
        self.queue.clone()
    }
}

/// A change of any type on its way through the thread.
trait Op: Send {
    /// Makes the change inside the open transaction and keeps the answer. `false` when it failed and must be undone.
    fn make(&mut self, connection: &Connection) -> bool;
    /// Gives the answer, or tells why the whole transaction failed.
    fn settle(self: Box<Self>, committed: &Result<()>);
    /// What it touches.
    fn touches(&self) -> Touches;
}

struct Change<F, T> {
    touches: Touches,
    work: Option<F>,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Op for Change<F, T>
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn make(&mut self, connection: &Connection) -> bool {
        self.answer = self.work.take().map(|work| work(connection));
        matches!(self.answer, Some(Ok(_)))
    }

    fn settle(self: Box<Self>, committed: &Result<()>) {
        let answer = match (self.answer, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(error.clone()),
            (Some(answer), Ok(())) => answer,
            (None, Ok(())) => Err(StoreError::Unavailable("the change was not made".into())),
        };
        // Whoever asked may have gone; the change stands all the same.
        let _ = self.reply.send(answer);
    }

    fn touches(&self) -> Touches {
        self.touches
    }
}

struct Thread {
    connection: Connection,
    log_changed: watch::Sender<()>,
    queue_changed: watch::Sender<()>,
    /// Whether the connection waits for the disk with each commit.
    waits: bool,
    syncs: Arc<AtomicU64>,
}

impl Thread {
    fn serve(mut self, mut waiting: mpsc::Receiver<Box<dyn Op>>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let before = self.connection.total_changes();
            let committed = self
                .wait_for_the_disk(batch.iter().any(|op| op.touches().waits()))
                .and_then(|()| commit(&mut self.connection, &mut batch));
            if self.waits && committed.is_ok() && self.connection.total_changes() != before {
                self.syncs.fetch_add(1, Ordering::Relaxed);
            }
            match &committed {
                Ok(()) => self.tell(&batch),
                Err(error) => {
                    tracing::warn!(changes = batch.len(), %error, "nothing was committed")
                }
            }
            for op in batch.drain(..) {
                op.settle(&committed);
            }
        }
    }

    /// Whether the next commits are to wait. The first that does makes everything before it durable too: there is one log.
    fn wait_for_the_disk(&mut self, wait: bool) -> Result<()> {
        if wait != self.waits {
            let level = if wait { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.waits = wait;
        }
        Ok(())
    }

    fn tell(&self, batch: &[Box<dyn Op>]) {
        for (touches, changed) in [
            (Touches::Log, &self.log_changed),
            (Touches::Queue, &self.queue_changed),
            (Touches::Entry, &self.queue_changed),
        ] {
            if batch.iter().any(|op| op.touches() == touches) {
                changed.send_replace(());
            }
        }
    }
}

/// Makes all changes in one transaction. On an error none of them is there: a transaction that is dropped is rolled back.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Op>]) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for op in batch {
        tx.prepare_cached("SAVEPOINT change")?.execute([])?;
        if !op.make(&tx) {
            // Out of space or out of memory, SQLite may have ended the whole transaction by itself.
            if tx.is_autocommit() {
                return Err(StoreError::Unavailable(
                    "a change failed and took its transaction along".into(),
                ));
            }
            tx.prepare_cached("ROLLBACK TO change")?.execute([])?;
        }
        tx.prepare_cached("RELEASE change")?.execute([])?;
    }
    tx.commit()?;
    Ok(())
}
