//! The kinds of steps that hold others, emit or ask: from their keys to their parts.

use std::collections::BTreeMap;

use super::keys;
use super::lower::{Fields, Lower, Moment, Owner};
use super::tree::{Node, What};
use crate::id::StepId;
use crate::plan::{
    Approve, Arm, CallStep, Callee, Hierarchical, Kind, OnError, OnItemError, Policy, Repeat,
    Require, Stage, StageMode, Step, StepRef, Workers,
};

/// Subtasks when a flow does not say how many there may be.
const SUBTASKS: usize = 16;
/// Items in a stage at the same time when the flow does not say.
const AT_ONCE: usize = 8;

impl Lower<'_> {
    /// What a step of a kind other than a call does.
    pub(super) fn group_or_leaf(
        &mut self,
        name: &str,
        fields: &Fields<'_>,
        step: StepRef,
        before: Owner,
    ) -> Kind {
        match (name, fields.get(name)) {
            ("sequential", node) => Kind::Sequential(self.children(node, step)),
            ("parallel", node) => {
                let branches = self.children(node, step);
                let require = fields
                    .get("require")
                    .map_or(Require::All, |node| self.require(node, branches.len()));
                Kind::Parallel {
                    branches,
                    require,
                    concurrency: self.count(fields, keys::PARALLEL, "concurrency"),
                }
            }
            ("hierarchical", Some(node)) => self.hierarchical(node, step),
            ("pipeline", Some(node)) => Kind::Pipeline(self.stages(node, step)),
            ("route", Some(node)) => Kind::Route(self.arms(node, step)),
            ("repeat", Some(node)) => self.repeat(node, step),
            ("flow", Some(node)) => self.sub_flow(node),
            ("emit", Some(node)) => match self.name(node, "the type of an event") {
                Some(event) => Kind::Emit(event),
                None => Kind::Sequential(Vec::new()),
            },
            ("approve", Some(node)) => {
                let message = self.text(node, "what a person is asked");
                let answers = [("approve", true), ("deny", false)];
                let default = fields.get("default");
                Kind::Approve(Box::new(Approve {
                    message: self.template(node, before),
                    timeout: message
                        .and(fields.get("timeout"))
                        .and_then(|node| self.span(node)),
                    default: default.and_then(|node| self.one_of(node, &answers)),
                }))
            }
            _ => Kind::Sequential(Vec::new()), // the kind key is there: it was found by its name
        }
    }

    /// The number at `key`, as the table bounds it.
    fn count(&mut self, fields: &Fields<'_>, table: &[keys::Key], key: &str) -> Option<usize> {
        let count = self.whole(fields, table, key);
        count.and_then(|count| usize::try_from(count).ok())
    }

    fn truth(&mut self, node: Option<&Node>) -> bool {
        match node.map(|node| (&node.what, node)) {
            None => false,
            Some((What::Bool(value), _)) => *value,
            Some((_, node)) => {
                self.wrong(node, "true or false");
                false
            }
        }
    }

    fn stages(&mut self, node: &Node, parent: StepRef) -> Vec<Stage> {
        let What::List(items) = &node.what else {
            self.wrong(node, "a list of stages");
            return Vec::new();
        };
        if items.is_empty() {
            let hint = "put at least one step into it";
            self.problem(node.at.clone(), "the list of stages is empty", hint);
        }
        let mut stages = Vec::new();
        for (child, item) in items.iter().enumerate() {
            let step = self.step(item, Some((parent, child)), keys::STAGE);
            let What::Map(entries) = &item.what else {
                continue;
            };
            let fields = Fields(entries);
            let (each, pages) = (fields.get("each"), fields.get("pages"));
            let mode = match (self.truth(each), self.truth(pages)) {
                (false, false) => StageMode::Whole,
                (true, false) => StageMode::Each,
                (false, true) => StageMode::Pages,
                (true, true) => {
                    let hint = "a stage with `pages` makes items, one with `each` takes them";
                    let what = "a stage has `each` or `pages`, not both";
                    self.problem(item.at.clone(), what, hint);
                    StageMode::Each
                }
            };
            let (at_once, item_error) = (fields.get("concurrency"), fields.get("on-item-error"));
            if mode != StageMode::Each
                && let Some(misplaced) = at_once.or(item_error)
            {
                let hint = "write `each: true` beside it";
                let what = "only a stage with `each` has items";
                self.problem(misplaced.at.clone(), what, hint);
            }
            let concurrency = self.count(&fields, keys::STAGE, "concurrency");
            let words = [("fail", OnItemError::Fail), ("drop", OnItemError::Drop)];
            let on_item_error = item_error.and_then(|node| self.one_of(node, &words));
            let Some(step) = step else { continue };
            stages.push(Stage {
                step,
                mode,
                concurrency: concurrency.unwrap_or_else(|| self.usual_concurrency(step)),
                on_item_error: on_item_error.unwrap_or_default(),
            });
        }
        stages
    }

    /// Enough for two batches, where the stage gathers its calls.
    fn usual_concurrency(&self, step: StepRef) -> usize {
        let step = self.steps.get(step.0).and_then(Option::as_ref);
        match step.map(|step| &step.kind) {
            Some(Kind::Call(call)) => call
                .policy
                .batch
                .map_or(AT_ONCE, |batch| AT_ONCE.max(2 * batch.size)),
            _ => AT_ONCE,
        }
    }

    fn arms(&mut self, node: &Node, parent: StepRef) -> Vec<Arm> {
        let What::List(items) = &node.what else {
            self.wrong(node, "a list of steps with `if`, and a last `else`");
            return Vec::new();
        };
        if items.is_empty() {
            let hint = "write for example `- if: size(prev) > 100` and a step";
            self.problem(node.at.clone(), "the list of arms is empty", hint);
        }
        let mut arms = Vec::new();
        for (child, item) in items.iter().enumerate() {
            if let What::Map(entries) = &item.what
                && let Some((key, step)) = Fields(entries).entry("else")
            {
                let hint = "everything about the step stands below `else`";
                self.only(
                    &Fields(entries),
                    &[keys::OTHERWISE],
                    &[(keys::COMMON, hint)],
                );
                if child + 1 < items.len() {
                    let hint = "what stands after it is never reached";
                    self.problem(key.at.clone(), "`else` is the last arm", hint);
                }
                if let Some(step) = self.step(step, Some((parent, child)), &[]) {
                    arms.push(Arm { when: None, step });
                }
                continue;
            }
            let Some(step) = self.step(item, Some((parent, child)), &[]) else {
                continue;
            };
            let when = self.steps.get_mut(step.0).and_then(Option::as_mut);
            let when = when.and_then(|step| step.when.take());
            if when.is_none() {
                let hint = "the last one may be `- else:` with a step below";
                self.problem(item.at.clone(), "an arm of `route` needs `if`", hint);
            }
            arms.push(Arm { when, step });
        }
        arms
    }

    fn repeat(&mut self, node: &Node, parent: StepRef) -> Kind {
        let nothing = Kind::Sequential(Vec::new());
        let Some(fields) = self.fields(node, "`repeat`") else {
            return nothing;
        };
        self.only(&fields, &[keys::ROUNDS], &[]);
        let body = fields
            .get("do")
            .and_then(|node| self.step(node, Some((parent, 0)), &[]));
        let max = self.count(&fields, keys::ROUNDS, "max");
        if fields.get("do").is_none() || fields.get("max").is_none() {
            let hint =
                "write for example `repeat: { do: { agent: NAME }, until: prev.good, max: 5 }`";
            self.problem(node.at.clone(), "`repeat` needs `do` and `max`", hint);
        }
        let (Some(body), Some(max)) = (body, max) else {
            return nothing;
        };
        let owner = Owner {
            step: Some(body),
            moment: Moment::After,
        };
        let until = fields.get("until");
        let until = until.and_then(|node| self.condition(node, owner));
        Kind::Repeat(Box::new(Repeat { body, until, max }))
    }

    fn hierarchical(&mut self, node: &Node, parent: StepRef) -> Kind {
        let nothing = Kind::Sequential(Vec::new());
        let Some(fields) = self.fields(node, "`hierarchical`") else {
            return nothing;
        };
        self.only(&fields, &[keys::HIERARCHY], &[]);
        let (Some(master), Some(workers)) = (fields.get("master"), fields.get("workers")) else {
            let hint =
                "write for example `hierarchical: { master: NAME, workers: { finance: NAME } }`";
            self.problem(
                node.at.clone(),
                "`hierarchical` needs `master` and `workers`",
                hint,
            );
            return nothing;
        };
        let plan = self.part(parent, 0, "plan", master, Some("plan"));
        let synthesize = self.part(parent, 1, "synthesize", master, Some("synthesize"));
        let workers = match &workers.what {
            What::Text(text) if text == "by-skill" => {
                let call = CallStep {
                    callee: Callee::Skilled,
                    skill: None,
                    policy: Policy::default(),
                };
                let worker = self.hidden(parent, 2, "worker", workers, |_, _| Some(call));
                worker.map(Workers::BySkill)
            }
            What::Map(entries) if !entries.is_empty() => {
                let mut by_type = BTreeMap::new();
                for (n, (key, agent)) in entries.iter().enumerate() {
                    if let Some(step) = self.part(parent, 2 + n, &key.text, agent, None) {
                        by_type.insert(key.text.clone(), step);
                    }
                }
                Some(Workers::Fixed(by_type))
            }
            _ => {
                self.wrong(workers, "a map from agent type to agent, or `by-skill`");
                None
            }
        };
        let max_subtasks = self.count(&fields, keys::HIERARCHY, "max-subtasks");
        let concurrency = self.count(&fields, keys::HIERARCHY, "concurrency");
        let (Some(plan), Some(synthesize), Some(workers)) = (plan, synthesize, workers) else {
            return nothing;
        };
        Kind::Hierarchical(Box::new(Hierarchical {
            plan,
            workers,
            synthesize,
            max_subtasks: max_subtasks.unwrap_or(SUBTASKS),
            concurrency,
        }))
    }

    /// A call inside a `hierarchical` step: the name of an agent, or a map with policies.
    fn part(
        &mut self,
        parent: StepRef,
        child: usize,
        name: &str,
        node: &Node,
        skill: Option<&str>,
    ) -> Option<StepRef> {
        self.hidden(parent, child, name, node, |lower, owner| {
            let mut call = if let What::Text(_) = node.what {
                let agent = lower.name(node, "the name of an agent")?;
                lower
                    .calls
                    .push(super::check::CallSite::of(&agent, node.at.clone()));
                CallStep::of(agent)
            } else {
                let fields =
                    lower.fields(node, "the name of an agent, or an agent with policies")?;
                lower.only(&fields, &[keys::AGENT, keys::POLICY], &[]);
                if fields.get("agent").is_none() {
                    let hint = "write `agent: NAME` with policies beside it";
                    lower.problem(node.at.clone(), "it needs `agent`", hint);
                    return None;
                }
                lower.call(&fields, owner)
            };
            if let Some(skill) = skill {
                call.skill = skill.parse().ok();
                let site = lower
                    .calls
                    .iter_mut()
                    .rev()
                    .find(|site| call.agent() == Some(&site.agent) && site.skill.is_none());
                if let (Some(site), Some(skill)) = (site, call.skill.clone()) {
                    site.skill = Some((skill, node.at.clone()));
                }
            }
            Some(call)
        })
    }

    /// A call of which no other step may read: its id is that of the step around it, and `name`.
    fn hidden(
        &mut self,
        parent: StepRef,
        child: usize,
        name: &str,
        node: &Node,
        call: impl FnOnce(&mut Self, Owner) -> Option<CallStep>,
    ) -> Option<StepRef> {
        let step = StepRef(self.steps.len());
        self.steps.push(None);
        self.parents.push(Some((parent, child)));
        let owner = Owner {
            step: Some(step),
            moment: Moment::Before,
        };
        let call = call(self, owner);
        let around = self.ids.iter().find(|(_, (step, _))| *step == parent);
        let around = around.map_or("hierarchical", |(id, _)| id.as_str());
        let id: Option<StepId> = match format!("{around}.{name}").parse() {
            Ok(id) => Some(id),
            Err(error) => {
                let hint = "give the step a shorter `id`, or the agent type a plainer name";
                self.problem(node.at.clone(), format!("{error}"), hint);
                None
            }
        };
        let before = self.source.get(..node.at.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        if let Some(id) = &id {
            self.register(id, step, node.at.clone(), false);
        }
        if let (Some(id), Some(call)) = (id, call)
            && let Some(slot) = self.steps.get_mut(step.0)
        {
            *slot = Some(Step {
                id,
                kind: Kind::Call(Box::new(call)),
                when: None,
                with: None,
                output: None,
                on_error: OnError::Fail,
                line,
            });
            return Some(step);
        }
        None
    }
}
