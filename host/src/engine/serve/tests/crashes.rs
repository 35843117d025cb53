//! A crash at every point between an event's arrival and the end of its run: the run is there, once, and ends.

use std::path::Path;

use super::*;
use crate::engine::tests::mortal::Mortal;
use crate::store::memory::Faults;
use crate::store::sqlite::{SqliteOptions, SqliteStore};

/// Whether everything that was emitted has been handled: marked for good, and its run has ended.
async fn handled(bench: &Bench, ids: &[&str]) -> bool {
    for id in ids {
        let mark = format!("flow/{}", event(id).key().hex());
        let mark = bench.backend.kv().get(".events", &mark).await;
        if mark.expect("asked").is_none() {
            return false;
        }
    }
    bench.outcomes().await.iter().all(Option::is_some)
}

/// Emits two events and serves them, in a life that ends before or after the `n`th thing it asks of the store. Whether it came so far.
async fn die(backend: SharedBackend, n: usize, after: bool) -> bool {
    let mortal = Mortal::new(backend, n, after);
    let died = mortal.died();
    let bench = Bench::over(Arc::new(mortal), "flow", echo());
    let life = async {
        bench.emit("1").await;
        bench.emit("2").await;
        bench.serve_until(async |bench| ended(bench, 2).await).await;
    };
    tokio::select! {
        () = life => false,
        () = died => true,
    }
}

/// The life after: whoever emitted does not know whether it did, and does it again.
async fn live_on(backend: SharedBackend, what: &str) {
    let bench = Bench::over(backend, "flow", echo());
    bench.emit("1").await;
    bench.emit("2").await;
    bench
        .serve_until(async |bench| handled(bench, &["1", "2"]).await)
        .await;
    let outcomes = bench.outcomes().await;
    assert_eq!(outcomes, [Some(RunOutcome::Succeeded); 2], "{what}");
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_crash_at_any_point_loses_no_event_and_starts_no_run_twice() {
    let mut points = 0;
    for n in 0.. {
        let mut died = false;
        for after in [false, true] {
            let store = MemoryStore::new();
            Bench::new(&store, echo()).listen().await;
            died |= die(Arc::new(store.clone()), n, after).await;
            let rest = live_on(Arc::new(store.fork()), "in memory");
            let rest = tokio::time::timeout(Duration::from_secs(600), rest).await;
            assert!(rest.is_ok(), "stuck after a crash at {n}, after: {after}");
        }
        if !died {
            break;
        }
        points = n;
    }
    assert!(points > 20, "only {points} points: the test sees nothing");
}

/// The same file, as a process sees it that starts ten minutes later: whoever held a lease is gone.
fn open(dir: &Path, later: i64) -> SharedBackend {
    let options = SqliteOptions {
        clock: Arc::new(move || Timestamp::now().as_millisecond() + later),
        ..SqliteOptions::default()
    };
    Arc::new(SqliteStore::open_with(dir, options).expect("opened"))
}

#[tokio::test]
async fn in_sqlite_a_crash_at_any_point_loses_no_event_and_starts_no_run_twice() {
    for n in 0.. {
        let mut died = false;
        for after in [false, true] {
            let dir = tempfile::tempdir().expect("a directory");
            let backend = open(dir.path(), 0);
            Bench::over(backend.clone(), "flow", echo()).listen().await;
            died |= die(backend, n, after).await;
            live_on(open(dir.path(), 600_000), &format!("{n}, after: {after}")).await;
        }
        if !died {
            return assert!(n > 20, "only {n} points: the test sees nothing");
        }
    }
}

/// Every fault the contract allows, and a crash at a random moment.
#[tokio::test(start_paused = true)]
async fn over_faults_and_a_crash_each_event_has_one_run() {
    const FAULTS: Faults = Faults {
        unavailable: 0.05,
        lost_answer: 0.05,
        lost_hint: 0.5,
        double_delivery: 0.2,
        disorder: 0.3,
        lapse: 0.05,
        pause: 0.2,
    };
    for seed in 0..60 {
        let store = MemoryStore::with_faults(seed, FAULTS);
        let bench = Bench::new(&store, taking(Duration::from_millis(3)));
        let ids: Vec<_> = (0..8).map(|n| n.to_string()).collect();
        let life = async {
            let mut tell = |told: Told<'_>| bench.hear(told);
            let never = std::future::pending();
            // It may give up on a fault before it has begun; then the next life does it all.
            drop(bench.engine().serve(&bench.serving, &mut tell, never).await);
        };
        let emitting = async {
            for id in &ids {
                // An emitter that was not answered does not know, and asks again below.
                drop(
                    bench
                        .delivery()
                        .publish(&event(id), (bench.serving.clock)())
                        .await,
                );
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let crash = Duration::from_millis(1 + seed % 25);
        drop(tokio::time::timeout(crash, async { tokio::join!(life, emitting) }).await);

        let next = Bench::new(&store.fork(), echo());
        next.listen().await;
        for id in &ids {
            next.emit(id).await;
        }
        let every: Vec<&str> = ids.iter().map(String::as_str).collect();
        let rest = next.serve_until(async |bench| handled(bench, &every).await);
        let rest = tokio::time::timeout(Duration::from_secs(3600), rest).await;
        assert!(
            rest.is_ok(),
            "seed {seed}: stuck, {:?}",
            next.outcomes().await
        );
        let outcomes = next.outcomes().await;
        assert_eq!(outcomes, [Some(RunOutcome::Succeeded); 8], "seed {seed}");
    }
}
