//! Linking: a component's imports against the effective grants, before any of its code can run.
//!
//! What is not granted is not in the linker, so a verdict that was wrong would still not let a component reach anything.

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::exports::kennel::agent as exports;
use super::bindings::{kennel::agent as imports, wasi as wasi_bindings};
use super::files::FilesError;
use super::task::Task;
use super::{files, http, peers, text, wasi};
use crate::grants::{Grants, Refusal, Verdict, verdict};
use crate::id::AgentName;

/// A component cannot be run as this agent.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It imports what it may not have.
    #[error("agent `{agent}` may not be loaded: {}", reasons(.refused))]
    Refused {
        /// The agent.
        agent: AgentName,
        /// Every import that is refused.
        refused: Vec<Refusal>,
    },
    /// It does not export `handle`, so it is not an agent.
    #[error(
        "`{agent}` is not an agent: it does not export `kennel:agent/handler@0.1.0`; build it for the world `kennel:agent/agent`"
    )]
    NotAnAgent {
        /// The plugin's agent name.
        agent: AgentName,
    },
    /// It and the host disagree on the functions of an interface.
    #[error("agent `{agent}` does not fit this version of kennel: {reason}")]
    Incompatible {
        /// The agent.
        agent: AgentName,
        /// What does not fit.
        reason: String,
    },
    /// A granted directory could not be opened.
    #[error(transparent)]
    Files(#[from] FilesError),
}

fn reasons(refused: &[Refusal]) -> String {
    let one = |refusal: &Refusal| {
        let lines: String = refusal
            .lines
            .iter()
            .map(|line| format!("\n    {line}"))
            .collect();
        let way_out = if lines.is_empty() {
            ""
        } else {
            "; to allow it, write"
        };
        format!(
            "\n  `{}` {}{way_out}{lines}",
            refusal.import, refusal.reason
        )
    };
    refused.iter().map(one).collect()
}

/// The verdict on every import of `component`, in the order of its imports. Runs none of its code.
pub fn imports(
    component: &Component,
    agent: &AgentName,
    needs: Option<&Grants>,
    grants: &Grants,
) -> Vec<(String, Verdict)> {
    let ty = component.component_type();
    ty.imports(component.engine())
        .map(|(name, _)| (name.to_owned(), verdict(name, agent, needs, grants)))
        .collect()
}

/// The exports that the host calls; what else a component exports is ignored.
pub(super) struct Exports {
    pub(super) handler: exports::handler::GuestIndices,
    pub(super) card: Option<exports::card::GuestIndices>,
    pub(super) batch: Option<exports::batch::GuestIndices>,
}

/// Checks imports and exports and prepares everything that instances of `component` have in common.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    agent: &AgentName,
    needs: Option<&Grants>,
    grants: &Grants,
) -> Result<(InstancePre<Task>, Exports), LinkError> {
    let refused: Vec<Refusal> = imports(component, agent, needs, grants)
        .into_iter()
        .filter_map(|(_, verdict)| match verdict {
            Verdict::Refused(refusal) => Some(refusal),
            Verdict::Allowed(_) => None,
        })
        .collect();
    if !refused.is_empty() {
        return Err(LinkError::Refused {
            agent: agent.clone(),
            refused,
        });
    }
    let incompatible = |error: wasmtime::Error| LinkError::Incompatible {
        agent: agent.clone(),
        reason: text::line(&format!("{error:#}"), 1 << 10).into_owned(),
    };
    let linker = linker(engine, &crate::grants::effective(needs, grants)).map_err(incompatible)?;
    let pre = linker.instantiate_pre(component).map_err(incompatible)?;
    let handler = exports::handler::GuestIndices::new(&pre).map_err(|_| LinkError::NotAnAgent {
        agent: agent.clone(),
    })?;
    let card = exports::card::GuestIndices::new(&pre).ok();
    let batch = exports::batch::GuestIndices::new(&pre).ok();
    Ok((
        pre,
        Exports {
            handler,
            card,
            batch,
        },
    ))
}

/// Everything that `effective` allows, and nothing else.
fn linker(engine: &Engine, effective: &Grants) -> wasmtime::Result<Linker<Task>> {
    let mut linker = Linker::new(engine);
    wasi::link(&mut linker, files::can_grow(&effective.files))?;
    imports::types::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    imports::progress::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    imports::blobs::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    wasi_bindings::logging::logging::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| {
        task
    })?;
    wasi_bindings::config::store::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    if effective.state {
        imports::state::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    }
    if !effective.http.is_empty() {
        http::link(&mut linker)?;
    }
    if !effective.peers.is_empty() {
        peers::link(&mut linker)?;
    }
    if !effective.events.is_empty() {
        imports::events::add_to_linker::<Task, HasSelf<Task>>(&mut linker, |task| task)?;
    }
    Ok(linker)
}

/// The types have no functions of their own.
impl imports::types::Host for Task {}
