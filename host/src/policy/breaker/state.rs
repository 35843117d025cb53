//! How a breaker stands, and the table of what happens when. Pure: the time is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::plan::CircuitBreaker;
use crate::units::Span;

/// How a breaker stands, without the clock of one process: what is shown, and what is kept for the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// Whether the agent is asked.
    pub standing: Standing,
    /// Its failures in a row.
    pub failures: u32,
    /// How long it is not asked yet, when the breaker is open; nothing when the next call will try it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub open_for: Option<Duration>,
}

/// The three ways in which a breaker can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The agent is asked.
    Closed,
    /// It is not.
    Open,
    /// A few calls are let through to see whether it has recovered.
    HalfOpen,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) at: At,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How often it was opened: a call that began before says nothing about the agent now.
    pub(super) round: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Closed,
    Open {
        until: Instant,
    },
    /// So many calls were let through and have not ended.
    HalfOpen {
        trying: u32,
    },
}

/// What happens to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// Somebody wants to ask the agent.
    Asked,
    /// It answered a call that began in this round.
    Succeeded(u64),
    /// It failed.
    Failed(u64),
    /// The call ended in a way that says nothing about the agent.
    Undecided(u64),
}

/// What the breaker says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask. Also said to what only tells an outcome.
    Pass,
    /// Do not ask before this time.
    Refuse(Instant),
    /// Others are trying the agent just now.
    Busy,
}

impl Default for State {
    fn default() -> Self {
        Self {
            at: At::Closed,
            failures: 0,
            round: 0,
        }
    }
}

impl State {
    /// The table.
    pub(super) fn next(
        self,
        rule: &CircuitBreaker,
        now: Instant,
        what: Happening,
    ) -> (Self, Verdict) {
        let to = |at| Self { at, ..self };
        match (self.at, what) {
            (At::Closed, Happening::Asked) => (self, Verdict::Pass),
            (At::Open { until }, Happening::Asked) if now < until => (self, Verdict::Refuse(until)),
            (At::Open { .. }, Happening::Asked) => (to(At::HalfOpen { trying: 1 }), Verdict::Pass),
            (At::HalfOpen { trying }, Happening::Asked) if trying < rule.half_open_calls.max(1) => {
                (to(At::HalfOpen { trying: trying + 1 }), Verdict::Pass)
            }
            (At::HalfOpen { .. }, Happening::Asked) => (self, Verdict::Busy),

            // Old news.
            (
                _,
                Happening::Succeeded(round)
                | Happening::Failed(round)
                | Happening::Undecided(round),
            ) if round != self.round => (self, Verdict::Pass),
            (At::Open { .. }, _) => (self, Verdict::Pass),

            (At::Closed | At::HalfOpen { .. }, Happening::Succeeded(_)) => {
                (self.closed(), Verdict::Pass)
            }
            (At::Closed, Happening::Failed(_)) => {
                let failed = self.failed();
                match failed.failures >= rule.failures {
                    true => (failed.open(rule, now), Verdict::Pass),
                    false => (failed, Verdict::Pass),
                }
            }
            (At::HalfOpen { .. }, Happening::Failed(_)) => {
                (self.failed().open(rule, now), Verdict::Pass)
            }
            (At::Closed, Happening::Undecided(_)) => (self, Verdict::Pass),
            (At::HalfOpen { trying }, Happening::Undecided(_)) => {
                let trying = trying.saturating_sub(1);
                (to(At::HalfOpen { trying }), Verdict::Pass)
            }
        }
    }

    fn failed(self) -> Self {
        Self {
            failures: self.failures.saturating_add(1),
            ..self
        }
    }

    fn closed(self) -> Self {
        Self {
            at: At::Closed,
            failures: 0,
            ..self
        }
    }

    fn open(self, rule: &CircuitBreaker, now: Instant) -> Self {
        // An end beyond what the clock can tell is as far as it can.
        let until = now
            .checked_add(rule.open_for)
            .unwrap_or(now + Span::LONGEST);
        Self {
            at: At::Open { until },
            round: self.round + 1,
            ..self
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let (standing, open_for) = match self.at {
            At::Closed => (Standing::Closed, None),
            At::Open { until } => (Standing::Open, Some(until.saturating_duration_since(now))),
            At::HalfOpen { .. } => (Standing::HalfOpen, None),
        };
        Snapshot {
            standing,
            failures: self.failures,
            open_for,
        }
    }

    /// Where a breaker stood. Calls that tried the agent ended with their process, so the next one tries it again.
    pub(super) fn of(snapshot: &Snapshot, now: Instant) -> Self {
        let left = snapshot.open_for.unwrap_or_default().min(Span::LONGEST);
        let at = match snapshot.standing {
            Standing::Closed => At::Closed,
            Standing::Open => At::Open { until: now + left },
            Standing::HalfOpen => At::HalfOpen { trying: 0 },
        };
        Self {
            at,
            failures: snapshot.failures,
            round: 0,
        }
    }
}
