//! Puts the parts together for a command: settings, store, engine of the sandboxes, plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::exit::CliError;
use super::{Options, ui};
use crate::engine::Engine;
use crate::engine::emit::publisher;
use crate::health::{Book, Page};
use crate::id::SkillName;
use crate::meant::near;
use crate::registry::{Keeper, Live, Loader, Plugin, Refused, Registry};
use crate::sandbox::compile::{CompileLimits, Compiler};
use crate::sandbox::prescan::ScanCaps;
use crate::settings::Settings;
use crate::slots::Sizes;
use crate::store::SharedBackend;
use crate::store::sqlite::SqliteStore;

/// The settings file that is used when it is there.
pub(super) const SETTINGS: &str = "kennel.toml";

/// How long plugins may take to load before somebody who waits is told why.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long somebody at a terminal waits for a store that does not answer.
const GIVE_UP: Duration = Duration::from_secs(10);

/// The runtime: yields of spinning guests must not keep others waiting, so timers and IO are looked at after every poll, and there are
/// more threads than guests occupy unless the operator wants more slots than there are cores.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(Sizes::default().threads())
        .enable_all()
        .event_interval(1)
        .global_queue_interval(1)
        .max_blocking_threads(64)
        .thread_name("kennel")
        .build()
}

/// What a command works with.
pub(super) struct Host {
    pub(super) backend: SharedBackend,
    pub(super) engine: Engine,
    pub(super) registry: Registry,
    pub(super) health: Arc<Book>,
    pub(super) loader: Loader,
    pub(super) paths: Paths,
}

impl Host {
    /// Keeps in the store how the agents fare, while this command asks them and for the next one.
    pub(super) fn keep_health(&self) -> Keeper {
        Keeper::begin(&self.registry, self.health.clone(), self.backend.clone())
    }
}

/// The settings, and the paths that follow from them and the options.
pub(super) struct Paths {
    pub(super) settings: Settings,
    /// Where the settings stand, or would.
    pub(super) file: PathBuf,
    /// Whether these settings were read from it.
    pub(super) is_there: bool,
    pub(super) agents: PathBuf,
    pub(super) state: PathBuf,
}

impl Paths {
    pub(super) fn find(options: &Options) -> Result<Self, CliError> {
        let file = options.config.clone().unwrap_or_else(|| SETTINGS.into());
        let settings = Settings::load_if_there(&file)?;
        let is_there = settings.is_some();
        // A file that was named and is not there must not mean "no limits, no grants".
        if !is_there && options.config.is_some() {
            let file = file.display();
            return Err(CliError::Usage(format!(
                "there is no settings file `{file}`"
            )));
        }
        let settings = settings.unwrap_or_default();
        let agents = options
            .agents
            .clone()
            .or(settings.agents.clone())
            .unwrap_or_else(|| "agents".into());
        let state = options
            .state
            .clone()
            .or(settings.store.path.clone())
            .unwrap_or_else(|| ".kennel".into());
        Ok(Self {
            settings,
            file,
            is_there,
            agents,
            state,
        })
    }
}

/// Opens the store only: for commands that run nothing.
pub(super) fn open_store(state: &Path) -> Result<SharedBackend, CliError> {
    let opened = SqliteStore::open(state);
    let opened = opened.map_err(|error| {
        CliError::Store(format!("open the store in `{}`: {error}", state.display()))
    })?;
    Ok(Arc::new(opened))
}

/// Says what a plugin is served without, though it asks for it.
pub(super) fn warn_missing(plugin: &Plugin) {
    for line in plugin.terms.missing() {
        ui::say(format_args!(
            "{} agent `{agent}` asks for what it is not granted; to allow it, write in kennel.toml:\n    [grants.{agent}]\n    {}",
            ui::styled(ui::WARN, "warning:"),
            ui::safe(&line),
            agent = plugin.agent,
        ));
    }
}

/// The engine of runs over a store.
pub(super) fn engine(backend: SharedBackend) -> Engine {
    Engine::new(backend.clone(), GIVE_UP).publishing(publisher(backend))
}

/// Opens everything. Plugins that are refused are told on standard error; they stop only a command that needs them.
pub(super) async fn open(options: &Options) -> Result<Host, CliError> {
    let paths = Paths::find(options)?;
    let backend = open_store(&paths.state)?;
    let (registry, loader) = load(&paths, backend.clone()).await?;
    registry.refused().iter().for_each(|why| warn_refused(why));
    registry.plugins().for_each(|plugin| warn_missing(plugin));
    Ok(Host {
        engine: engine(backend.clone()),
        health: Arc::new(book(&registry, backend.clone()).await),
        backend,
        registry,
        loader,
        paths,
    })
}

/// Loads the plugins and what is known about how they fare, for a command that shows them.
pub(super) async fn load_only(options: &Options) -> Result<Registry, CliError> {
    Ok(load_book(options).await?.0)
}

