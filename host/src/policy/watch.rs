//! Watch: tells the agent's health what became of each attempt, and fails at once while the agent is in quarantine.
//!
//! Outside the limit, so that nobody queues for an agent that may not be asked, and inside the retry, so that every attempt counts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::call::{Attempt, Call, CallError, Reply, Request, Usage};
use crate::failure::Failure;
use crate::health::Health;
use crate::id::AgentName;

/// Watches `inner`, which is all that reaches the agent's sandbox and gives it `timeout`.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    agent: &AgentName,
    health: &Arc<Health>,
    timeout: Option<Duration>,
) -> Arc<dyn Call> {
    Arc::new(Watched {
        inner,
        agent: agent.clone(),
        health: health.clone(),
        timeout,
    })
}

struct Watched {
    inner: Arc<dyn Call>,
    agent: AgentName,
    health: Arc<Health>,
    timeout: Option<Duration>,
}

impl Call for Watched {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let together = request.together.clone();
            let watch = match self.health.admit(&request, self.timeout) {
                Ok(watch) => watch,
                Err(failure) => return Err(self.refused(failure, request.attempt)),
            };
            let result = self.inner.call(request).await;
            let counted =
                together.is_some_and(|together| together.look(|all| watch.saw(all)).is_some());
            if !counted {
                watch.saw(std::slice::from_ref(&result));
            }
            result
        })
    }
}

impl Watched {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::super::script::{Act, House, step, told};
    use crate::failure::FailureKind as F;
    use crate::health::quarantine::FAULTS;

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_keeps_trapping_is_left_alone_and_tried_again_after_a_second() {
        let mut house = House::new(1);
        let faults = (0..FAULTS).map(|_| Act::Fail(F::Trapped));
        let acts: Vec<_> = faults.chain([Act::Answer("well")]).collect();
        let agent = house.agent("a", acts);
        let call = house.stack(&step("a"));
        for _ in 0..FAULTS {
            let result = call.call(house.request("?")).await;
            assert_eq!(told(&result), "failed: trapped; a 1 trapped");
        }
        let error = call.call(house.request("?")).await.expect_err("refused");
        assert_eq!(error.failure.kind, F::BreakerOpen);
        let message = error.failure.message;
        assert!(message.contains("quarantined until 20"), "{message}");
        assert_eq!(agent.calls(), FAULTS, "the agent was not asked");

        sleep(Duration::from_secs(1)).await;
        let result = call.call(house.request("?")).await;
        assert_eq!(told(&result), "Text(\"well\"); a 1 ok");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarantine_holds_for_all_stacks_and_a_fallback_answers_meanwhile() {
        let mut house = House::new(1);
        house.agent("a", [Act::Fail(F::Exit); FAULTS as usize]);
        house.agent("b", [Act::Answer("instead")]);
        for _ in 0..FAULTS {
            let result = house.stack(&step("a")).call(house.request("?")).await;
            assert!(result.is_err());
        }
        let other = house.stack(&step("a").retry(3).fallback(step("b")));
        let result = other.call(house.request("?")).await;
        assert_eq!(
            told(&result),
            "Text(\"instead\"), by b; a 1 breaker-open; b 1 ok"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bounds_of_the_caller_s_own_never_shut_an_agent_out() {
        let many = 2 * FAULTS as usize;
        for (kind, timeout) in [
            (F::Deadline, Some(10)),
            (F::OutOfFuel, None),
            (F::OutOfMemory, None),
        ] {
            let mut house = House::new(1);
            house.agent("a", (0..many).map(|_| Act::Fail(kind)));
            let mut step = step("a");
            step.policy.timeout = timeout.map(Duration::from_millis);
            step.policy.bounds.fuel = Some(1);
            step.policy.bounds.memory = Some(1);
            for _ in 0..many {
                let error = house.stack(&step).call(house.request("?")).await;
                assert_eq!(error.expect_err("it fails always").failure.kind, kind);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_is_no_longer_in_flight() {
        let mut house = House::new(1);
        house.agent("a", [Act::Hang, Act::Answer("never")]);
        let health = house.health("a");
        let stack = house.stack(&step("a"));
        let call = tokio::time::timeout(Duration::from_secs(1), stack.call(house.request("?")));
        let look = async {
            sleep(Duration::from_millis(1)).await;
            health.report().in_flight
        };
        let (ended, during) = tokio::join!(call, look);
        assert!(ended.is_err());
        assert_eq!((during, health.report().in_flight), (1, 0));
        assert_eq!(health.report().tally.completed(), 0);
    }
}
