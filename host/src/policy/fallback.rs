//! Fallback: asks other agents, in order, when one has failed for good.
//!
//! Each alternative is a whole stack, with its own cache, retries and slots. Every failure falls back, `invalid-input` too, because
//! what one agent cannot read another may; only `cancelled` does not, nor any failure once the request's deadline has passed.
//! A step's own bounds hold for each agent that is asked, its caller's for all of them together, so fuel that one has used is not
//! there for the next. When all fail, the last failure is the answer, and the trail has those before it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::spend;
use crate::call::{Bounds, Call, CallError, Reply, Request};
use crate::failure::{Failure, FailureKind};
use crate::id::AgentName;

/// Asks `alternatives` in order after `primary` has failed, each within `bounds`.
pub(super) fn wrap(
    primary: Arc<dyn Call>,
    alternatives: Vec<(Option<AgentName>, Arc<dyn Call>)>,
    bounds: Bounds,
) -> Arc<dyn Call> {
    match alternatives.is_empty() {
        true => primary,
        false => Arc::new(FallingBack {
            primary,
            alternatives,
            bounds,
        }),
    }
}

struct FallingBack {
    primary: Arc<dyn Call>,
    alternatives: Vec<(Option<AgentName>, Arc<dyn Call>)>,
    bounds: Bounds,
}

impl Call for FallingBack {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.ask_all(request))
    }
}

impl FallingBack {
    async fn ask_all(&self, mut request: Request) -> Result<Reply, CallError> {
        let mut error = match self.primary.call(request.clone()).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let mut any_left = spend(&mut request.bounds, &error.trail);
        for (n, (agent, call)) in self.alternatives.iter().enumerate() {
            if !any_left || !falls_back(&error.failure, request.deadline) {
                break;
            }
            let mut asked = request.for_alternative(n);
            asked.bounds = asked.bounds.lowered_by(self.bounds);
            match call.call(asked).await {
                Ok(mut reply) => {
                    let served = reply.trail.fell_back_to.take(); // by an alternative's own alternative
                    reply.trail = error.trail.then(reply.trail);
                    reply.trail.fell_back_to = served.or_else(|| agent.clone());
                    return Ok(reply);
                }
                Err(next) => {
                    any_left = spend(&mut request.bounds, &next.trail);
                    error = CallError {
                        failure: next.failure,
                        trail: error.trail.then(next.trail),
                    };
                }
            }
        }
        Err(error)
    }
}

