//! Queues in memory. Leases and delays go by tokio's clock, so tests can pause it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::super::{Claim, LEASE_TERM, Lease, Put, QUEUE_LIMIT, Queue, QueueTask, Result, follow};
use super::MemoryStore;
use super::faults::Dice;

/// Longer than any test or machine runs; a longer delay is cut to it, since an instant cannot be put off for ever.
const FAR_AWAY: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// All queues.
#[derive(Clone)]
pub(super) struct Queues {
    /// The most tasks in one queue.
    pub(super) limit: usize,
    last: u64,
    /// Counts restarts; a lease of an earlier one is held by nobody.
    life: u32,
    tasks: HashMap<String, HashMap<String, Task>>,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            limit: QUEUE_LIMIT,
            last: 0,
            life: 0,
            tasks: HashMap::new(),
        }
    }
}

#[derive(Clone)]
struct Task {
    seq: u64,
    task: QueueTask,
    not_before: Instant,
    deliveries: u32,
    lease: Option<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    until: Instant,
    life: u32,
}

impl Task {
    fn is_leased(&self, now: Instant) -> bool {
        self.lease.is_some_and(|lease| lease.until > now)
    }

    /// From when on it can be pulled.
    fn free_from(&self) -> Instant {
        let lapse = self.lease.map_or(self.not_before, |lease| lease.until);
        lapse.max(self.not_before)
    }

    fn take(&mut self, now: Instant, life: u32) -> (u64, u32, QueueTask) {
        self.deliveries = self.deliveries.saturating_add(1);
        let until = now + LEASE_TERM;
        self.lease = Some(Held { until, life });
        (self.seq, self.deliveries, self.task.clone())
    }
}

impl Queues {
    /// What another process finds when this one is gone.
    pub(super) fn after_crash(&self) -> Self {
        let mut copy = self.clone();
        copy.life += 1;
        copy
    }

    /// Whether there is room for a task with this key.
    fn room(&self, queue: &str, key: &str) -> Put {
        match self.tasks.get(queue) {
            Some(tasks) if tasks.contains_key(key) => Put::Duplicate,
            tasks if tasks.map_or(0, HashMap::len) >= self.limit => Put::Full,
            _ => Put::Queued,
        }
    }

    fn put(&mut self, queue: &str, mut task: QueueTask) -> Put {
        match self.room(queue, &task.key) {
            Put::Queued => {}
            refused => return refused,
        }
        let tasks = self.tasks.entry(queue.to_owned()).or_default();
        self.last += 1;
        let not_before = Instant::now() + task.delay.min(FAR_AWAY);
        task.delay = Duration::ZERO;
        let row = Task {
            seq: self.last,
            not_before,
            deliveries: 0,
            lease: None,
            task,
        };
        tasks.insert(row.task.key.clone(), row);
        Put::Queued
    }

    fn pull(&mut self, queue: &str, free: usize, dice: &Dice) -> Vec<(u64, u32, QueueTask)> {
        let now = Instant::now();
        let tasks = self.tasks.entry(queue.to_owned()).or_default();
        // In the order of age before any dice are thrown, so that one seed gives one story.
        let mut due: Vec<_> = tasks
            .values_mut()
            .filter(|task| task.not_before <= now)
            .collect();
        due.sort_by_key(|task| (Reverse(task.task.priority), task.seq));
        due.retain(|task| !task.is_leased(now) || dice.doubles_delivery());
        dice.disorder(&mut due);
        let taken = due.into_iter().take(free);
        taken.map(|task| task.take(now, self.life)).collect()
    }

    /// When there may be something to pull, if nothing else happens.
    fn next_due(&self, queue: &str) -> Option<Instant> {
        self.tasks.get(queue)?.values().map(Task::free_from).min()
    }

    fn claim(&mut self, queue: &str, key: &str) -> Option<Option<(u64, u32, QueueTask)>> {
        let (now, life) = (Instant::now(), self.life);
        let task = self.tasks.get_mut(queue)?.get_mut(key)?;
        let alive = task.lease.is_some_and(|lease| lease.life == life);
        let held = task.is_leased(now) && alive;
        Some((!held).then(|| task.take(now, life)))
    }

