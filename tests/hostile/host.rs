//! The one host that everything strikes: a directory of agents, most of which mean harm, loaded as the `kennel` command loads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kennel::call::{Call, CallError, Reply, Request};
use kennel::payload::Payload;
use kennel::plan::CallStep;
use kennel::registry::{Loader, Registry};
use kennel::sandbox::compile::{CompileLimits, Compiler};
use kennel::sandbox::prescan::ScanCaps;
use kennel::settings::Settings;
use kennel::store::SharedBackend;
use kennel::store::sqlite::SqliteStore;
use serde_json::Value;

use crate::agents;
use crate::harness::{Kennel, kennel_binary};
use crate::web::Servers;

/// Copies of the guest that does harm in many ways, each an agent of its own, with the limits that it is to meet; the others are the
/// defaults.
const VILLAINS: [(&str, &str); 14] = [
    ("crowder", ""),
    (
        "dawdler",
        "http-timeout = '1s'\nhttp-connect = '500ms'\nhttp-first-byte = '700ms'\nhttp-response = '1MiB'",
    ),
    ("dicer", ""),
    ("dier", ""),
    ("fanner", ""),
    ("flooder", ""),
    ("flusher", "state-keys = 200\nstate = '1MiB'"),
    ("holder", ""),
    ("poller", "timeout = '2s'"),
    ("printer", ""),
    ("sleeper", "timeout = '300ms'"),
    ("waiter", "host-call-timeout = '300ms'"),
    ("stormer", ""),
    ("surfer", ""),
];

/// The host, and who it is asked about.
pub(crate) struct Host {
    pub(crate) kennel: Kennel,
    pub(crate) registry: Registry,
    pub(crate) loader: Loader,
    pub(crate) backend: SharedBackend,
    pub(crate) servers: Servers,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let servers = Servers::start().await;
        let kennel = kennel(&servers);
        let backend: SharedBackend = Arc::new(SqliteStore::open(&kennel.state()).expect("opened"));
        let loader = loader(kennel.root(), &kennel.state(), backend.clone());
        let registry = load(&loader, &kennel.agents()).await;
        Self {
            kennel,
            registry,
            loader,
            backend,
            servers,
        }
    }

    /// A component's data becomes an open file when its first instance is made, and stays one: here, for agents that have not
    /// been asked to present themselves.
    pub(crate) async fn warm_up(&self) {
        for agent in ["composed", "liar-calls-inside"] {
            let _ = self.text(agent).await;
        }
    }

    /// The one that means well.
    pub(crate) fn neighbour(&self) -> Arc<dyn Call> {
        self.agent("echo")
    }

    /// An agent, out of the quarantine that it has earned: this is about what holds without one.
    pub(crate) fn agent(&self, name: &str) -> Arc<dyn Call> {
        agent(&self.registry, name)
    }

    /// Gives an agent that is written as text its task.
    pub(crate) async fn text(&self, name: &str) -> Result<Reply, CallError> {
        let hello = Payload::Text("hello".into());
        self.agent(name).call(task(hello)).await
    }

    /// Gives a guest its task.
    pub(crate) async fn ask(&self, name: &str, input: &Value) -> Result<Reply, CallError> {
        self.agent(name).call(task(json(input))).await
    }

    /// What a guest answers that is expected to.
    pub(crate) async fn answer(&self, name: &str, input: &Value) -> Result<Value, String> {
        let reply = self.ask(name, input).await;
        let reply = reply.map_err(|error| format!("`{name}` failed: {error}"))?;
        read(&reply)
    }

    /// Where a file goes that is loaded alone.
    pub(crate) fn dropped(&self, name: &str) -> PathBuf {
        let folder = self.kennel.root().join("dropped");
        std::fs::create_dir_all(&folder).expect("made");
        folder.join(name)
    }
}

pub(crate) fn agent(registry: &Registry, name: &str) -> Arc<dyn Call> {
    let plugin = registry.plugin(name).expect("it is loaded");
    plugin.health.release();
    let call = CallStep::of(plugin.agent.clone());
    registry.stack(&call).expect("it is loaded")
}

