//! Cache: an answer that is young enough serves an equal question again, and equal questions at the same time share one asking.
//!
//! Answers are kept in memory, bounded by their bytes, and where they outlive the process, if there is such a place. Failures are
//! never kept. Answers have no lifetime of their own: each asker brings the age at which an answer is too old for it. Their age is
//! told by tokio's clock, so that tests can pause it.

mod flight;
mod key;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answers::Answers;
use crate::call::{Call, CallError, Reply, Request, Trail};
use crate::failure::FailureKind;
use crate::id::Digest;
use crate::payload::Payload;
use crate::plan;

use flight::{Flights, Seat};

/// The bytes that answers may take when nothing else is said.
const CAPACITY: u64 = 64 << 20;

/// What an answer weighs beside its payload: its key, its entry and their allocations, rounded up.
const OVERHEAD: usize = 256;

/// How long an answer from an earlier process is waited for; asking anew takes about as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Earlier answers of all agents, shared by all runs.
pub struct AnswerCache {
    answers: moka::future::Cache<Digest, Answer>,
    kept: Option<Arc<dyn Answers>>,
    flights: Arc<Flights>,
}

#[derive(Clone)]
struct Answer {
    output: Arc<Payload>,
    given: Instant,
}

impl AnswerCache {
    /// A cache of at most `bytes`. Beyond that, answers that are asked for least go first.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &Digest, answer: &Answer| {
            let bytes = answer.output.size().saturating_add(OVERHEAD);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            answers: (moka::future::Cache::builder().max_capacity(bytes))
                .weigher(weigh)
                .build(),
            kept: None,
            flights: Arc::default(),
        }
    }

    /// This cache, with answers that outlive it in `kept`.
    #[must_use]
    pub fn over(self, kept: Arc<dyn Answers>) -> Self {
        Self {
            kept: Some(kept),
            ..self
        }
    }

    /// The answer under `key`, when it is younger than `ttl`.
    async fn fresh(&self, key: Digest, ttl: Duration) -> Option<Reply> {
        let answer = self.answers.get(&key).await?;
        let age = answer.given.elapsed();
        (age < ttl).then(|| again(answer.output, age))
    }

    /// The answer that an earlier process, or another one, was given under `key`, when it is younger than `ttl`.
    async fn kept(&self, key: Digest, ttl: Duration) -> Option<Reply> {
        let kept = self.kept.as_ref()?;
        let found = timeout(PATIENCE, kept.get(key)).await.ok().flatten();
        let (output, age) = found.filter(|(_, age)| *age < ttl)?;
        let output = Arc::new(output);
        // A clock that began after the answer was given cannot say so; the answer is then looked up again next time.
        if let Some(given) = Instant::now().checked_sub(age) {
            let output = output.clone();
            self.answers.insert(key, Answer { output, given }).await;
        }
        Some(again(output, age))
    }

    async fn keep(&self, key: Digest, output: Arc<Payload>) {
        if let Some(kept) = &self.kept {
            kept.put(key, &output);
        }
        let given = Instant::now();
        self.answers.insert(key, Answer { output, given }).await;
    }
}

impl Default for AnswerCache {
    /// 64 MiB.
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

/// Answers from `cache` where `rule` allows it; asks `inner` otherwise.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    digest: Digest,
    rule: Option<&plan::Cache>,
    cache: &Arc<AnswerCache>,
) -> Arc<dyn Call> {
    match rule {
        None => inner,
        Some(rule) => Arc::new(Caching(Arc::new(Parts {
            inner,
            digest,
            ttl: rule.ttl,
            cache: cache.clone(),
        }))),
    }
}

/// Shared with the askings it starts, because they outlive whoever started them.
struct Caching(Arc<Parts>);

struct Parts {
    inner: Arc<dyn Call>,
    digest: Digest,
    ttl: Duration,
    cache: Arc<AnswerCache>,
}

impl Call for Caching {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.answer(request))
    }
}

impl Caching {
    async fn answer(&self, request: Request) -> Result<Reply, CallError> {
        let parts = &self.0;
        let key = key::of(parts.digest, &request);
        if let Some(reply) = parts.cache.fresh(key, parts.ttl).await {
            return Ok(reply);
        }
        // An agent's question to a peer never waits for somebody else's: two agents could wait for each other's for ever.
        if !request.lineage.callers.is_empty() {
            return parts.look_or_ask(key, request).await;
        }
        let seat = (parts.cache.flights).join(key, || parts.clone().lead(key, request.clone()));
        match seat {
            Seat::Lead(flight) => flight.await,
            Seat::Follow(flight) => self.follow(flight, key, request).await,
        }
    }

    /// Waits for the answer to an equal question, and asks after all when that one's end says nothing about this one.
    async fn follow(
        &self,
        flight: flight::Flight,
        key: Digest,
        request: Request,
    ) -> Result<Reply, CallError> {
        let result = match request.deadline {
            None => flight.await,
            Some(deadline) => timeout_at(deadline, flight).await.map_err(|_| {
                let message = "the deadline passed while an equal question was being answered";
                CallError::new(FailureKind::Deadline, message)
            })?,
        };
        match result {
            Ok(reply) if reply.trail.cached.is_none_or(|age| age < self.0.ttl) => {
                let age = reply.trail.cached.unwrap_or_default();
                Ok(again(reply.output, age))
            }
            Err(error) if is_everybodys(error.failure.kind) => Err(CallError {
                failure: error.failure,
                trail: Trail::default(), // the attempts are the leader's
            }),
            // Not as a follower again: if each of many had to fail alone, the last would wait for all.
            Ok(_) | Err(_) => self.0.ask(key, request).await,
        }
    }
}

impl Parts {
    /// Asks for everybody who waits. Looks once more, since an asking may have ended between the first look and taking the lead.
    async fn lead(self: Arc<Self>, key: Digest, request: Request) -> Result<Reply, CallError> {
        match self.cache.fresh(key, self.ttl).await {
            Some(reply) => Ok(reply),
            None => self.look_or_ask(key, request).await,
        }
    }

    async fn look_or_ask(&self, key: Digest, request: Request) -> Result<Reply, CallError> {
        match self.cache.kept(key, self.ttl).await {
            Some(reply) => Ok(reply),
            None => self.ask(key, request).await,
        }
    }

    async fn ask(&self, key: Digest, request: Request) -> Result<Reply, CallError> {
        let reply = self.inner.call(request).await?;
        self.cache.keep(key, reply.output.clone()).await;
        Ok(reply)
    }
}

/// A reply with an answer that was given before.
fn again(output: Arc<Payload>, age: Duration) -> Reply {
    let trail = Trail {
        cached: Some(age),
        ..Trail::default()
    };
    Reply { output, trail }
}

/// Whether a failure holds for all who asked the same. It does not when it may come from one asker's deadline, bounds or place
/// among callers, nor when another try may mend it, because each asker has its own retries.
fn is_everybodys(kind: FailureKind) -> bool {
    use FailureKind as F;
    match kind {
        F::Deadline | F::OutOfFuel | F::OutOfMemory | F::Cancelled => false,
        F::CallDepth | F::CallCycle | F::FanOut => false,
        F::Recoverable | F::Overloaded => false,
        F::InvalidInput | F::Fatal | F::Exit | F::BreakerOpen | F::HostError => true,
        F::StackOverflow | F::Trapped | F::AbiViolation => true,
        F::TooMuchData | F::Handles | F::OutputTooLarge | F::Quota | F::Denied => true,
    }
}
