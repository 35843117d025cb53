//! Retry: tries again after a wait, while another try may help and there is time for it.
//!
//! Whether and how long to wait is decided by [`plan::Retry::next`], which is pure; the rest only waits. Backoff is exponential
//! with full jitter: of the usual schemes it spreads callers best for the least work (Brooker, "Exponential Backoff And Jitter", 2015).
//! A bound on the request's fuel or calls holds for all tries together: each has what those before it left, and there is none when
//! nothing is left.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::{Rng, RngExt as _};
use tokio::time::{Instant, sleep};

use super::spend;
use crate::call::{Call, CallError, Notice, Reply, Request, Trail};
use crate::failure::{Failure, FailureKind};
use crate::id::AgentName;
use crate::plan;

/// Tries `inner` again as `rule` says.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    agent: &AgentName,
    rule: Option<&plan::Retry>,
) -> Arc<dyn Call> {
    match rule {
        None => inner,
        Some(rule) => Arc::new(Retrying {
            inner,
            agent: agent.clone(),
            rule: rule.clone(),
        }),
    }
}

impl plan::Retry {
    /// How long to wait before another try after `tries` of them, the last with `failure`; `None` when that one was the last.
    ///
    /// `on`, when given, is the whole list of kinds that are tried again, but for `cancelled`: who stops a task means it.
    pub fn next(&self, tries: u32, failure: &Failure, rng: &mut impl Rng) -> Option<Duration> {
        if tries >= self.attempts || !self.covers(failure.kind) {
            return None;
        }
        let bound = self.bound(tries);
        Some(match self.jitter {
            true => rng.random_range(Duration::ZERO..=bound),
            false => bound,
        })
    }

    fn covers(&self, kind: FailureKind) -> bool {
        match &self.on {
            _ if kind == FailureKind::Cancelled => false,
            Some(kinds) => kinds.contains(&kind),
            None => kind.retryable(),
        }
    }

    /// The longest wait after `tries` tries: `backoff · factor^(tries - 1)`, never above `max_backoff`.
    fn bound(&self, tries: u32) -> Duration {
        if self.backoff.is_zero() {
            return Duration::ZERO; // nothing times an overflown factor is no number
        }
        let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.backoff.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).map_or(self.max_backoff, |d| d.min(self.max_backoff))
    }
}

struct Retrying {
    inner: Arc<dyn Call>,
    agent: AgentName,
    rule: plan::Retry,
}

impl Call for Retrying {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.try_all(request))
    }
}

impl Retrying {
    async fn try_all(&self, mut request: Request) -> Result<Reply, CallError> {
        let mut trail = Trail::default();
        let mut tries = 1;
        loop {
            let error = match self.inner.call(request.clone()).await {
                Err(error) => error,
                Ok(mut reply) => {
                    reply.trail = trail.then(reply.trail);
                    return Ok(reply);
                }
            };
            let any_left = spend(&mut request.bounds, &error.trail);
            trail = trail.then(error.trail);
            let failure = error.failure;
            if !any_left {
                return Err(CallError { failure, trail });
            }
            let Some(wait) = self.wait(tries, &failure, request.deadline) else {
                return Err(CallError { failure, trail });
            };
            if request.observer.listens() {
                let notice = Notice::Retry(request.attempt, failure, wait);
                request.observer.tell(&self.agent, notice);
            }
            sleep(wait).await;
            tries += 1;
            request.attempt = request.attempt.saturating_add(1);
        }
    }

