//! The run state: what a run has done and may do next, as a pure function of its records.
//!
//! Live and replay use the same two functions, [`RunState::check`] and [`RunState::apply`]. No IO, no clock, no randomness. Groups
//! (`sequential`, `pipeline`, …) have no records: what became of them follows from their leaves, the steps that call, emit or ask.

mod groups;
mod hierarchical;
mod moves;
mod pipeline;
mod scope;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

pub use self::moves::IllegalMove;
use self::scope::{Frame, FrameId, RUN, With, expression_failure};
use self::step::{Place, Work, as_value};
pub use self::step::{Status, StepState, Tally};
use crate::call::{Trail, Usage};
use crate::expr::Template;
use crate::failure::{Failure, FailureKind};
use crate::id::{AgentName, Digest, RunId, SkillName, StepPath};
use crate::plan::{Entry, Kind, OnError, Plan, StepRef};
use crate::record::{Event, Held, Outcome};

/// Where a run stands.
#[derive(Debug, Clone)]
pub struct RunState {
    plan: Arc<Plan>,
    run: RunId,
    agents: BTreeMap<AgentName, Digest>,
    input: Arc<Value>,
    event: Option<Value>,
    /// How many events led to the run.
    hops: u8,
    /// Every step that was reached and still matters, in the order in which it was.
    steps: BTreeMap<Place, StepState>,
    by_path: BTreeMap<StepPath, Place>,
    next_place: Place,
    frames: BTreeMap<FrameId, Frame>,
    next_frame: FrameId,
    /// Leaves that wait for somebody to begin them.
    waiting: BTreeSet<Place>,
    /// Steps that have ended and whose parents have not been told. A list, because telling them in place would recurse once a round.
    ended: VecDeque<Place>,
    /// Calls that were begun and have not ended.
    under_way: usize,
    /// Rounds that loops have begun since the last record.
    rounds: usize,
    spent: Spent,
    started: bool,
    outcome: Option<Outcome>,
}

/// What a run has used so far, failed attempts included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Sums over all attempts.
    pub usage: Usage,
    /// Attempts.
    pub calls: u64,
}

/// What to do with a leaf that waits.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Begin it.
    Start,
    /// Its guard is false.
    Skip,
    /// An expression of it gives no value.
    Fail(Failure),
}

/// Where a step is entered.
#[derive(Default)]
struct Spot {
    frame: FrameId,
    outer: Option<StepPath>,
    index: Option<usize>,
    skill: Option<SkillName>,
    cursor: Option<Value>,
}

impl RunState {
    /// A run of which nothing is known yet.
    pub fn new(plan: Arc<Plan>, run: RunId) -> Self {
        Self {
            plan,
            run,
            agents: BTreeMap::new(),
            input: Arc::new(Value::Null),
            event: None,
            hops: 0,
            steps: BTreeMap::new(),
            by_path: BTreeMap::new(),
            next_place: 0,
            frames: BTreeMap::from([(RUN, Frame::default())]),
            next_frame: RUN + 1,
            waiting: BTreeSet::new(),
            ended: VecDeque::new(),
            under_way: 0,
            rounds: 0,
            spent: Spent::default(),
            started: false,
            outcome: None,
        }
    }

