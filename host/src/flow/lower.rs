//! Lowering: from the tree to the plan, going on after every mistake.
//!
//! A step with a mistake still becomes a step (with a stand-in where something is missing), so that what refers to it can be
//! checked; the plan is given out only when nothing was wrong.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use super::check::CallSite;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::inner::Others;
use super::keys::{self, Key};
use super::policy::Named;
use super::references::{self, LocalUse, Use};
use super::tree::{self, Node, What};
use super::{VERSION, input};
use crate::expr::ExprError;
use crate::id::{Digest, StepId};
use crate::meant::near;
use crate::plan::{Plan, Step, StepRef};

/// A plan and the places of its calls.
pub(super) struct Lowered {
    pub(super) plan: Plan,
    pub(super) calls: Vec<CallSite>,
}

/// Lowers `source`, with the flows that it may name.
pub(super) fn lower(
    source: &str,
    name_hint: &str,
    others: &Others<'_>,
) -> Result<Lowered, Diagnostics> {
    let mut lower = Lower::new(source, others);
    let lowered =
        tree::read(source, &mut lower.problems).and_then(|root| lower.flow(&root, name_hint));
    lower.tell_bad_expressions();
    match lowered {
        Some(plan) if lower.problems.is_empty() => Ok(Lowered {
            plan,
            calls: lower.calls,
        }),
        _ => Err(Diagnostics::new(lower.problems)),
    }
}

/// When an expression is evaluated: before its step begins, or with the step's own output at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// Whose expression it is; no step for what belongs to the flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) step: Option<StepRef>,
    pub(super) moment: Moment,
}

/// What has been lowered so far.
pub(super) struct Lower<'s> {
    pub(super) source: &'s str,
    pub(super) problems: Vec<Diagnostic>,
    /// Reserved when a step is met, filled when it is lowered: a parent stands before its children.
    pub(super) steps: Vec<Option<Step>>,
    /// The parent of each step, and which child it is.
    pub(super) parents: Vec<Option<(StepRef, usize)>>,
    pub(super) ids: BTreeMap<String, (StepRef, Range<usize>)>,
    pub(super) counters: BTreeMap<&'static str, usize>,
    pub(super) policies: BTreeMap<String, Named>,
    pub(super) uses: Vec<Use>,
    pub(super) calls: Vec<CallSite>,
    /// Variables that only some places have, to be checked when every step is known.
    pub(super) locals: Vec<LocalUse>,
    pub(super) event_driven: bool,
    pub(super) others: &'s Others<'s>,
    /// The texts of the flows inside this one.
    pub(super) inner: BTreeMap<String, String>,
    /// Told at the end, when every id is known.
    pub(super) bad: Vec<(ExprError, Range<usize>)>,
}

impl<'s> Lower<'s> {
    fn new(source: &'s str, others: &'s Others<'s>) -> Self {
        Self {
            source,
            problems: Vec::new(),
            steps: Vec::new(),
            parents: Vec::new(),
            ids: BTreeMap::new(),
            counters: BTreeMap::new(),
            policies: BTreeMap::new(),
            uses: Vec::new(),
            calls: Vec::new(),
            locals: Vec::new(),
            event_driven: false,
            others,
            inner: BTreeMap::new(),
            bad: Vec::new(),
        }
    }

    fn flow(&mut self, root: &Node, name_hint: &str) -> Option<Plan> {
        let fields = self.fields(root, "a flow")?;
        self.version(&fields, root);
        let name = fields
            .get("name")
            .and_then(|node| self.text(node, "a name"));
        let description = fields
            .get("description")
            .and_then(|node| self.text(node, "a text"));
        let input = fields.get("input").and_then(|node| self.input(node));
        if let Some(node) = fields.get("policies") {
            self.policies(node);
        }
        let budget = fields.get("budget").and_then(|node| self.budget(node));
        let priority = fields.get("priority").and_then(|node| self.priority(node));
        let entry = self.entry(&fields, root);
        let owner = Owner {
            step: None,
            moment: Moment::After,
        };
        let output = fields.get("output").map(|node| self.template(node, owner));
        references::check(self);
        Some(Plan {
            name: name.unwrap_or_else(|| name_hint.to_owned()),
            description,
            digest: self.digest(),
            source: self.source.to_owned(),
            input,
            steps: std::mem::take(&mut self.steps)
                .into_iter()
                .collect::<Option<_>>()?,
            entry,
            output,
            budget: budget.unwrap_or_default(),
            priority,
            sources: std::mem::take(&mut self.inner),
        })
    }

    /// Of this text, and of the flows inside it.
    fn digest(&self) -> Digest {
        if self.inner.is_empty() {
            return Digest::of(self.source.as_bytes());
        }
        let mut all = Digest::of(self.source.as_bytes()).to_string();
        for (name, source) in &self.inner {
            all.push_str(&format!("\n{name} {}", Digest::of(source.as_bytes())));
        }
        Digest::of(all.as_bytes())
    }

