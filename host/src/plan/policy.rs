//! Policies as data: what a flow says about how a call is made. [`crate::policy`] knows what each does and their order.

use std::time::Duration;

use super::CallStep;
use crate::expr::Template;
use crate::failure::FailureKind;
use crate::slots::Priority;

/// The policies around a call, as data. [`crate::policy::stack`] knows their order.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Bounds one attempt.
    pub timeout: Option<Duration>,
    /// Tries again.
    pub retry: Option<Retry>,
    /// Whom to ask when the agent has failed for good, in order.
    pub fallback: Vec<Fallback>,
    /// Answers from earlier answers.
    pub cache: Option<Cache>,
    /// Bounds below the agent's own.
    pub bounds: crate::call::Bounds,
    /// Bounds the whole step: every attempt, every wait and every fallback together.
    pub deadline: Option<Duration>,
    /// Stops asking an agent that keeps failing.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Asks another agent while the host is busy.
    pub degrade: Option<Degrade>,
    /// Gathers calls into one call of the agent's `handle-batch`.
    pub batch: Option<Batch>,
    /// Who goes first when slots are short.
    pub priority: Option<Priority>,
}

impl Policy {
    /// This policy, with `defaults` where it says nothing about how one agent is asked. Bounds and other agents are never inherited.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self {
            timeout: self.timeout.or(defaults.timeout),
            retry: self.retry.clone().or_else(|| defaults.retry.clone()),
            fallback: self.fallback.clone(),
            cache: self.cache.clone().or_else(|| defaults.cache.clone()),
            bounds: self.bounds,
            deadline: self.deadline,
            circuit_breaker: self.circuit_breaker.or(defaults.circuit_breaker),
            degrade: self.degrade.clone(),
            batch: self.batch.or(defaults.batch),
            priority: self.priority.or(defaults.priority),
        }
    }
}

/// When and how to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// The longest wait before the second try; each wait is drawn between nothing and its bound (full jitter).
    pub backoff: Duration,
    /// How much longer the bound of each further wait is.
    pub factor: f64,
    /// The bound never passes this.
    pub max_backoff: Duration,
    /// Whether waits are drawn at random below their bound; exact bounds otherwise.
    pub jitter: bool,
    /// The failure kinds to try again; [`FailureKind::retryable`] decides when absent.
    pub on: Option<Vec<FailureKind>>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(100),
            factor: 2.0,
            max_backoff: Duration::from_secs(30),
            jitter: true,
            on: None,
        }
    }
}

/// Another agent that may answer instead, with a whole policy stack of its own.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// Whom to ask, and under which policies.
    pub call: Box<CallStep>,
    /// What it gets instead of the step's own input.
    pub with: Option<Template>,
}

/// How long an answer may be used again.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The age at which an answer is too old.
    pub ttl: Duration,
    /// What identifies the request instead of its whole input.
    pub key: Option<Template>,
}

/// When to stop asking an agent that keeps failing, and when to try it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// Calls that are let through at the same time once that is over; the first success closes it, a failure opens it again.
    pub half_open_calls: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(30),
            half_open_calls: 1,
        }
    }
}

/// Whom to ask instead while the host's load is above a bound.
#[derive(Debug, Clone)]
pub struct Degrade {
    /// The load from which on `to` is asked: 0 is idle, 1 is every slot taken, more is a queue.
    pub above: f64,
    /// Whom to ask then, with a policy stack of its own.
    pub to: Box<CallStep>,
}

/// How calls are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The most calls in one.
    pub size: usize,
    /// How long the first call waits for others.
    pub wait: Duration,
}

/// What a whole run may spend, nested calls included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Fuel.
    pub fuel: Option<u64>,
    /// Wall time from the run's acceptance.
    pub wall: Option<Duration>,
    /// Attempts, and calls of peers.
    pub calls: Option<u64>,
    /// What happens beyond it.
    pub on_exceeded: OnExceeded,
}

/// What happens to a run whose budget is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnExceeded {
    /// No further call is begun, and the run fails.
    #[default]
    Stop,
    /// Steps with `degrade` ask the other agent from then on; the others fail.
    Degrade,
}
