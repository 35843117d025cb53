//! Random numbers for tests, which can be drawn again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Random numbers that can be drawn again.
pub(crate) struct Random(pub(crate) StdRng);

/// What they begin with: `KENNEL_TEST_SEED`, or another each time. A failed test shows which.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("KENNEL_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| {
        seed.parse().expect("KENNEL_TEST_SEED is a number")
    });
    println!("KENNEL_TEST_SEED={seed} draws the same numbers again");
    seed
}

impl Random {
    pub(crate) fn of(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(self.0.random())
    }
}
