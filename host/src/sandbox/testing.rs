//! What the sandbox's tests share: components written as text, and a host over the store in memory.

pub(super) mod guest;
pub(super) mod imports;

use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use wasmtime::component::Component;

use super::engine::{Pool, engine};
use super::{Host, LinkError, PluginSettings, Sandbox};
use crate::call::{Call as _, CallError, Notice, Observer, Reply, Request};
use crate::egress::Egress;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::store::memory::MemoryStore;

/// A host for one test, with a data directory of its own.
pub(super) struct Kennel {
    pub(super) host: Arc<Host>,
    pub(super) data: TempDir,
}

impl Kennel {
    pub(super) fn new() -> Self {
        Self::with_instances(64)
    }

    /// A host whose pool holds `instances` at once.
    pub(super) fn with_instances(instances: u32) -> Self {
        Self::over(MemoryStore::new(), instances)
    }

    /// A host over a store whose queues hold `limit` tasks each.
    pub(super) fn with_queue_limit(limit: usize) -> Self {
        Self::over(MemoryStore::new().with_queue_limit(limit), 64)
    }

    fn over(store: MemoryStore, instances: u32) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let host = Host {
            engine: engine(&Pool {
                instances,
                ..Pool::default()
            })
            .expect("an engine"),
            backend: Arc::new(store),
            directory: Arc::default(),
            egress: Egress::new(),
            data_root: data.path().to_owned(),
        };
        Self {
            host: Arc::new(host),
            data,
        }
    }

    /// Loads `wat` as the agent `name`.
    pub(super) fn load(
        &self,
        name: &str,
        wat: &str,
        limits: Limits,
        granted: &str,
    ) -> Result<Sandbox, LinkError> {
        let bytes = wat::parse_str(wat).expect("the test's component");
        let component = Component::from_binary(&self.host.engine, &bytes)
            .expect("the test's component compiles");
        let settings = PluginSettings {
            agent: name.parse().expect("a name"),
            limits,
            needs: None,
            grants: grants(granted),
            config: [("greeting".to_owned(), "hello".to_owned())].into(),
        };
        Sandbox::new(self.host.clone(), &component, settings)
    }

    /// Loads `wat` with default limits and no grants.
    pub(super) fn agent(&self, wat: &str) -> Sandbox {
        self.load("agent", wat, Limits::default(), "")
            .expect("the test's agent")
    }
}

pub(super) fn grants(text: &str) -> Grants {
    toml::from_str(text).expect("the test's grants")
}

/// A request for `input` without anything special.
pub(super) fn request(input: Payload) -> Request {
    Request::new("task-1", Arc::new(input))
}

/// What the agent answers to the text `input`.
pub(super) async fn ask(agent: &Sandbox, input: &str) -> Result<Reply, CallError> {
    agent.call(request(Payload::Text(input.to_owned()))).await
}

/// Why the agent cannot answer the text `input`.
pub(super) async fn failure(agent: &Sandbox, input: &str) -> Failure {
    match ask(agent, input).await {
        Ok(reply) => panic!("the agent answered {:?}", reply.output),
        Err(error) => error.failure,
    }
}

/// The text that the agent answers to the text `input`.
pub(super) async fn text(agent: &Sandbox, input: &str) -> String {
    match ask(agent, input)
        .await
        .map(|reply| reply.output.as_ref().clone())
    {
        Ok(Payload::Text(text)) => text,
        other => panic!("not a text: {other:?}"),
    }
}

/// Everything that an observer is told.
pub(super) fn listener() -> (Observer, Arc<Mutex<Vec<Notice>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let kept = notices.clone();
    (
        Observer::new(Arc::new(move |_, _, notice| kept.lock().push(notice))),
        notices,
    )
}
