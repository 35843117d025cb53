//! The plan: a flow after it was read and checked, as pure data.
//!
//! Every pattern is a constructor over these few step kinds. Nothing here does IO, waits, or knows about Wasm; expressions are
//! compiled already ([`crate::expr`]).

mod policy;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::expr::{Expr, Template};
use crate::id::{AgentName, Digest, EventType, SkillName, StepId};
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
    /// Where a run begins.
    pub entry: Entry,
    /// The run's output; the root's when absent.
    pub output: Option<Template>,
    /// What a run may spend.
    pub budget: Budget,
    /// The priority of calls that say nothing of their own.
    pub priority: Option<Priority>,
    /// The texts of the flows inside this one, by the name under which it was read.
    pub sources: BTreeMap<String, String>,
}

/// Where a run begins.
#[derive(Debug, Clone)]
pub enum Entry {
    /// With this step.
    Root(StepRef),
    /// With the step for the event that wakes it.
    On(BTreeMap<EventType, Handler>),
}

/// What an event-driven flow does about events of one type.
#[derive(Debug, Clone)]
pub struct Handler {
    /// The step that each event starts.
    pub step: StepRef,
    /// The host makes such an event itself this often.
    pub every: Option<Duration>,
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
    /// What a failure means for the steps around it.
    pub on_error: OnError,
    /// The line of the flow file where the step begins, from 1.
    pub line: usize,
}

/// What the failure of a step means for the steps around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// The step around it fails too.
    #[default]
    Fail,
    /// The flow goes on: the step gives null, or what its `output` makes of the `error`.
    Continue,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Calls an agent.
    Call(Box<CallStep>),
    /// Emits an event; what the step gets is its data.
    Emit(EventType),
    /// Waits until a person answers.
    Approve(Box<Approve>),
    /// One after the other; each gets the output of the one before.
    Sequential(Vec<StepRef>),
    /// All at once with the same input; the output is a map from id to output.
    Parallel {
        /// The branches.
        branches: Vec<StepRef>,
        /// How many must succeed.
        require: Require,
        /// How many run at the same time.
        concurrency: Option<usize>,
    },
    /// A master plans, workers work at the same time, the master puts their results together.
    Hierarchical(Box<Hierarchical>),
    /// Stages; items stream through those with `each`.
    Pipeline(Vec<Stage>),
    /// The first arm whose condition holds; what the step got when none does.
    Route(Vec<Arm>),
    /// The same step again and again; each round gets the output of the one before.
    Repeat(Box<Repeat>),
    /// Another flow, whose steps are part of this plan.
    Flow(Box<SubFlow>),
}

impl Kind {
    /// Moves every place in the plan that it names by `by`: for steps that become part of another plan.
    pub(crate) fn shift(&mut self, by: usize) {
        let shift = |step: &mut StepRef| step.0 += by;
        match self {
            Self::Call(_) | Self::Emit(_) | Self::Approve(_) => {}
            Self::Sequential(steps)
            | Self::Parallel {
                branches: steps, ..
            } => {
                steps.iter_mut().for_each(shift);
            }
            Self::Hierarchical(parts) => {
                shift(&mut parts.plan);
                shift(&mut parts.synthesize);
                match &mut parts.workers {
                    Workers::Fixed(workers) => workers.values_mut().for_each(shift),
                    Workers::BySkill(worker) => shift(worker),
                }
            }
            Self::Pipeline(stages) => stages.iter_mut().for_each(|stage| shift(&mut stage.step)),
            Self::Route(arms) => arms.iter_mut().for_each(|arm| shift(&mut arm.step)),
            Self::Repeat(parts) => shift(&mut parts.body),
            Self::Flow(inner) => shift(&mut inner.root),
        }
    }

    /// Whether it is done by somebody, and not by the steps inside it.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Self::Call(_) | Self::Emit(_) | Self::Approve(_))
    }
}

/// The parts of a `hierarchical` step.
#[derive(Debug, Clone)]
pub struct Hierarchical {
    /// Asks the master for subtasks.
    pub plan: StepRef,
    /// Do the subtasks.
    pub workers: Workers,
    /// Asks the master for the result.
    pub synthesize: StepRef,
    /// The most subtasks.
    pub max_subtasks: usize,
    /// How many workers work at the same time.
    pub concurrency: Option<usize>,
}

/// Who does a subtask.
#[derive(Debug, Clone)]
pub enum Workers {
    /// A call for each type that a subtask may name.
    Fixed(BTreeMap<String, StepRef>),
    /// Whoever has the skill that the subtask names; the step is a call without a skill of its own.
    BySkill(StepRef),
}

/// A stage of a `pipeline`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it does.
    pub step: StepRef,
    /// How its input comes.
    pub mode: StageMode,
    /// Items in it at the same time.
    pub concurrency: usize,
    /// What the failure of an item means.
    pub on_item_error: OnItemError,
}

/// How a stage's input comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageMode {
    /// All of it at once.
    Whole,
    /// All of it, again and again as long as the answer has a `next`; each answer's `items` stream on.
    Pages,
    /// One item of a list after the other.
    Each,
}

/// What the failure of an item means for its pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnItemError {
    /// It fails, once the items in work have ended.
    #[default]
    Fail,
    /// The item is left out.
    Drop,
}

/// An arm of a `route`.
#[derive(Debug, Clone)]
pub struct Arm {
    /// When it is taken; the last arm may have no condition.
    pub when: Option<Expr>,
    /// What it does.
    pub step: StepRef,
}

/// The parts of a `repeat`.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// One round.
    pub body: StepRef,
    /// Whether a round, whose output is `prev`, was the last.
    pub until: Option<Expr>,
    /// The most rounds.
    pub max: usize,
}

/// A flow inside a flow: it sees its own input and its own steps only.
#[derive(Debug, Clone)]
pub struct SubFlow {
    /// Its name.
    pub name: String,
    /// Its outermost step.
    pub root: StepRef,
    /// JSON Schema of its input; checked when it begins.
    pub input: Option<Value>,
    /// Its output; the outermost step's when absent.
    pub output: Option<Template>,
}

/// What an `approve` step asks a person.
#[derive(Debug, Clone)]
pub struct Approve {
    /// The question.
    pub message: Template,
    /// How long to wait; without it for ever.
    pub timeout: Option<Duration>,
    /// The answer when nobody has given one in time; without it the step fails then.
    pub default: Option<bool>,
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
