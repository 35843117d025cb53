//! The one place that makes a [`wasmtime::Config`], so that the engine that compiles and the engine that executes cannot drift apart.
//!
//! It refuses to have options: every engine has the same Wasm features, the same determinism and the same fuel. What differs
//! between machines is only the size of the [`Pool`], which is not part of compiled code.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

/// Wasm stack of a guest, in bytes; deeper recursion traps. wasmtime's own default.
const WASM_STACK: usize = 512 << 10;
/// Stack of the fiber that a guest and the host functions it calls share, in bytes. Host functions get what [`WASM_STACK`] leaves,
/// and an overflow there ends the process, so the difference stays large. Smaller stacks were measured and buy nothing.
const FIBER_STACK: usize = 2 << 20;
/// Core instances per slot: a Rust component has 3, JavaScript 4, Python 14.
const CORE_INSTANCES_PER_SLOT: u32 = 4;
/// Tables per slot, and memories per slot: a component of one language has 2–3 tables and one memory, a composed one more.
const TABLES_PER_SLOT: u32 = 3;
const MEMORIES_PER_SLOT: u32 = 2;
/// Memories of a pool that has more instances than that anyway: each reserves 4 GiB of the 128 TiB that a process can address, so a
/// very large pool has one memory for each instance, and composed components find a little less room in it.
const MEMORIES: u32 = 14_000;
/// Upper bounds for one component. They repeat the default pre-scan caps as a second wall.
const MEMORIES_PER_COMPONENT: u32 = 16;
const TABLES_PER_COMPONENT: u32 = 32;
/// Elements of one table; the pool reserves address space for all of them in every slot.
const TABLE_ELEMENTS: usize = 65_536;
/// Metadata of one instance, in bytes: about 32 per function that can escape. A bound, nothing is reserved.
const INSTANCE_METADATA: usize = 4 << 20;
/// Bytes of each table that stay resident between two guests.
const TABLE_RESIDENT: usize = 1 << 20;

/// How much the executing engine keeps ready. All of it is address space until a guest touches it; resident memory is bounded by
/// `warm_slots × resident` when idle and by what guests touch when busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Component instances that can be alive at once; the next one is refused as overload. Default 1 100: a thousand tasks in flight
    /// and a tenth more, because a slot is free only after its memory has been reset.
    pub instances: u32,
    /// The largest linear memory any agent may be granted, in bytes. Default 64 MiB. One bulk instruction cannot be interrupted, so
    /// this also bounds how long a guest can hold a core: about 0.1 s for 64 MiB.
    pub memory: usize,
    /// Bytes of a linear memory that stay resident when its slot is reset. Default 4 MiB; guests that touch less cause no page
    /// faults at all on the warm path. Worth 16 MiB or more in an engine for JavaScript or Python agents.
    pub resident: usize,
    /// Free slots that keep their resident pages. Default 64.
    pub warm_slots: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            instances: 1_100,
            memory: 64 << 20,
            resident: 4 << 20,
            warm_slots: 64,
        }
    }
}

impl Pool {
    /// Room for `tasks` at once and a tenth more, because a slot is free only after its memory has been reset.
    pub fn for_in_flight(tasks: usize) -> Self {
        let instances = tasks.saturating_add(tasks.div_ceil(10));
        Self {
            instances: u32::try_from(instances).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }
}

/// An engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start the Wasm engine: {0:#}; a smaller pool (fewer instances) needs less address space"
)]
pub struct EngineError(wasmtime::Error);

/// Makes an engine that executes: slots are reserved here, once. Costs some milliseconds and about 9 GiB of address space (not
/// memory) per slot.
///
/// # Errors
/// When the machine has not enough address space for the pool, or cannot run Cranelift's code.
pub fn engine(pool: &Pool) -> Result<Engine, EngineError> {
    let mut config = config();
    config.allocation_strategy(pooling(pool));
    Engine::new(&config).map_err(EngineError)
}

/// Makes an engine that only compiles. It reserves nothing, so it starts under a tight address-space limit, and what it compiles
/// loads into every [`engine`] of the same build.
///
/// # Errors
/// When the machine's instruction set is not supported.
pub fn compile_only() -> Result<Engine, EngineError> {
    Engine::new(&config()).map_err(EngineError)
}

/// Identifies everything that compiled code depends on: wasmtime's version, target and CPU features, tunables and Wasm features.
/// Two engines with the same id accept each other's artefacts. Stable across processes.
#[must_use]
pub fn engine_id(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Everything that decides what code is generated and how a trap looks. Allocation is not part of it.
fn config() -> Config {
    let mut config = Config::new();
    // One preemption mechanism. Fuel yields to the executor at an interval, so it also gives fairness and cancellation; epochs on
    // top would cost half as much again.
    config.consume_fuel(true).epoch_interruption(false);
    // Agents are replayed: the same input must give the same bits on every machine.
    config
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK);
    config.memory_init_cow(true).generate_address_map(true);
    // The default reads an environment variable and then parses debug information that the guest wrote.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    features_off(&mut config);
    config
}

/// Switches off every proposal that agents do not need: each is code that hostile input could reach.
///
/// Multi-memory stays on, although plugins may not use it: the adapters that wasmtime itself generates between composed components
/// use two memories, and without the feature it panics on them. The pre-scan refuses it in plugins instead.
fn features_off(config: &mut Config) {
    config
        .concurrency_support(false)
        .shared_memory(false)
        .gc_support(false);
    let off = WasmFeatures::GC
        | WasmFeatures::GC_TYPES
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::WIDE_ARITHMETIC
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::CM_ASYNC
        | WasmFeatures::CM_ERROR_CONTEXT
        | WasmFeatures::CM_MAP
        | WasmFeatures::CM_GC
        | WasmFeatures::CM_FIXED_LENGTH_LISTS;
    config.wasm_features(off, false);
}

fn pooling(pool: &Pool) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(pool.instances)
        .total_core_instances(pool.instances.saturating_mul(CORE_INSTANCES_PER_SLOT))
        .total_tables(pool.instances.saturating_mul(TABLES_PER_SLOT))
        .total_memories(memories(pool.instances))
        .total_stacks(pool.instances)
        .max_memory_size(pool.memory)
        .table_elements(TABLE_ELEMENTS)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_core_instance_size(INSTANCE_METADATA)
        .max_component_instance_size(INSTANCE_METADATA)
        .linear_memory_keep_resident(pool.resident.min(pool.memory))
        .table_keep_resident(TABLE_RESIDENT)
        .async_stack_keep_resident(0)
        .max_unused_warm_slots(pool.warm_slots)
        .decommit_batch_size(1);
    // Resets a slot by looking up which pages were touched, instead of unmapping them (Linux 6.7 and later).
    if resets_without_page_faults() {
        pooling.pagemap_scan(Enabled::Yes);
    }
    pooling
}

fn memories(instances: u32) -> u32 {
    let wanted = instances.saturating_mul(MEMORIES_PER_SLOT);
    wanted.min(MEMORIES).max(instances)
}

/// Whether this kernel lets the engine reset a task's memory without page faults (Linux 6.7 and later), which halves the cost of a call.
#[must_use]
pub fn resets_without_page_faults() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

/// Feeds what `Hash` writes to SHA-256. `finish` is required by the trait but not used: eight bytes would not do as an identity.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests;
