//! What the host costs, as ratios to what wasmtime costs in the same process: `cargo bench -p kennel`.
//!
//! Criterion measures each row and says how sure it is; the table at the end puts the rows into proportion and beside their goals.
//! Times differ between machines and hours, ratios hardly do, so nothing here passes or fails. It takes a minute. A machine that does
//! other things meanwhile disturbs medians; the second column is taken from the fastest tenth of the samples. Two threads are only
//! faster than one where two cores are free, and SQLite's time is the disk's.
//!
//! - `cargo bench -p kennel -- echo` measures the rows whose name contains `echo`; the table leaves out what it has no number for.
//! - `cargo bench -p kennel -- --profile-time 10 echo/stack` only executes a row, for `perf record --call-graph dwarf`.
//! - The rows of the Rust agent need it built first:
//!   `cargo build -p kennel-sdk --example word_count --target wasm32-wasip2 --profile guest`.
//!
//! It refuses to measure guests: the agents do next to nothing.

mod agents;
mod flows;
mod plugins;
mod raw;
mod table;

use std::cell::OnceCell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use criterion::Criterion;
use kennel::call::{Call, Request};
use kennel::payload::Payload;
use kennel::plan::{Cache, CallStep, Fallback, Policy, Retry};
use kennel::policy;
use kennel::store::SharedBackend;
use kennel::store::memory::MemoryStore;
use kennel::store::sqlite::SqliteStore;
use tokio::runtime::Runtime;

use self::agents::{Guest, agent, task};
use self::flows::Flow;
use self::plugins::Plugins;
use self::raw::Raw;

fn main() {
    let began = SystemTime::now();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .nresamples(10_000)
        .output_directory(&table::directory())
        .configure_from_args();
    let runtime = runtime();
    let host = agents::host();
    let echo = Guest::echo(&host);
    calls(&mut criterion, &runtime, "echo", &echo);
    cached(&mut criterion, &runtime, &echo);
    threads(&mut criterion, &runtime, &echo);
    runs(&mut criterion, &runtime, &echo);
    if let Some(rust) = Guest::rust(&host) {
        calls(&mut criterion, &runtime, "rust", &rust);
    }
    loads(&mut criterion, &runtime);
    criterion.final_summary();
    table::print(began);
}

/// The runtime of the `kennel` command, with two workers.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .event_interval(1)
        .global_queue_interval(1)
        .build()
        .expect("a runtime")
}

/// The three ways to ask one agent: without the host, in its sandbox, and through every policy that does not answer by itself.
fn calls(criterion: &mut Criterion, runtime: &Runtime, name: &str, guest: &Guest) {
    let raw = Arc::new(Raw::new(guest));
    let input = guest.input.clone();
    row(criterion, runtime, (name, "raw"), move || {
        let (raw, input) = (raw.clone(), input.clone());
        async move { drop(raw.call(&input).await.expect("an answer")) }
    });
    let sandbox: Arc<dyn Call> = guest.sandbox.clone();
    ask(criterion, runtime, (name, "sandbox"), sandbox, &guest.input);
    let stack = policy::stack(&under_policies(), &guest.providers()).expect("the agents are there");
    ask(criterion, runtime, (name, "stack"), stack, &guest.input);
}

/// Asks `call` the same again and again.
fn ask(
    criterion: &mut Criterion,
    runtime: &Runtime,
    id: (&str, &str),
    call: Arc<dyn Call>,
    input: &Arc<Payload>,
) {
    let task_id: Arc<str> = Arc::from("01JD0000000000000000000000/step");
    let input = input.clone();
    row(criterion, runtime, id, move || {
        let request = Request::new(task_id.clone(), input.clone());
        let call = call.clone();
        async move { drop(call.call(request).await.expect("an answer")) }
    });
}

/// Timeout, retry and a fallback; the limit on what executes at once is always there.
fn under_policies() -> CallStep {
    CallStep {
        policy: Policy {
            timeout: Some(Duration::from_secs(30)),
            retry: Some(Retry::default()),
            fallback: vec![Fallback {
                call: Box::new(plain("other")),
                with: None,
            }],
            ..Policy::default()
        },
        ..plain("asked")
    }
}

fn plain(name: &str) -> CallStep {
    CallStep::of(agent(name))
}

