//! What became of the events and runs of one serving, in numbers.

use std::time::Duration;

use super::Ended;
use crate::record::Outcome;

/// Counts, and how long runs took.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Events that were handed to the flow, duplicates included.
    pub events: u64,
    /// Events that somebody else has handled or handles, or that came twice.
    pub duplicates: u64,
    /// Events that fit no handler.
    pub ignored: u64,
    /// Runs that gave an output.
    pub succeeded: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that wait for somebody, were stopped, or could not be driven on.
    pub unfinished: u64,
    /// How long the runs took that ended here.
    pub took: Spread,
}

impl Tally {
    pub(super) fn count(&mut self, ended: &Ended) {
        let outcome = match &ended.how {
            Ok(None) => {
                self.duplicates += 1;
                return;
            }
            Ok(Some(state)) => state.outcome(),
            Err(_) => None,
        };
        match outcome {
            None => {
                self.unfinished += 1;
                return;
            }
            Some(Outcome::Succeeded { .. }) => self.succeeded += 1,
            Some(_) => self.failed += 1,
        }
        self.took.add(ended.took);
    }
}

/// Counts in one bucket for each power of two.
const FINE: u64 = 64;

/// How often something took how long. Of fixed size whatever is added; a quantile is at most two parts in a hundred too long.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// By microseconds: below [`FINE`] one each, above it [`FINE`] for every doubling.
    buckets: Vec<u64>,
    count: u64,
}

impl Spread {
    /// Adds one.
    pub fn add(&mut self, took: Duration) {
        let at = bucket(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.count += 1;
    }

    /// The time within which this share of them ended; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        let at = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        });
        at.map(|at| Duration::from_micros(end(at)))
    }
}

fn bucket(micros: u64) -> usize {
    if micros < FINE {
        return micros as usize;
    }
    let doublings = u64::from(micros.ilog2() - FINE.ilog2());
    ((doublings + 1) * FINE + ((micros >> doublings) - FINE)) as usize
}

/// The longest time in a bucket, in microseconds.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < FINE {
        return bucket;
    }
    let doublings = bucket / FINE - 1;
    let next = u128::from(FINE + bucket % FINE + 1) << doublings;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bucket_that_ends_at_most_two_hundredths_later() {
        for micros in (0..200).chain([
            1_000,
            12_345,
            1_000_000,
            86_400_000_000,
            u64::MAX / 2,
            u64::MAX,
        ]) {
            let end = end(bucket(micros));
            assert!(
                end >= micros && (end - micros) as f64 <= micros as f64 / 50.0,
                "{micros}: {end}"
            );
            assert!(
                micros == 0 || bucket(micros) >= bucket(micros - 1),
                "{micros}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(0.5), None);
        (1..=100).for_each(|n| spread.add(Duration::from_millis(n)));
        for (share, millis) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = spread
                .quantile(share)
                .expect("there are some")
                .as_secs_f64()
                * 1e3;
            assert!((millis..millis * 1.02).contains(&found), "{share}: {found}");
        }
    }
}
