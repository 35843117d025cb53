//! A number that changes, averaged over the time just past: how busy a gate is, and not how busy it happens to be at this instant.

use std::time::Duration;

use tokio::time::Instant;

/// How far back the average looks: what was so long ago counts a third of what is now. Long enough that a call of some milliseconds
/// makes no load, short enough that a flood is noticed within half a second.
const HORIZON: Duration = Duration::from_millis(250);

/// An exponentially weighted average over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Average {
    average: f64,
    now: f64,
    since: Instant,
}

impl Average {
    /// Nothing so far.
    pub(super) fn new(start: Instant) -> Self {
        Self {
            average: 0.0,
            now: 0.0,
            since: start,
        }
    }

    /// The number is `value` from `at` on.
    pub(super) fn set(&mut self, value: f64, at: Instant) {
        *self = Self {
            average: self.at(at),
            now: value,
            since: at,
        };
    }

    /// The average at `at`.
    pub(super) fn at(&self, at: Instant) -> f64 {
        let past = at.saturating_duration_since(self.since).as_secs_f64() / HORIZON.as_secs_f64();
        self.now + (self.average - self.now) * (-past).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_counts_and_what_passes_is_forgotten() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut average = Average::new(start);
        average.set(2.0, start);
        average.set(0.0, ms(1));
        assert!(average.at(ms(1)) < 0.01, "a moment makes no load");
        average.set(2.0, ms(1_000));
        assert!(average.at(ms(1_250)) > 1.2);
        assert!(average.at(ms(2_000)) > 1.95);
        average.set(0.0, ms(2_000));
        assert!(average.at(ms(3_000)) < 0.05);
    }

    #[test]
    fn halves_of_the_time_are_half_the_number() {
        let start = Instant::now();
        let mut average = Average::new(start);
        for ms in 0..2_000 {
            average.set(
                if ms % 2 == 0 { 1.0 } else { 0.0 },
                start + Duration::from_millis(ms),
            );
        }
        let end = average.at(start + Duration::from_secs(2));
        assert!((end - 0.5).abs() < 0.01, "{end}");
    }
}
