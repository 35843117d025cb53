//! The registry: plugins from a directory, loaded, refused or ready to be called.
//!
//! The way in is always the same: read the file once, hash those bytes, scan, compile in a child (or take the result from the cache),
//! link what is granted, let the agent describe itself under limits. When files change, [`Registry::reload`] makes another registry and
//! leaves this one as it is. It prints nothing and runs no flow.

mod breakers;
mod keep;
mod live;
mod load;
mod refusal;
mod reload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use self::keep::Keeper;
pub use self::live::{Live, Present, most_open};
pub use self::load::{Fixed, Loader, OpenLoaderError};
pub use self::refusal::LoadError;
pub use self::reload::{Change, Reloaded, Unserved};
use crate::call::{Call, CallError, Reply, Request};
use crate::engine::Calls;
use crate::flow::{self, Catalogue};
use crate::health::{Directory, Health};
use crate::id::{AgentName, Digest, SkillName};
use crate::plan::{CallStep, Callee, Kind, Plan, Policy, StepRef};
use crate::policy::{self, AnswerCache, Base, NotLoaded, Providers, Shared};
use crate::sandbox::{Card, Code, Replayed, Sandbox, TapeError};
use crate::settings::{Defaults, Manifest, Terms};
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
    manifest: Option<Manifest>,
    sandbox: Sandbox,
}

/// All that a plugin comes from. With the same basis it would be the same plugin.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    digest: Digest,
    manifest: Option<Manifest>,
    terms: Terms,
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
    /// What was refused; `None` when it could not be read.
    basis: Option<Basis>,
}

/// The plugins of one directory at one moment. It never changes: when files do, there is another one ([`Registry::reload`]), and who
/// has begun with this one goes on with it.
pub struct Registry {
    plugins: Plugins,
    refused: Vec<Arc<Refused>>,
    /// Agents that are served although their file is gone.
    gone: BTreeSet<AgentName>,
    providers: Providers,
    /// How the agents see each other.
    peers: Arc<Directory>,
}

type Plugins = BTreeMap<AgentName, Arc<Plugin>>;

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

    /// Its compiled code, which is held by this, by registries that have it, and by runs that began with it.
    pub fn code(&self) -> Code {
        self.sandbox.code()
    }

    fn basis(&self) -> Basis {
        Basis {
            digest: self.digest,
            manifest: self.manifest.clone(),
            terms: self.terms.clone(),
        }
    }

    /// Whether it says that it has `skill`, or any.
    fn has(&self, skill: Option<&SkillName>) -> bool {
        let mut skills = self.card.iter().flat_map(|card| &card.skills);
        skills.any(|own| skill.is_none_or(|skill| own.name == *skill))
    }
}

impl Registry {
    /// Loads every plugin of `dir`, several at a time. A file that is refused does not keep the others from loading.
    ///
    /// Afterwards the agents can call each other, as far as they are granted.
    pub async fn load(loader: &Loader, dir: &Path) -> Result<Self, LoadError> {
        let (plugins, refused) = loader.load_dir(dir).await?;
        let shared = Shared {
            cache: Arc::new(AnswerCache::default().over(loader.answers())),
            slots: Arc::new(Slots::new(loader.sizes())),
            ..Shared::default()
        };
        Ok(Self::of(plugins, refused, BTreeSet::new(), shared))
    }

    /// A registry of these plugins, which see each other and nobody else.
    fn of(
        plugins: Plugins,
        refused: Vec<Arc<Refused>>,
        gone: BTreeSet<AgentName>,
        shared: Shared,
    ) -> Self {
        let mut providers = Providers {
            bases: BTreeMap::new(),
            skills: skills(&plugins),
            shared,
        };
        let peers = Arc::new_cyclic(|peers| {
            let base = |plugin: &Arc<Plugin>| Base {
                digest: plugin.terms.answers(&plugin.digest),
                bounded: plugin.terms.bounded(&plugin.digest),
                call: Arc::new(plugin.sandbox.among(peers)),
                health: plugin.health.clone(),
                defaults: plugin.defaults.under(&Policy::default()),
            };
            let bases = plugins.iter();
            providers.bases = bases
                .map(|(agent, plugin)| (agent.clone(), base(plugin)))
                .collect();
            // What agents ask each other is asked under the policies that their authors have given as defaults.
            policy::directory(&Policy::default(), None, &providers)
        });
        Self {
            plugins,
            refused,
            gone,
            providers,
            peers,
        }
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
    pub fn refused(&self) -> &[Arc<Refused>] {
        &self.refused
    }

    /// What a flow may refer to.
    pub fn catalogue(&self) -> Catalogue {
        let plugins = self.plugins.values();
        plugins
            .map(|plugin| (plugin.agent.clone(), entry(plugin)))
            .collect()
    }

    /// The agents that `plan` can call, with the digests of their plugins: what a run is pinned to. Of agents that are asked by skill
    /// these are all that have it.
    pub fn pins(&self, plan: &Plan) -> Result<BTreeMap<AgentName, Digest>, NotLoaded> {
        pins(plan, &self.plugins)
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
        Ok(Arc::new(Among {
            call: policy::stack(call, &self.providers)?,
            peers: self.peers.clone(),
        }))
    }
}

/// A call, and the agents that those who answer it can call: sandboxes do not hold them, since they are among them.
struct Among {
    call: Arc<dyn Call>,
    peers: Arc<Directory>,
}

impl Call for Among {
    fn call(&self, mut request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        request.among = Some(self.peers.clone());
        self.call.call(request)
    }

    fn batches(&self) -> bool {
        self.call.batches()
    }
}

fn entry(plugin: &Plugin) -> flow::Agent {
    let skills = plugin.card.iter().flat_map(|card| &card.skills);
    let skills = skills.map(|skill| (skill.name.clone(), skill.input_schema.clone()));
    flow::Agent {
        skills: skills.collect(),
    }
}

/// Who says that it has which skill, and what it does there.
fn skills(plugins: &Plugins) -> BTreeMap<SkillName, BTreeMap<AgentName, String>> {
    let mut skills = BTreeMap::<_, BTreeMap<_, _>>::new();
    for plugin in plugins.values() {
        for skill in plugin.card.iter().flat_map(|card| &card.skills) {
            let agents = skills.entry(skill.name.clone()).or_default();
            agents.insert(plugin.agent.clone(), skill.description.clone());
        }
    }
    skills
}

fn pins(plan: &Plan, plugins: &Plugins) -> Result<BTreeMap<AgentName, Digest>, NotLoaded> {
    let mut pins = BTreeMap::new();
    for (_, call) in plan.calls() {
        for plugin in callees(call, plugins)? {
            pins.insert(plugin.agent.clone(), plugin.digest);
        }
    }
    Ok(pins)
}

/// The agents that may be asked by `call`, its fallbacks not included.
fn callees<'p>(call: &CallStep, plugins: &'p Plugins) -> Result<Vec<&'p Arc<Plugin>>, NotLoaded> {
    if let Callee::Agent(agent) = &call.callee {
        let plugin = plugins.get(agent);
        return Ok(vec![plugin.ok_or_else(|| NotLoaded::Agent(agent.clone()))?]);
    }
    let skill = call.skill.as_ref();
    let agents: Vec<_> = plugins
        .values()
        .filter(|plugin| plugin.has(skill))
        .collect();
    match agents.is_empty() {
        true => Err(NotLoaded::Skill(skill.cloned())),
        false => Ok(agents),
    }
}