/// Loads the plugins, what is known about how they fare, and what other commands do with them at the moment.
pub(super) async fn load_live(options: &Options) -> Result<(Registry, Live), CliError> {
    let paths = Paths::find(options)?;
    let backend = open_store(&paths.state)?;
    let (registry, _) = load(&paths, backend.clone()).await?;
    book(&registry, backend.clone()).await;
    let live = Live::read(backend.kv()).await;
    Ok((registry, live))
}

/// Loads the plugins and the book of their health, for a command that changes it.
pub(super) async fn load_book(options: &Options) -> Result<(Registry, Book), CliError> {
    let paths = Paths::find(options)?;
    let backend = open_store(&paths.state)?;
    let (registry, _) = load(&paths, backend.clone()).await?;
    let book = book(&registry, backend).await;
    Ok((registry, book))
}

/// What is known about how the plugins fare, read from the store.
async fn book(registry: &Registry, backend: SharedBackend) -> Book {
    registry.restore_breakers(backend.kv()).await;
    Book::open(backend, pages(registry)).await
}

/// The plugins as the book of health knows them.
pub(super) fn pages(registry: &Registry) -> Vec<Page> {
    let page = |plugin: &Arc<Plugin>| Page {
        agent: plugin.agent.clone(),
        plugin: plugin.digest,
        health: plugin.health.clone(),
    };
    registry.plugins().map(page).collect()
}

/// A loader, for a command that loads files one by one.
pub(super) fn loader_only(options: &Options) -> Result<Loader, CliError> {
    let paths = Paths::find(options)?;
    let backend = open_store(&paths.state)?;
    loader(&paths, backend)
}

/// Says that a plugin is not served.
pub(super) fn warn_refused(refused: &Refused) {
    let path = ui::safe(&refused.path.display().to_string());
    let why = ui::safe(&refused.error.to_string());
    ui::say(format_args!(
        "{} `{path}` is not served: {why}",
        ui::styled(ui::WARN, "warning:")
    ));
}

/// There is no such agent; names the nearest one, or all there are.
pub(super) fn unknown_agent(registry: &Registry, agent: &str) -> String {
    let known = registry.plugins().map(|plugin| plugin.agent.as_str());
    let help = meant(agent, known.collect(), "the directory has");
    format!("there is no agent `{}`\n  help: {help}", ui::safe(agent))
}

/// Whether an agent has the skill that it is asked for, or only one. An agent that does not present itself may have any.
pub(super) fn check_skill(plugin: &Plugin, skill: Option<&SkillName>) -> Result<(), CliError> {
    let skills = plugin.card.iter().flat_map(|card| &card.skills);
    let known: Vec<_> = skills.map(|skill| skill.name.as_str()).collect();
    let (wrong, help) = match skill {
        Some(skill) if !known.is_empty() && !known.contains(&skill.as_str()) => (
            format!("has no skill `{skill}`"),
            meant(skill.as_str(), known, "it has"),
        ),
        None if known.len() > 1 => (
            "has several skills".to_owned(),
            format!("choose one with --skill: {}", known.join(", ")),
        ),
        _ => return Ok(()),
    };
    let agent = &plugin.agent;
    Err(CliError::Usage(format!(
        "agent `{agent}` {wrong}\n  help: {help}"
    )))
}

/// What was meant by `name`: the nearest that is known, or one of all.
fn meant(name: &str, known: Vec<&str>, all: &str) -> String {
    match near(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}

async fn load(paths: &Paths, backend: SharedBackend) -> Result<(Registry, Loader), CliError> {
    if !paths.agents.is_dir() {
        return Err(CliError::Usage(format!(
            "there is no directory of plugins `{}`\n  help: name one with --agents DIR, or with `agents` in kennel.toml",
            paths.agents.display()
        )));
    }
    let loader = loader(paths, backend)?;
    let registry = {
        let mut loading = std::pin::pin!(Registry::load(&loader, &paths.agents));
        match tokio::time::timeout(PATIENCE, &mut loading).await {
            Ok(registry) => registry,
            Err(_) => {
                ui::say(format_args!(
                    "loading the plugins of `{}`; new ones are compiled first, once",
                    paths.agents.display()
                ));
                loading.await
            }
        }
    };
    match registry {
        Ok(registry) => Ok((registry, loader)),
        Err(error) => Err(CliError::Usage(error.to_string())),
    }
}

fn loader(paths: &Paths, backend: SharedBackend) -> Result<Loader, CliError> {
    let compiler = Compiler::new(ScanCaps::default(), CompileLimits::default());
    let loader = Loader::open(paths.settings.clone(), &paths.state, backend, compiler);
    loader.map_err(|error| CliError::Store(error.to_string()))
}
