//! Random numbers for tests, which can be drawn again.

use std::time::Duration;

/// A few random numbers that can be drawn again: Marsaglia's xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From `KENNEL_TEST_SEED`, or from the clock. A failed test shows which.
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("KENNEL_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(1, |time| time.as_nanos() as u64)
        };
        let seed = given.unwrap_or_else(clock).max(1);
        println!("KENNEL_TEST_SEED={seed} draws the same numbers again");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: Duration) -> Duration {
        bound.mul_f64((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