    /// The task, while it is still this delivery of it.
    fn delivered(&mut self, lease: &MemoryLease) -> Option<&mut Task> {
        let task = self.tasks.get_mut(&lease.queue)?.get_mut(&lease.task.key)?;
        (task.seq == lease.seq && task.deliveries == lease.deliveries).then_some(task)
    }
}

#[async_trait]
impl Queue for MemoryStore {
    async fn put(&self, queue: &str, task: QueueTask) -> Result<Put> {
        task.check()?;
        self.faulty(|| {
            let put = self.inner.queues.lock().put(queue, task);
            self.inner.queue_changed.send_replace(());
            put
        })
        .await
    }

    async fn pull(&self, queue: &str, free: usize, wait: Duration) -> Result<Vec<Box<dyn Lease>>> {
        if free == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + wait.min(FAR_AWAY);
        let mut changed = self.inner.queue_changed.subscribe();
        loop {
            // Marked as seen before looking, so that a task put while looking is not slept through.
            changed.mark_unchanged();
            let pull = || self.inner.queues.lock().pull(queue, free, &self.inner.dice);
            let taken = self.faulty(pull).await?;
            let now = Instant::now();
            if !taken.is_empty() || now >= until {
                return Ok(taken
                    .into_iter()
                    .map(|taken| self.lease(queue, taken))
                    .collect());
            }
            let next = self.inner.queues.lock().next_due(queue);
            let wake = next.map_or(until, |next| next.min(until));
            follow::wait(&mut changed, Some(wake - now)).await;
        }
    }

    async fn claim(&self, queue: &str, key: &str) -> Result<Claim> {
        let claim = || self.inner.queues.lock().claim(queue, key);
        Ok(match self.faulty(claim).await? {
            None => Claim::Absent,
            Some(None) => Claim::Held("this process".into()),
            Some(Some(taken)) => Claim::Taken(self.lease(queue, taken)),
        })
    }

    async fn room(&self, queue: &str, key: &str) -> Result<Put> {
        let room = || self.inner.queues.lock().room(queue, key);
        self.faulty(room).await
    }

    async fn clear(&self, queue: &str) -> Result<usize> {
        let clear = || self.inner.queues.lock().tasks.remove(queue);
        let cleared = self.faulty(clear).await?;
        Ok(cleared.map_or(0, |tasks| tasks.len()))
    }
}

impl MemoryStore {
    fn lease(&self, queue: &str, (seq, deliveries, task): (u64, u32, QueueTask)) -> Box<dyn Lease> {
        Box::new(MemoryLease {
            store: self.clone(),
            queue: queue.to_owned(),
            seq,
            deliveries,
            task,
        })
    }
}

struct MemoryLease {
    store: MemoryStore,
    queue: String,
    seq: u64,
    deliveries: u32,
    task: QueueTask,
}

#[async_trait]
impl Lease for MemoryLease {
    fn task(&self) -> &QueueTask {
        &self.task
    }

    fn deliveries(&self) -> u32 {
        self.deliveries
    }

    fn term(&self) -> Duration {
        LEASE_TERM
    }

    async fn renew(&self) -> Result<bool> {
        let inner = &self.store.inner;
        self.store
            .faulty(|| {
                let mut queues = inner.queues.lock();
                let life = queues.life;
                let Some(task) = queues.delivered(self) else {
                    return false;
                };
                if inner.dice.lapses() {
                    // Counted as handed out to somebody who says nothing, so that this lease is lost for good.
                    task.deliveries = task.deliveries.saturating_add(1);
                    task.lease = None;
                    inner.queue_changed.send_replace(());
                    return false;
                }
                let until = Instant::now() + LEASE_TERM;
                task.lease = Some(Held { until, life });
                true
            })
            .await
    }

    async fn done(self: Box<Self>) -> Result<()> {
        let finish = || {
            let mut queues = self.store.inner.queues.lock();
            if queues.delivered(&self).is_some()
                && let Some(tasks) = queues.tasks.get_mut(&self.queue)
            {
                tasks.remove(&self.task.key);
            }
        };
        self.store.faulty(finish).await
    }

    async fn retry(self: Box<Self>, delay: Duration) -> Result<()> {
        let release = || {
            if let Some(task) = self.store.inner.queues.lock().delivered(&self) {
                task.not_before = Instant::now() + delay.min(FAR_AWAY);
                task.lease = None;
            }
            self.store.inner.queue_changed.send_replace(());
        };
        self.store.faulty(release).await
    }
}
