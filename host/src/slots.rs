//! Execution slots: how many tasks execute at the same time, and how many may wait.
//!
//! First come, first served. A task that waits for another one gives its slot back meanwhile, so agents that call agents cannot
//! lock each other out, not even with one slot. Slots know no deadline: whoever waits bounds its own wait.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many tasks may wait for a slot when nothing else is said: enough for a burst, few enough that the last one is served in time.
pub const QUEUE: usize = 1_024;

/// Who goes first when slots are short. Waiting makes every class more urgent with time, so none starves.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before the usual.
    High,
    /// The usual.
    #[default]
    Normal,
    /// After the usual.
    Low,
    /// When nobody else wants to.
    Background,
}

impl Priority {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::Background,
    ];

    /// The name that files use.
    pub fn label(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Background => "background",
        }
    }
}

/// The slots of a host, shared by all runs.
#[derive(Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    size: usize,
    queue: usize,
    waiting: AtomicUsize,
}

/// The queue is full: nobody else may wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all {size} execution slots are taken and {queue} tasks wait already")]
pub struct QueueFull {
    size: usize,
    queue: usize,
}

impl Slots {
    /// `size` tasks at the same time, and `queue` more that wait.
    pub fn new(size: NonZeroUsize, queue: usize) -> Self {
        let size = size.get().min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(size)),
            size,
            queue,
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many tasks may execute at the same time.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many slots nobody holds at the moment.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// How many tasks wait for their first slot at the moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a slot, after waiting for one in the queue when none is free. Dropping the future leaves the queue.
    pub async fn take(&self) -> Result<Held, QueueFull> {
        // Never jumps the queue: while anybody waits, a slot that becomes free is handed over and not free for this.
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(self.held(Some(permit), Duration::ZERO));
        }
        let _place = self.queue_up()?;
        let since = Instant::now();
        let permit = self.free.clone().acquire_owned().await.ok(); // never closed, so never an error
        Ok(self.held(permit, since.elapsed()))
    }

    fn held(&self, permit: Option<OwnedSemaphorePermit>, waited: Duration) -> Held {
        Held(Arc::new(Grip {
            free: self.free.clone(),
            state: Mutex::new(State {
                permit,
                ended: false,
                waited,
            }),
        }))
    }

    fn queue_up(&self) -> Result<Place<'_>, QueueFull> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            return Err(QueueFull {
                size: self.size,
                queue: self.queue,
            });
        }
        Ok(place)
    }
}

/// How many tasks execute at the same time when nothing else is said. Guests yield to each other every million units of fuel, so slots
/// bound memory (64 × 64 MiB at the most by default), not cores: with one slot a core, two spinning agents would keep everybody else waiting.
pub const SLOTS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

impl Default for Slots {
    /// [`SLOTS`] slots, and [`QUEUE`] places to wait.
    fn default() -> Self {
        Self::new(SLOTS, QUEUE)
    }
}

/// A slot from its taking to its end. Dropping it gives the slot back for good, whoever still has a [`Slot`] of it.
#[derive(Debug)]
pub struct Held(Arc<Grip>);

impl Held {
    /// The handle that travels with the request.
    pub fn slot(&self) -> Slot {
        Slot(Some(self.0.clone()))
    }

    /// The time spent waiting for the slot so far, taking it again included.
    pub fn waited(&self) -> Duration {
        self.0.state.lock().waited
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        state.permit = None;
    }
}

/// A handle to the slot that a task holds; the default one is of no slot and costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Slot(Option<Arc<Grip>>);

impl Slot {
    /// Gives the slot back, waits for `wait`, and takes a slot again behind everybody who waits by then.
    ///
    /// A task that comes back is never refused for a full queue: it holds memory that only its end sets free.
    pub async fn release_while<F: Future>(&self, wait: F) -> F::Output {
        let Some(grip) = &self.0 else {
            return wait.await;
        };
        grip.state.lock().permit = None;
        let output = wait.await;
        grip.retake().await;
        output
    }
}

/// What [`Held`] and its [`Slot`]s share.
#[derive(Debug)]
struct Grip {
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    permit: Option<OwnedSemaphorePermit>,
    ended: bool,
    waited: Duration,
}

impl Grip {
    async fn retake(&self) {
        if !self.state.lock().wants_permit() {
            return;
        }
        let since = Instant::now();
        let permit = self.free.clone().acquire_owned().await.ok(); // never closed, so never an error
        let mut state = self.state.lock();
        state.waited += since.elapsed();
        if state.wants_permit() {
            state.permit = permit;
        }
    }
}

impl State {
    fn wants_permit(&self) -> bool {
        !self.ended && self.permit.is_none()
    }
}

/// A place in the queue; dropping it leaves the queue.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn slots(size: usize, queue: usize) -> Slots {
        Slots::new(NonZeroUsize::new(size).expect("at least one"), queue)
    }

    #[tokio::test]
    async fn slots_are_handed_out_in_the_order_of_asking() {
        let slots = slots(1, 8);
        let held = slots.take().await.expect("a free slot");
        let mut first = Box::pin(slots.take());
        let mut second = Box::pin(slots.take());
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(slots.waiting(), 2);

        drop(held);
        assert!(
            slots.take().now_or_never().is_none(),
            "nobody jumps the queue"
        );
        assert!((&mut second).now_or_never().is_none());
        let held = (&mut first).now_or_never().expect("its turn");
        drop(held);
        assert!((&mut second).now_or_never().is_some());
        assert_eq!((slots.free(), slots.waiting()), (1, 0));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_one_who_leaves_makes_room() {
        let slots = slots(1, 1);
        let _held = slots.take().await.expect("a free slot");
        let mut waiting = Box::pin(slots.take());
        assert!((&mut waiting).now_or_never().is_none());
        let refused = slots.take().now_or_never().expect("at once").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "all 1 execution slots are taken and 1 tasks wait already"
        );
        drop(waiting);
        assert!(slots.take().now_or_never().is_none(), "it waits now");
    }

    #[tokio::test]
    async fn a_slot_is_free_for_others_while_its_holder_waits() {
        let slots = slots(1, 0);
        let held = slots.take().await.expect("a free slot");
        let slot = held.slot();
        let free = slot.release_while(async { slots.free() }).await;
        assert_eq!((free, slots.free()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_get_a_slot_back_counts_as_waiting() {
        let slots = slots(1, 0);
        let held = slots.take().await.expect("a free slot");
        let slot = held.slot();
        let (tx, rx) = tokio::sync::oneshot::channel();
        let caller = slot.release_while(async {
            let peer = slots.take().await.expect("the caller's slot");
            tx.send(peer).expect("somebody takes it");
        });
        let peer = async {
            let peer = rx.await.expect("the peer's slot");
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(peer);
        };
        tokio::join!(caller, peer);
        assert_eq!(held.waited(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_slot_that_has_ended_is_never_taken_again() {
        let slots = slots(1, 0);
        let held = slots.take().await.expect("a free slot");
        let slot = held.slot();
        slot.release_while(async { drop(held) }).await;
        assert_eq!(slots.free(), 1);
        slot.release_while(async {}).await;
        assert_eq!(slots.free(), 1);
    }
}
