//! What this programme draws beside times.

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::harness::Random;

impl Random {
    /// Those of one part of the programme, which follow from the seed and from `of` alone.
    pub(crate) fn apart(seed: u64, of: u64) -> Self {
        Self::of(seed.wrapping_mul(31).wrapping_add(of))
    }

    /// A number from 1 to `most`.
    pub(crate) fn to(&mut self, most: u64) -> u64 {
        self.0.random_range(1..=most.max(1))
    }

    /// The numbers from 1 to `most`, each once, in any order.
    pub(crate) fn order(&mut self, most: u64) -> Vec<u64> {
        let mut order: Vec<_> = (1..=most).collect();
        order.shuffle(&mut self.0);
        order
    }
}
