//! Clocks for guests: coarse, so that they cannot time the host's caches, and never failing, whatever the machine's clock says.
//!
//! The same answers come again when an attempt is replayed, and then no wait takes any time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};

use super::task::Task;

/// Nanoseconds in what a guest can tell apart, a millisecond. Timing attacks need nanoseconds; agents do not.
const RESOLUTION: u64 = 1_000_000;

impl wall_clock::Host for Task {
    /// The time of day, cut to milliseconds; the epoch when the machine's clock stands before it.
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.calls.count();
        let since = || SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = self.tape().wall(|| coarse(since().unwrap_or_default()))?;
        Ok(Datetime {
            seconds: millis / 1000,
            // Below a second, so it fits.
            nanoseconds: (millis % 1000) as u32 * RESOLUTION as u32,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        self.calls.count();
        Ok(Datetime {
            seconds: 0,
            nanoseconds: RESOLUTION as u32,
        })
    }
}

impl monotonic_clock::Host for Task {
    /// The time since the task first looked, cut to milliseconds.
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.calls.count();
        let start = self.start();
        let millis = self.tape().elapsed(|| coarse(start.elapsed()))?;
        Ok(millis.saturating_mul(RESOLUTION))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.calls.count();
        Ok(RESOLUTION)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = coarse(self.start().elapsed()).saturating_mul(RESOLUTION);
        self.alarm(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.alarm(duration)
    }
}

impl Task {
    fn start(&mut self) -> Instant {
        *self.clock.get_or_insert_with(Instant::now)
    }

    /// What becomes ready after so many nanoseconds; at once in a replay, where the tape says what was ready when.
    fn alarm(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let nanos = if self.errand.tape.plays() { 0 } else { nanos };
        monotonic_clock::Host::subscribe_duration(&mut self.timers(), nanos)
    }
}

/// In whole milliseconds.
fn coarse(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_sees_whole_milliseconds() {
        assert_eq!(coarse(Duration::from_nanos(12_999_999)), 12);
        assert_eq!(coarse(Duration::MAX), u64::MAX);
    }
}
