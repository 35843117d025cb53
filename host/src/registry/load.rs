//! Loads plugins: from a file in a directory to something that can be called, or to the reason why not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::{Import, Introduced, Plugin, Refused};
use crate::answers::Answers;
use crate::egress::Egress;
use crate::failure::Failure;
use crate::grants::Verdict;
use crate::health::{Directory, Health};
use crate::id::{AgentName, Digest, IdError};
use crate::load::{MAX_PLUGIN, OpenError, read_plugin};
use crate::sandbox::cache::{Cache, Component, MAX_CACHE, TrustedArtefact};
use crate::sandbox::compile::{CompileError, Compiler};
use crate::sandbox::engine::{EngineError, Pool, engine, engine_id};
use crate::sandbox::{self, LinkError, PluginSettings, Sandbox};
use crate::settings::{Manifest, Settings, SettingsError};
use crate::slots::Sizes;
use crate::store::SharedBackend;

/// Plugins in one directory; more are a mistake or an attack.
const MAX_PLUGINS: usize = 256;
/// Calls of calls so deep have their places in the engine's pool. Deeper ones find them as long as not everything is taken.
const MAX_RESERVED_DEPTH: u64 = 8;
/// Plugins that are loaded at the same time. Compiling has a bound of its own.
const AT_ONCE: usize = 8;

/// Why a plugin is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory cannot be listed.
    #[error("list the directory of plugins `{0}`: {1}")]
    Directory(PathBuf, String),
    /// There are too many plugins in the directory.
    #[error("the directory of plugins `{0}` has {1} plugins, at most {MAX_PLUGINS} are loaded")]
    TooMany(PathBuf, usize),
    /// The file cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] SettingsError),
    /// The file's name is not a name for an agent.
    #[error("{0}; rename the file, or set `name` in its manifest")]
    Name(#[from] IdError),
    /// Another plugin provides the same agent.
    #[error(
        "agent `{0}` is provided by `{1}` already; set another `name` in the manifest of one of them"
    )]
    Duplicate(AgentName, PathBuf),
    /// The scan or the compiler refused it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiled code does not fit this engine.
    #[error("the compiled plugin does not fit this engine: {0}")]
    Artefact(String),
    /// It imports what it may not have, or does not fit the agent interface.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It failed to describe itself.
    #[error("the plugin failed to describe itself: {0}")]
    Describe(Failure),
}

impl LoadError {
    /// The stable label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory(..) => "unreadable",
            Self::TooMany(..) => "too-many",
            Self::Open(error) => error.kind(),
            Self::Manifest(_) => "manifest",
            Self::Name(_) => "name",
            Self::Duplicate(..) => "duplicate",
            Self::Compile(error) => error.kind(),
            Self::Artefact(_) => "artefact",
            Self::Link(LinkError::Refused { .. }) => "capability-denied",
            Self::Link(LinkError::NotAnAgent { .. }) => "not-an-agent",
            Self::Link(LinkError::Incompatible { .. }) => "incompatible",
            Self::Link(LinkError::Files(_)) => "files",
            Self::Describe(_) => "describe",
        }
    }
}

/// Loads plugins under one operator's settings, into one engine.
pub struct Loader {
    settings: Settings,
    host: Arc<sandbox::Host>,
    compiler: Compiler,
    cache: Arc<Cache>,
}

/// A file that claims to provide an agent: its name and its manifest are known, none of its code was looked at.
struct Claimant {
    path: PathBuf,
    agent: AgentName,
    manifest: Option<Manifest>,
}

/// What a loader needs could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum OpenLoaderError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The cache of compiled plugins.
    #[error("open the cache of compiled plugins below `{0}`: {1}")]
    Cache(PathBuf, std::io::Error),
}

type Loaded = (BTreeMap<AgentName, Arc<Plugin>>, Vec<Refused>);

impl Loader {
    /// A loader that keeps compiled plugins and the agents' files below `state`. Reserves the pool of the engine's slots.
    pub fn open(
        settings: Settings,
        state: &Path,
        backend: SharedBackend,
        compiler: Compiler,
    ) -> Result<Self, OpenLoaderError> {
        // No agent may have more memory than the operator's limit, so no slot needs to hold more.
        let limits = settings.limits();
        let depth = limits.call_depth.min(MAX_RESERVED_DEPTH) as usize; // small
        let in_flight = settings.host.sizes().most_in_flight(depth);
        let pool = Pool {
            memory: usize::try_from(limits.memory.0).unwrap_or(usize::MAX),
            ..Pool::for_in_flight(in_flight)
        };
        let engine = engine(&pool)?;
        let cache = Cache::open(state, engine_id(&engine), MAX_CACHE);
        let cache =
            Arc::new(cache.map_err(|error| OpenLoaderError::Cache(state.to_owned(), error))?);
        let data_root = state.join("data");
        let host = Arc::new(sandbox::Host {
            engine,
            backend,
            directory: Arc::default(),
            egress: Egress::new(),
            data_root,
        });
        Ok(Self {
            settings,
            host,
            compiler,
            cache,
        })
    }

    /// How much may run at the same time.
    pub(super) fn sizes(&self) -> Sizes {
        self.settings.host.sizes()
    }

    /// Where answers outlive this process.
    pub(super) fn answers(&self) -> Arc<dyn Answers> {
        self.host.backend.answers()
    }

    /// Makes the agents known to each other, for as long as the answer lives.
    pub(super) fn introduce(&self, directory: Directory) -> Introduced {
        let ours = Arc::new(directory);
        self.host.directory.store(ours.clone());
        Introduced {
            directory: self.host.directory.clone(),
            ours,
        }
    }

