//! The sandbox: executes one task of a plugin in a fresh instance with all limits in place, and drops it afterwards.
//!
//! The only part of the host that knows wasmtime. It refuses to retry, to queue and to keep instances: those are policies, or leaks.

mod batch;
pub mod bindings;
mod blobs;
pub mod cache;
mod card;
mod clock;
pub mod compile;
mod config;
mod convert;
pub mod engine;
mod events;
mod files;
mod http;
mod link;
mod log;
mod meter;
mod outcome;
mod peers;
mod poll;
pub mod prescan;
mod progress;
mod random;
mod replay;
mod run;
mod state;
mod stdio;
mod tape;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod wait;
mod wasi;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

pub use card::{Card, Skill};
pub use files::FilesError;
pub use link::{LinkError, imports};
pub use replay::Replayed;
pub use tape::TapeError;

use self::bindings::kennel::agent::types as wit;
use self::files::Files;
use self::link::Exports;
use self::tape::Tape;
use self::task::{Errand, Task};
use crate::call::{
    Answers, Attempt, Bounds, Call, CallError, Lineage, Observer, Reply, Request, Trail, Usage,
};
use crate::egress::Egress;
use crate::failure::{Failure, FailureKind};
use crate::grants::Grants;
use crate::health::Directory;
use crate::id::AgentName;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::slots::Priority;
use crate::store::SharedBackend;

/// What all plugins of one host share.
pub struct Host {
    /// The engine that every component was compiled for.
    pub engine: Engine,
    /// Where state and blobs are kept.
    pub backend: SharedBackend,
    /// Who has which skill, for sandboxes that are among no others ([`Sandbox::among`]), or are no longer. A registry leaves it empty:
    /// sandboxes hold their host, so a directory of sandboxes in here would never go.
    pub directory: Arc<ArcSwap<Directory>>,
    /// The way out for `wasi:http`.
    pub egress: Egress,
    /// Below it, each agent has a directory of its own for granted files.
    pub data_root: PathBuf,
}

/// What makes a component an agent of this host.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// The agent's name.
    pub agent: AgentName,
    /// The bounds of each task.
    pub limits: Limits,
    /// What its manifest asks for; `None` without a manifest.
    pub needs: Option<Grants>,
    /// What the operator allows.
    pub grants: Grants,
    /// The agent's own settings, for `wasi:config`.
    pub config: BTreeMap<String, String>,
}

/// A loaded plugin, ready to execute tasks. Each task gets an instance of its own.
pub struct Sandbox {
    plugin: Arc<Plugin>,
    linked: Arc<Linked>,
    /// Whom its tasks can call. Weak, because a directory holds the sandboxes that are in it.
    peers: Weak<Directory>,
}

/// Tells whether a plugin's compiled code is still in memory, without keeping it there.
#[derive(Clone)]
pub struct Code(Weak<Linked>);

impl Code {
    /// Whether anybody can still execute it.
    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A component with its imports, and the exports that are called.
struct Linked {
    pre: InstancePre<Task>,
    exports: Exports,
}

/// What all tasks of one plugin share.
struct Plugin {
    host: Arc<Host>,
    agent: AgentName,
    limits: Limits,
    effective: Grants,
    config: BTreeMap<String, String>,
    env: Vec<(String, String)>,
    files: Files,
}

impl Sandbox {
    /// Links `component` with what it is granted. Runs none of its code; the values of granted environment variables are read now.
    ///
    /// # Errors
    /// When it is no agent, imports what it may not have, or a granted directory cannot be opened.
    pub fn new(
        host: Arc<Host>,
        component: &Component,
        settings: PluginSettings,
    ) -> Result<Self, LinkError> {
        let PluginSettings {
            agent,
            limits,
            needs,
            grants,
            config,
        } = settings;
        let (pre, exports) = link::link(&host.engine, component, &agent, needs.as_ref(), &grants)?;
        let effective = crate::grants::effective(needs.as_ref(), &grants);
        let files = files::open(&host.data_root, &agent, &effective.files, &limits)?;
        let env = effective
            .env
            .iter()
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
            .collect();
        let plugin = Arc::new(Plugin {
            host,
            agent,
            limits,
            effective,
            config,
            env,
            files,
        });
        Ok(Self {
            plugin,
            linked: Arc::new(Linked { pre, exports }),
            peers: Weak::new(),
        })
    }

    /// The same sandbox among the agents of `peers`: its tasks see these, and no others that come later. Costs no compiling and no
    /// linking. When nobody holds the directory any more, tasks see the host's own.
    #[must_use]
    pub fn among(&self, peers: &Weak<Directory>) -> Self {
        Self {
            plugin: self.plugin.clone(),
            linked: self.linked.clone(),
            peers: peers.clone(),
        }
    }

    /// Its compiled code.
    pub fn code(&self) -> Code {
        Code(Arc::downgrade(&self.linked))
    }

    /// The component that it executes.
    pub fn component(&self) -> &Component {
        self.linked.pre.component()
    }

