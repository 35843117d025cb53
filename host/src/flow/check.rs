//! The check against what is loaded: agents, skills, and inputs that are written out.
//!
//! It sees a [`Catalogue`], which is data, and never the registry.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::inner::{Others, told_outside};
use super::input;
use super::lower::{self, list};
use crate::expr::Template;
use crate::id::{AgentName, SkillName};
use crate::meant::near;
use crate::plan::Plan;

/// The agents that are loaded.
pub type Catalogue = BTreeMap<AgentName, Agent>;

/// What one agent can be asked for: its skills, each with the JSON Schema of its input when it has one.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// The skills.
    pub skills: BTreeMap<SkillName, Option<Value>>,
}

/// A call in the file: whom, for what, and where that stands.
#[derive(Debug)]
pub(super) struct CallSite {
    pub(super) agent: AgentName,
    pub(super) agent_at: Range<usize>,
    pub(super) skill: Option<(SkillName, Range<usize>)>,
    pub(super) with: Option<(Template, Range<usize>)>,
}

impl CallSite {
    /// A call by the agent's name alone.
    pub(super) fn of(agent: &AgentName, agent_at: Range<usize>) -> Self {
        Self {
            agent: agent.clone(),
            agent_at,
            skill: None,
            with: None,
        }
    }
}

/// Everything in `plan` that does not fit the agents in `catalogue`. Reads the plan's text again to know the places, so it costs
/// as much as [`super::parse`].
pub fn check(plan: &Plan, catalogue: &Catalogue) -> Diagnostics {
    let mut problems = Vec::new();
    let texts = std::iter::once(("", &plan.source));
    let inner = plan.sources.iter();
    for (name, source) in texts.chain(inner.map(|(name, source)| (name.as_str(), source))) {
        let others = Others {
            sources: &plan.sources,
            around: vec![name.to_owned()],
        };
        let lowered = match lower::lower(source, &plan.name, &others) {
            Ok(lowered) => lowered,
            Err(problems) => return problems, // the plan was made by hand, from a text that is not its own
        };
        let sites = lowered.calls.iter();
        let found = sites.filter_map(|site| check_site(source, site, catalogue));
        problems.extend(found.flatten().map(|problem| match name {
            "" => problem,
            name => told_outside(&plan.source, name, &problem),
        }));
    }
    Diagnostics::new(problems)
}

fn check_site(source: &str, site: &CallSite, catalogue: &Catalogue) -> Option<Vec<Diagnostic>> {
    let tell = |at: &Range<usize>, message: String| Diagnostic::new(source, at.clone(), message);
    let Some(agent) = catalogue.get(&site.agent) else {
        let known = || catalogue.keys().map(AgentName::as_str);
        let hint = match near(site.agent.as_str(), known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if catalogue.is_empty() => "no agent is loaded; see `--agents`".to_owned(),
            None => format!("loaded are {}", list(known().take(20))),
        };
        return Some(vec![
            tell(
                &site.agent_at,
                format!("there is no agent `{}`", site.agent),
            )
            .hint(hint),
        ]);
    };
    let known = || agent.skills.keys().map(SkillName::as_str);
    let schema = match &site.skill {
        Some((skill, at)) => match agent.skills.get(skill) {
            Some(schema) => schema,
            None => {
                let hint = match near(skill.as_str(), known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", list(known())),
                };
                return Some(vec![
                    tell(
                        at,
                        format!("the agent `{}` has no skill `{skill}`", site.agent),
                    )
                    .hint(hint),
                ]);
            }
        },
        None if agent.skills.len() > 1 => {
            let hint = format!("it has {}; write one of them at `skill`", list(known()));
            return Some(vec![
                tell(
                    &site.agent_at,
                    format!("the agent `{}` has several skills", site.agent),
                )
                .hint(hint),
            ]);
        }
        None => agent.skills.values().next()?,
    };
    let (with, at) = site.with.as_ref()?;
    let (value, schema) = (with.constant()?, schema.as_ref()?);
    // A skill whose schema is no schema is the plugin's mistake, and told when it is loaded.
    let validator = input::validator(schema).ok()?;
    let violations = input::violations(&validator, value).into_iter();
    Some(
        violations
            .map(|(path, message)| {
                let path = if path.is_empty() {
                    String::new()
                } else {
                    format!(" at `{path}`")
                };
                tell(
                    at,
                    format!(
                        "this does not fit the input of `{}`{path}: {message}",
                        site.agent
                    ),
                )
            })
            .collect(),
    )
}
