//! The checksum of a record's row: over everything in it and the place where it stands, so that what a disk has changed is noticed
//! although it can still be read.
//!
//! CRC-32 (IEEE 802.3), which notices every change of up to 32 neighbouring bits and misses one in 2³² of the others. It stands against
//! accidents; whoever means harm can compute it too.

use crc32fast::Hasher;

/// What a row of `events` holds, apart from the place in the order of commits.
pub(super) struct Row<'a> {
    pub(super) run: &'a str,
    pub(super) lane: &'a str,
    pub(super) rev: u64,
    pub(super) id: &'a str,
    pub(super) at: &'a str,
    pub(super) version: u16,
    pub(super) body: &'a str,
}

impl Row<'_> {
    pub(super) fn sum(&self) -> u32 {
        let mut hasher = Hasher::new();
        for text in [self.run, self.lane, self.id, self.at, self.body] {
            hasher.update(text.as_bytes());
            // In no text, so that nothing can move from one into the next.
            hasher.update(&[0xff]);
        }
        hasher.update(&self.rev.to_le_bytes());
        hasher.update(&self.version.to_le_bytes());
        hasher.finalize()
    }
}