    fn version(&mut self, fields: &Fields<'_>, root: &Node) {
        let Some(node) = fields.get("kennel") else {
            self.problem(
                root.at.start..root.at.start,
                "the version of the format is missing",
                "begin the file with `kennel: 1`",
            );
            return;
        };
        match &node.what {
            What::Number(number) if number.as_u64() == Some(VERSION) => {}
            What::Number(number) => {
                let message = format!("the format {number} is not known to this version of kennel");
                self.problem(
                    node.at.clone(),
                    message,
                    format!("it reads `kennel: {VERSION}`"),
                );
            }
            _ => self.wrong(node, "the number of the format: 1"),
        }
    }

    fn input(&mut self, node: &Node) -> Option<serde_json::Value> {
        if !matches!(node.what, What::Map(_) | What::Bool(_)) {
            self.wrong(node, "a JSON Schema, which is a map");
            return None;
        }
        let schema = node.value();
        if let Err(faults) = input::validator(&schema) {
            for (path, message) in faults {
                self.problems.push(Diagnostic::new(
                    self.source,
                    node.place(&path),
                    format!("not a valid JSON Schema: {message}"),
                ));
            }
            return None;
        }
        Some(schema)
    }

    /// The keys of `node`, when it is a map.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &str) -> Option<Fields<'n>> {
        match &node.what {
            What::Map(entries) => Some(Fields(entries)),
            _ => {
                self.wrong(node, &format!("{what}, which is a map"));
                None
            }
        }
    }

    /// Refuses every key that is not in `tables`; `elsewhere` are keys that would be right in another place.
    pub(super) fn only(
        &mut self,
        fields: &Fields<'_>,
        tables: &[&[Key]],
        elsewhere: &[(&[Key], &str)],
    ) {
        let known = || {
            tables
                .iter()
                .flat_map(|table| table.iter().map(|key| key.name))
        };
        for (key, _) in fields.0 {
            let name = key.text.as_str();
            if known().any(|known| known == name) {
                continue;
            }
            let misplaced = elsewhere
                .iter()
                .find(|(table, _)| table.iter().any(|key| key.name == name));
            if let Some((_, hint)) = misplaced {
                self.problem(
                    key.at.clone(),
                    format!("`{name}` does not belong here"),
                    *hint,
                );
            } else if keys::UNSUPPORTED.contains(&name) {
                let message = format!("`{name}` is not supported by this version of kennel");
                self.problems
                    .push(Diagnostic::new(self.source, key.at.clone(), message));
            } else {
                let hint = match near(name, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", list(known())),
                };
                self.problem(key.at.clone(), format!("unknown key `{name}`"), hint);
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.what {
            What::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.wrong(node, what);
                None
            }
        }
    }

    /// A name. A number is none: `007` and `0x7` would be the same one.
    pub(super) fn name<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<T> {
        if let What::Number(number) = &node.what {
            let hint = "a name that looks like a number stands in quotes";
            self.problem(
                node.at.clone(),
                format!("`{number}` should be {what}"),
                hint,
            );
            return None;
        }
        self.parsed(node, what)
    }

    /// What a text (or a number) stands for, by its own parser.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<T> {
        let text = match &node.what {
            What::Text(text) => text.clone(),
            What::Number(number) => number.to_string(),
            _ => {
                self.wrong(node, what);
                return None;
            }
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(Diagnostic::new(
                    self.source,
                    node.at.clone(),
                    error.to_string(),
                ));
                None
            }
        }
    }

    /// Gives a step its id, once.
    pub(super) fn register(&mut self, id: &StepId, step: StepRef, at: Range<usize>, chosen: bool) {
        if let Some((_, first)) = self.ids.get(id.as_str()) {
            let first = Diagnostic::new(self.source, first.clone(), "").line;
            let problem = if chosen {
                Diagnostic::new(self.source, at, format!("the id `{id}` stands twice"))
                    .hint(format!("the first one is on line {first}"))
            } else {
                Diagnostic::new(
                    self.source,
                    at,
                    format!("a second step would have the id `{id}`"),
                )
                .hint(format!(
                    "the first one is on line {first}; give this step an `id` of its own"
                ))
            };
            self.problems.push(problem);
            return;
        }
        self.ids.insert(id.to_string(), (step, at));
    }

    pub(super) fn problem(
        &mut self,
        at: Range<usize>,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        self.problems
            .push(Diagnostic::new(self.source, at, message).hint(hint));
    }

    /// Tells that `node` is not what is wanted there.
    pub(super) fn wrong(&mut self, node: &Node, wanted: &str) {
        let message = match &node.what {
            What::Text(text) if text.trim().is_empty() => {
                format!("an empty text stands here, but should be {wanted}")
            }
            What::Text(text) => {
                let short: String = text.chars().take(40).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("`{short}{more}` should be {wanted}")
            }
            What::Number(number) => format!("`{number}` should be {wanted}"),
            What::Bool(value) => format!("`{value}` should be {wanted}"),
            What::Null => format!("nothing stands here, but should be {wanted}"),
            What::List(_) => format!("a list stands here, but should be {wanted}"),
            What::Map(_) => format!("a map stands here, but should be {wanted}"),
        };
        self.problems
            .push(Diagnostic::new(self.source, node.at.clone(), message));
    }
}

/// The keys of a map.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n>(pub(super) &'n [(tree::Key, Node)]);

impl<'n> Fields<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|(_, node)| node)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'n (tree::Key, Node)> {
        self.0.iter().find(|(key, _)| key.text == name)
    }
}

/// Names for a message.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
