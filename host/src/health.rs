//! How agents fare: what became of their tasks, how long those took, and who is left alone for a while.
//!
//! Fed by the one policy that watches each attempt ([`crate::policy`]); read by whoever chooses among agents or shows them. It
//! refuses to judge what an agent answers: an agent that says no is well.

mod book;
mod choice;
mod patience;
pub mod quarantine;
mod release;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::book::{Book, NAMESPACE, Page};
pub use self::choice::{Directory, OpenUntil, Peer, Standing, choose, ranked};
pub use self::patience::{Trouble, in_time};
use self::quarantine::{Quarantine, Refused, Verdict};
pub use self::tally::{Latency, Tally};
use crate::call::{Bounds, CallError, Reply, Request};
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;

/// How much one task weighs in what is known about the recent ones: about the last ten count.
const WEIGHT: f64 = 0.2;
/// The least chance of an answer that is reckoned with, so that an agent that failed a lot still comes up.
const CHANCE: f64 = 0.05;

/// The health of one agent under limits of its own.
pub struct Health {
    own: Own,
    known: Arc<Known>,
}

/// What is known about an agent, whatever its limits are.
#[derive(Default)]
struct Known {
    in_flight: AtomicU64,
    turns: AtomicU64,
    state: Mutex<State>,
}

/// The bounds of the agent's own, which tell its faults from those of callers with lower ones.
#[derive(Debug, Clone, Copy)]
struct Own {
    fuel: u64,
    memory: u64,
    timeout: Duration,
}

#[derive(Default)]
struct State {
    /// Everything that is known.
    total: Tally,
    /// What was not written into the book yet.
    fresh: Tally,
    /// Whether there is anything to write.
    changed: bool,
    /// What was written, and nobody knows whether it arrived.
    doubts: Vec<book::Doubt>,
    /// How often it was tried to write.
    writes: u64,
    quarantine: Quarantine,
    /// The last word that it is to be let through.
    released: u64,
    recent: Option<Recent>,
    last_failure: Option<LastFailure>,
}

/// The last failure of an agent, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// Why it failed.
    pub failure: Failure,
    /// When it did.
    pub at: Timestamp,
}

/// Averages in which recent tasks weigh more.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Recent {
    micros: f64,
    success: f64,
}

