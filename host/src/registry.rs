//! The registry: plugins from a directory, loaded, refused or ready to be called.
//!
//! The way in is always the same: read the file once, hash those bytes, scan, compile in a child (or take the result from the cache),
//! link what is granted, let the agent describe itself under limits. It prints nothing and runs no flow.

mod load;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::load::{LoadError, Loader, OpenLoaderError};
use crate::call::{Call, Directory, Peer, Request};
use crate::engine::Calls;
use crate::flow::{self, Catalogue};
use crate::id::{AgentName, Digest};
use crate::plan::{CallStep, Fallback, Kind, Plan, StepRef};
use crate::policy::{self, Base, NotLoaded, Providers, Shared};
use crate::sandbox::{Card, Replayed, Sandbox, TapeError};
use crate::settings::{Defaults, Terms};

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
        };
        let bases = plugins
            .iter()
            .map(|(agent, plugin)| (agent.clone(), base(plugin)))
            .collect();
        let registry = Self {
            plugins,
            refused,
            providers: Providers {
                bases,
                shared: Shared::default(),
            },
        };
        loader.introduce(registry.directory());
        Ok(registry)
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

    /// The agents that `plan` can call, with the digests of their plugins: what a run is pinned to.
    pub fn pins(&self, plan: &Plan) -> Result<BTreeMap<AgentName, Digest>, NotLoaded> {
        let pin = |agent: &AgentName| match self.plugins.get(agent) {
            Some(plugin) => Ok((agent.clone(), plugin.digest)),
            None => Err(NotLoaded::Agent(agent.clone())),
        };
        plan.agents().into_keys().map(pin).collect()
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
            Kind::Sequential(_) | Kind::Parallel { .. } => None,
        });
        calls.collect()
    }

    /// One call with its policies around it, for a step or for a person.
    pub fn stack(&self, call: &CallStep) -> Result<Arc<dyn Call>, NotLoaded> {
        policy::stack(&self.inheriting(call), &self.providers)
    }

    /// Who can be asked for which skill, with the policies that the agents' authors have given as defaults.
    fn directory(&self) -> Directory {
        let mut directory = Directory::default();
        for plugin in self.plugins.values() {
            for skill in plugin.card.iter().flat_map(|card| &card.skills) {
                let call = CallStep {
                    skill: Some(skill.name.clone()),
                    ..CallStep::of(plugin.agent.clone())
                };
                let Ok(call) = self.stack(&call) else {
                    continue;
                }; // the agent is in the very map it is looked up in
                let peer = Peer {
                    agent: plugin.agent.clone(),
                    description: skill.description.clone(),
                    call,
                };
                directory
                    .skills
                    .entry(skill.name.clone())
                    .or_default()
                    .push(peer);
            }
        }
        directory
    }

    /// `call`, with the defaults of its agent where it says nothing; its fallbacks likewise.
    fn inheriting(&self, call: &CallStep) -> CallStep {
        let plugin = call.agent().and_then(|agent| self.plugins.get(agent));
        let defaults = plugin
            .map(|plugin| plugin.defaults.clone())
            .unwrap_or_default();
        let mut policy = defaults.under(&call.policy);
        for Fallback { call, .. } in &mut policy.fallback {
            **call = self.inheriting(call);
        }
        CallStep {
            policy,
            ..call.clone()
        }
    }
}
