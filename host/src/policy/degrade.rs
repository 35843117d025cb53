//! Degrade: asks another agent, a cheaper one, while the host is busy or when the run's budget is used up.
//!
//! It stands outside everything else, so that it spares the host all of it. Whoever is asked instead has a whole stack of its own and
//! the step's bounds; its failure is the step's, because to ask the dearer agent after all would make the host busier still.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Bounds, Call, CallError, Reply, Request};
use crate::id::AgentName;
use crate::slots::Slots;

/// Another agent to ask, and when.
pub(super) struct Instead {
    /// The load above which it is asked.
    pub(super) above: f64,
    /// Who that is, when it is fixed.
    pub(super) agent: Option<AgentName>,
    /// Its stack.
    pub(super) call: Arc<dyn Call>,
    /// The bounds of the step.
    pub(super) bounds: Bounds,
}

/// Asks `instead` when it is time to, and `inner` otherwise.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    instead: Option<Instead>,
    slots: &Arc<Slots>,
) -> Arc<dyn Call> {
    match instead {
        None => inner,
        Some(instead) => Arc::new(Degrading {
            inner,
            instead,
            slots: slots.clone(),
        }),
    }
}

struct Degrading {
    inner: Arc<dyn Call>,
    instead: Instead,
    slots: Arc<Slots>,
}

impl Call for Degrading {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        match request.degraded || self.slots.load() > self.instead.above {
            true => Box::pin(self.instead.ask(request)),
            false => self.inner.call(request),
        }
    }
}

impl Instead {
    async fn ask(&self, request: Request) -> Result<Reply, CallError> {
        // What was worked out for the dearer agent's cache and fallbacks says nothing about this one's.
        let asked = Request {
            cache_key: None,
            alternatives: Arc::default(),
            bounds: request.bounds.lowered_by(self.bounds),
            ..request
        };
        let mut result = self.call.call(asked).await;
        let trail = match &mut result {
            Ok(reply) => &mut reply.trail,
            Err(error) => &mut error.trail,
        };
        trail.degraded_to.clone_from(&self.agent);
        result
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::super::script::{Act, House, step, told};
    use super::*;
    use crate::failure::FailureKind as F;
    use crate::payload::Payload;

    #[tokio::test(start_paused = true)]
    async fn the_other_agent_is_asked_while_the_load_is_above_the_bound() {
        for (busy, above, asked) in [
            (0, 0.5, "dear"),
            (1, 0.2, "cheap"),
            (2, 0.5, "dear"), // at the bound is not above it
            (3, 0.5, "cheap"),
            (3, 0.9, "dear"),
        ] {
            let mut house = House::new(4);
            house.agent("busy", [Act::Hang, Act::Answer("at last")].repeat(3));
            house.agent("dear", [Act::Answer("dear")]);
            house.agent("cheap", [Act::Answer("cheap")]);
            let stack = house.stack(&step("busy"));
            let busy_ones = (0..busy).map(|_| stack.call(house.request("?")));
            let mut busy_ones = Box::pin(join_all(busy_ones));
            assert_eq!((&mut busy_ones).now_or_never().is_none(), busy > 0);
            // What counts is how many are in flight; that they were polled a moment ago must be forgotten.
            tokio::time::advance(std::time::Duration::from_secs(9)).await;
            let call = house.stack(&step("dear").degrade(above, "cheap"));
            let reply = call.call(house.request("?")).await.expect("an answer");
            assert_eq!(*reply.output, Payload::Text(asked.into()), "{busy} {above}");
            let to = reply.trail.degraded_to.as_ref().map(AgentName::as_str);
            assert_eq!(to, (asked == "cheap").then_some("cheap"));
        }
    }

    #[tokio::test]
    async fn a_run_without_budget_asks_the_other_agent_and_its_failure_is_the_step_s() {
        let mut house = House::new(4);
        let dear = house.agent("dear", []);
        let cheap = house.agent("cheap", [Act::Fail(F::Fatal)]);
        let other = house.agent("other", []);
        let mut call = step("dear").degrade(9.0, "cheap").fallback(step("other"));
        call.policy.bounds.memory = Some(7);
        let request = Request {
            degraded: true,
            cache_key: Some(Arc::new(Payload::Text("of dear".into()))),
            ..house.request("?")
        };
        let result = house.stack(&call).call(request).await;
        assert_eq!(
            told(&result),
            "failed: fatal, degraded to cheap; cheap 1 fatal"
        );
        assert_eq!((dear.calls(), other.calls()), (0, 0));
        assert_eq!(cheap.bounds()[0].memory, Some(7));
    }
}
