//! Policies: wrappers around a call, each in its own file, each seeing nothing but [`Call`].
//!
//! [`stack`] is the only place that knows their order. No policy touches a journal, a plugin or a clock of its own: what happened
//! rides back as the trail, and waiting is tokio's.

mod cache;
mod fallback;
mod limit;
mod retry;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Bounds, Call, CallError, Reply, Request};
use crate::id::{AgentName, Digest, SkillName};
use crate::plan::{CallStep, Callee};
use crate::slots::Slots;

pub use cache::AnswerCache;

/// What the stacks of a run are built from: the agents it may call, as they were when it started, and what all runs share.
#[derive(Clone)]
pub struct Providers {
    /// The agents.
    pub bases: BTreeMap<AgentName, Base>,
    /// What all runs share.
    pub shared: Shared,
}

/// An agent without any policy.
#[derive(Clone)]
pub struct Base {
    /// Answers of equal digests may stand for each other: the plugin's, together with whatever else its answers depend on.
    pub digest: Digest,
    /// What executes its tasks.
    pub call: Arc<dyn Call>,
}

/// The parts of policies that learn or count over all runs.
#[derive(Clone, Default)]
pub struct Shared {
    /// Earlier answers.
    pub cache: Arc<AnswerCache>,
    /// Execution slots.
    pub slots: Arc<Slots>,
}

/// A stack was asked for around an agent that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLoaded {
    /// This agent.
    #[error(
        "agent `{0}` is not loaded; put its plugin into the directory of agents, or name another one"
    )]
    Agent(AgentName),
    /// Any agent with the skill that the call names; none when the request was to bring it.
    #[error("no loaded agent has the skill `{}`", .0.as_ref().map_or("", SkillName::as_str))]
    Skill(Option<SkillName>),
}

/// The policies of `call` around its agent, outermost first: fallback → cache → retry → limit → sandbox.
///
/// Costs an allocation for each policy in use and no copy of what is shared, so a stack may be built for every call. It sets the
/// request's skill and lowers its bounds as `call` says; a retry waits without a slot, and each attempt has its own.
pub fn stack(call: &CallStep, providers: &Providers) -> Result<Arc<dyn Call>, NotLoaded> {
    let agent = match (&call.callee, &call.skill) {
        (Callee::Agent(agent), _) => agent,
        (Callee::Skilled, skill) => return Err(NotLoaded::Skill(skill.clone())),
    };
    let policy = &call.policy;
    let shared = &providers.shared;
    let base = (providers.bases.get(agent)).ok_or_else(|| NotLoaded::Agent(agent.clone()))?;
    let mut alternatives = Vec::with_capacity(policy.fallback.len());
    for fallback in &policy.fallback {
        let other = &fallback.call;
        alternatives.push((other.agent().cloned(), stack(other, providers)?));
    }

    // Outermost when read from the bottom. The order is these lines and nothing else; a test pins it.
    let inner = base.call.clone();
    let inner = limit::wrap(inner, agent, policy.timeout, &shared.slots);
    // A circuit breaker belongs here, where it sees each try.
    let inner = retry::wrap(inner, agent, policy.retry.as_ref());
    let inner = cache::wrap(inner, base.digest, policy.cache.as_ref(), &shared.cache);
    let inner = address(inner, call.skill.as_ref(), policy.bounds);
    let inner = fallback::wrap(inner, alternatives, policy.bounds);
    // A choice of another agent under load belongs here, where it spares all of the above.
    Ok(inner)
}

/// Makes whatever comes in a request to one agent: not a policy, but what each alternative must do anew.
fn address(inner: Arc<dyn Call>, skill: Option<&SkillName>, bounds: Bounds) -> Arc<dyn Call> {
    Arc::new(Addressed {
        inner,
        skill: skill.cloned(),
        bounds,
    })
}

/// Takes `fuel`, which a failed attempt used, from what `bounds` leaves to the next one. Whether another may be made: not without
/// any fuel.
fn spend(bounds: &mut Bounds, fuel: u64) -> bool {
    let left = bounds.fuel.map(|bound| bound.saturating_sub(fuel));
    bounds.fuel = left;
    left != Some(0)
}

struct Addressed {
    inner: Arc<dyn Call>,
    skill: Option<SkillName>,
    bounds: Bounds,
}

impl Call for Addressed {
    fn call(&self, mut request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        request.skill.clone_from(&self.skill);
        request.bounds = request.bounds.lowered_by(self.bounds);
        self.inner.call(request)
    }
}
