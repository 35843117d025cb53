//! What became of an agent's tasks, as numbers that can be added up and kept.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::call::Usage;
use crate::failure::FailureKind;

/// The shortest and the longest latency that is told apart, in microseconds; what lies outside counts as the nearer of the two.
const RANGE: (u64, u64) = (1, 3_600_000_000);
/// Digits of a latency that are kept: within one percent, in 13 KiB an agent.
const DIGITS: u8 = 2;

/// Counts and latencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Tasks with an answer.
    pub succeeded: u64,
    /// Tasks without one, by why.
    pub failed: BTreeMap<FailureKind, u64>,
    /// Time that all tasks together waited for an execution slot, in microseconds.
    pub queue_us: u64,
    /// Fuel that all tasks together used.
    pub fuel: u64,
    pub(super) latency: Histogram<u32>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            succeeded: 0,
            failed: BTreeMap::new(),
            queue_us: 0,
            fuel: 0,
            latency: empty(),
        }
    }
}

fn empty() -> Histogram<u32> {
    let made = Histogram::new_with_bounds(RANGE.0, RANGE.1, DIGITS);
    made.unwrap_or_else(|_| unreachable!("the range and the digits are constants that fit")) // a test makes one
}

/// The numbers that a tally is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half of all tasks were quicker.
    pub p50: Duration,
    /// Nineteen of twenty were.
    pub p95: Duration,
    /// Ninety-nine of a hundred were.
    pub p99: Duration,
}

impl Tally {
    /// Tasks that ended, with an answer or without.
    pub fn completed(&self) -> u64 {
        let failed = self.failed.values();
        failed.fold(self.succeeded, |sum, n| sum.saturating_add(*n))
    }

    /// The share of tasks with an answer; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        let completed = self.completed();
        (completed > 0).then(|| self.succeeded as f64 / completed as f64)
    }

    /// How long tasks took in their sandbox; `None` before the first that got there.
    pub fn latency(&self) -> Option<Latency> {
        let at = |quantile| Duration::from_micros(self.latency.value_at_quantile(quantile));
        (!self.latency.is_empty()).then(|| Latency {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        })
    }

    /// Counts how long a task took.
    pub(super) fn took(&mut self, micros: u64) {
        self.latency
            .saturating_record(micros.clamp(RANGE.0, RANGE.1));
    }

    /// Counts the end of a task and what it used.
    pub(super) fn ended(&mut self, failure: Option<FailureKind>, usage: &Usage) {
        let count = match failure {
            None => &mut self.succeeded,
            Some(kind) => self.failed.entry(kind).or_default(),
        };
        *count = count.saturating_add(1);
        self.queue_us = self.queue_us.saturating_add(usage.queue_us);
        self.fuel = self.fuel.saturating_add(usage.fuel);
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.queue_us = self.queue_us.saturating_add(other.queue_us);
        self.fuel = self.fuel.saturating_add(other.fuel);
        for (kind, n) in &other.failed {
            let count = self.failed.entry(*kind).or_default();
            *count = count.saturating_add(*n);
        }
        // Both have the same range, so nothing is lost.
        for bucket in other.latency.iter_recorded() {
            let (value, count) = (bucket.value_iterated_to(), bucket.count_at_value());
            self.latency.saturating_record_n(value, count);
        }
    }

    /// The latencies in HdrHistogram's V2 encoding.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Into memory, so it cannot fail; and an empty one would be read as no latencies.
        let _ = V2Serializer::new().serialize(&self.latency, &mut bytes);
        bytes
    }

    /// Takes latencies in HdrHistogram's V2 encoding; whether they could be read. Only what lies in our range is taken over.
    pub(super) fn decode(&mut self, mut bytes: &[u8]) -> bool {
        // The header says how much memory a histogram takes, and it is not believed: a damaged one must not take all there is.
        if bytes.len() < HEADER || bytes[HIGHEST].iter().copied().ne(RANGE.1.to_be_bytes()) {
            return false;
        }
        let Ok(read) = Deserializer::new().deserialize::<u32, _>(&mut bytes) else {
            return false;
        };
        for bucket in read.iter_recorded() {
            let value = bucket.value_iterated_to().clamp(RANGE.0, RANGE.1);
            self.latency
                .saturating_record_n(value, bucket.count_at_value());
        }
        true
    }
}

/// The bytes before the counts: a cookie, the length, an offset, the digits, the lowest and the highest value, and a ratio.
const HEADER: usize = 40;
/// Where the highest value stands.
const HIGHEST: std::ops::Range<usize> = 24..32;

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(latencies: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        for micros in latencies {
            tally.ended(None, &Usage::default());
            tally.took(micros);
        }
        tally
    }

    #[test]
    fn percentiles_are_right_within_a_percent() {
        let latency = tally(1..=10_000).latency().expect("there are some");
        for (found, exact) in [
            (latency.p50, 5_000),
            (latency.p95, 9_500),
            (latency.p99, 9_900),
        ] {
            let off = found.as_micros().abs_diff(exact);
            assert!(off * 100 <= exact, "{found:?} for {exact} µs");
        }
    }

    #[test]
    fn two_tallies_together_are_one_of_everything() {
        let mut low = tally(1..=500);
        let mut high = tally(501..=1_000);
        low.ended(Some(FailureKind::Trapped), &Usage::default());
        high.ended(Some(FailureKind::Trapped), &Usage::default());
        low.add(&high);
        let mut all = tally(1..=1_000);
        all.ended(Some(FailureKind::Trapped), &Usage::default());
        all.ended(Some(FailureKind::Trapped), &Usage::default());
        assert_eq!(low, all);
        assert_eq!(all.completed(), 1_002);
    }

    #[test]
    fn what_lies_outside_of_the_range_counts_as_its_end() {
        let tally = tally([0, u64::MAX]);
        let latency = tally.latency().expect("there are some");
        assert_eq!(latency.p50, Duration::from_micros(1));
        assert!(latency.p99 >= Duration::from_secs(3_500));
    }

    #[test]
    fn latencies_are_read_back_and_damaged_ones_are_refused() {
        let tally = tally([3, 40, 40, 70_000, 3_000_000_000]);
        let encoded = tally.encoded();
        let mut read = Tally {
            succeeded: 5,
            ..Tally::default()
        };
        assert!(read.decode(&encoded));
        assert_eq!(read, tally);

        for (at, byte) in [(0, 0xff), (7, 0xff), (24, 0x7f), (39, 1), (HEADER, 0xff)] {
            let mut damaged = encoded.clone();
            damaged[at] = byte;
            // Whatever it says, it neither panics nor takes more memory than a sound one.
            let _ = Tally::default().decode(&damaged);
        }
        assert!(!Tally::default().decode(&encoded[..10]));
        assert!(!Tally::default().decode(&[]));
    }
}
