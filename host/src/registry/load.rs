//! Loads plugins: from a file in a directory to something that can be called, or to the reason why not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::{Basis, Import, LoadError, Plugin, Refused};
use crate::answers::Answers;
use crate::egress::Egress;
use crate::grants::Verdict;
use crate::health::Health;
use crate::id::{AgentName, Digest};
use crate::load::{MAX_PLUGIN, read_plugin};
use crate::sandbox::cache::{Cache, Component, MAX_CACHE, TrustedArtefact};
use crate::sandbox::compile::Compiler;
use crate::sandbox::engine::{EngineError, Pool, engine, engine_id};
use crate::sandbox::{self, PluginSettings, Sandbox};
use crate::settings::{Manifest, Settings, Terms};
use crate::slots::Sizes;
use crate::store::SharedBackend;

/// Plugins in one directory; more are a mistake or an attack.
pub(super) const MAX_PLUGINS: usize = 256;
/// Calls of calls so deep have their places in the engine's pool. Deeper ones find them as long as not everything is taken.
const MAX_RESERVED_DEPTH: u64 = 8;
/// Plugins that are loaded at the same time. Compiling has a bound of its own.
pub(super) const AT_ONCE: usize = 8;

/// Loads plugins under one operator's settings, into one engine.
pub struct Loader {
    settings: Settings,
    pool: Pool,
    host: Arc<sandbox::Host>,
    compiler: Arc<Compiler>,
    cache: Arc<Cache>,
}

/// A file that claims to provide an agent: its name and its manifest are known, none of its code was looked at.
pub(super) struct Claimant {
    pub(super) path: PathBuf,
    pub(super) agent: AgentName,
    manifest: Option<Manifest>,
}

/// The files of a directory, none of whose code was looked at.
pub(super) struct Claims {
    /// Those that are the only one for their agent.
    pub(super) alone: Vec<Claimant>,
    /// Those that are refused already.
    pub(super) refused: Vec<Refused>,
}

/// A setting that is fixed when the host starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` {1}; start kennel again to change it")]
pub struct Fixed(&'static str, &'static str);

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

type Loaded = (BTreeMap<AgentName, Arc<Plugin>>, Vec<Arc<Refused>>);

