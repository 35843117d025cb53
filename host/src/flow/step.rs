//! Steps: the outermost one and those inside, with what every kind has in common.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::CallSite;
use super::keys;
use super::lower::{Fields, Lower, Moment, Owner, list};
use super::tree::{Node, What};
use super::{MAX_STEPS, policy};
use crate::id::{AgentName, EventType, SkillName, StepId};
use crate::plan::{CallStep, Callee, Entry, Handler, Kind, OnError, Require, Step, StepRef};

/// What to say about the keys of a call beside a group.
const GROUP_HINT: &str = "policies stand on the agents inside a group";

impl Lower<'_> {
    /// Where a run begins: the outermost step, whose kind key stands among the keys of the flow, or the steps of its events.
    pub(super) fn entry(&mut self, fields: &Fields<'_>, node: &Node) -> Entry {
        if let Some((on, handlers)) = fields.entry("on") {
            let elsewhere: &[(&[keys::Key], &str)] = &[
                (
                    keys::KIND_KEYS,
                    "an event-driven flow has its steps at `on`",
                ),
                (&[keys::WITH], "it belongs to the steps at `on`"),
            ];
            self.only(fields, &[keys::FLOW], elsewhere);
            if let Some(schema) = fields.entry("input") {
                let hint = "a run's input is the event's data, which each source shapes itself";
                let what = "an event-driven flow has no `input`";
                self.problem(schema.0.at.clone(), what, hint);
            }
            return Entry::On(self.handlers(handlers, &on.at));
        }
        self.root(fields, node);
        Entry::Root(StepRef(0))
    }

    fn handlers(&mut self, node: &Node, at: &Range<usize>) -> BTreeMap<EventType, Handler> {
        self.event_driven = true;
        let mut handlers = BTreeMap::new();
        let Some(events) = self.fields(node, "`on`") else {
            return handlers;
        };
        if events.0.is_empty() {
            let hint = "write for example `on: { price_change: { agent: NAME } }`";
            self.problem(at.clone(), "`on` names no event", hint);
        }
        for (key, step) in events.0 {
            let event: Option<EventType> = match key.text.parse() {
                Ok(event) => Some(event),
                Err(error) => {
                    self.problem(
                        key.at.clone(),
                        error.to_string(),
                        "for example `price_change`",
                    );
                    None
                }
            };
            let every = match &step.what {
                What::Map(entries) => Fields(entries).get("every"),
                _ => None,
            };
            let every = every.and_then(|node| self.span(node));
            if let (Some(event), Some(step)) = (event, self.step(step, None, keys::HANDLER)) {
                handlers.insert(event, Handler { step, every });
            }
        }
        handlers
    }

    /// The outermost step: its kind key stands among the keys of the flow.
    fn root(&mut self, fields: &Fields<'_>, node: &Node) {
        let with: &[keys::Key] = &[keys::WITH];
        let elsewhere: &[(&[keys::Key], &str)] = &[(
            keys::COMMON,
            "the outermost step has no `id` and no `if`; put it into a `sequential`",
        )];
        let begin = node.at.start..node.at.start;
        match self.kind_key(fields, "a flow", begin) {
            Some((name, at)) => {
                let mut tables = vec![keys::FLOW, with, keys::KIND_KEYS];
                tables.extend(own_keys(name));
                self.only(fields, &tables, &[elsewhere, &others(name)].concat());
                // `output` is the flow's here.
                self.step_of_kind(fields, name, at, None, &[keys::WITH.name]);
            }
            None => {
                let all: Vec<_> = keys::KINDS
                    .iter()
                    .flat_map(|(_, tables)| tables.iter().copied())
                    .collect();
                self.only(
                    fields,
                    &[&[keys::FLOW, with], all.as_slice()].concat(),
                    elsewhere,
                );
            }
        }
    }

    /// A step in a list or a map; `more` are keys that only its place gives it.
    pub(super) fn step(
        &mut self,
        node: &Node,
        parent: Option<(StepRef, usize)>,
        more: &'static [keys::Key],
    ) -> Option<StepRef> {
        let fields = self.fields(node, "a step")?;
        let begin = fields
            .0
            .first()
            .map_or(node.at.clone(), |(key, _)| key.at.clone());
        let Some((name, at)) = self.kind_key(&fields, "a step", begin) else {
            let all = keys::KINDS
                .iter()
                .flat_map(|(_, tables)| tables.iter().copied());
            self.only(
                &fields,
                &[keys::COMMON, more]
                    .into_iter()
                    .chain(all)
                    .collect::<Vec<_>>(),
                &[],
            );
            return None;
        };
        let mut tables = vec![keys::COMMON, keys::KIND_KEYS, more];
        tables.extend(own_keys(name));
        self.only(&fields, &tables, &others(name));
        let common: Vec<_> = keys::COMMON.iter().map(|key| key.name).collect();
        self.step_of_kind(&fields, name, at, parent, &common)
    }

    /// The one key that says what a step does.
    fn kind_key(
        &mut self,
        fields: &Fields<'_>,
        what: &str,
        begin: Range<usize>,
    ) -> Option<(&'static str, Range<usize>)> {
        let mut kinds = fields.0.iter().filter_map(|(key, _)| {
            let (name, _) = keys::KINDS.iter().find(|(name, _)| *name == key.text)?;
            // Beside an agent it says what the agent is asked for.
            let beside = *name == "skill" && fields.get("agent").is_some();
            (!beside).then(|| (*name, key.at.clone()))
        });
        let Some(first) = kinds.next() else {
            // A kind that is left out, or a slip, is told about its own key; that is enough.
            let told = |key: &str| {
                keys::UNSUPPORTED.contains(&key)
                    || crate::meant::near(key, keys::KINDS.iter().map(|(name, _)| *name)).is_some()
            };
            if !fields.0.iter().any(|(key, _)| told(&key.text)) {
                let kinds = list(keys::KINDS.iter().map(|(name, _)| *name));
                self.problem(
                    begin,
                    format!("{what} needs one of {kinds}"),
                    "for example `agent: NAME`",
                );
            }
            return None;
        };
        for (_, at) in kinds {
            let message = format!(
                "{what} has exactly one of {}",
                list(keys::KINDS.iter().map(|(name, _)| *name))
            );
            let hint = format!(
                "there is `{}` already; put both into a `sequential` or `parallel` list",
                first.0
            );
            self.problem(at, message, hint);
        }
        Some(first)
    }

    fn step_of_kind(
        &mut self,
        fields: &Fields<'_>,
        name: &'static str,
        at: Range<usize>,
        parent: Option<(StepRef, usize)>,
        common: &[&str],
    ) -> Option<StepRef> {
        if self.steps.len() == MAX_STEPS {
            let message = format!("a flow has at most {MAX_STEPS} steps");
            self.problem(
                at.clone(),
                message,
                "split the flow, or let one agent do more",
            );
        }
        if self.steps.len() >= MAX_STEPS {
            self.steps.push(None); // counted, so that this is told once
            self.parents.push(parent);
            return None;
        }
        let step = StepRef(self.steps.len());
        self.steps.push(None);
        self.parents.push(parent);
        let before = Owner {
            step: Some(step),
            moment: Moment::Before,
        };
        let after = Owner {
            step: Some(step),
            moment: Moment::After,
        };
        let get = |key: &str| common.contains(&key).then(|| fields.get(key)).flatten();

        let id = self.id(get("id"), fields, name, step, &at);
        let with_node = get("with");
        let with = with_node.map(|node| self.template(node, before));
        let when = get("if").and_then(|node| self.condition(node, before));
        let output = get("output").map(|node| self.template(node, after));
        let on_error = get("on-error").and_then(|node| {
            self.one_of(
                node,
                &[("fail", OnError::Fail), ("continue", OnError::Continue)],
            )
        });
        let kind = match name {
            "agent" | "skill" => {
                let first_call = self.calls.len();
                let call = self.call(fields, before);
                // A fallback without its own `with` gets the step's; so does the agent itself.
                if let (Some(node), Some(with)) = (with_node, &with) {
                    for site in &mut self.calls[first_call..] {
                        site.with
                            .get_or_insert_with(|| (with.clone(), node.at.clone()));
                    }
                }
                Kind::Call(Box::new(call))
            }
            _ => self.group_or_leaf(name, fields, step, before),
        };
        // A step in a list begins with its first key, the outermost one with its kind.
        let first = fields.0.first().filter(|_| parent.is_some());
        let begin = first.map_or(at.start, |(key, _)| key.at.start);
        let before = self.source.get(..begin).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        if let Some(slot) = self.steps.get_mut(step.0) {
            *slot = Some(Step {
                id,
                kind,
                when,
                with,
                output,
                on_error: on_error.unwrap_or_default(),
                line,
            });
        }
        Some(step)
    }

    fn id(
        &mut self,
        node: Option<&Node>,
        fields: &Fields<'_>,
        name: &'static str,
        step: StepRef,
        at: &Range<usize>,
    ) -> StepId {
        let number = self.counters.entry(name).or_default();
        *number += 1;
        let numbered: Option<StepId> = format!("{name}-{number}").parse().ok();
        let agent = fields
            .get(name)
            .filter(|_| ["agent", "skill"].contains(&name));
        let (id, at, chosen) = match (node, agent) {
            (Some(node), _) => (self.name(node, "an id"), node.at.clone(), true),
            // A bad agent name is told where the agent is read.
            (None, Some(agent)) => match &agent.what {
                What::Text(text) => (text.parse().ok(), agent.at.clone(), false),
                _ => (None, agent.at.clone(), false),
            },
            (None, None) => (numbered.clone(), at.clone(), false),
        };
        if let Some(id) = &id {
            self.register(id, step, at, chosen);
        }
        let stand_in = || numbered.or_else(|| "step".parse().ok());
        #[expect(clippy::expect_used, reason = "a literal that is a valid id")]
        id.or_else(stand_in).expect("`step` is a valid id")
    }

    pub(super) fn children(&mut self, node: Option<&Node>, parent: StepRef) -> Vec<StepRef> {
        let Some(node) = node else {
            return Vec::new(); // the kind key is there: it was found by its name
        };
        match &node.what {
            What::List(items) if items.is_empty() => {
                self.problem(
                    node.at.clone(),
                    "the list of steps is empty",
                    "put at least one step into it",
                );
                Vec::new()
            }
            What::List(items) => {
                let children = items.iter().enumerate();
                children
                    .filter_map(|(child, item)| self.step(item, Some((parent, child)), &[]))
                    .collect()
            }
            _ => {
                self.wrong(node, "a list of steps");
                Vec::new()
            }
        }
    }

    pub(super) fn require(&mut self, node: &Node, branches: usize) -> Require {
        let wanted = format!("`all`, `any` or a number from 1 to {branches}");
        match &node.what {
            What::Text(text) if text == "all" => return Require::All,
            What::Text(text) if text == "any" => return Require::Any,
            What::Text(text) => {
                let message = format!("`{text}` does not say how many must succeed");
                self.problem(node.at.clone(), message, format!("write {wanted}"));
            }
            What::Number(number) => {
                let count = number
                    .as_u64()
                    .and_then(|count| usize::try_from(count).ok());
                match count.filter(|count| (1..=branches).contains(count)) {
                    Some(count) => return Require::AtLeast(count),
                    None => {
                        let message = format!("{number} of {branches} branches cannot be required");
                        self.problem(node.at.clone(), message, format!("write {wanted}"));
                    }
                }
            }
            _ => self.wrong(node, &wanted),
        }
        Require::All
    }

    /// The call of a step that names an agent or a skill.
    pub(super) fn call(&mut self, fields: &Fields<'_>, owner: Owner) -> CallStep {
        let (callee, skill) = match fields.get("agent") {
            Some(_) => {
                let (agent, skill) = self.callee(fields);
                (Callee::Agent(agent), skill)
            }
            None => {
                let skill = fields.get("skill");
                let skill = skill.and_then(|node| self.name(node, "the name of a skill"));
                (Callee::Skilled, skill)
            }
        };
        let own = self.policy_keys(fields, owner);
        let named = fields
            .get("policy")
            .and_then(|node| self.named_policy(node, owner));
        CallStep {
            callee,
            skill,
            policy: policy::merged(own, named),
        }
    }

    /// Agent and skill, remembered for the check against what is loaded.
    pub(super) fn callee(&mut self, fields: &Fields<'_>) -> (AgentName, Option<SkillName>) {
        let agent_node = fields.get("agent");
        let agent: Option<AgentName> =
            agent_node.and_then(|node| self.name(node, "the name of an agent"));
        let skill_node = fields.get("skill");
        let skill: Option<SkillName> =
            skill_node.and_then(|node| self.name(node, "the name of a skill"));
        if let (Some(agent), Some(node)) = (&agent, agent_node) {
            self.calls.push(CallSite {
                agent: agent.clone(),
                agent_at: node.at.clone(),
                skill: skill.clone().zip(skill_node.map(|node| node.at.clone())),
                with: None,
            });
        }
        #[expect(clippy::expect_used, reason = "a literal that is a valid name")]
        let stand_in = || "agent".parse().expect("`agent` is a valid name");
        (agent.unwrap_or_else(stand_in), skill)
    }
}

/// The keys that only steps of this kind have.
fn own_keys(kind: &str) -> impl Iterator<Item = &'static [keys::Key]> {
    let tables = keys::KINDS
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, tables)| *tables);
    tables.unwrap_or_default().iter().copied()
}

/// The keys that belong to other kinds, with what to say about them. Kind keys are left out: two of them is its own mistake.
fn others(kind: &str) -> Vec<(&'static [keys::Key], &'static str)> {
    let mut others: Vec<(&'static [keys::Key], &'static str)> = Vec::new();
    if !["agent", "skill"].contains(&kind) {
        others.push((keys::POLICY, GROUP_HINT));
        others.push((&keys::AGENT[1..], GROUP_HINT));
    }
    others.push((
        keys::STAGE,
        "it says how a stage of a `pipeline` gets its input",
    ));
    others.push((keys::HANDLER, "it makes the events of a step at `on`"));
    if kind != "parallel" {
        others.push((
            &keys::PARALLEL[1..],
            "it says how many branches of a `parallel` must succeed",
        ));
    }
    others
}
