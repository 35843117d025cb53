//! Steps: the outermost one and those inside.

use std::ops::Range;

use super::check::CallSite;
use super::keys;
use super::lower::{Fields, Lower, Moment, Owner, list};
use super::tree::{Node, What};
use super::{MAX_STEPS, policy};
use crate::id::{AgentName, SkillName, StepId};
use crate::plan::{CallStep, Callee, Kind, Require, Step, StepRef};

/// What to say about the keys of a call beside a group.
const GROUP_HINT: &str = "policies stand on the agents inside a group";

impl Lower<'_> {
    /// The outermost step: its kind key stands among the keys of the flow.
    pub(super) fn root(&mut self, fields: &Fields<'_>, node: &Node) {
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

    fn step(&mut self, node: &Node, parent: StepRef, child: usize) -> Option<StepRef> {
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
                &[keys::COMMON].into_iter().chain(all).collect::<Vec<_>>(),
                &[],
            );
            return None;
        };
        let mut tables = vec![keys::COMMON, keys::KIND_KEYS];
        tables.extend(own_keys(name));
        self.only(&fields, &tables, &others(name));
        let common: Vec<_> = keys::COMMON.iter().map(|key| key.name).collect();
        self.step_of_kind(&fields, name, at, Some((parent, child)), &common)
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
            Some((*name, key.at.clone()))
        });
        let Some(first) = kinds.next() else {
            // A kind that is left out, or a slip, is told about its own key; that is enough.
            let told = |key: &str| {
                keys::UNSUPPORTED.contains(&key)
                    || super::diagnostic::near(key, keys::KINDS.iter().map(|(name, _)| *name))
                        .is_some()
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
        let kind = match name {
            "agent" => {
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
            "sequential" => Kind::Sequential(self.children(fields.get(name), step)),
            _ => {
                let branches = self.children(fields.get(name), step);
                let require = fields
                    .get("require")
                    .map_or(Require::All, |node| self.require(node, branches.len()));
                Kind::Parallel { branches, require }
            }
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
        let agent = fields.get("agent").filter(|_| name == "agent");
        let (id, at, chosen) = match (node, agent) {
            (Some(node), _) => (self.parsed(node, "an id"), node.at.clone(), true),
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

    fn children(&mut self, node: Option<&Node>, parent: StepRef) -> Vec<StepRef> {
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
                    .filter_map(|(child, item)| self.step(item, parent, child))
                    .collect()
            }
            _ => {
                self.wrong(node, "a list of steps");
                Vec::new()
            }
        }
    }

    fn require(&mut self, node: &Node, branches: usize) -> Require {
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

    /// The call of an agent step.
    fn call(&mut self, fields: &Fields<'_>, owner: Owner) -> CallStep {
        let (agent, skill) = self.callee(fields);
        let own = self.policy_keys(fields, owner);
        let named = fields
            .get("policy")
            .and_then(|node| self.named_policy(node, owner));
        CallStep {
            callee: Callee::Agent(agent),
            skill,
            policy: policy::merged(own, named),
        }
    }

    /// Agent and skill, remembered for the check against what is loaded.
    pub(super) fn callee(&mut self, fields: &Fields<'_>) -> (AgentName, Option<SkillName>) {
        let agent_node = fields.get("agent");
        let agent: Option<AgentName> =
            agent_node.and_then(|node| self.parsed(node, "the name of an agent"));
        let skill_node = fields.get("skill");
        let skill: Option<SkillName> =
            skill_node.and_then(|node| self.parsed(node, "the name of a skill"));
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
    if kind != "agent" {
        others.push((keys::POLICY, GROUP_HINT));
        others.push((&keys::AGENT[1..], GROUP_HINT));
    }
    if kind != "parallel" {
        others.push((
            &keys::PARALLEL[1..],
            "it says how many branches of a `parallel` must succeed",
        ));
    }
    others
}