    /// Asks the agent to present itself; `None` when it does not.
    ///
    /// # Errors
    /// Whatever can go wrong with a task, and a card that breaks the rules.
    pub async fn describe(&self) -> Result<Option<Card>, CallError> {
        let Some(indices) = &self.linked.exports.card else {
            return Ok(None);
        };
        let limits = &self.plugin.limits;
        let errand = Errand {
            task_id: Arc::from("describe"),
            inputs: Vec::new(),
            deadline: Instant::now() + limits.timeout.min(limits.describe_timeout).0,
            bounds: Bounds {
                fuel: Some(limits.describe_fuel.0),
                ..Bounds::default()
            },
            lineage: Lineage::default(),
            observer: Observer::default(),
            priority: Priority::default(),
            tape: Arc::new(Tape::off()),
        };
        let run = self.run(errand, async |store| {
            let instance = self.linked.pre.instantiate_async(&mut *store).await?;
            let guest = indices.load(&mut *store, &instance)?;
            guest.call_describe(&mut *store).await
        });
        let (answer, usage) = Box::pin(run).await;
        match answer.and_then(card::card) {
            Ok(card) => Ok(Some(card)),
            Err(failure) => Err(self.error(1, failure, usage, None)),
        }
    }

    async fn handle(&self, request: Request) -> Result<Reply, CallError> {
        let attempt = request.attempt;
        let tape = Arc::new(Tape::record(self.plugin.limits.tape, request.bounds));
        let (output, usage) = self.attempt(request, tape.clone()).await;
        self.ended(attempt, output, usage, tape.recorded())
    }

    /// One attempt with its tape, recording or playing.
    async fn attempt(
        &self,
        request: Request,
        tape: Arc<Tape>,
    ) -> (Result<Payload, Failure>, Usage) {
        let Request {
            task_id,
            skill,
            input,
            attempt,
            deadline,
            bounds,
            lineage,
            observer,
            priority,
            ..
        } = request;
        let own = Instant::now() + self.plugin.limits.timeout.0;
        let errand = Errand {
            task_id: task_id.clone(),
            inputs: vec![input.clone()],
            deadline: deadline.map_or(own, |deadline| deadline.min(own)),
            bounds,
            lineage,
            observer,
            priority,
            tape,
        };
        let run = self.run(errand, async |store| {
            let instance = self.linked.pre.instantiate_async(&mut *store).await?;
            let guest = self.linked.exports.handler.load(&mut *store, &instance)?;
            let skill = skill.as_ref().map_or("", |skill| skill.as_str());
            let task = wit::Task {
                id: &task_id,
                skill,
                input: convert::param(&input),
                attempt,
            };
            guest.call_handle(&mut *store, task).await
        });
        let (answer, mut usage) = run.await;
        usage.bytes_in = input.size() as u64;
        let output = self.output(answer, &mut usage);
        (output, usage)
    }

    /// What an agent has answered, checked.
    fn output(
        &self,
        answer: Result<Result<wit::PayloadResult, wit::Error>, Failure>,
        usage: &mut Usage,
    ) -> Result<Payload, Failure> {
        let output = answer?.map_err(|error| outcome::reported(&error))?;
        usage.bytes_out = convert::size(&output) as u64;
        self.check_size(usage.bytes_out)?;
        convert::payload(output)
    }

    /// The end of one task, with what it used and what the host told it.
    fn ended(
        &self,
        attempt: u32,
        output: Result<Payload, Failure>,
        usage: Usage,
        answers: Option<Answers>,
    ) -> Result<Reply, CallError> {
        match output {
            Ok(output) => Ok(Reply {
                output: Arc::new(output),
                trail: self.trail(attempt, None, usage, answers),
            }),
            Err(failure) => Err(self.error(attempt, failure, usage, answers)),
        }
    }

    fn check_size(&self, size: u64) -> Result<(), Failure> {
        let limit = self.plugin.limits.output;
        if size <= limit.0 {
            return Ok(());
        }
        let message = format!("the output has {size} bytes; `limits.output` allows {limit}");
        Err(Failure::new(FailureKind::OutputTooLarge, message))
    }

    fn trail(
        &self,
        number: u32,
        failure: Option<Failure>,
        usage: Usage,
        answers: Option<Answers>,
    ) -> Trail {
        let attempt = Attempt {
            agent: self.plugin.agent.clone(),
            number,
            failure,
            usage,
            answers,
        };
        Trail {
            attempts: vec![attempt],
            ..Trail::default()
        }
    }

    fn error(
        &self,
        number: u32,
        failure: Failure,
        usage: Usage,
        answers: Option<Answers>,
    ) -> CallError {
        CallError {
            trail: self.trail(number, Some(failure.clone()), usage, answers),
            failure,
        }
    }
}

impl Call for Sandbox {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        match request.together.clone() {
            None => Box::pin(self.handle(request)),
            Some(together) => Box::pin(self.handle_together(request, together)),
        }
    }

    /// Not when the agent calls others or emits: whose budget and chain of callers would they have, whose id would an event?
    fn batches(&self) -> bool {
        let effective = &self.plugin.effective;
        self.linked.exports.batch.is_some()
            && effective.peers.is_empty()
            && effective.events.is_empty()
    }
}