impl Loader {
    /// A loader that keeps compiled plugins and the agents' files below `state`. Reserves the pool of the engine's slots.
    pub fn open(
        settings: Settings,
        state: &Path,
        backend: SharedBackend,
        compiler: Compiler,
    ) -> Result<Self, OpenLoaderError> {
        let pool = pool(&settings);
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
            pool,
            host,
            compiler: Arc::new(compiler),
            cache,
        })
    }

    /// A loader into the same engine under other settings.
    ///
    /// # Errors
    /// When they ask for what was fixed when the engine was made.
    pub fn under(&self, settings: Settings) -> Result<Self, Fixed> {
        if settings.host.sizes() != self.sizes() {
            return Err(Fixed("host", "is other than it was at the start"));
        }
        let wanted = pool(&settings);
        if wanted.memory > self.pool.memory {
            let why = "is more than the engine was made for";
            return Err(Fixed("limits.memory", why));
        }
        if wanted.instances > self.pool.instances {
            let why = "is more than the engine has places for";
            return Err(Fixed("limits.call-depth", why));
        }
        Ok(Self {
            settings,
            pool: self.pool.clone(),
            host: self.host.clone(),
            compiler: self.compiler.clone(),
            cache: self.cache.clone(),
        })
    }

    /// The settings that it loads under.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How much may run at the same time.
    pub(super) fn sizes(&self) -> Sizes {
        self.settings.host.sizes()
    }

    /// Where answers outlive this process.
    pub(super) fn answers(&self) -> Arc<dyn Answers> {
        self.host.backend.answers()
    }

    /// Every `*.wasm` of `dir`. A file that is refused does not keep the others from loading.
    pub(super) async fn load_dir(&self, dir: &Path) -> Result<Loaded, LoadError> {
        let Claims { alone, refused } = claims(dir).await?;
        let mut refused: Vec<_> = refused.into_iter().map(Arc::new).collect();
        let mut plugins = BTreeMap::new();
        let mut loading = stream::iter(alone)
            .map(|claimant| self.renewed(claimant, None, None))
            .buffered(AT_ONCE);
        while let Some(found) = loading.next().await {
            match found {
                Found::Same(plugin) | Found::New(plugin) => {
                    drop(plugins.insert(plugin.agent.clone(), plugin));
                }
                Found::Refused(why) => refused.push(why),
            }
        }
        Ok((plugins, refused))
    }

    /// One plugin, with the manifest beside it.
    pub async fn load_file(&self, path: &Path) -> Result<Plugin, LoadError> {
        let candidate = self.read(identify(path)?).await?;
        self.make(candidate, None).await
    }

    /// What has become of an agent, `old` being its plugin so far and `refused` the file's last refusal. A plugin to which nothing
    /// changed stays, with everything that it has.
    pub(super) async fn renewed(
        &self,
        claimant: Claimant,
        old: Option<&Arc<Plugin>>,
        refused: Option<&Arc<Refused>>,
    ) -> Found {
        let (path, agent) = (claimant.path.clone(), claimant.agent.to_string());
        let refuse = |error, basis| {
            Found::Refused(Arc::new(Refused {
                path,
                agent,
                error,
                basis,
            }))
        };
        let candidate = match self.read(claimant).await {
            Ok(candidate) => candidate,
            Err(error) => return refuse(error, None),
        };
        if let Some(old) = old.filter(|old| old.path == candidate.path)
            && old.basis() == candidate.basis
        {
            return Found::Same(old.clone());
        }
        if let Some(before) = refused.filter(|before| before.error.is_final())
            && before.basis.as_ref() == Some(&candidate.basis)
        {
            return Found::Refused(before.clone());
        }
        let basis = candidate.basis.clone();
        match self.make(candidate, old).await {
            Ok(plugin) => Found::New(Arc::new(plugin)),
            Err(error) => refuse(error, Some(basis)),
        }
    }

    /// `old` as it is under the present settings: itself when they say the same about it as before.
    ///
    /// # Errors
    /// When it may not be served under them.
    pub(super) async fn stays(&self, old: &Arc<Plugin>) -> Result<Arc<Plugin>, LoadError> {
        let mut basis = old.basis();
        let terms = self.terms(&old.agent, &basis.digest, basis.manifest.as_ref());
        if terms == basis.terms {
            return Ok(old.clone());
        }
        basis.terms = terms;
        let candidate = Candidate {
            path: old.path.clone(),
            agent: old.agent.clone(),
            basis,
            bytes: Bytes::new(), // it is compiled
        };
        self.make(candidate, Some(old)).await.map(Arc::new)
    }

    fn terms(&self, agent: &AgentName, digest: &Digest, manifest: Option<&Manifest>) -> Terms {
        self.settings.terms(agent, digest, manifest)
    }

    async fn read(&self, claimant: Claimant) -> Result<Candidate, LoadError> {
        let Claimant {
            path,
            agent,
            manifest,
        } = claimant;
        let (bytes, digest) = {
            let path = path.clone();
            let before = manifest.clone();
            // Others may have been compiled since the manifest was read: code must not be paired with what an older one asks for.
            let read = move || -> Result<_, LoadError> {
                let read = read_plugin(&path, MAX_PLUGIN)?;
                let now = Manifest::load(&path.with_extension("toml"))?;
                (now == before).then_some(read).ok_or(LoadError::Changed)
            };
            blocking(read).await??
        };
        let basis = Basis {
            terms: self.terms(&agent, &digest, manifest.as_ref()),
            digest,
            manifest,
        };
        Ok(Candidate {
            path,
            agent,
            basis,
            bytes,
        })
    }

    /// Makes a plugin. What `old` has compiled and learnt is used when it is the same file under other terms.
    async fn make(
        &self,
        candidate: Candidate,
        old: Option<&Arc<Plugin>>,
    ) -> Result<Plugin, LoadError> {
        let Candidate {
            path,
            agent,
            basis,
            bytes,
        } = candidate;
        let Basis {
            digest,
            manifest,
            terms,
        } = basis;
        let same = old.filter(|old| old.digest == digest);
        let component = match same {
            Some(old) => old.sandbox.component().clone(),
            None => self.component(&agent, &digest, &bytes).await?,
        };
        drop(bytes);
        let verdicts = sandbox::imports(&component, &agent, terms.needs.as_ref(), &terms.grants);
        let settings = PluginSettings {
            agent: agent.clone(),
            limits: terms.limits.clone(),
            needs: terms.needs.clone(),
            grants: terms.grants.clone(),
            config: terms.config.clone(),
        };
        let sandbox = Sandbox::new(self.host.clone(), &component, settings)?;
        let described = sandbox.describe().await;
        let described = described.map_err(|error| LoadError::Describe(error.failure));
        let card = match (described, same) {
            (Ok(card), _) => card,
            // Too busy a moment to ask. What it said before is as good: a card gives a plugin nothing, its terms do.
            (Err(error), Some(old)) if !error.is_final() => old.card.clone(),
            (Err(error), _) => return Err(error),
        };
        let defaults = manifest
            .as_ref()
            .map(|manifest| manifest.defaults.clone())
            .unwrap_or_default();
        let imports = verdicts
            .into_iter()
            .filter_map(|(name, verdict)| match verdict {
                Verdict::Allowed(why) => Some(Import { name, why }),
                Verdict::Refused(_) => None,
            });
        let imports = imports.collect();
        let health = match same {
            Some(old) => old.health.under(&terms.limits),
            None => Health::new(&terms.limits),
        };
        Ok(Plugin {
            health: Arc::new(health),
            agent,
            path,
            digest,
            card,
            terms,
            manifest,
            imports,
            defaults,
            sandbox,
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

/// What became of a file.
pub(super) enum Found {
    /// Nothing: the plugin is the one that was there.
    Same(Arc<Plugin>),
    /// It is a plugin, or it is one under other terms.
    New(Arc<Plugin>),
    /// It is none, or it still is none.
    Refused(Arc<Refused>),
}

/// A file that was read, and not yet looked into.
struct Candidate {
    path: PathBuf,
    agent: AgentName,
    basis: Basis,
    bytes: Bytes,
}

/// The places that the engine needs under these settings.
fn pool(settings: &Settings) -> Pool {
    // No agent may have more memory than the operator's limit, so no slot needs to hold more.
    let limits = settings.limits();
    let depth = limits.call_depth.min(MAX_RESERVED_DEPTH) as usize; // small
    let in_flight = settings.host.sizes().most_in_flight(depth);
    Pool {
        memory: usize::try_from(limits.memory.0).unwrap_or(usize::MAX),
        ..Pool::for_in_flight(in_flight)
    }
}

/// The files of `dir`, and which agents they claim to provide.
///
/// Files that claim the same agent are all refused before any of their code is looked at: otherwise a file could take over another
/// agent's name, and with it its grants and state, by coming first.
pub(super) async fn claims(dir: &Path) -> Result<Claims, LoadError> {
    let dir = dir.to_owned();
    blocking(move || {
        let mut refused = Vec::new();
        let mut claims = BTreeMap::<AgentName, Vec<Claimant>>::new();
        for path in list(&dir)? {
            match identify(&path) {
                Ok(claimant) => claims
                    .entry(claimant.agent.clone())
                    .or_default()
                    .push(claimant),
                Err(error) => refused.push(Refused {
                    agent: stem(&path),
                    path,
                    error,
                    basis: None,
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
                        basis: None,
                    }
                })),
            }
        }
        Ok(Claims { alone, refused })
    })
    .await?
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
