//! The one seam: a request goes in, a reply or an error comes out.
//!
//! The sandbox, each policy, and the scripts of tests implement [`Call`]. What happened on the way (attempts, a cache hit, who
//! served) rides back as the [`Trail`], so no implementor needs the journal.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::failure::{Failure, FailureKind};
use crate::id::{AgentName, RunId, SkillName, StepPath};
use crate::payload::{BlobRef, Payload};
use crate::slots::Priority;

/// Something that handles tasks.
pub trait Call: Send + Sync {
    /// Handles one request to its end. Dropping the future cancels it: guests are stopped at their next yield.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>>;

    /// Whether it handles several requests together, as [`Request::together`] says.
    fn batches(&self) -> bool {
        false
    }
}

/// One task on its way down. Cloning is cheap: the input is shared.
#[derive(Clone)]
pub struct Request {
    /// The same for every attempt of a step, after a crash too: the agent's idempotency key.
    pub task_id: Arc<str>,
    /// The skill asked for; `None` when the agent has only one. A policy stack sets it from its call step.
    pub skill: Option<SkillName>,
    /// What the agent gets.
    pub input: Arc<Payload>,
    /// Requests that are to be handled together with this one, which is the first of them. Only for whoever [batches](Call::batches).
    pub together: Option<Arc<Together>>,
    /// What identifies the question to the answer cache instead of the whole input: the value of `cache.key`.
    pub cache_key: Option<Arc<Payload>>,
    /// What the fallbacks of the call step get, in their order. One that is not listed gets `input`.
    pub alternatives: Arc<[Alternative]>,
    /// 1 for the first try; retries and resumes count on.
    pub attempt: u32,
    /// When the caller stops waiting. Every layer may bring it forward, none may put it off.
    pub deadline: Option<Instant>,
    /// Bounds below the agent's own limits that hold for this request only.
    pub bounds: Bounds,
    /// Who asked whom, outermost first; empty for a call from a flow or a person. Host-kept, never guest-supplied.
    pub lineage: Lineage,
    /// Who listens to progress and logs while the task runs.
    pub observer: Observer,
    /// Who goes first when slots are short.
    pub priority: Priority,
    /// Set when the run's budget is used up and cheaper agents are to be asked.
    pub degraded: bool,
    /// Keeps the agents that can be asked in turn for as long as anybody waits: who joins another's asking outlives the other's run.
    pub among: Option<Arc<dyn Any + Send + Sync>>,
}

impl Request {
    /// A first attempt without deadline, bounds or listeners, asked by a flow or a person.
    pub fn new(task_id: impl Into<Arc<str>>, input: Arc<Payload>) -> Self {
        Self {
            task_id: task_id.into(),
            skill: None,
            input,
            together: None,
            cache_key: None,
            alternatives: Arc::default(),
            attempt: 1,
            deadline: None,
            bounds: Bounds::default(),
            lineage: Lineage::default(),
            observer: Observer::default(),
            priority: Priority::default(),
            degraded: false,
            among: None,
        }
    }

    /// This request as it is put to fallback `n` of its call step, from 0.
    ///
    /// The cache key of the agent asked first says nothing about another agent's question, so it does not carry over.
    #[must_use]
    pub fn for_alternative(&self, n: usize) -> Self {
        let given = self.alternatives.get(n).cloned().unwrap_or_default();
        Self {
            input: given.input.unwrap_or_else(|| self.input.clone()),
            cache_key: given.cache_key,
            alternatives: given.alternatives,
            ..self.clone()
        }
    }
}

/// Several requests of one skill in one call, and what becomes of each of them.
pub struct Together {
    requests: Vec<Request>,
    results: Mutex<Option<Vec<Result<Reply, CallError>>>>,
}

impl Together {
    /// These requests, in the order of their results.
    pub fn new(requests: Vec<Request>) -> Self {
        Self {
            requests,
            results: Mutex::default(),
        }
    }