/// Everything about an agent's health at one moment.
#[derive(Debug, Clone)]
pub struct Report {
    /// Counts and latencies.
    pub tally: Tally,
    /// Tasks that wait for a slot or execute.
    pub in_flight: u64,
    /// Why it may not be asked now.
    pub refused: Option<Refused>,
    /// Whether it was quarantined and has not answered since.
    pub quarantined: bool,
    /// Its last failure.
    pub last_failure: Option<LastFailure>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Health {
    /// Of an agent with these limits, about which nothing is known yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            own: Own {
                fuel: limits.fuel.0,
                memory: limits.memory.0,
                timeout: limits.timeout.0,
            },
            known: Arc::default(),
        }
    }

    /// Of the same agent under other limits: what is known about it stays known, and both go on adding to it.
    #[must_use]
    pub fn under(&self, limits: &Limits) -> Self {
        Self {
            known: self.known.clone(),
            ..Self::new(limits)
        }
    }

    /// Lets a task through that has `timeout`, or says why the agent is left alone. What becomes of it is told to the watch, or it
    /// counts as given up.
    pub fn admit(
        self: &Arc<Self>,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<Watch, Failure> {
        let now = Instant::now();
        self.known.state.lock().quarantine.admit(now).map_err(|refused| {
            let message = format!(
                "the agent {}; `kennel agents release` ends that, and a new version of its plugin is tried at once",
                shown_until(refused)
            );
            Failure::new(FailureKind::BreakerOpen, message)
        })?;
        let tasks = request
            .together
            .as_ref()
            .map_or(1, |all| all.requests().len() as u64);
        self.known.in_flight.fetch_add(tasks, Ordering::Relaxed);
        Ok(Watch {
            health: self.clone(),
            tasks,
            began: now,
            bounds: request.bounds,
            deadline: timeout
                .and_then(|timeout| now.checked_add(timeout))
                .into_iter()
                .chain(request.deadline)
                .min(),
            told: AtomicBool::new(false),
        })
    }

    /// Ends a quarantine: somebody knows that the agent works again.
    pub fn release(&self) {
        let mut state = self.known.state.lock();
        state.quarantine = Quarantine::default();
        state.changed = true;
    }

    /// Does what the word with this number says, if it is a new one.
    fn obey(&self, said: u64) {
        let mut state = self.known.state.lock();
        if said > state.released {
            state.released = said;
            state.changed |= state.quarantine != Quarantine::default();
            state.quarantine = Quarantine::default();
        }
    }

    /// Why a task would not be let through now.
    pub fn refuses(&self) -> Option<Refused> {
        self.known.state.lock().quarantine.refuses(Instant::now())
    }

    /// How it stands among others.
    pub fn standing(&self) -> Standing {
        let recent = self.known.state.lock().recent;
        let cost = recent.map_or(0.0, |recent| recent.micros / recent.success.max(CHANCE));
        // A task that has its turn is in flight a moment later: the higher number has most of both.
        let in_flight = self.known.in_flight.load(Ordering::Relaxed);
        Standing {
            in_flight: in_flight.max(self.known.turns.load(Ordering::Relaxed)),
            cost: cost as u64,
        }
    }

    /// Tasks that wait for a slot or execute.
    pub fn in_flight(&self) -> u64 {
        self.known.in_flight.load(Ordering::Relaxed)
    }

    /// Until when it is in quarantine, if it is. A time that has passed means that the next task, or one that is under way, shows whether
    /// it works again.
    pub fn shut(&self) -> Option<Instant> {
        self.known.state.lock().quarantine.shut()
    }

    /// Everything that is known at the moment.
    pub fn report(&self) -> Report {
        let state = self.known.state.lock();
        Report {
            tally: state.total.clone(),
            in_flight: self.in_flight(),
            refused: state.quarantine.refuses(Instant::now()),
            quarantined: state.quarantine.kept(Instant::now()).left.is_some(),
            last_failure: state.last_failure.clone(),
        }
    }

    fn turn(self: &Arc<Self>) -> Turn {
        self.known.turns.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    /// What the end of a task with `failure` says about the agent. A bound below the agent's own says nothing: who sets one does so
    /// at its own risk.
    fn verdict(&self, error: &CallError, watch: &Watch) -> Verdict {
        use FailureKind as F;
        let fault = |own: bool| {
            if own {
                Verdict::Fault
            } else {
                Verdict::Neither
            }
        };
        let Own {
            fuel,
            memory,
            timeout,
        } = self.own;
        match error.failure.kind {
            F::InvalidInput | F::Recoverable | F::Fatal => Verdict::Answered,
            F::OutOfFuel => fault(watch.bounds.fuel.is_none_or(|bound| bound >= fuel)),
            F::OutOfMemory => fault(watch.bounds.memory.is_none_or(|bound| bound >= memory)),
            F::Deadline => {
                // What it waited for its turn is not its fault, however long that was.
                let used = error.trail.usage();
                let worked = Duration::from_micros(used.wall_us.saturating_sub(used.queue_us));
                let own = watch.began.checked_add(timeout);
                fault(
                    worked >= timeout / 2
                        && watch
                            .deadline
                            .is_none_or(|deadline| own.is_some_and(|own| own <= deadline)),
                )
            }
            F::StackOverflow | F::Trapped | F::AbiViolation | F::Exit => Verdict::Fault,
            F::TooMuchData | F::Handles | F::OutputTooLarge | F::Quota => Verdict::Fault,
            F::Denied | F::CallDepth | F::CallCycle | F::FanOut => Verdict::Neither,
            F::BreakerOpen | F::Overloaded | F::Cancelled | F::HostError => Verdict::Neither,
        }
    }
}

/// One task that was let through, or several in one sandbox. Dropping it without a word means that nobody waits any more.
pub struct Watch {
    health: Arc<Health>,
    tasks: u64,
    began: Instant,
    bounds: Bounds,
    deadline: Option<Instant>,
    told: AtomicBool,
}

impl Watch {
    /// Takes what became of the tasks: each counts, but the sandbox ended once.
    pub fn saw(&self, results: &[Result<Reply, CallError>]) {
        self.told.store(true, Ordering::Relaxed);
        let health = &self.health;
        let mut verdict = Verdict::Neither;
        let mut state = health.known.state.lock();
        for result in results {
            let of_one = match result {
                Ok(_) => Verdict::Answered,
                Err(error) => health.verdict(error, self),
            };
            verdict = match (verdict, of_one) {
                (Verdict::Answered, _) | (_, Verdict::Answered) => Verdict::Answered,
                (Verdict::Fault, _) | (_, Verdict::Fault) => Verdict::Fault,
                (Verdict::Neither, Verdict::Neither) => Verdict::Neither,
            };
            state.count(result, of_one);
        }
        state.quarantine.ended(self.began, Instant::now(), verdict);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.health
            .known
            .in_flight
            .fetch_sub(self.tasks, Ordering::Relaxed);
        if !self.told.load(Ordering::Relaxed) {
            let mut state = self.health.known.state.lock();
            let now = Instant::now();
            state.quarantine.ended(self.began, now, Verdict::Neither);
        }
    }
}

impl State {
    fn count(&mut self, result: &Result<Reply, CallError>, verdict: Verdict) {
        let (trail, failure) = match result {
            Ok(reply) => (&reply.trail, None),
            Err(error) => (&error.trail, Some(&error.failure)),
        };
        let usage = trail.usage();
        self.changed = true;
        for tally in [&mut self.total, &mut self.fresh] {
            tally.ended(failure.map(|failure| failure.kind), &usage);
            if verdict != Verdict::Neither {
                tally.took(usage.wall_us);
            }
        }
        if verdict != Verdict::Neither {
            let well = failure.is_none_or(|failure| failure.kind == FailureKind::InvalidInput);
            self.recent = Some(Recent::next(self.recent, usage.wall_us, well));
        }
        if let Some(failure) = failure {
            self.last_failure = Some(LastFailure {
                failure: failure.clone(),
                at: Timestamp::now(),
            });
        }
    }
}

impl Recent {
    fn next(before: Option<Self>, micros: u64, well: bool) -> Self {
        let (micros, success) = (micros as f64, f64::from(u8::from(well)));
        match before {
            None => Self { micros, success },
            Some(before) => Self {
                micros: before.micros + WEIGHT * (micros - before.micros),
                success: before.success + WEIGHT * (success - before.success),
            },
        }
    }
}

/// The turn of an agent that was chosen; counts as something to do until it is dropped.
pub struct Turn(Arc<Health>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.known.turns.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `is quarantined until 2026-01-01T10:00:00Z`, and so on: what follows an agent's name.
fn shown_until(refused: Refused) -> String {
    match refused {
        Refused::Trying => {
            "is quarantined, and one task is finding out whether it works again".to_owned()
        }
        Refused::Until(until) => format!("is quarantined until {}", wall(until)),
    }
}

/// A time on the wall clock, to the second.
pub fn wall(at: Instant) -> Timestamp {
    let left = at.saturating_duration_since(Instant::now());
    let at = Timestamp::now()
        .saturating_add(left)
        .unwrap_or(Timestamp::MAX);
    // Up, so that nobody is told to come back too early.
    let rounding = jiff::TimestampRound::new()
        .smallest(jiff::Unit::Second)
        .mode(jiff::RoundMode::Ceil);
    at.round(rounding).unwrap_or(at)
}

#[cfg(test)]
mod tests;
