//! Quarantine: an agent that keeps breaking its sandbox is left alone for a while, and then tried once.
//!
//! A table over the time it is handed: it reads no clock and asks nobody. What an agent answers, refusals included, is never a
//! reason; nor is what its callers or the host did.

use std::time::Duration;

use tokio::time::Instant;

/// Faults in a row that put an agent into quarantine. Fewer would take one hostile input tried three times for a broken agent.
pub const FAULTS: u32 = 5;
/// The first quarantine. Each further one without an answer in between is twice as long.
pub const FIRST: Duration = Duration::from_secs(1);
/// No quarantine is longer, so an agent that was mended is found out within this time.
pub const LONGEST: Duration = Duration::from_secs(300);

/// What the end of a task says about its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The agent answered, be it with an error of its own.
    Answered,
    /// The sandbox had to end it.
    Fault,
    /// Nothing: its caller, another agent or the host ended it.
    Neither,
}

/// Whether an agent may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quarantine {
    state: State,
    /// Quarantines since the last answer.
    trips: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well { faults: u32 },
    Shut { until: Instant },
    Trying { since: Instant },
}

impl Default for State {
    fn default() -> Self {
        Self::Well { faults: 0 }
    }
}

/// An agent may not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not before this time.
    Until(Instant),
    /// Not while one task is on its way to find out whether it works again.
    Trying,
}

/// A quarantine as it is written down: times are as far away as they were then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Faults in a row.
    pub faults: u32,
    /// Quarantines since the last answer.
    pub trips: u32,
    /// How long it goes on; `None` when there is none. Nothing left means that the next task is the one that tries.
    pub left: Option<Duration>,
}

impl Quarantine {
    /// Whether a task would be let through now.
    pub fn refuses(&self, now: Instant) -> Option<Refused> {
        match self.state {
            State::Well { .. } => None,
            State::Shut { until } if until <= now => None,
            State::Shut { until } => Some(Refused::Until(until)),
            State::Trying { .. } => Some(Refused::Trying),
        }
    }

    /// Until when it lasts; a time that has passed when a task tries, or the next one will.
    pub fn shut(&self) -> Option<Instant> {
        match self.state {
            State::Well { .. } => None,
            State::Shut { until } => Some(until),
            State::Trying { since } => Some(since),
        }
    }

    /// Lets a task through or not. The first one after a quarantine tries for all others, who wait for what becomes of it.
    pub fn admit(&mut self, now: Instant) -> Result<(), Refused> {
        if let Some(refused) = self.refuses(now) {
            return Err(refused);
        }
        if let State::Shut { .. } = self.state {
            self.state = State::Trying { since: now };
        }
        Ok(())
    }

    /// Takes the end of a task that was let through at `began`. One from before the quarantine says nothing about its end.
    pub fn ended(&mut self, began: Instant, now: Instant, verdict: Verdict) {
        match (self.state, verdict) {
            (State::Well { .. }, Verdict::Answered) => *self = Self::default(),
            (State::Well { faults }, Verdict::Fault) => {
                let faults = faults.saturating_add(1);
                self.state = State::Well { faults };
                if faults >= FAULTS {
                    self.close(now);
                }
            }
            (State::Trying { since }, verdict) if began >= since => match verdict {
                Verdict::Answered => *self = Self::default(),
                Verdict::Fault => self.close(now),
                Verdict::Neither => self.state = State::Shut { until: now },
            },
            (State::Well { .. } | State::Shut { .. } | State::Trying { .. }, _) => {}
        }
    }

    fn close(&mut self, now: Instant) {
        let factor = 1_u32.checked_shl(self.trips).unwrap_or(u32::MAX);
        let time = FIRST.saturating_mul(factor).min(LONGEST);
        self.trips = self.trips.saturating_add(1);
        self.state = State::Shut { until: now + time };
    }

    /// What to write down. A task that tries may never come back, so it counts as not begun.
    pub fn kept(&self, now: Instant) -> Kept {
        let trips = self.trips;
        match self.state {
            State::Well { faults } => Kept {
                faults,
                trips,
                left: None,
            },
            State::Shut { until } => Kept {
                faults: 0,
                trips,
                left: Some(until.saturating_duration_since(now)),
            },
            State::Trying { .. } => Kept {
                faults: 0,
                trips,
                left: Some(Duration::ZERO),
            },
        }
    }

    /// What was written down, no longer than any quarantine lasts.
    pub fn restored(kept: Kept, now: Instant) -> Self {
        let state = match kept.left {
            None => State::Well {
                faults: kept.faults.min(FAULTS - 1),
            },
            Some(left) => State::Shut {
                until: now + left.min(LONGEST),
            },
        };
        Self {
            state,
            trips: kept.trips,
        }
    }
}

