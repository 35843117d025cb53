//! Circuit breaker: stops asking an agent that keeps failing, and tries it again after a while.
//!
//! One breaker for each agent, shared by all runs; it sees each try. What happens when is one table, `State::next`, which is pure;
//! the rest asks it under a lock. Only what speaks against the agent counts: an answer to a bad input, a full host, a caller that has
//! no more time or calls too deep do not.

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::state::{Happening, State, Verdict};
pub use self::state::{Snapshot, Standing};
use crate::call::{Attempt, Call, CallError, Reply, Request, Usage};
use crate::failure::{Failure, FailureKind};
use crate::id::AgentName;
use crate::plan::CircuitBreaker;
use crate::units::Span;

/// Asks `inner` only while the breaker of `agent` is closed, or lets a few through to see.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    agent: &AgentName,
    rule: Option<&CircuitBreaker>,
    breakers: &Breakers,
) -> Arc<dyn Call> {
    match rule {
        None => inner,
        Some(rule) => Arc::new(Breaking {
            inner,
            agent: agent.clone(),
            rule: *rule,
            breaker: breakers.of(agent),
        }),
    }
}

/// The breakers of all agents that any step has one for.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<BTreeMap<AgentName, Arc<Breaker>>>);

impl Breakers {
    fn of(&self, agent: &AgentName) -> Arc<Breaker> {
        let mut breakers = self.0.lock();
        if let Some(breaker) = breakers.get(agent) {
            return breaker.clone();
        }
        breakers.entry(agent.clone()).or_default().clone()
    }

    /// How each breaker stands.
    pub(super) fn snapshots(&self) -> Vec<(AgentName, Snapshot)> {
        let now = Instant::now();
        let marks = self.marks().into_iter();
        marks
            .map(|(agent, mark)| (agent, mark.snapshot(now)))
            .collect()
    }

    /// Where each breaker stands, to tell later whether it moved.
    pub fn marks(&self) -> Vec<(AgentName, Mark)> {
        let breakers = self.0.lock();
        let all = breakers.iter();
        all.map(|(agent, breaker)| (agent.clone(), Mark(*breaker.0.lock())))
            .collect()
    }

    /// How the breaker of `agent` is asked, without a call: until when it is open.
    pub(super) fn watch(
        &self,
        agent: &AgentName,
    ) -> Arc<dyn Fn() -> Option<Instant> + Send + Sync> {
        let breaker = self.of(agent);
        Arc::new(move || {
            let now = Instant::now();
            let left = breaker.0.lock().snapshot(now).open_for?;
            (!left.is_zero()).then(|| now + left)
        })
    }

    /// Begins anew for `agent`, whose plugin is another one now. Whoever still asks the old one goes on with the breaker that it has.
    pub(super) fn renew(&self, agent: &AgentName) {
        self.0.lock().remove(agent);
    }

    /// Puts the breaker of `agent` where it stood before.
    pub(super) fn restore(&self, agent: &AgentName, snapshot: &Snapshot) {
        *self.of(agent).0.lock() = State::of(snapshot, Instant::now());
    }
}

/// Where a breaker stood at some moment. Equal ones mean that nothing has happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(State);

impl Mark {
    /// How it stands at `now`, if nothing happens to it until then.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.0.snapshot(now)
    }
}

/// One agent's breaker.
#[derive(Debug, Default)]
struct Breaker(Mutex<State>);

/// Whether a failure speaks against the agent. `late` says that the deadline of whoever asked had passed.
fn counts(kind: FailureKind, late: bool) -> bool {
    use FailureKind as F;
    match kind {
        F::InvalidInput | F::Cancelled | F::Overloaded | F::BreakerOpen => false,
        F::Denied | F::CallDepth | F::CallCycle | F::FanOut => false,
        F::Deadline => !late,
        F::Recoverable | F::Fatal | F::OutOfFuel | F::OutOfMemory | F::StackOverflow => true,
        F::Trapped | F::AbiViolation | F::TooMuchData | F::Handles | F::OutputTooLarge => true,
        F::Quota | F::Exit | F::HostError => true,
    }
}

struct Breaking {
    inner: Arc<dyn Call>,
    agent: AgentName,
    rule: CircuitBreaker,
    breaker: Arc<Breaker>,
}

impl Call for Breaking {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.ask(request))
    }
}

impl Breaking {
    async fn ask(&self, request: Request) -> Result<Reply, CallError> {
        let try_ = match self.begin() {
            Ok(try_) => try_,
            Err(failure) => return Err(self.refused(failure, request.attempt)),
        };
        let deadline = request.deadline;
        let result = self.inner.call(request).await;
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        try_.ended(match &result {
            Ok(_) => Happening::Succeeded,
            Err(error) if counts(error.failure.kind, late) => Happening::Failed,
            Err(_) => Happening::Undecided,
        });
        result
    }

    fn begin(&self) -> Result<Try<'_>, Failure> {
        let now = Instant::now();
        let mut state = self.breaker.0.lock();
        let (next, verdict) = state.next(&self.rule, now, Happening::Asked);
        *state = next;
        let (agent, failures) = (&self.agent, next.failures);
        let message = match verdict {
            Verdict::Pass => {
                return Ok(Try {
                    of: self,
                    round: next.round,
                    outcome: Happening::Undecided,
                });
            }
            Verdict::Refuse(until) => format!(
                "`{agent}` has failed {failures} times in a row and is not asked again for {}; `circuit-breaker` says so",
                whole_seconds(until - now)
            ),
            Verdict::Busy => format!(
                "`{agent}` has failed {failures} times in a row and is just being tried again; `circuit-breaker` lets no more calls through until that has ended"
            ),
        };
        Err(Failure::new(FailureKind::BreakerOpen, message))
    }

    fn refused(&self, failure: Failure, number: u32) -> CallError {
        let mut error = CallError::new(failure.kind, failure.message.clone());
        error.trail.attempts.push(Attempt {
            agent: self.agent.clone(),
            number,
            failure: Some(failure),
            usage: Usage::default(),
            answers: None,
        });
        error
    }
}

/// A time as people read it: the next whole second.
fn whole_seconds(time: Duration) -> Span {
    let more = u64::from(time.subsec_nanos() > 0);
    Span(Duration::from_secs(time.as_secs().saturating_add(more)))
}

/// A call that was let through. One that is dropped before its end says nothing about the agent.
struct Try<'a> {
    of: &'a Breaking,
    round: u64,
    outcome: fn(u64) -> Happening,
}

impl Try<'_> {
    fn ended(mut self, outcome: fn(u64) -> Happening) {
        self.outcome = outcome;
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let happening = (self.outcome)(self.round);
        let mut state = self.of.breaker.0.lock();
        (*state, _) = state.next(&self.of.rule, Instant::now(), happening);
    }
}
