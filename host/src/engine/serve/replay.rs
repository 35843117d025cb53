//! Playing a recording: its events in their order, as far apart as their time stamps say, or as fast as runs end.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::runs::{Cause, Runs};
use super::{Serving, Tally, Teller, Told};
use crate::engine::{Engine, EngineError};
use crate::event::CloudEvent;

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as runs end.
    Max,
    /// So many times as fast as it happened.
    Times(f64),
}

impl Engine {
    /// Plays `events` to a flow, until every run that they started has ended or `stop` ends. Timers do not tick meanwhile.
    ///
    /// An event that stands in the recording twice counts once.
    pub async fn replay(
        &self,
        serving: &Serving,
        events: impl IntoIterator<Item = CloudEvent>,
        speed: Speed,
        tell: &mut Teller<'_>,
        stop: impl Future<Output = ()>,
    ) -> Result<Tally, EngineError> {
        let mut tell = |told: Told<'_>| tell(told);
        let mut runs = Runs::new(self, serving, &mut tell);
        let mut pace = Pace::new(speed);
        let mut seen = HashSet::new();
        let mut events = events.into_iter();
        let mut next = None;
        tokio::pin!(stop);
        loop {
            while next.is_none()
                && let Some(event) = events.next()
            {
                if !seen.insert(event.key()) {
                    runs.tally.events += 1;
                    runs.tally.duplicates += 1;
                } else if runs.handles(&event) {
                    next = Some((pace.due(event.time), event));
                }
            }
            let due = match &next {
                None if runs.are_idle() => return Ok(runs.stop().await),
                Some((due, _)) if runs.free() > 0 => Some(*due),
                _ => None,
            };
            tokio::select! {
                biased;
                () = &mut stop => return Ok(runs.stop().await),
                ended = runs.next() => runs.ended(ended),
                () = at(due) => {
                    if let Some((_, event)) = next.take() {
                        runs.begin(Cause::Recorded(Box::new(event)));
                    }
                }
            }
        }
    }
}

/// When each event of a recording is due.
struct Pace {
    speed: Speed,
    begin: Instant,
    first: Option<Timestamp>,
    last: Instant,
}

impl Pace {
    fn new(speed: Speed) -> Self {
        let begin = Instant::now();
        Self {
            speed,
            begin,
            first: None,
            last: begin,
        }
    }

    /// When the next event, which happened at `time`, is due: never before the one in front of it, and with it when it has no time.
    fn due(&mut self, time: Option<Timestamp>) -> Instant {
        let (Some(time), Speed::Times(speed)) = (time, self.speed) else {
            return self.last;
        };
        let first = *self.first.get_or_insert(time);
        let apart = Duration::try_from(time.duration_since(first)).unwrap_or_default();
        let scaled =
            Duration::try_from_secs_f64(apart.as_secs_f64() / speed).unwrap_or(Duration::MAX);
        // A recording that spans more than the clock can tell ends with what is due within it.
        let due = self.begin.checked_add(scaled).unwrap_or(self.last);
        self.last = self.last.max(due);
        self.last
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