    /// The state after `events`, which must all be legal.
    pub fn replay<'e>(
        plan: Arc<Plan>,
        run: RunId,
        events: impl IntoIterator<Item = &'e Event>,
    ) -> Result<Self, IllegalMove> {
        let mut state = Self::new(plan, run);
        for event in events {
            state.check(event)?;
            state.apply(event);
        }
        Ok(state)
    }

    /// The agents that it may call, with the digest of the plugin that each is pinned to.
    pub fn agents(&self) -> &BTreeMap<AgentName, Digest> {
        &self.agents
    }

    /// How many events led to the run: each started the run that emitted the next, and the last started this one.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// Makes `event`, which [`check`](Self::check) has allowed, part of the state.
    pub fn apply(&mut self, event: &Event) {
        self.rounds = 0;
        match event {
            Event::RunStarted {
                input,
                event,
                agents,
                ..
            } => {
                self.started = true;
                self.agents.clone_from(agents);
                self.input = inline(input);
                // A cause holds texts only, so it always has a JSON form.
                self.event = event.as_ref().and_then(|cause| {
                    let mut shown = serde_json::to_value(cause).ok()?;
                    // The host's own count is none of the flow's business.
                    shown.as_object_mut()?.shift_remove("hops");
                    Some(shown)
                });
                self.hops = event
                    .as_ref()
                    .map_or(0, |cause| cause.hops.saturating_add(1));
                if let Some(root) = self.entry(event.as_deref().map(|cause| &cause.event_type)) {
                    self.enter(root, None, Spot::default(), self.input.clone());
                }
            }
            Event::StepStarted { step, attempt } => self.at(step, |state, at| {
                state.under_way += usize::from(state.waiting.remove(&at) && state.calls(at));
                state.change(at, |step| {
                    step.status = Status::Running;
                    step.begun = *attempt;
                });
            }),
            Event::StepSucceeded {
                step,
                output,
                trail,
            } => self.at(step, |state, at| {
                state.account(at, trail);
                state.succeed(at, inline(output));
            }),
            Event::StepFailed {
                step,
                failure,
                trail,
            } => self.at(step, |state, at| {
                state.account(at, trail);
                state.fail(at, step.clone(), failure.clone());
            }),
            Event::StepSkipped { step } => {
                self.at(step, |state, at| state.settle(at, Status::Skipped));
            }
            Event::EventEmitted {
                step,
                id,
                event_type,
            } => self.at(step, |state, at| {
                state.succeed(at, Arc::new(json!({ "id": id, "type": event_type })));
            }),
            Event::ApprovalAsked { step, until, .. } => self.at(step, |state, at| {
                state.waiting.remove(&at);
                state.change(at, |step| {
                    step.status = Status::Running;
                    step.until = *until;
                });
            }),
            Event::ApprovalAnswered {
                step,
                approved,
                by,
                note,
            } => self.at(step, |state, at| match approved {
                Some(true) => {
                    let answer = json!({ "approved": true, "by": by, "note": note });
                    state.succeed(at, Arc::new(answer));
                }
                Some(false) => {
                    let note = note.as_ref().map(|note| format!(": {note}"));
                    let why = format!("{by} did not approve{}", note.unwrap_or_default());
                    let failure = Failure::new(FailureKind::Denied, why);
                    state.fail(at, step.clone(), failure);
                }
                None => {
                    let why = "nobody has answered in time; a `default` would be taken then";
                    let failure = Failure::new(FailureKind::Deadline, why);
                    state.fail(at, step.clone(), failure);
                }
            }),
            Event::RunFinished { outcome } => {
                self.outcome = Some(outcome.clone());
                self.waiting.clear();
            }
        }
        self.tell_parents();
    }

    /// The leaves that wait to be begun, each with what to do about it.
    pub fn ready(&self) -> Vec<(StepPath, Decision)> {
        self.waiting
            .iter()
            .filter_map(|at| self.steps.get(at))
            .map(|state| (state.path.clone(), self.decide(state)))
            .collect()
    }

    /// The leaves that were begun and have not ended: after a replay, those that the last owner of the run has left behind.
    pub fn running(&self) -> Vec<StepPath> {
        let running = |state: &&StepState| state.status == Status::Running;
        let running = self.steps.values().filter(running);
        running.map(|state| state.path.clone()).collect()
    }

    /// What a leaf gets as input.
    pub fn input_of(&self, path: &StepPath) -> Result<Arc<Value>, Failure> {
        let state = self.reached(path)?;
        let input = self.value(state, self.plan.step(state.step).with.as_ref())?;
        match &state.cursor {
            None => Ok(input),
            Some(cursor) => pipeline::with_cursor(&input, cursor),
        }
    }

    /// The value of a template that belongs to the step at `path`, such as the `with` of one of its fallbacks.
    pub fn evaluate(&self, path: &StepPath, template: &Template) -> Result<Arc<Value>, Failure> {
        self.value(self.reached(path)?, Some(template))
    }

    /// How the run ends, once every step has ended; before that `None`.
    pub fn conclusion(&self) -> Option<Outcome> {
        let (_, root) = self.steps.first_key_value()?;
        let output = match &root.status {
            Status::Waiting | Status::Running => return None,
            Status::Failed(step, failure) => {
                return Some(Outcome::Failed {
                    step: Some(step.clone()),
                    failure: failure.clone(),
                });
            }
            Status::Succeeded(output) | Status::Excused(_, _, output) => output.clone(),
            Status::Skipped => Arc::new(Value::Null),
        };
        let output = match &self.plan.output {
            None => Ok(output),
            Some(template) => self.eval(RUN, With::prev(&output), template),
        };
        Some(match output {
            Ok(output) => Outcome::Succeeded {
                output: Held::Inline(output),
            },
            Err(failure) => Outcome::Failed {
                step: None,
                failure,
            },
        })
    }

    /// How the run has ended, when it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Every step that was reached, in the order in which it was. The items of a pipeline are counted on their stage
    /// ([`StepState::tally`]) and not kept once they have gone through.
    pub fn steps(&self) -> impl Iterator<Item = &StepState> {
        self.steps.values()
    }

    /// The step at `path`, when it was reached and is kept.
    pub fn step(&self, path: &StepPath) -> Option<&StepState> {
        self.steps.get(self.by_path.get(path)?)
    }

    /// How many calls were begun and have not ended.
    pub fn calls_under_way(&self) -> usize {
        self.under_way
    }

    /// What the run has used so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The run's id.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The step that a run begins with, which for an event-driven flow depends on the event.
    fn entry(&self, event: Option<&crate::id::EventType>) -> Option<StepRef> {
        match &self.plan.entry {
            Entry::Root(root) => Some(*root),
            Entry::On(handlers) => handlers.get(event?).map(|handler| handler.step),
        }
    }

    fn reached(&self, path: &StepPath) -> Result<&StepState, Failure> {
        let unknown = || {
            Failure::new(
                FailureKind::HostError,
                format!("step `{path}` was not reached"),
            )
        };
        self.step(path).ok_or_else(unknown)
    }

    fn decide(&self, state: &StepState) -> Decision {
        match self.guard(state) {
            Ok(true) => Decision::Start,
            Ok(false) => Decision::Skip,
            Err(failure) => Decision::Fail(failure),
        }
    }

    fn guard(&self, state: &StepState) -> Result<bool, Failure> {
        let Some(when) = &self.plan.step(state.step).when else {
            return Ok(true);
        };
        self.in_scope(state.frame, With::prev(&state.given), |scope| {
            when.holds(scope)
        })
        .map_err(|error| expression_failure(&error))
    }

    fn value(&self, state: &StepState, template: Option<&Template>) -> Result<Arc<Value>, Failure> {
        match template {
            None => Ok(state.given.clone()),
            Some(template) => self.eval(state.frame, With::prev(&state.given), template),
        }
    }

    /// Reaches a step: a leaf waits, a group goes on to its children at once.
    fn enter(
        &mut self,
        step: StepRef,
        parent: Option<Place>,
        spot: Spot,
        given: Arc<Value>,
    ) -> Place {
        let plan = self.plan.clone();
        let at = self.next_place;
        self.next_place += 1;
        let Spot {
            frame,
            outer,
            index,
            skill,
            cursor,
        } = spot;
        let path = StepPath::within(outer.as_ref(), &plan.step(step).id, index);
        self.by_path.insert(path.clone(), at);
        let state = StepState {
            step,
            // What repeats a step is also what its children are inside of.
            outer: index.map_or(outer, |_| Some(path.clone())),
            path,
            status: Status::Waiting,
            trail: Trail::default(),
            begun: 0,
            until: None,
            skill,
            tally: None,
            parent,
            given,
            cursor,
            frame,
            children: Vec::new(),
            work: Work::Plain,
        };
        self.steps.insert(at, state);
        if let Some(parent) = parent {
            self.change(parent, |parent| parent.children.push(at));
        }
        if plan.step(step).kind.is_leaf() {
            self.waiting.insert(at);
        } else {
            self.open(at);
        }
        at
    }

    /// A step has its plain output: reshapes it and settles.
    fn succeed(&mut self, at: Place, output: Arc<Value>) {
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        let with = With {
            prev: &output,
            error: Some(&Value::Null),
        };
        let reshaped = match &self.plan.step(state.step).output {
            None => Ok(output.clone()),
            Some(template) => self.eval(state.frame, with, template),
        };
        match reshaped {
            Ok(output) => self.settle(at, Status::Succeeded(output)),
            Err(failure) => {
                let path = state.path.clone();
                self.settle(at, Status::Failed(path, failure));
            }
        }
    }

    /// A step has failed because of the leaf `by`: settles, and lets the flow go on where the step says so.
    fn fail(&mut self, at: Place, by: StepPath, failure: Failure) {
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        let step = self.plan.step(state.step);
        if step.on_error == OnError::Fail {
            return self.settle(at, Status::Failed(by, failure));
        }
        let error = as_value(&by, &failure);
        let with = With {
            prev: &Value::Null,
            error: Some(&error),
        };
        let instead = match &step.output {
            None => Ok(Arc::new(Value::Null)),
            Some(template) => self.eval(state.frame, with, template),
        };
        match instead {
            Ok(value) => self.settle(at, Status::Excused(by, failure, value)),
            Err(second) => {
                let path = state.path.clone();
                self.settle(at, Status::Failed(path, second));
            }
        }
    }

    /// A failure that the step itself is the reason for.
    fn fail_itself(&mut self, at: Place, failure: Failure) {
        if let Some(state) = self.steps.get(&at) {
            let path = state.path.clone();
            self.fail(at, path, failure);
        }
    }

    /// A step has ended: lets `steps.ID` see it; its parent is told next.
    fn settle(&mut self, at: Place, status: Status) {
        self.waiting.remove(&at);
        let seen = status.seen();
        let Some(state) = self.steps.get_mut(&at) else {
            return;
        };
        state.status = status;
        state.work = Work::Plain;
        let (step, frame) = (state.step, state.frame);
        if let (Some(output), Some(frame)) = (seen, self.frames.get_mut(&frame)) {
            frame.set_output(self.plan.step(step).id.as_str(), output);
        }
        self.ended.push_back(at);
    }

    fn tell_parents(&mut self) {
        while let Some(at) = self.ended.pop_front() {
            if let Some(parent) = self.steps.get(&at).and_then(|state| state.parent) {
                self.child_ended(parent, at);
            }
        }
    }

    /// Drops a step, what is inside it, and the way to them.
    fn forget(&mut self, at: Place) {
        let Some(state) = self.steps.remove(&at) else {
            return;
        };
        self.by_path.remove(&state.path);
        self.waiting.remove(&at);
        for child in state.children {
            self.forget(child); // as deep as a flow nests, not as long as it runs
        }
    }

    /// Whether the step at this place is a call.
    fn calls(&self, at: Place) -> bool {
        let step = self.steps.get(&at).map(|state| self.plan.step(state.step));
        step.is_some_and(|step| matches!(step.kind, Kind::Call(_)))
    }

    fn account(&mut self, at: Place, trail: &Trail) {
        let running = |state: &StepState| state.status == Status::Running;
        if self.calls(at) && self.steps.get(&at).is_some_and(running) {
            self.under_way -= 1; // it was counted when it was begun
        }
        self.spent.usage = self.spent.usage.plus(trail.usage());
        self.spent.calls = self.spent.calls.saturating_add(trail.calls());
        self.change(at, |step| step.trail = trail.clone());
    }

    fn children(&self, at: Place) -> impl Iterator<Item = &StepState> {
        let children = self.steps.get(&at).map(|state| &state.children[..]);
        let children = children.unwrap_or_default().iter();
        children.filter_map(|child| self.steps.get(child))
    }

    fn change(&mut self, at: Place, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.steps.get_mut(&at) {
            change(state);
        }
    }

    /// `check` has found the step, so it is there.
    fn at(&mut self, path: &StepPath, change: impl FnOnce(&mut Self, Place)) {
        if let Some(&at) = self.by_path.get(path) {
            change(self, at);
        }
    }
}

fn inline(held: &Held) -> Arc<Value> {
    match held {
        Held::Inline(value) => value.clone(),
        // `check` refuses records whose blob was not read.
        Held::Blob(blob) => Arc::new(blob.to_value()),
    }
}
