//! Policies: wrappers around a call, each in its own file, each seeing nothing but [`Call`].
//!
//! [`stack`] is the only place that knows their order. No policy touches a journal, a plugin or a clock of its own: what happened
//! rides back as the trail, and waiting is tokio's.

mod batch;
mod breaker;
mod cache;
mod degrade;
mod fallback;
mod limit;
mod retry;
mod route;
mod watch;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::call::{Bounds, Call, CallError, Reply, Request, Trail};
use crate::health::{Directory, Health, Peer};
use crate::id::{AgentName, Digest, SkillName};
use crate::plan::{CallStep, Callee, Policy};
use crate::slots::{Priority, Slots};

pub use batch::Batches;
pub use breaker::{Breakers, Mark, Snapshot, Standing};
pub use cache::AnswerCache;

/// What the stacks of a run are built from: the agents it may call, as they were when it started, and what all runs share.
#[derive(Clone)]
pub struct Providers {
    /// The agents.
    pub bases: BTreeMap<AgentName, Base>,
    /// Who says that it has which skill, and what it does there.
    pub skills: BTreeMap<SkillName, BTreeMap<AgentName, String>>,
    /// What all runs share.
    pub shared: Shared,
}

/// An agent without any policy.
#[derive(Clone)]
pub struct Base {
    /// Answers of equal digests may stand for each other: the plugin's, together with whatever else its answers depend on.
    pub digest: Digest,
    /// Tasks of equal digests may be handled together: what their answers depend on, and the bounds that hold for them.
    pub bounded: Digest,
    /// What executes its tasks.
    pub call: Arc<dyn Call>,
    /// How it fares, over all runs.
    pub health: Arc<Health>,
    /// What holds around its calls where a step says nothing: its author's wish.
    pub defaults: Policy,
}

impl Base {
    /// An agent about which nothing is known yet, and whose author wishes for nothing.
    pub fn new(digest: Digest, call: Arc<dyn Call>) -> Self {
        Self {
            digest,
            bounded: digest,
            call,
            health: Arc::default(),
            defaults: Policy::default(),
        }
    }
}

/// The parts of policies that learn or count over all runs.
#[derive(Clone, Default)]
pub struct Shared {
    /// Earlier answers.
    pub cache: Arc<AnswerCache>,
    /// Execution slots.
    pub slots: Arc<Slots>,
    /// Which agents are not asked at the moment.
    pub breakers: Arc<Breakers>,
    /// Batches that are being gathered.
    pub batches: Arc<Batches>,
}

impl Shared {
    /// How the circuit breaker of each agent stands that has one, by name.
    pub fn breakers(&self) -> Vec<(AgentName, Snapshot)> {
        self.breakers.snapshots()
    }

    /// Closes the circuit breaker of `agent` for stacks that are built from now on: its plugin is another one.
    pub fn renew(&self, agent: &AgentName) {
        self.breakers.renew(agent);
    }

    /// Puts the circuit breaker of `agent` where it stood, in an earlier process for example.
    pub fn restore(&self, agent: &AgentName, snapshot: &Snapshot) {
        self.breakers.restore(agent, snapshot);
    }
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
    #[error("{}", no_skill(.0.as_ref()))]
    Skill(Option<SkillName>),
}

fn no_skill(skill: Option<&SkillName>) -> String {
    match skill {
        Some(skill) => format!("no loaded agent has the skill `{skill}`"),
        None => "no loaded agent says which skills it has".to_owned(),
    }
}

/// The policies of `call` around its agent, outermost first: degrade → fallback → route → cache → retry → circuit breaker →
/// batch → watch → limit → sandbox.
///
/// Costs an allocation for each policy in use and no copy of what is shared, so a stack may be built for every call. It sets the
/// request's skill and lowers its bounds as `call` says; a retry waits without being in flight, and each attempt has its own turn.
/// The step's deadline and priority hold for all of it.
pub fn stack(call: &CallStep, providers: &Providers) -> Result<Arc<dyn Call>, NotLoaded> {
    let policy = &call.policy;
    let mut alternatives = Vec::with_capacity(policy.fallback.len());
    for fallback in &policy.fallback {
        let other = &fallback.call;
        alternatives.push((other.agent().cloned(), stack(other, providers)?));
    }
    let instead = match &policy.degrade {
        None => None,
        Some(degrade) => Some(degrade::Instead {
            above: degrade.above,
            agent: degrade.to.agent().cloned(),
            call: stack(&degrade.to, providers)?,
            bounds: policy.bounds,
        }),
    };

    // Outermost when read from the bottom. The order is these lines, those of `around`, and nothing else; `policy/tests.rs` and the tests of batches pin it.
    let inner = match &call.callee {
        Callee::Agent(agent) => {
            let base = providers.bases.get(agent);
            let base = base.ok_or_else(|| NotLoaded::Agent(agent.clone()))?;
            let skill = Skill::Is(call.skill.clone());
            around(agent, base, skill, policy, &providers.shared)
        }
        Callee::Skilled => {
            let skill = call.skill.as_ref();
            route::to(directory(policy, skill, providers), skill)?
        }
    };
    let inner = fallback::wrap(inner, alternatives, policy.bounds);
    let inner = degrade::wrap(inner, instead, &providers.shared.slots);
    Ok(begin(inner, policy))
}