    /// The requests.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Leaves the results, one for each request, for whoever put them together. Gives back the first, as the answer of the call.
    pub fn give(&self, results: Vec<Result<Reply, CallError>>) -> Result<Reply, CallError> {
        let first = results.first().cloned().unwrap_or_else(|| {
            let message = "a batch had no results";
            Err(CallError::new(FailureKind::HostError, message))
        });
        *self.results.lock() = Some(results);
        first
    }

    /// Looks at the results; `None` when the call ended before there were any.
    pub fn look<T>(&self, look: impl FnOnce(&[Result<Reply, CallError>]) -> T) -> Option<T> {
        self.results.lock().as_deref().map(look)
    }

    /// Takes the results.
    pub fn take(&self) -> Option<Vec<Result<Reply, CallError>>> {
        self.results.lock().take()
    }
}

/// What one fallback of a call step gets, evaluated before the call: its own `with`, `cache.key` and fallbacks.
#[derive(Debug, Clone, Default)]
pub struct Alternative {
    /// Its input; the request's when absent.
    pub input: Option<Arc<Payload>>,
    /// What identifies its question to the answer cache instead of its whole input.
    pub cache_key: Option<Arc<Payload>>,
    /// What its own fallbacks get, in their order.
    pub alternatives: Arc<[Alternative]>,
}

/// Bounds that a caller sets for one request; the lower of these and the agent's limits holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Fuel.
    pub fuel: Option<u64>,
    /// Bytes over all memories and tables.
    pub memory: Option<u64>,
    /// Attempts, and the calls of peers that they lead to.
    pub calls: Option<u64>,
}

impl Bounds {
    /// Both bounds together: the lower of each.
    #[must_use]
    pub fn lowered_by(self, other: Self) -> Self {
        let lower = |a: Option<u64>, b| a.into_iter().chain(b).min();
        Self {
            fuel: lower(self.fuel, other.fuel),
            memory: lower(self.memory, other.memory),
            calls: lower(self.calls, other.calls),
        }
    }
}

/// The chain of calls above a request.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// The run it belongs to, when there is one.
    pub run: Option<RunId>,
    /// How many events led to it: each started the run that emitted the next.
    pub hops: u8,
    /// Agents whose call is waiting for this one, outermost first.
    pub callers: Arc<[AgentName]>,
    /// The calls that the whole tree may still start; shared by everything below one root.
    pub calls_left: Option<Arc<std::sync::atomic::AtomicU64>>,
}

/// What is told while a task runs. Delivered best-effort and never waited for.
#[derive(Debug, Clone)]
pub enum Notice {
    /// `progress.report`: done from 0 to 1 when known, and a note (guest text).
    Progress(Option<f32>, String),
    /// `progress.partial`: a piece of the output before its end.
    Partial(Payload),
    /// A log line: level, where it came from, message (guest text, control characters removed).
    Log(tracing::Level, String, String),
    /// A policy is about to try again: the failed attempt's number, its failure, and the wait.
    Retry(u32, Failure, Duration),
}

/// Receives [`Notice`]s with the step and agent they belong to.
pub type Listener = dyn Fn(Option<&StepPath>, &AgentName, Notice) + Send + Sync;

/// A handle to whoever listens; the default one tells nobody and costs nothing.
#[derive(Clone, Default)]
pub struct Observer {
    listener: Option<Arc<Listener>>,
    step: Option<StepPath>,
}

impl Observer {
    /// Tells `listener`, for a call outside any run.
    pub fn new(listener: Arc<Listener>) -> Self {
        Self {
            listener: Some(listener),
            step: None,
        }
    }

    /// The same listener, for one step of a run.
    pub fn for_step(&self, step: &StepPath) -> Self {
        Self {
            listener: self.listener.clone(),
            step: Some(step.clone()),
        }
    }

    /// Whether anybody listens; lets callers skip building a notice.
    pub fn listens(&self) -> bool {
        self.listener.is_some()
    }