pub(crate) fn task(input: Payload) -> Request {
    Request::new("task", Arc::new(input))
}

pub(crate) fn json(input: &Value) -> Payload {
    Payload::Json(input.to_string())
}

/// The JSON in an answer.
pub(crate) fn read(reply: &Reply) -> Result<Value, String> {
    match reply.output.as_ref() {
        Payload::Json(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Payload::Text(text) => Ok(Value::String(text.clone())),
        other => Err(format!("not JSON: {other:?}")),
    }
}

/// What loads plugins below `root`, with `state` for what it keeps.
pub(crate) fn loader(root: &Path, state: &Path, backend: SharedBackend) -> Loader {
    let settings = Settings::load(&root.join("kennel.toml")).expect("valid");
    // A file that costs much to compile is to be given up before the walk is.
    let limits = CompileLimits {
        cpu_seconds: 30,
        ..CompileLimits::default()
    };
    let compiler = Compiler::with_program(kennel_binary(), ScanCaps::default(), limits);
    Loader::open(settings, state, backend, compiler).expect("opened")
}

pub(crate) async fn load(loader: &Loader, agents: &Path) -> Registry {
    let registry = Registry::load(loader, agents).await.expect("listed");
    assert!(registry.refused().is_empty(), "{:?}", registry.refused());
    registry
}

fn kennel(servers: &Servers) -> Kennel {
    let short = "[limits]\ntimeout = '300ms'";
    // Cold, so that what is compiled here is not kept for the other tests.
    let mut kennel = Kennel::cold()
        .wat("echo", &agents::echo())
        .wat("spin", &agents::spin())
        .manifest("spin", "[limits]\nfuel = '200M'")
        .wat("spin-late", &agents::spin())
        .manifest("spin-late", short)
        .wat("spin-many", &agents::spin())
        .wat("spin-start", &agents::spin_at_start())
        .manifest("spin-start", short)
        .wat("spin-after", &agents::spin_after_answer())
        .manifest("spin-after", short)
        .wat("spin-room", &agents::spin_for_room())
        .manifest("spin-room", short)
        .wat("fill", &agents::fill())
        .manifest("fill", short)
        .wat("hoard", &agents::hoard())
        .wat("hoard-on", &agents::hoard_for_ever())
        .wat("table", &agents::crowd_table())
        .wat("recurse", &agents::recurse())
        .wat("trap", &agents::trap())
        .wat("flood", &agents::flood(50))
        .wat("composed", &agents::composed())
        .guest("counter")
        .guest("snoop")
        .guest("ping")
        .guest("pong")
        .guest("files")
        .guest_as("files", "racer")
        .guest_as("files", "filler")
        .manifest(
            "filler",
            "[needs]\nfiles = [{ path = 'data', access = 'write' }]\n\
             [limits]\nfiles = '4MiB'\nfile-count = 300",
        )
        .settings(
            "[grants.counter]\nstate = true\n[grants.ping]\npeers = ['ping', 'pong']\n\
             [grants.pong]\npeers = ['ping', 'pong']\n\
             [grants.files]\nfiles = [{ path = 'data', access = 'write' }, { path = 'fixed', access = 'read' }]\n\
             [grants.racer]\nfiles = [{ path = 'data', access = 'write' }]\n\
             [grants.filler]\nfiles = [{ path = 'data', access = 'write' }]",
        );
    for (name, wat) in agents::liars() {
        kennel = kennel.wat(&format!("liar-{name}"), &wat);
    }
    for (name, limits) in VILLAINS {
        kennel = kennel
            .guest_as("villain", name)
            .manifest(name, &format!("{}[limits]\n{limits}", needs(servers)))
            .settings(&format!("[grants.{name}]\n{}", grants(servers)));
    }
    kennel
}

/// What each villain is granted: something of everything.
fn grants(servers: &Servers) -> String {
    format!(
        "state = true\npeers = ['harm', 'pong']\nevents = ['storm']\nhttp = {:?}\n",
        servers.granted()
    )
}

fn needs(servers: &Servers) -> String {
    format!("[needs]\n{}", grants(servers))
}