/// What a step says about everything below: not a policy, but what all of them keep.
fn begin(inner: Arc<dyn Call>, policy: &Policy) -> Arc<dyn Call> {
    match (policy.deadline, policy.priority) {
        (None, None) => inner,
        (deadline, priority) => Arc::new(Begun {
            inner,
            deadline,
            priority,
        }),
    }
}

struct Begun {
    inner: Arc<dyn Call>,
    deadline: Option<Duration>,
    priority: Option<Priority>,
}

impl Call for Begun {
    fn call(&self, mut request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        let own = self
            .deadline
            .and_then(|time| Instant::now().checked_add(time));
        request.deadline = own.into_iter().chain(request.deadline).min();
        request.priority = self.priority.unwrap_or(request.priority);
        self.inner.call(request)
    }
}

/// The policies around one agent, its defaults where `policy` says nothing.
fn around(
    agent: &AgentName,
    base: &Base,
    skill: Skill,
    policy: &Policy,
    shared: &Shared,
) -> Arc<dyn Call> {
    let policy = policy.or(&base.defaults);
    let inner = base.call.clone();
    let rule = policy.batch.as_ref().filter(|_| base.call.batches());
    // In a batch, each has its timeout from when it joins.
    let timeout = policy.timeout.filter(|_| rule.is_none());
    let inner = limit::wrap(inner, agent, timeout, &shared.slots);
    let inner = watch::wrap(inner, agent, &base.health, timeout);
    let inner = batch::wrap(inner, base.bounded, rule, policy.timeout, &shared.batches);
    let breaker = policy.circuit_breaker.as_ref();
    let inner = breaker::wrap(inner, agent, breaker, &shared.breakers);
    let inner = retry::wrap(inner, agent, policy.retry.as_ref());
    let inner = cache::wrap(inner, base.digest, policy.cache.as_ref(), &shared.cache);
    address(inner, skill, policy.bounds)
}

/// Every agent that can be asked for `skill`, or for any, each with the policies of a step around it.
pub fn directory(policy: &Policy, skill: Option<&SkillName>, providers: &Providers) -> Directory {
    let wanted = |name: &&SkillName| skill.is_none_or(|skill| skill == *name);
    let mut stacks = BTreeMap::new();
    let mut directory = Directory::default();
    for name in providers.skills.keys().filter(wanted) {
        let agents = providers.skills.get(name).into_iter().flatten();
        let peers = agents.filter_map(|(agent, description)| {
            let base = providers.bases.get(agent)?;
            let stack = stacks
                .entry(agent)
                .or_insert_with(|| around(agent, base, Skill::AsAsked, policy, &providers.shared));
            Some(Peer {
                agent: agent.clone(),
                description: description.clone(),
                call: stack.clone(),
                health: base.health.clone(),
                breaker: (policy.or(&base.defaults).circuit_breaker)
                    .map(|_| providers.shared.breakers.watch(agent)),
            })
        });
        directory.skills.insert(name.clone(), peers.collect());
    }
    directory
}

/// Makes whatever comes in a request to one agent: not a policy, but what each alternative must do anew.
fn address(inner: Arc<dyn Call>, skill: Skill, bounds: Bounds) -> Arc<dyn Call> {
    Arc::new(Addressed {
        inner,
        skill,
        bounds,
    })
}

/// Which skill an agent is asked for.
enum Skill {
    /// This one, or its only one.
    Is(Option<SkillName>),
    /// The one that the request brings.
    AsAsked,
}

/// Takes what failed attempts used, fuel and calls, from what `bounds` leaves to the next one. Whether another may be made: not
/// without any of the two.
fn spend(bounds: &mut Bounds, failed: &Trail) -> bool {
    let left = |bound: Option<u64>, used| bound.map(|bound| bound.saturating_sub(used));
    bounds.fuel = left(bounds.fuel, failed.usage().fuel);
    bounds.calls = left(bounds.calls, failed.calls());
    bounds.fuel != Some(0) && bounds.calls != Some(0)
}

struct Addressed {
    inner: Arc<dyn Call>,
    skill: Skill,
    bounds: Bounds,
}

impl Call for Addressed {
    fn call(&self, mut request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        if let Skill::Is(skill) = &self.skill {
            request.skill.clone_from(skill);
        }
        request.bounds = request.bounds.lowered_by(self.bounds);
        self.inner.call(request)
    }
}