    /// Tells the listener, if there is one.
    pub fn tell(&self, agent: &AgentName, notice: Notice) {
        if let Some(listener) = &self.listener {
            listener(self.step.as_ref(), agent, notice);
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What the agent returned.
    pub output: Arc<Payload>,
    /// What happened on the way.
    pub trail: Trail,
}

/// A failed request: why, and what happened on the way.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{failure}")]
pub struct CallError {
    /// Why it failed.
    pub failure: Failure,
    /// What happened on the way, usage included.
    pub trail: Trail,
}

impl CallError {
    /// An error before any attempt was made: no usage, an empty trail.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(kind, message),
            trail: Trail::default(),
        }
    }
}

/// What happened between a request and its answer, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Trail {
    /// Every attempt that reached a sandbox or was refused before it, in order.
    pub attempts: Vec<Attempt>,
    /// Set when the answer came from the cache: the age of the entry.
    #[serde(skip_serializing_if = "Option::is_none", with = "option_seconds")]
    pub cached: Option<Duration>,
    /// The agent that gave the answer, when it was not the one asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fell_back_to: Option<AgentName>,
    /// The agent that was asked instead because the host was busy or the budget used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded_to: Option<AgentName>,
    /// How many tasks were handled together, when this was one of several. Each has its share of what they used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// Who was asked.
    pub agent: AgentName,
    /// 1 for the first try.
    pub number: u32,
    /// Why it failed; `None` for a success.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// What it used, on failure too.
    pub usage: Usage,
    /// What the host answered to it, so that it can be executed again in isolation; absent when it asked for nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answers: Option<Answers>,
}

/// What the host answered to an attempt, as the sandbox wrote it down. Opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// The recording itself, in base64.
    Inline(#[serde(with = "base64_text")] Bytes),
    /// Where the recording is.
    Blob(BlobRef),
    /// There is none, and why.
    Lost(String),
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Usage {
    /// Fuel burnt, peers' included.
    pub fuel: u64,
    /// The most bytes that all memories and tables held together.
    pub peak_memory: u64,
    /// Wall time from the start of the attempt to its end, in microseconds.
    pub wall_us: u64,
    /// Time spent waiting for an execution slot, in microseconds.
    pub queue_us: u64,
    /// Calls of the guest into the host.
    pub host_calls: u64,
    /// Calls of peers that it led to, at every depth.
    pub peer_calls: u64,
    /// Bytes handed to the guest as input.
    pub bytes_in: u64,
    /// Bytes the guest returned.
    pub bytes_out: u64,
}

impl Usage {
    /// The use of two attempts together: sums, and the higher peak.
    pub fn plus(self, other: Self) -> Self {
        Self {
            fuel: self.fuel.saturating_add(other.fuel),
            peak_memory: self.peak_memory.max(other.peak_memory),
            wall_us: self.wall_us.saturating_add(other.wall_us),
            queue_us: self.queue_us.saturating_add(other.queue_us),
            host_calls: self.host_calls.saturating_add(other.host_calls),
            peer_calls: self.peer_calls.saturating_add(other.peer_calls),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
        }
    }
}

impl Trail {
    /// The use of all attempts together.
    pub fn usage(&self) -> Usage {
        self.attempts
            .iter()
            .fold(Usage::default(), |sum, attempt| sum.plus(attempt.usage))
    }

    /// All attempts, and the calls of peers that they led to.
    pub fn calls(&self) -> u64 {
        (self.attempts.len() as u64).saturating_add(self.usage().peer_calls)
    }

    /// This trail continued by `later`.
    pub fn then(mut self, later: Self) -> Self {
        self.attempts.extend(later.attempts);
        Self {
            attempts: self.attempts,
            cached: later.cached,
            fell_back_to: later.fell_back_to,
            degraded_to: later.degraded_to,
            batch: later.batch,
        }
    }
}

mod base64_text {
    //! Bytes as base64 in JSON.
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Bytes;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(D::Error::custom)
    }
}

mod option_seconds {
    //! A duration as a number of seconds in JSON.
    use super::Duration;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` calls")]
    pub(super) fn serialize<S: Serializer>(
        age: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_some(&age.map(|age| age.as_secs_f64()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}
