//! The registry: plugins from a directory, loaded, refused or ready to be called.
//!
//! The way in is always the same: read the file once, hash those bytes, scan, compile in a child (or take the result from the cache),
//! link what is granted, let the agent describe itself under limits. It prints nothing and runs no flow.

mod breakers;
mod load;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::load::{LoadError, Loader, OpenLoaderError};
use crate::call::{Call, Request};
use crate::engine::Calls;
use crate::flow::{self, Catalogue};
use crate::health::{Directory, Health};
use crate::id::{AgentName, Digest};
use crate::plan::{CallStep, Callee, Kind, Plan, Policy, StepRef};
use crate::policy::{self, AnswerCache, Base, NotLoaded, Providers, Shared};
use crate::sandbox::{Card, Replayed, Sandbox, TapeError};
use crate::settings::{Defaults, Terms};
use crate::slots::Slots;

/// One plugin, ready to be called.
pub struct Plugin {
    /// The agent it provides.
    pub agent: AgentName,
    /// The component file.
    pub path: PathBuf,
    /// The digest of that file's bytes.
    pub digest: Digest,
    /// How the agent presents itself, if it does.
    pub card: Option<Card>,
    /// What it asked for, was granted and gets.
    pub terms: Terms,
    /// Why each of its imports is allowed.
    pub imports: Vec<Import>,
    /// Policies that a flow inherits.
    pub defaults: Defaults,
    /// How it fares.
    pub health: Arc<Health>,
    sandbox: Arc<Sandbox>,
}

/// An interface that a plugin imports.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Import {
    /// The interface's name.
    pub name: String,
    /// Why the plugin may have it.
    pub why: &'static str,
}

/// A file that is not served, and why.
#[derive(Debug)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// The agent it would provide.
    pub agent: String,
    /// Why.
    pub error: LoadError,
}

/// The plugins of one directory.
pub struct Registry {
    plugins: BTreeMap<AgentName, Arc<Plugin>>,
    refused: Vec<Refused>,
    providers: Providers,
    _introduced: Introduced,
}

/// That the agents know each other. They do through the host, which they hold themselves: a circle that ends here.
struct Introduced {
    directory: Arc<ArcSwap<Directory>>,
    ours: Arc<Directory>,
}

impl Drop for Introduced {
    fn drop(&mut self) {
        // Unless another registry has introduced its own agents since.
        self.directory.compare_and_swap(&self.ours, Arc::default());
    }
}

/// The plugins are not those that a run was started with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "agent `{agent}` is now {now}, but the run was started with {then}; put that file back to resume the run"
)]
pub struct Changed {
    agent: AgentName,
    now: Digest,
    then: Digest,
}

impl Plugin {
    /// Executes an attempt again, with the host's recorded answers and without touching anything outside.
    ///
    /// # Errors
    /// When the recording cannot be played.
    pub async fn replay(
        &self,
        request: Request,
        recorded: Option<&[u8]>,
    ) -> Result<Replayed, TapeError> {
        self.sandbox.replay(request, recorded).await
    }
}

impl Registry {
    /// Loads every plugin of `dir`, several at a time. A file that is refused does not keep the others from loading.
    ///
    /// Afterwards the agents can call each other, as far as they are granted.
    pub async fn load(loader: &Loader, dir: &Path) -> Result<Self, LoadError> {
        let (plugins, refused) = loader.load_dir(dir).await?;
        let base = |plugin: &Arc<Plugin>| Base {
            digest: plugin.terms.answers(&plugin.digest),
            call: plugin.sandbox.clone(),
            health: plugin.health.clone(),
            defaults: plugin.defaults.under(&Policy::default()),
        };
        let bases = plugins
            .iter()
            .map(|(agent, plugin)| (agent.clone(), base(plugin)))
            .collect();
        let mut skills = BTreeMap::<_, BTreeMap<_, _>>::new();
        for plugin in plugins.values() {
            for skill in plugin.card.iter().flat_map(|card| &card.skills) {
                let agents = skills.entry(skill.name.clone()).or_default();
                agents.insert(plugin.agent.clone(), skill.description.clone());
            }
        }
        let providers = Providers {
            bases,
            skills,
            shared: Shared {
                cache: Arc::new(AnswerCache::default().over(loader.answers())),
                slots: Arc::new(Slots::new(loader.sizes())),
                ..Shared::default()
            },
        };
        // What agents ask each other is asked under the policies that their authors have given as defaults.
        let directory = policy::directory(&Policy::default(), None, &providers);
        Ok(Self {
            plugins,
            refused,
            providers,
            _introduced: loader.introduce(directory),
        })
    }

