//! Seeded faults: everything that a real backend may do to its callers within its contract, and nothing beyond.
//!
//! There is no fault for a stale replay or a wrong refusal: the contract forbids both, so no caller has to survive them.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::{Result, StoreError};

/// How likely each fault is, from 0 (never, the default) to 1 (always), each time it could happen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// `Unavailable`, and nothing was done.
    pub unavailable: f64,
    /// `Unavailable`, although it was done: the answer got lost.
    pub lost_answer: f64,
    /// A hint that nobody hears.
    pub lost_hint: f64,
    /// A task handed out although somebody holds its lease: whoever had it is too slow and does not know yet.
    pub double_delivery: f64,
    /// A hand-out in an order that has nothing to do with priority or age.
    pub disorder: f64,
    /// A lease that is gone when it is to be renewed, and whose task is free again.
    pub lapse: f64,
    /// A pause in which others go on, before anything is done.
    pub pause: f64,
}

/// What decides. Without faults it costs a few comparisons and takes no lock.
pub(super) struct Dice {
    faults: Faults,
    rng: Mutex<StdRng>,
    down: AtomicBool,
}

impl Dice {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            faults,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            down: AtomicBool::new(false),
        }
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) async fn before(&self) -> Result<()> {
        while self.roll(self.faults.pause) {
            tokio::task::yield_now().await;
        }
        if self.down.load(Ordering::SeqCst) || self.roll(self.faults.unavailable) {
            return Err(StoreError::Unavailable("a fault before the commit".into()));
        }
        Ok(())
    }

    pub(super) fn after(&self) -> Result<()> {
        if self.roll(self.faults.lost_answer) {
            return Err(StoreError::Unavailable("a fault after the commit".into()));
        }
        Ok(())
    }

    pub(super) fn loses_hint(&self) -> bool {
        self.roll(self.faults.lost_hint)
    }

    pub(super) fn doubles_delivery(&self) -> bool {
        self.roll(self.faults.double_delivery)
    }

    pub(super) fn lapses(&self) -> bool {
        self.roll(self.faults.lapse)
    }

    /// Shuffles `items`, when there is to be disorder.
    pub(super) fn disorder<T>(&self, items: &mut [T]) {
        if self.roll(self.faults.disorder) {
            use rand::seq::SliceRandom as _;
            items.shuffle(&mut *self.rng.lock());
        }
    }

    fn roll(&self, likely: f64) -> bool {
        likely > 0.0 && self.rng.lock().random_bool(likely.min(1.0))
    }
}