    /// The wait before the next try, when the rule allows one and it would begin before the deadline.
    fn wait(&self, tries: u32, failure: &Failure, deadline: Option<Instant>) -> Option<Duration> {
        let wait = self.rule.next(tries, failure, &mut rand::rng())?;
        let in_time = |deadline: Instant| wait < deadline.saturating_duration_since(Instant::now());
        deadline.is_none_or(in_time).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::super::script::{Act, House, step, told};
    use super::*;
    use FailureKind as F;

    fn rule() -> plan::Retry {
        plan::Retry {
            attempts: 6,
            backoff: Duration::from_millis(100),
            factor: 2.0,
            max_backoff: Duration::from_millis(500),
            jitter: false,
            on: None,
        }
    }

    fn next(rule: &plan::Retry, tries: u32, kind: F) -> Option<u128> {
        let mut rng = StdRng::seed_from_u64(7);
        let wait = rule.next(tries, &Failure::new(kind, ""), &mut rng)?;
        Some(wait.as_millis())
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_their_bound_until_the_last_try() {
        let waits: Vec<_> = (1..=7).map(|n| next(&rule(), n, F::Recoverable)).collect();
        assert_eq!(
            waits,
            [
                Some(100),
                Some(200),
                Some(400),
                Some(500),
                Some(500),
                None,
                None
            ]
        );
    }

    #[test]
    fn only_what_may_succeed_is_tried_again_unless_the_list_says_otherwise() {
        let listed = plan::Retry {
            on: Some(vec![F::OutOfFuel, F::Cancelled]),
            ..rule()
        };
        for (kind, by_default, by_list) in [
            (F::Recoverable, true, false),
            (F::Deadline, true, false),
            (F::Overloaded, true, false),
            (F::OutOfFuel, false, true),
            (F::InvalidInput, false, false),
            (F::BreakerOpen, false, false),
            (F::Cancelled, false, false),
        ] {
            assert_eq!(next(&rule(), 1, kind).is_some(), by_default, "{kind}");
            assert_eq!(next(&listed, 1, kind).is_some(), by_list, "{kind}");
        }
    }

    #[test]
    fn jitter_draws_from_the_whole_range_below_the_bound() {
        let rule = plan::Retry {
            jitter: true,
            ..rule()
        };
        let mut rng = StdRng::seed_from_u64(7);
        let failure = Failure::new(F::Recoverable, "");
        let waits: Vec<_> = (0..1_000)
            .filter_map(|_| rule.next(2, &failure, &mut rng))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits.len(), 1_000);
        assert!(waits.iter().all(|&wait| wait <= 200));
        assert!(waits.iter().any(|&wait| wait < 20) && waits.iter().any(|&wait| wait > 180));
    }

    #[test]
    fn no_factor_makes_a_wait_that_is_no_time() {
        for (backoff, factor, expected) in [
            (100, f64::MAX, 500),
            (100, f64::NAN, 500),
            (100, -3.0, 500),
            (100, 0.0, 0),
            (0, f64::MAX, 0),
        ] {
            let rule = plan::Retry {
                backoff: Duration::from_millis(backoff),
                factor,
                ..rule()
            };
            assert_eq!(next(&rule, 4, F::Recoverable), Some(expected), "{factor}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_would_not_end_before_the_deadline_is_not_begun() {
        for (deadline, tries, took) in [(100, 1, 0), (101, 2, 100), (300, 2, 100), (301, 3, 300)] {
            let mut house = House::new(1);
            let script = house.agent("a", [Act::Fail(F::Recoverable); 9]);
            let mut request = house.request("?");
            let start = Instant::now();
            request.deadline = Some(start + Duration::from_millis(deadline));
            let result = house.stack(&step("a").retry(9)).call(request).await;
            let error = result.expect_err("it fails always");
            assert_eq!(error.failure.kind, F::Recoverable);
            assert_eq!(error.trail.attempts.len(), tries, "{deadline}");
            assert_eq!(script.calls() as usize, tries, "{deadline}");
            assert_eq!(start.elapsed(), Duration::from_millis(took), "{deadline}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_on_fuel_holds_for_all_tries_together() {
        // Each try of a script uses one unit of fuel.
        for (fuel, bounds) in [
            (None, vec![None, None, None, None]),
            (Some(5), vec![Some(5), Some(4), Some(3), Some(2)]),
            (Some(2), vec![Some(2), Some(1)]),
        ] {
            let mut house = House::new(1);
            let script = house.agent("a", [Act::Fail(F::Recoverable); 4]);
            let mut request = house.request("?");
            request.bounds.fuel = fuel;
            let result = house.stack(&step("a").retry(4)).call(request).await;
            let error = result.expect_err("it fails always");
            assert_eq!(error.failure.kind, F::Recoverable);
            assert_eq!(error.trail.usage().fuel, bounds.len() as u64);
            let given: Vec<_> = script.bounds().iter().map(|bounds| bounds.fuel).collect();
            assert_eq!(given, bounds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_resumed_step_counts_on_but_has_all_its_tries() {
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::Recoverable), Act::Answer("ok")]);
        let mut request = house.request("?");
        request.attempt = 4;
        let result = house.stack(&step("a").retry(2)).call(request).await;
        assert_eq!(told(&result), "Text(\"ok\"); a 4 recoverable; a 5 ok");
    }
}