/// The answer cache around a plain call: when it knows the answer, and when it does not and keeps it.
fn cached(criterion: &mut Criterion, runtime: &Runtime, guest: &Guest) {
    let mut step = plain("asked");
    step.policy.cache = Some(Cache {
        ttl: Duration::from_secs(3_600),
        key: None,
    });
    let call = policy::stack(&step, &guest.providers()).expect("the agent is there");
    ask(
        criterion,
        runtime,
        ("cache", "hit"),
        call.clone(),
        &guest.input,
    );
    let number = Arc::new(AtomicU64::new(1));
    row(criterion, runtime, ("cache", "miss"), move || {
        let input = Arc::new(task(number.fetch_add(1, Ordering::Relaxed)));
        let call = call.clone();
        async move {
            let reply = call.call(Request::new("task", input)).await;
            assert!(reply.expect("an answer").trail.cached.is_none());
        }
    });
}

/// The same calls on one thread and on two, per call. Threads of their own, because the runtime is free to give two tasks that never
/// wait to one worker.
fn threads(criterion: &mut Criterion, runtime: &Runtime, guest: &Guest) {
    let work = || {
        let request = Request::new("task", guest.input.clone());
        let sandbox = guest.sandbox.clone();
        async move { drop(sandbox.call(request).await.expect("an answer")) }
    };
    for (name, threads) in [("one", 1), ("two", 2)] {
        let mut group = criterion.benchmark_group("threads");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let each = times.div_ceil(threads);
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| runtime.block_on(repeat(each, work)));
                    }
                });
                start.elapsed()
            });
        });
    }
}

/// Whole runs. Each batch of them has an empty store, made before its time counts.
fn runs(criterion: &mut Criterion, runtime: &Runtime, guest: &Guest) {
    let sequence = Arc::new(Flow::sequence(guest));
    let expressions = Arc::new(Flow::expressions(guest));
    let fan_out = Arc::new(Flow::fan_out(guest));
    let pipeline = Arc::new(Flow::pipeline(guest));
    for (name, flow) in [
        ("sequence-memory", &sequence),
        ("expressions-memory", &expressions),
        ("fan-out-memory", &fan_out),
        ("pipeline-memory", &pipeline),
    ] {
        batch(criterion, runtime, ("flow", name), || {
            let store: SharedBackend = Arc::new(MemoryStore::new());
            let flow = flow.clone();
            move || {
                let (flow, store) = (flow.clone(), store.clone());
                async move { flow.run(store).await }
            }
        });
    }
    let dir = tempfile::tempdir().expect("a directory");
    let sqlite = SqliteStore::open(dir.path()).expect("a store");
    for (name, flow) in [
        ("sequence-sqlite", &sequence),
        ("fan-out-sqlite", &fan_out),
        ("pipeline-sqlite", &pipeline),
    ] {
        let store: SharedBackend = Arc::new(sqlite.clone());
        let (asked, runs) = (sqlite.syncs(), Arc::new(AtomicU64::new(0)));
        let counted = runs.clone();
        let flow = flow.clone();
        row(criterion, runtime, ("flow", name), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let (flow, store) = (flow.clone(), store.clone());
            async move { flow.run(store).await }
        });
        let runs = runs.load(Ordering::Relaxed);
        if runs > 0 {
            let each = (sqlite.syncs() - asked) as f64 / runs as f64;
            println!("{name}: waits for the disk {each:.1} times a run");
        }
    }
}

/// A start with a hundred plugins, which are compiled only when this is measured.
fn loads(criterion: &mut Criterion, runtime: &Runtime) {
    let compiled = OnceCell::new();
    batch(criterion, runtime, ("load", "hundred-plugins"), || {
        let plugins = compiled.get_or_init(|| Arc::new(runtime.block_on(Plugins::compiled())));
        let plugins = plugins.clone();
        move || {
            let plugins = plugins.clone();
            async move { drop(plugins.load().await) }
        }
    });
}

/// Measures `work` again and again, on a worker of the runtime as in the host.
fn row<F: Future<Output = ()> + Send + 'static>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    id: (&str, &str),
    work: impl Fn() -> F + Clone + Send + 'static,
) {
    batch(criterion, runtime, id, || work.clone());
}

/// Measures what `prepare` makes for each batch.
fn batch<W, F>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    (group, name): (&str, &str),
    prepare: impl Fn() -> W,
) where
    W: Fn() -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    criterion
        .benchmark_group(group)
        .bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let repeated = runtime.spawn(repeat(times, prepare()));
                runtime.block_on(repeated).expect("no panic")
            });
        });
}

/// How long `times` calls of `work` in a row take.
async fn repeat<F: Future<Output = ()>>(times: u64, work: impl Fn() -> F) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        work().await;
    }
    start.elapsed()
}
