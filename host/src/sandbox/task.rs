//! One task's own state, and the only place that makes a `Store`: no task runs without its limits.

use std::sync::Arc;

use chacha20::ChaCha12Rng;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::Plugin;
use super::blobs::Readable;
use super::events::Emitted;
use super::http::Http;
use super::log::Log;
use super::meter::{HostCalls, Meter};
use super::progress::Pace;
use super::tape::Tape;
use crate::call::{Bounds, Lineage, Observer};
use crate::failure::{Failure, FailureKind};
use crate::health::Directory;
use crate::payload::Payload;
use crate::slots::Priority;

/// Fuel after which a guest lets others run: about a millisecond. It also bounds how late a deadline ends a spinning guest.
const YIELD_EVERY: u64 = 1_000_000;

/// Who asks, for what, within which bounds.
pub(super) struct Errand {
    pub(super) task_id: Arc<str>,
    /// The inputs of its tasks: one, unless several are handled together.
    pub(super) inputs: Vec<Arc<Payload>>,
    pub(super) deadline: Instant,
    pub(super) bounds: Bounds,
    pub(super) lineage: Lineage,
    pub(super) observer: Observer,
    pub(super) priority: Priority,
    pub(super) tape: Arc<Tape>,
}

/// What the host keeps for one task. Dropped with the store.
pub(super) struct Task {
    pub(super) plugin: Arc<Plugin>,
    /// Whom it can call; `None` when it may call nobody.
    pub(super) peers: Option<Arc<Directory>>,
    pub(super) errand: Errand,
    pub(super) meter: Meter,
    pub(super) calls: Arc<HostCalls>,
    /// Bytes that the guest may still hand to our own host functions.
    pub(super) data_left: u64,
    pub(super) table: ResourceTable,
    /// When the task first looked at the clock.
    pub(super) clock: Option<std::time::Instant>,
    /// Made when the guest first asks for randomness.
    pub(super) random: Option<Box<ChaCha12Rng>>,
    /// Built at the first WASI call that needs it: most tasks make none, and building it costs a third of a call.
    pub(super) wasi: Option<Box<WasiCtx>>,
    pub(super) http: Option<Box<Http>>,
    /// Made when the guest first says something.
    pub(super) log: Option<Log>,
    pub(super) readable: Option<Readable>,
    /// Bytes of blobs that the task may still write.
    pub(super) blobs_left: u64,
    pub(super) pace: Pace,
    /// Calls to peers so far; numbers their task ids.
    pub(super) peer_calls: u64,
    /// Events emitted so far.
    pub(super) emitted: Emitted,
}

impl Task {
    /// The tape of the attempt.
    pub(super) fn tape(&self) -> Arc<Tape> {
        self.errand.tape.clone()
    }

    /// The task's log, from the first word on.
    pub(super) fn log(&mut self) -> &Log {
        let Self {
            log,
            plugin,
            errand,
            ..
        } = self;
        log.get_or_insert_with(|| Log::new(&plugin.agent, &errand.observer, &plugin.limits))
    }

    /// Counts a call of one of our own host functions and the bytes that it brought.
    pub(super) fn enter(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.calls.count();
        if let Some(failure) = self.calls.exceeded() {
            return Err(failure.into());
        }
        let Some(left) = self.data_left.checked_sub(bytes as u64) else {
            let limit = self.plugin.limits.host_data;
            let message = format!(
                "the guest handed more than {limit} to the host; `limits.host-data` bounds all calls together"
            );
            return Err(Failure::new(FailureKind::Quota, message).into());
        };
        self.data_left = left;
        Ok(())
    }
}

impl Plugin {
    /// Waits for a host function's own work, at most as long as one host call may take.
    pub(super) async fn bounded<T>(
        &self,
        what: &str,
        work: impl Future<Output = T>,
    ) -> wasmtime::Result<T> {
        let limit = self.limits.host_call_timeout;
        tokio::time::timeout(limit.0, work).await.map_err(|_| {
            let message = format!(
                "`{what}` took longer than {limit}; `limits.host-call-timeout` bounds one host call"
            );
            Failure::new(FailureKind::Deadline, message).into()
        })
    }
}

/// The store of one task, with every limit in place before any of the guest's code can run, its start functions included.
///
/// # Errors
/// Only when the engine was made without fuel.
pub(super) fn store(
    plugin: &Arc<Plugin>,
    peers: Option<Arc<Directory>>,
    errand: Errand,
) -> wasmtime::Result<Store<Task>> {
    let limits = &plugin.limits;
    let memory = errand
        .bounds
        .memory
        .map_or(limits.memory.0, |bound| bound.min(limits.memory.0));
    // Tasks that are handled together have the fuel of all of them; every other limit is that of one.
    let most = limits
        .fuel
        .0
        .saturating_mul(errand.inputs.len().max(1) as u64);
    let fuel = errand.bounds.fuel.map_or(most, |bound| bound.min(most));
    let handles = usize::try_from(limits.handles).unwrap_or(usize::MAX);
    let mut table = ResourceTable::new();
    table.set_max_capacity(handles);
    let task = Task {
        meter: Meter::new(memory, limits.table_elements),
        calls: HostCalls::new(limits.host_calls),
        data_left: limits.host_data.0,
        table,
        clock: None,
        random: None,
        wasi: None,
        http: None,
        log: None,
        readable: None,
        blobs_left: limits.blobs.0,
        pace: Pace::default(),
        peer_calls: 0,
        emitted: Emitted::default(),
        plugin: plugin.clone(),
        peers,
        errand,
    };
    let mut store = Store::new(&plugin.host.engine, task);
    store.limiter(|task| &mut task.meter);
    store.set_fuel(fuel)?;
    store.fuel_async_yield_interval(Some(YIELD_EVERY))?;
    store.set_hostcall_fuel(usize::try_from(limits.host_call_data.0).unwrap_or(usize::MAX));
    store.set_max_component_handles(handles);
    Ok(store)
}