fn falls_back(failure: &Failure, deadline: Option<Instant>) -> bool {
    failure.kind != FailureKind::Cancelled
        && deadline.is_none_or(|deadline| Instant::now() < deadline)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::script::{Act, House, name, step, told};
    use super::*;
    use crate::call::Alternative;
    use crate::payload::Payload;
    use FailureKind as F;

    #[tokio::test(start_paused = true)]
    async fn alternatives_are_asked_in_order_and_the_trail_has_all_attempts() {
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::Recoverable), Act::Fail(F::Trapped)]);
        house.agent("b", [Act::Fail(F::InvalidInput)]);
        house.agent("c", [Act::Answer("ok")]);
        let d = house.agent("d", []);
        let call = step("a").retry(3).fallback(step("b")).fallback(step("c"));
        let call = house.stack(&call.fallback(step("d")));
        let result = call.call(house.request("?")).await;
        assert_eq!(
            told(&result),
            "Text(\"ok\"), by c; a 1 recoverable; a 2 trapped; b 1 invalid-input; c 1 ok"
        );
        assert_eq!(d.calls(), 0);
    }

    #[tokio::test]
    async fn when_all_fail_the_last_failure_is_the_answer() {
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::OutOfFuel)]);
        house.agent("b", [Act::Fail(F::Denied)]);
        let call = house.stack(&step("a").fallback(step("b")));
        let result = call.call(house.request("?")).await;
        assert_eq!(told(&result), "failed: denied; a 1 out-of-fuel; b 1 denied");
    }

    #[tokio::test]
    async fn an_alternative_may_have_alternatives_and_the_one_who_served_is_named() {
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::Fatal)]);
        house.agent("b", [Act::Fail(F::Fatal)]);
        house.agent("c", [Act::Answer("ok")]);
        let call = house.stack(&step("a").fallback(step("b").fallback(step("c"))));
        let result = call.call(house.request("?")).await;
        assert_eq!(
            told(&result),
            "Text(\"ok\"), by c; a 1 fatal; b 1 fatal; c 1 ok"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_falls_back_but_cancelled_and_none_after_the_deadline() {
        for &kind in F::ALL {
            for late in [false, true] {
                let mut house = House::new(1);
                let second = Duration::from_secs(1);
                house.agent("a", [Act::Take(second), Act::Fail(kind)]);
                let b = house.agent("b", [Act::Answer("ok")]);
                let mut request = house.request("?");
                let time = if late { second } else { 2 * second };
                request.deadline = Some(Instant::now() + time);
                let call = house.stack(&step("a").fallback(step("b")));
                let served = call.call(request).await.is_ok();
                assert_eq!(
                    served,
                    kind != F::Cancelled && !late,
                    "{kind}, late: {late}"
                );
                assert_eq!(b.calls() == 1, served, "{kind}, late: {late}");
            }
        }
    }

    #[tokio::test]
    async fn the_bounds_of_a_step_hold_for_its_fallbacks_too_and_its_caller_s_for_all_together() {
        let bounds = |fuel, memory| Bounds {
            fuel: Some(fuel),
            memory: Some(memory),
            ..Bounds::default()
        };
        let mut house = House::new(1);
        let a = house.agent("a", [Act::Fail(F::Fatal)]);
        let b = house.agent("b", [Act::Fail(F::Fatal)]);
        let c = house.agent("c", [Act::Fail(F::Fatal)]);
        let d = house.agent("d", []);
        let mut lower = step("b");
        lower.policy.bounds = bounds(10, 5);
        let mut call = step("a").fallback(lower).fallback(step("c"));
        call.policy.bounds = bounds(2, 7);
        let mut request = house.request("?");
        request.bounds = bounds(3, 9);
        let call = house.stack(&call.fallback(step("d")));
        let result = call.call(request).await;
        assert_eq!(
            told(&result),
            "failed: fatal; a 1 fatal; b 1 fatal; c 1 fatal"
        );
        assert_eq!(a.bounds(), [bounds(2, 7)]);
        assert_eq!(b.bounds(), [bounds(2, 5)], "2 of the caller's 3 are left");
        assert_eq!(c.bounds(), [bounds(1, 7)], "1 of the caller's 3 is left");
        assert_eq!(d.calls(), 0, "none is left");
    }

    /// Answers with what it was asked.
    struct Echo;

    impl Call for Echo {
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
            Box::pin(async move {
                Ok(Reply {
                    output: request.input,
                    trail: crate::call::Trail::default(),
                })
            })
        }
    }

    #[tokio::test]
    async fn the_inputs_of_alternatives_are_given_at_any_depth() {
        let text = |text: &str| Some(Arc::new(Payload::Text(text.into())));
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::Fatal)]);
        house.agent("b", [Act::Fail(F::Fatal)]);
        house.base("echo", Arc::new(Echo));
        let inner = Alternative {
            input: text("inner"),
            ..Alternative::default()
        };
        let outer = Alternative {
            input: text("outer"),
            alternatives: [inner].into(),
            ..Alternative::default()
        };
        let mut request = house.request("step's");
        request.alternatives = [outer].into();
        let call = house.stack(&step("a").fallback(step("b").fallback(step("echo"))));
        let reply = call.call(request).await.expect("an echo");
        assert_eq!(Some(reply.output), text("inner"));
    }

    #[tokio::test]
    async fn an_alternative_gets_its_own_input_or_else_the_steps() {
        let text = |text: &str| Arc::new(Payload::Text(text.into()));
        for (given, expected) in [
            (vec![], "step's"),
            (vec![Alternative::default()], "step's"),
            (
                vec![Alternative {
                    input: Some(text("own")),
                    ..Alternative::default()
                }],
                "own",
            ),
        ] {
            let mut house = House::new(1);
            house.agent("a", [Act::Fail(F::Fatal)]);
            house.base("echo", Arc::new(Echo));
            let mut request = house.request("step's");
            request.alternatives = given.into();
            let call = house.stack(&step("a").fallback(step("echo")));
            let reply = call.call(request).await.expect("an echo");
            assert_eq!(reply.output, text(expected));
            assert_eq!(reply.trail.fell_back_to, Some(name("echo")));
        }
    }
}
