//! Timers: events that the host makes itself. The id of each is its time, a multiple of the period since 1970, so processes that serve
//! the same flow make the same event and it counts once. Ticks that nobody was there for are not made up for.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Clock;
use crate::event::{CloudEvent, EventError, flow_source};
use crate::id::EventType;

/// The timers of a flow.
pub(super) struct Timers {
    clock: Clock,
    source: String,
    /// Type, period and next tick, both in milliseconds.
    next: Vec<(EventType, i64, i64)>,
}

impl Timers {
    pub(super) fn new(
        flow: &str,
        types: &BTreeMap<EventType, Option<Duration>>,
        clock: Clock,
    ) -> Self {
        let now = clock().as_millisecond();
        let timer = |(event_type, every): (&EventType, &Option<Duration>)| {
            let every = i64::try_from(every.as_ref()?.as_millis()).ok()?.max(1);
            Some((event_type.clone(), every, after(now, every)))
        };
        let next = types.iter().filter_map(timer).collect();
        Self {
            clock,
            source: flow_source(flow),
            next,
        }
    }

    /// How long it is until the next tick; `None` without timers.
    pub(super) fn wait(&self) -> Option<Duration> {
        let now = (self.clock)().as_millisecond();
        let next = self.next.iter().map(|(_, _, at)| at).min()?;
        Some(Duration::from_millis(
            next.saturating_sub(now).max(0).unsigned_abs(),
        ))
    }

    /// The events that are due. Of ticks that were slept through, the last.
    pub(super) fn due(&mut self) -> Result<Vec<CloudEvent>, EventError> {
        let now = (self.clock)().as_millisecond();
        let mut due = Vec::new();
        for (event_type, every, at) in &mut self.next {
            if *at > now {
                // The clock was set back: the next tick is nearer than it was.
                *at = (*at).min(after(now, *every));
                continue;
            }
            *at = after(now, *every);
            let tick = *at - *every;
            let time = Timestamp::from_millisecond(tick).unwrap_or(Timestamp::UNIX_EPOCH);
            let data = json!({ "time": time });
            let source = format!("{}/every/{event_type}", self.source);
            let event = CloudEvent::new(source, time.to_string(), event_type.clone(), data)?;
            due.push(CloudEvent {
                time: Some(time),
                ..event
            });
        }
        Ok(due)
    }
}

/// The first multiple of `every` after `now`.
fn after(now: i64, every: i64) -> i64 {
    now.div_euclid(every)
        .saturating_add(1)
        .saturating_mul(every)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn timers(now: &Arc<AtomicI64>) -> Timers {
        let now = now.clone();
        let clock: Clock = Arc::new(move || {
            Timestamp::from_millisecond(now.load(Ordering::Relaxed)).expect("a time")
        });
        let types = [
            (
                "tick".parse().expect("a type"),
                Some(Duration::from_secs(30)),
            ),
            ("deaf".parse().expect("a type"), None),
        ];
        Timers::new("f", &types.into(), clock)
    }

    fn ids(timers: &mut Timers) -> Vec<String> {
        timers
            .due()
            .expect("events")
            .into_iter()
            .map(|event| event.id)
            .collect()
    }

    #[test]
    fn two_processes_make_the_same_event() {
        let now = Arc::new(AtomicI64::new(10_000));
        let mut one = timers(&now);
        now.store(29_999, Ordering::Relaxed);
        let mut other = timers(&now);
        assert_eq!(
            (one.wait(), ids(&mut one)),
            (Some(Duration::from_millis(1)), vec![])
        );
        now.store(30_004, Ordering::Relaxed);
        let (events, others) = (one.due().expect("events"), other.due().expect("events"));
        assert_eq!(events, others);
        assert_eq!(events[0].source, "/flows/f/every/tick");
        assert_eq!(events[0].id, "1970-01-01T00:00:30Z");
        assert_eq!(ids(&mut one), [""; 0], "once");
    }

    #[test]
    fn ticks_that_were_slept_through_are_not_made_up_for() {
        let now = Arc::new(AtomicI64::new(0));
        let mut timers = timers(&now);
        now.store(100_000, Ordering::Relaxed);
        assert_eq!(ids(&mut timers), ["1970-01-01T00:01:30Z"]);
        assert_eq!(timers.wait(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn a_clock_that_was_set_back_delays_a_tick_by_one_period_at_most() {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let mut timers = timers(&now);
        now.store(10_000, Ordering::Relaxed);
        assert_eq!(ids(&mut timers), [""; 0]);
        assert_eq!(timers.wait(), Some(Duration::from_secs(20)));
    }
}
