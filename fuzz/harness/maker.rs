//! Makes inputs: chance, and what there is to begin with.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::mutate;

/// Chance, the pool, and words that mean something.
pub(crate) struct Maker<'a> {
    rng: &'a mut StdRng,
    pool: &'a [Vec<u8>],
    words: &'a [&'static str],
}

impl<'a> Maker<'a> {
    pub(super) fn new(rng: &'a mut StdRng, pool: &'a [Vec<u8>], words: &'a [&'static str]) -> Self {
        Self { rng, pool, words }
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    /// Whether something happens that happens so often in a hundred times.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.rng.random()
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    /// A word that means something.
    pub(crate) fn word(&mut self) -> &'static str {
        self.one_of(self.words)
    }

    /// Where many a mistake is: the ends of the ranges of numbers.
    pub(crate) fn edge(&mut self) -> u64 {
        let bits = self.one_of(&[0, 1, 7, 8, 15, 16, 31, 32, 53, 62, 63]);
        let power = 1_u64 << bits;
        match self.below(4) {
            0 => power.wrapping_sub(1),
            1 => power.wrapping_add(1),
            2 => power.wrapping_neg(),
            _ => power,
        }
    }

    /// An input of the pool.
    pub(crate) fn known(&mut self) -> &'a [u8] {
        let pool = self.pool;
        match pool.len() {
            0 => &[],
            some => &pool[self.below(some)],
        }
    }

    /// An input of the pool with some bytes, words or lines changed.
    pub(crate) fn mutated(&mut self) -> Vec<u8> {
        let input = self.known().to_vec();
        self.mutate(input)
    }

    /// `input` with some bytes, words or lines changed.
    pub(crate) fn mutate(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            mutate::once(self, &mut input);
        }
        input
    }
}
