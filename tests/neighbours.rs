//! Agents that mean harm and agents that mean well, on one host at the same time.
//!
//! In one process and through the library, because that is where they could get into each other's way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kennel::call::{Call, Request};
use kennel::failure::FailureKind;
use kennel::payload::Payload;
use kennel::plan::CallStep;
use kennel::registry::{Loader, Registry};
use kennel::sandbox::compile::{CompileLimits, Compiler};
use kennel::sandbox::prescan::ScanCaps;
use kennel::settings::Settings;
use kennel::store::sqlite::SqliteStore;

use crate::harness::{Kennel, kennel_binary};
use crate::hostile;

/// Healthy calls before, and healthy calls during the attack.
const CALLS: usize = 1000;
/// The slowest healthy call in a hundred may take so much longer than without an attack.
const SLOWER: u32 = 5;
/// What is no harm at all, whatever the ratio: two rounds of the attackers, on a machine that others use too.
const FLOOR: Duration = Duration::from_millis(50);

const ATTACKERS: [(&str, FailureKind); 5] = [
    ("spin", FailureKind::OutOfFuel),
    ("hoard", FailureKind::OutOfMemory),
    ("recurse", FailureKind::StackOverflow),
    ("trap", FailureKind::Trapped),
    ("flood", FailureKind::TooMuchData),
];

#[test]
fn agents_that_mean_well_are_served_while_others_attack() {
    let kennel = Kennel::new()
        .settings("[limits]\nmemory = '128MiB'")
        .wat("echo", &hostile::echo())
        .wat("spin", &hostile::spin())
        .manifest("spin", "[limits]\nfuel = '20M'")
        .wat("hoard", &hostile::hoard())
        .wat("recurse", &hostile::recurse())
        .wat("trap", &hostile::trap())
        .wat("flood", &hostile::flood());
    runtime().block_on(async {
        let registry = load(kennel.root(), &kennel.state()).await;
        let echo = agent(&registry, "echo");
        let quiet = p99(&echo).await;
        let attack = Attack::begin(&registry);
        attack.rages().await;
        let attacked = p99(&echo).await;
        let counts = attack.end().await;
        println!("p99 {quiet:?} without an attack, {attacked:?} during one of {counts:?}");
        assert!(
            counts.iter().all(|(_, count)| *count > 0),
            "each attacker was there: {counts:?}"
        );
        assert!(
            attacked <= (quiet * SLOWER).max(FLOOR),
            "{attacked:?} during the attack, {quiet:?} before"
        );
        let after = p99(&echo).await;
        assert!(
            after <= (quiet * SLOWER).max(FLOOR),
            "{after:?} after the attack, {quiet:?} before"
        );
    });
}

/// As the binary makes its own.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .event_interval(1)
        .global_queue_interval(1)
        .build()
        .expect("a runtime")
}

async fn load(root: &Path, state: &Path) -> Registry {
    let settings = Settings::load(&root.join("kennel.toml")).expect("valid");
    let backend = Arc::new(SqliteStore::open(state).expect("opened"));
    let compiler = Compiler::with_program(
        kennel_binary(),
        ScanCaps::default(),
        CompileLimits::default(),
    );
    let loader = Loader::open(settings, state, backend, compiler).expect("opened");
    let registry = Registry::load(&loader, &root.join("agents"))
        .await
        .expect("listed");
    assert!(registry.refused().is_empty(), "{:?}", registry.refused());
    registry
}

fn agent(registry: &Registry, name: &str) -> Arc<dyn Call> {
    let agent = name.parse().expect("a name");
    registry.stack(&CallStep::of(agent)).expect("it is loaded")
}

fn task() -> Request {
    Request::new("task", Arc::new(Payload::Text("hello".into())))
}

/// The time within which 99 of 100 calls are answered; all of them must be, and rightly.
async fn p99(echo: &Arc<dyn Call>) -> Duration {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        // In a task of its own, so that waiting for a turn among the attackers counts.
        let echo = echo.clone();
        let called = tokio::spawn(async move { echo.call(task()).await });
        let reply = called.await.expect("it ends");
        let reply = reply.expect("a healthy call succeeds");
        times.push(begun.elapsed());
        assert_eq!(*reply.output, Payload::Text("hello".into()));
    }
    times.sort();
    times[CALLS * 99 / 100 - 1]
}

/// Every attacker, again and again, all at once.
struct Attack {
    over: Arc<AtomicBool>,
    attackers: Vec<(&'static str, Arc<AtomicUsize>, tokio::task::JoinHandle<()>)>,
}

impl Attack {
    fn begin(registry: &Registry) -> Self {
        let over = Arc::<AtomicBool>::default();
        let attackers = ATTACKERS.map(|(name, kind)| {
            let (agent, over, count) = (
                agent(registry, name),
                over.clone(),
                Arc::<AtomicUsize>::default(),
            );
            let health = registry.plugin(name).expect("it is loaded").health.clone();
            let counted = count.clone();
            let attacker = tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    // Its quarantine would end the attack, and this is about what holds without one.
                    health.release();
                    let error = agent.call(task()).await.expect_err("it means harm");
                    assert_eq!(error.failure.kind, kind, "{name}: {error}");
                    counted.fetch_add(1, Ordering::Relaxed);
                    // A call that never has to wait leaves it to its caller to let others on: runs do, at every record.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            (name, count, attacker)
        });
        Self {
            over,
            attackers: attackers.into(),
        }
    }

    /// Waits until each attacker has struck once: only then is it an attack.
    async fn rages(&self) {
        let all = async {
            let waits =
                |(_, count, _): &(_, Arc<AtomicUsize>, _)| count.load(Ordering::Relaxed) == 0;
            while self.attackers.iter().any(waits) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .expect("each attacker strikes");
    }

    /// Ends it and tells how often each attacker was called.
    async fn end(self) -> Vec<(&'static str, usize)> {
        self.over.store(true, Ordering::Relaxed);
        let mut counts = Vec::new();
        for (name, count, attacker) in self.attackers {
            attacker.await.expect("it ended as an attacker does");
            counts.push((name, count.load(Ordering::Relaxed)));
        }
        counts
    }
}
