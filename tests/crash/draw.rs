//! What this programme draws beside times.

use crate::harness::Random;

impl Random {
    /// Others, which follow from these and from `of` alone.
    pub(crate) fn apart(&self, of: u64) -> Self {
        let mut apart = Self((self.0 ^ of.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1));
        // The first few still resemble the seed.
        (0..8).for_each(|_| {
            let _ = apart.next();
        });
        apart
    }

    /// A number from 1 to `most`.
    pub(crate) fn to(&mut self, most: u64) -> u64 {
        1 + (self.next() >> 11) % most.max(1)
    }

    /// The numbers from 1 to `most`, each once, in any order.
    pub(crate) fn order(&mut self, most: u64) -> Vec<u64> {
        let mut order: Vec<_> = (1..=most).collect();
        for end in (1..order.len()).rev() {
            let other = self.to(end as u64 + 1) as usize - 1;
            order.swap(end, other);
        }
        order
    }
}
