//! Limit: an attempt waits its turn to be in flight, has a slot whenever it executes, and only so much time for all of it.
//!
//! A step's `timeout` begins when the attempt asks to be let in, so it bounds what a caller waits; the time in the queue counts. An
//! attempt that was not let in in time is `overloaded`, because the agent is not to blame; one that did not finish is `deadline`.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::call::{Attempt, Call, CallError, Reply, Request, Usage};
use crate::failure::{Failure, FailureKind};
use crate::id::AgentName;
use crate::slots::{Admitted, Claim, QueueFull, Slots};
use crate::units::Span;

/// How long after its deadline an attempt is cut off. Who keeps the deadline itself, as the sandbox does, has this long to say what
/// the attempt used; it is a guest's next yield, about a millisecond away, and a busy scheduler's delay.
const GRACE: Duration = Duration::from_millis(50);

/// Lets each call of `inner` in when there is room, and gives it at most `timeout`.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    agent: &AgentName,
    timeout: Option<Duration>,
    slots: &Arc<Slots>,
) -> Arc<dyn Call> {
    Arc::new(Limited {
        inner,
        agent: agent.clone(),
        timeout,
        slots: slots.clone(),
    })
}

struct Limited {
    inner: Arc<dyn Call>,
    agent: AgentName,
    timeout: Option<Duration>,
    slots: Arc<Slots>,
}

impl Call for Limited {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.attempt(request))
    }
}

impl Limited {
    async fn attempt(&self, mut request: Request) -> Result<Reply, CallError> {
        let number = request.attempt;
        let claim = Claim {
            agent: self.agent.clone(),
            priority: request.priority,
        };
        let depth = request.lineage.callers.len();
        let asked = Instant::now();
        let own = self.timeout.and_then(|timeout| asked.checked_add(timeout));
        request.deadline = own.into_iter().chain(request.deadline).min();

        let admitted = match self
            .admit(self.slots.admit(claim, depth), asked, request.deadline)
            .await
        {
            Ok(admitted) => admitted,
            Err(failure) => return Err(self.not_admitted(failure, number, asked)),
        };
        let began = Instant::now();
        let deadline = request.deadline;
        let work = admitted.execute(deadline, self.inner.call(request));
        let mut result = self.bounded(work, asked, deadline).await;
        self.account(&mut result, number, &admitted, began);
        result
    }

    /// Waits to be let in, at most until the deadline.
    async fn admit<'s>(
        &self,
        admission: impl Future<Output = Result<Admitted<'s>, QueueFull>>,
        asked: Instant,
        deadline: Option<Instant>,
    ) -> Result<Admitted<'s>, Failure> {
        let admitted = match deadline {
            None => admission.await,
            Some(deadline) if deadline <= asked => {
                let message = "the deadline had passed before the attempt began";
                return Err(Failure::new(FailureKind::Deadline, message));
            }
            Some(deadline) => timeout_at(deadline, admission).await.map_err(|_| {
                let (waited, most) = (span(asked, deadline), self.slots.sizes().in_flight);
                let hint = self.hint(asked, deadline);
                let message =
                    format!("none of {most} tasks in flight ended within {waited}; {hint}");
                Failure::new(FailureKind::Overloaded, message)
            })?,
        };
        admitted.map_err(|full| {
            let message = format!("{full}; try again later or ask less at once");
            Failure::new(FailureKind::Overloaded, message)
        })
    }

    /// Awaits `work`, and cuts it off when it does not keep the deadline itself.
    async fn bounded(
        &self,
        work: impl Future<Output = Result<Reply, CallError>>,
        asked: Instant,
        deadline: Option<Instant>,
    ) -> Result<Reply, CallError> {
        let Some(deadline) = deadline else {
            return work.await;
        };
        // A deadline beyond what the clock can tell is none.
        let Some(cut_off) = deadline.checked_add(GRACE) else {
            return work.await;
        };
        timeout_at(cut_off, work).await.unwrap_or_else(|_| {
            let (time, hint) = (span(asked, deadline), self.hint(asked, deadline));
            let message = format!("no answer within {time}; {hint}");
            Err(CallError::new(FailureKind::Deadline, message))
        })
    }

    /// Sees to it that the trail has the attempt, and adds the time in the queue.
    fn account(
        &self,
        result: &mut Result<Reply, CallError>,
        number: u32,
        admitted: &Admitted<'_>,
        began: Instant,
    ) {
        let (trail, failure) = match result {
            Ok(reply) => (&mut reply.trail, None),
            Err(error) => (&mut error.trail, Some(&error.failure)),
        };
        if trail.attempts.is_empty() && trail.cached.is_none() {
            let usage = Usage {
                wall_us: micros(began.elapsed()),
                ..Usage::default()
            };
            trail.attempts.push(Attempt {
                answers: None,
                agent: self.agent.clone(),
                number,
                failure: failure.cloned(),
                usage,
            });
        }
        if let Some(attempt) = trail.attempts.first_mut() {
            let queue_us = &mut attempt.usage.queue_us;
            *queue_us = queue_us.saturating_add(micros(admitted.waited()));
        }
    }

    /// The way out of a deadline, which depends on whose it was.
    fn hint(&self, asked: Instant, deadline: Instant) -> &'static str {
        match self.timeout.and_then(|timeout| asked.checked_add(timeout)) {
            Some(own) if own == deadline => "raise the step's `timeout` if it needs longer",
            _ => "the step's `deadline`, or whoever waits for it, allows no more",
        }
    }

    fn not_admitted(&self, failure: Failure, number: u32, asked: Instant) -> CallError {
        let mut error = CallError::new(failure.kind, failure.message.clone());
        error.trail.attempts.push(Attempt {
            answers: None,
            agent: self.agent.clone(),
            number,
            failure: Some(failure),
            usage: Usage {
                queue_us: micros(asked.elapsed()),
                ..Usage::default()
            },
        });
        error
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The time between two instants as people read it: whole milliseconds.
fn span(from: Instant, to: Instant) -> Span {
    let millis = to.saturating_duration_since(from).as_millis();
    Span(Duration::from_millis(
        u64::try_from(millis).unwrap_or(u64::MAX),
    ))
}
