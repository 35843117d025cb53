//! The plan: a flow after it was read and checked, as pure data.
//!
//! Every pattern is a constructor over these few step kinds. Nothing here does IO, waits, or knows about Wasm; expressions are
//! compiled already ([`crate::expr`]).

mod policy;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::expr::{Expr, Template};
use crate::id::{AgentName, Digest, SkillName, StepId};
use crate::slots::Priority;

pub use self::policy::{
    Batch, Budget, Cache, CircuitBreaker, Degrade, Fallback, OnExceeded, Policy, Retry,
};

/// What a flow says, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The flow's name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The digest of the text it was read from.
    pub digest: Digest,
    /// The text it was read from; a run keeps it, so that it resumes with the plan it began with.
    pub source: String,
    /// JSON Schema of the run's input.
    pub input: Option<Value>,
    /// Every step; [`StepRef`]s point into it.
    pub steps: Vec<Step>,
    /// The outermost step.
    pub root: StepRef,
    /// The run's output; the root's when absent.
    pub output: Option<Template>,
    /// What a run may spend.
    pub budget: Budget,
    /// The priority of calls that say nothing of their own.
    pub priority: Option<Priority>,
}

/// The place of a step in [`Plan::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepRef(pub usize);

/// One node of the plan.
#[derive(Debug, Clone)]
pub struct Step {
    /// Unique in the flow.
    pub id: StepId,
    /// What it does.
    pub kind: Kind,
    /// The guard: the step is skipped when it is false.
    pub when: Option<Expr>,
    /// What the step gets instead of what its parent hands it.
    pub with: Option<Template>,
    /// What the step gives instead of what it got; `prev` is the plain output here.
    pub output: Option<Template>,
    /// The line of the flow file where the step begins, from 1.
    pub line: usize,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Calls an agent.
    Call(Box<CallStep>),
    /// One after the other; each gets the output of the one before.
    Sequential(Vec<StepRef>),
    /// All at once with the same input; the output is a map from id to output.
    Parallel {
        /// The branches.
        branches: Vec<StepRef>,
        /// How many must succeed.
        require: Require,
    },
}

/// How many branches of a `parallel` step must succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Every one that is not skipped.
    All,
    /// At least one.
    Any,
    /// At least this many.
    AtLeast(usize),
}

/// Whom to ask, and under which policies.
#[derive(Debug, Clone)]
pub struct CallStep {
    /// Whom to ask.
    pub callee: Callee,
    /// The skill; `None` when the agent has only one, or when the request brings it.
    pub skill: Option<SkillName>,
    /// What holds around the call.
    pub policy: Policy,
}

/// Whom a call asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// This agent.
    Agent(AgentName),
    /// Whichever healthy agent has the skill and the least to do.
    Skilled,
}

impl fmt::Display for CallStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.callee, &self.skill) {
            (Callee::Agent(agent), None) => write!(f, "{agent}"),
            (Callee::Agent(agent), Some(skill)) => write!(f, "{agent} · {skill}"),
            (Callee::Skilled, Some(skill)) => write!(f, "· {skill}"),
            (Callee::Skilled, None) => f.write_str("by skill"),
        }
    }
}

impl CallStep {
    /// A call of `agent` for its only skill, without any policy.
    pub fn of(agent: AgentName) -> Self {
        Self {
            callee: Callee::Agent(agent),
            skill: None,
            policy: Policy::default(),
        }
    }

    /// The agent, when it is fixed.
    pub fn agent(&self) -> Option<&AgentName> {
        match &self.callee {
            Callee::Agent(agent) => Some(agent),
            Callee::Skilled => None,
        }
    }
}

impl Plan {
    /// The step at `at`.
    pub fn step(&self, at: StepRef) -> &Step {
        &self.steps[at.0] // a `StepRef` is only made for a step that is there
    }

    /// Every call that the plan can make, fallbacks included, with the step that makes it.
    pub fn calls(&self) -> impl Iterator<Item = (&Step, &CallStep)> {
        self.steps.iter().flat_map(|step| {
            let mut calls = Vec::new();
            if let Kind::Call(call) = &step.kind {
                collect(call, &mut calls);
            }
            calls.into_iter().map(move |call| (step, call))
        })
    }

    /// The agents that the plan can call, each with the skills it is asked for.
    pub fn agents(&self) -> BTreeMap<&AgentName, Vec<Option<&SkillName>>> {
        let mut agents = BTreeMap::<_, Vec<_>>::new();
        for (_, call) in self.calls() {
            if let Some(agent) = call.agent() {
                agents.entry(agent).or_default().push(call.skill.as_ref());
            }
        }
        agents
    }
}

fn collect<'a>(call: &'a CallStep, into: &mut Vec<&'a CallStep>) {
    into.push(call);
    for fallback in &call.policy.fallback {
        collect(&fallback.call, into);
    }
    if let Some(degrade) = &call.policy.degrade {
        collect(&degrade.to, into);
    }
}
