//! The hosts and agents under load.

use std::path::PathBuf;
use std::sync::Arc;

use kennel::egress::Egress;
use kennel::grants::Grants;
use kennel::id::{AgentName, Digest};
use kennel::policy::{Base, Providers, Shared};
use kennel::sandbox::cache::Component;
use kennel::sandbox::engine::{Pool, engine};
use kennel::sandbox::{Host, PluginSettings, Sandbox};
use kennel::slots::{Sizes, Slots};
use kennel::store::SharedBackend;

/// Answers with a copy of what it was asked.
pub(crate) const ECHO: &str = include_str!("../calls/echo.wat");
/// Asks a peer with the skill `wait`.
pub(crate) const WAITS: &str = include_str!("waits.wat");

/// A host with room for as many tasks as `sizes` lets in.
pub(crate) fn host(sizes: Sizes, backend: SharedBackend) -> Arc<Host> {
    Arc::new(Host {
        engine: engine(&Pool::for_in_flight(sizes.in_flight.get())).expect("an engine"),
        backend,
        directory: Arc::default(),
        egress: Egress::new(),
        data_root: PathBuf::from("/nonexistent"), // opened only for granted files, and none are granted here
    })
}

/// The agent of this text, in the host's sandbox.
pub(crate) fn sandbox(host: &Arc<Host>, wat: &str, granted: Grants) -> Arc<Sandbox> {
    let bytes = wat::parse_str(wat).expect("a component as text");
    let component = Component::from_binary(&host.engine, &bytes).expect("a component");
    let settings = PluginSettings {
        agent: agent("asked"),
        limits: kennel::limits::Limits::default(),
        needs: None,
        grants: granted,
        config: std::collections::BTreeMap::new(),
    };
    Arc::new(Sandbox::new(host.clone(), &component, settings).expect("an agent"))
}

/// The agent as `asked`, with slots of these sizes in front of it.
pub(crate) fn providers(sandbox: Arc<Sandbox>, sizes: Sizes) -> (Providers, Arc<Slots>) {
    let slots = Arc::new(Slots::new(sizes));
    let shared = Shared {
        slots: slots.clone(),
        ..Shared::default()
    };
    let base = Base::new(Digest::of(b"guest"), sandbox);
    let providers = Providers {
        bases: [(agent("asked"), base)].into(),
        skills: Default::default(),
        shared,
    };
    (providers, slots)
}

/// An agent's name.
pub(crate) fn agent(name: &str) -> AgentName {
    name.parse().expect("a name")
}
