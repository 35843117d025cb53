//! What is measured: the host, the agents in it, and the tasks they get.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use kennel::egress::Egress;
use kennel::id::{AgentName, Digest};
use kennel::payload::Payload;
use kennel::policy::{Base, Providers, Shared};
use kennel::sandbox::cache::Component;
use kennel::sandbox::engine::{Pool, engine};
use kennel::sandbox::{Host, PluginSettings, Sandbox};
use kennel::store::memory::MemoryStore;

/// The agent written as text, which every row asks but those of [`Guest::rust`].
pub(crate) const ECHO: &str = include_str!("echo.wat");

/// A host as `kennel run` has it, but for its store.
pub(crate) fn host() -> Arc<Host> {
    Arc::new(Host {
        engine: engine(&Pool::default()).expect("an engine"),
        backend: Arc::new(MemoryStore::new()),
        directory: Arc::default(),
        egress: Egress::new(),
        data_root: PathBuf::from("/nonexistent"), // opened only for granted files, and nothing is granted here
    })
}

/// A component and the same one as an agent of the host.
pub(crate) struct Guest {
    pub(crate) component: Component,
    pub(crate) sandbox: Arc<Sandbox>,
    /// The task that it is given.
    pub(crate) input: Arc<Payload>,
}

impl Guest {
    /// The agent written as text, and a task of 1.1 KB.
    pub(crate) fn echo(host: &Arc<Host>) -> Self {
        let bytes = wat::parse_str(ECHO).expect("echo.wat");
        Self::new(host, "echo", &bytes, task(0))
    }

    /// The SDK's example, when it has been built: three core modules, Rust's allocator, JSON in and out.
    pub(crate) fn rust(host: &Arc<Host>) -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
        let path = target.join("wasm32-wasip2/guest/examples/word_count.wasm");
        let bytes = std::fs::read(path).ok()?;
        Some(Self::new(host, "word-count", &bytes, task(0)))
    }

    fn new(host: &Arc<Host>, name: &str, bytes: &[u8], input: Payload) -> Self {
        let component = Component::from_binary(&host.engine, bytes).expect("a component");
        let settings = PluginSettings {
            agent: agent(name),
            limits: kennel::limits::Limits::default(),
            needs: None,
            grants: kennel::grants::Grants::default(),
            config: std::collections::BTreeMap::new(),
        };
        let sandbox = Sandbox::new(host.clone(), &component, settings).expect("an agent");
        Self {
            component,
            sandbox: Arc::new(sandbox),
            input: Arc::new(input),
        }
    }

    /// The agent as `asked`, and as `other` for fallbacks, with fresh slots and an empty answer cache.
    pub(crate) fn providers(&self) -> Providers {
        let base = Base::new(Digest::of(b"guest"), self.sandbox.clone());
        Providers {
            bases: [(agent("asked"), base.clone()), (agent("other"), base)].into(),
            skills: Default::default(),
            shared: Shared::default(),
        }
    }
}

/// An agent's name.
pub(crate) fn agent(name: &str) -> AgentName {
    name.parse().expect("a name")
}

/// A JSON task of 1.1 KB, different for each `n`, that both agents understand.
pub(crate) fn task(n: u64) -> Payload {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| "Kennel runs each task in an instance of its own. ".repeat(21));
    let text = TEXT.as_str();
    Payload::Json(format!(r#"{{"text":"{n:08} {text}","tags":["a","b"]}}"#))
}