#[cfg(test)]
mod tests {
    use Verdict::{Answered, Fault, Neither};

    use super::*;

    /// A quarantine on a clock of its own: each line says at which second what happens.
    struct Story {
        start: Instant,
        quarantine: Quarantine,
    }

    impl Story {
        fn new() -> Self {
            Self {
                start: Instant::now(),
                quarantine: Quarantine::default(),
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        /// A task at `second` that ends at once; whether it was let through.
        fn task(&mut self, second: u64, verdict: Verdict) -> bool {
            let now = self.at(second);
            let admitted = self.quarantine.admit(now).is_ok();
            if admitted {
                self.quarantine.ended(now, now, verdict);
            }
            admitted
        }

        fn faults(&mut self, second: u64, times: u32) {
            for _ in 0..times {
                assert!(self.task(second, Fault));
            }
        }
    }

    #[test]
    fn five_faults_in_a_row_shut_an_agent_out_and_each_failed_try_doubles_the_time_up_to_five_minutes()
     {
        let mut story = Story::new();
        story.faults(0, FAULTS);
        let mut second = 0;
        for length in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(!story.task(second + length - 1, Answered), "{length}");
            second += length;
            assert!(story.task(second, Fault), "{length}");
        }
    }

    #[test]
    fn an_answer_between_faults_begins_the_count_anew_and_what_says_nothing_does_not() {
        for (between, shut) in [(Answered, false), (Neither, true)] {
            let mut story = Story::new();
            story.faults(0, FAULTS - 1);
            assert!(story.task(0, between));
            story.faults(0, 1);
            assert_eq!(!story.task(0, Neither), shut, "{between:?}");
        }
    }

    #[test]
    fn one_task_tries_for_all_and_its_answer_opens_the_door() {
        let mut story = Story::new();
        story.faults(0, FAULTS);
        let (one, two) = (story.at(1), story.at(2));
        assert_eq!(story.quarantine.admit(one), Ok(()));
        assert_eq!(story.quarantine.admit(two), Err(Refused::Trying));
        story.quarantine.ended(one, two, Answered);
        assert_eq!(story.quarantine, Quarantine::default());
    }

    #[test]
    fn a_try_that_was_given_up_leaves_the_next_task_to_try() {
        let mut story = Story::new();
        story.faults(0, FAULTS);
        assert!(story.task(1, Neither));
        assert!(story.task(1, Fault));
        assert!(!story.task(2, Answered), "now it is two seconds");
        assert!(story.task(3, Answered));
    }

    #[test]
    fn a_task_from_before_the_quarantine_neither_ends_nor_lengthens_it() {
        for late in [Answered, Fault] {
            let mut story = Story::new();
            let began = story.at(0);
            story.faults(0, FAULTS);
            let shut = story.quarantine;
            story.quarantine.ended(began, story.at(0), late);
            assert_eq!(story.quarantine, shut);
            story.quarantine.admit(story.at(1)).expect("the try");
            let trying = story.quarantine;
            story.quarantine.ended(began, story.at(1), late);
            assert_eq!(story.quarantine, trying);
        }
    }

    #[test]
    fn what_was_written_down_goes_on_where_it_was_on_another_clock() {
        let mut story = Story::new();
        story.faults(0, FAULTS - 1);
        let restored = Quarantine::restored(story.quarantine.kept(story.at(0)), story.at(500));
        story.quarantine = restored;
        story.faults(500, 1);
        assert!(story.task(501, Fault), "the first try");

        let kept = story.quarantine.kept(story.at(502));
        assert_eq!(kept.left, Some(Duration::from_secs(1)));
        story.quarantine = Quarantine::restored(kept, story.at(1000));
        assert!(!story.task(1000, Answered));
        assert!(story.task(1001, Fault));
        assert!(!story.task(1004, Answered), "the third takes four seconds");
        assert!(story.task(1005, Answered));
    }

    #[test]
    fn nothing_that_was_written_down_shuts_an_agent_out_for_longer_than_a_quarantine_lasts() {
        let now = Instant::now();
        let kept = Kept {
            faults: u32::MAX,
            trips: u32::MAX,
            left: Some(Duration::MAX),
        };
        let mut quarantine = Quarantine::restored(kept, now);
        assert_eq!(quarantine.refuses(now), Some(Refused::Until(now + LONGEST)));
        quarantine.admit(now + LONGEST).expect("the try");
        quarantine.ended(now + LONGEST, now + LONGEST, Fault);
        assert_eq!(
            quarantine.refuses(now + LONGEST),
            Some(Refused::Until(now + 2 * LONGEST))
        );
    }
}