    /// The plugins, by agent.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.values()
    }

    /// The plugin that provides `agent`.
    pub fn plugin(&self, agent: &str) -> Option<&Arc<Plugin>> {
        self.plugins
            .values()
            .find(|plugin| plugin.agent.as_str() == agent)
    }

    /// What is not served, and why.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// What a flow may refer to.
    pub fn catalogue(&self) -> Catalogue {
        let skills = |plugin: &Plugin| {
            let skills = plugin.card.iter().flat_map(|card| &card.skills);
            let skills = skills.map(|skill| (skill.name.clone(), skill.input_schema.clone()));
            flow::Agent {
                skills: skills.collect(),
            }
        };
        self.plugins
            .iter()
            .map(|(agent, plugin)| (agent.clone(), skills(plugin)))
            .collect()
    }

    /// The agents that `plan` can call, with the digests of their plugins: what a run is pinned to. Of agents that are asked by skill
    /// these are all that have it.
    pub fn pins(&self, plan: &Plan) -> Result<BTreeMap<AgentName, Digest>, NotLoaded> {
        let mut pins = BTreeMap::new();
        for (_, call) in plan.calls() {
            for agent in self.callees(call)? {
                let plugin = self.plugins.get(agent);
                let plugin = plugin.ok_or_else(|| NotLoaded::Agent(agent.clone()))?;
                pins.insert(agent.clone(), plugin.digest);
            }
        }
        Ok(pins)
    }

    /// The agents that may be asked by `call`, its fallbacks not included.
    fn callees<'a>(&'a self, call: &'a CallStep) -> Result<Vec<&'a AgentName>, NotLoaded> {
        let skills = &self.providers.skills;
        let agents: Vec<_> = match (&call.callee, &call.skill) {
            (Callee::Agent(agent), _) => vec![agent],
            (Callee::Skilled, Some(skill)) => skills
                .get(skill)
                .into_iter()
                .flat_map(BTreeMap::keys)
                .collect(),
            (Callee::Skilled, None) => skills.values().flat_map(BTreeMap::keys).collect(),
        };
        match agents.is_empty() {
            true => Err(NotLoaded::Skill(call.skill.clone())),
            false => Ok(agents),
        }
    }

    /// Whether the plugins are still those that a run was started with. One that is gone is found when its call is made.
    pub fn check_pins(&self, pins: &BTreeMap<AgentName, Digest>) -> Result<(), Changed> {
        let changed = pins.iter().find_map(|(agent, then)| {
            let now = self.plugins.get(agent)?.digest;
            (now != *then).then(|| Changed {
                agent: agent.clone(),
                now,
                then: *then,
            })
        });
        changed.map_or(Ok(()), Err)
    }

    /// The call behind each call step of `plan`, with its policies around it.
    pub fn calls(&self, plan: &Plan) -> Result<Calls, NotLoaded> {
        let steps = plan.steps.iter().enumerate();
        let calls = steps.filter_map(|(at, step)| match &step.kind {
            Kind::Call(call) => Some(self.stack(call).map(|stack| (StepRef(at), stack))),
            _ => None,
        });
        calls.collect()
    }

    /// One call with its policies around it, for a step or for a person.
    pub fn stack(&self, call: &CallStep) -> Result<Arc<dyn Call>, NotLoaded> {
        policy::stack(call, &self.providers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_are_gone_are_introduced_no_more_unless_others_took_their_place() {
        let directory = Arc::<ArcSwap<Directory>>::default();
        let introduce = || {
            let ours = Arc::<Directory>::default();
            directory.store(ours.clone());
            Introduced {
                directory: directory.clone(),
                ours,
            }
        };
        let introduced = introduce();
        let weak = Arc::downgrade(&introduced.ours);
        drop(introduced);
        assert!(weak.upgrade().is_none(), "nobody holds them any more");
        let old = introduce();
        let new = introduce();
        drop(old);
        assert!(Arc::ptr_eq(&directory.load(), &new.ours));
    }
}