    /// Every `*.wasm` of `dir`. A file that is refused does not keep the others from loading.
    ///
    /// Files that claim the same agent are all refused before any of their code is looked at: otherwise a file could take over another
    /// agent's name, and with it its grants and state, by coming first.
    pub(super) async fn load_dir(&self, dir: &Path) -> Result<Loaded, LoadError> {
        let mut refused = Vec::new();
        let mut claims = BTreeMap::<AgentName, Vec<Claimant>>::new();
        for path in list(dir)? {
            match identify(&path) {
                Ok(claimant) => claims
                    .entry(claimant.agent.clone())
                    .or_default()
                    .push(claimant),
                Err(error) => refused.push(Refused {
                    agent: stem(&path),
                    path,
                    error,
                }),
            }
        }
        let mut alone = Vec::new();
        for (agent, claimants) in claims {
            match <[Claimant; 1]>::try_from(claimants) {
                Ok([claimant]) => alone.push(claimant),
                Err(rivals) => refused.extend(rivals.iter().enumerate().map(|(at, rival)| {
                    let other = rivals[usize::from(at == 0)].path.clone(); // there are at least two
                    let error = LoadError::Duplicate(agent.clone(), other);
                    Refused {
                        agent: agent.to_string(),
                        path: rival.path.clone(),
                        error,
                    }
                })),
            }
        }
        let loading = stream::iter(alone).map(|claimant| async {
            let (path, agent) = (claimant.path.clone(), claimant.agent.to_string());
            self.load(claimant)
                .await
                .map_err(|error| Refused { path, agent, error })
        });
        let mut plugins = BTreeMap::new();
        let mut loading = loading.buffered(AT_ONCE);
        while let Some(loaded) = loading.next().await {
            match loaded {
                Ok(plugin) => drop(plugins.insert(plugin.agent.clone(), Arc::new(plugin))),
                Err(error) => refused.push(error),
            }
        }
        Ok((plugins, refused))
    }

    /// One plugin, with the manifest beside it.
    pub async fn load_file(&self, path: &Path) -> Result<Plugin, LoadError> {
        self.load(identify(path)?).await
    }

    async fn load(&self, claimant: Claimant) -> Result<Plugin, LoadError> {
        let Claimant {
            path,
            agent,
            manifest,
        } = claimant;
        let (bytes, digest) = {
            let path = path.clone();
            blocking(move || read_plugin(&path, MAX_PLUGIN)).await??
        };
        let terms = self.settings.terms(&agent, &digest, manifest.as_ref());
        let component = self.component(&agent, &digest, &bytes).await?;
        let verdicts = sandbox::imports(&component, &agent, terms.needs.as_ref(), &terms.grants);
        let settings = PluginSettings {
            agent: agent.clone(),
            limits: terms.limits.clone(),
            needs: terms.needs.clone(),
            grants: terms.grants.clone(),
            config: terms.config.clone(),
        };
        let sandbox = Sandbox::new(self.host.clone(), &component, settings)?;
        let card = sandbox
            .describe()
            .await
            .map_err(|error| LoadError::Describe(error.failure))?;
        let defaults = manifest
            .map(|manifest| manifest.defaults)
            .unwrap_or_default();
        let imports = verdicts
            .into_iter()
            .filter_map(|(name, verdict)| match verdict {
                Verdict::Allowed(why) => Some(Import { name, why }),
                Verdict::Refused(_) => None,
            });
        let imports = imports.collect();
        let health = Arc::new(Health::new(&terms.limits));
        Ok(Plugin {
            health,
            agent,
            path,
            digest,
            card,
            terms,
            imports,
            defaults,
            sandbox: Arc::new(sandbox),
        })
    }

    /// The compiled plugin: from the cache, or from a compile child.
    async fn component(
        &self,
        agent: &AgentName,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Component, LoadError> {
        let (cache, digest) = (self.cache.clone(), *digest);
        let artefact = match blocking(move || cache.get(&digest)).await? {
            Some(artefact) => artefact,
            None => {
                let compiled = self.compiler.compile(&digest, bytes).await?;
                let cache = self.cache.clone();
                let (kept, compiled) =
                    blocking(move || (cache.put(&digest, &compiled), compiled)).await?;
                if let Err(error) = kept {
                    tracing::warn!(%agent, %error, "the compiled plugin could not be kept; it is compiled again next time");
                }
                TrustedArtefact::from(compiled)
            }
        };
        let engine = self.host.engine.clone();
        let loaded = blocking(move || artefact.load(&engine)).await?;
        loaded.map_err(|error| LoadError::Artefact(error.to_string()))
    }
}

/// Work on the disk or of many milliseconds, away from the threads that poll.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Artefact(error.to_string()))
}

/// Which agent a file claims to provide.
fn identify(path: &Path) -> Result<Claimant, LoadError> {
    let manifest = Manifest::load(&path.with_extension("toml"))?;
    let agent = match manifest.as_ref().and_then(|manifest| manifest.name.clone()) {
        Some(name) => name,
        None => stem(path).parse()?,
    };
    Ok(Claimant {
        path: path.to_owned(),
        agent,
        manifest,
    })
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The plugin files of a directory, by name. What is no `*.wasm` is not looked at; what is one but cannot be read is refused later.
fn list(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let fail = |error: std::io::Error| LoadError::Directory(dir.to_owned(), error.to_string());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            files.push(path);
        }
    }
    if files.len() > MAX_PLUGINS {
        return Err(LoadError::TooMany(dir.to_owned(), files.len()));
    }
    files.sort();
    Ok(files)
}
