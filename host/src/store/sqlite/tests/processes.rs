//! Several processes with one file: each has its own handle, and no handle tells the others anything but through the file.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use futures_util::stream::StreamExt as _;

use super::super::super::{Claim, Cursor, Put, QueueTask};
use super::super::holder::Holder;
use super::*;

fn two() -> (TempDir, SqliteStore, SqliteStore) {
    let (dir, one) = open();
    let other = SqliteStore::open(dir.path()).unwrap();
    (dir, one, other)
}

fn task(key: &str) -> QueueTask {
    QueueTask {
        key: key.into(),
        priority: 0,
        delay: Duration::ZERO,
        body: Bytes::new(),
    }
}

#[tokio::test]
async fn each_sees_what_the_other_committed_and_one_of_two_racers_wins() {
    let (_dir, one, other) = two();
    let lane = new_lane();
    for expect in 0..20 {
        let (a, b) = ([step_started(1)], [step_started(2)]);
        let answers = tokio::join!(
            append(&one, lane, expect, &a),
            append(&other, lane, expect, &b)
        );
        let won = [&answers.0, &answers.1]
            .into_iter()
            .filter(|answer| **answer == Ok(Cas::Committed(Rev(expect + 1))));
        assert_eq!(won.count(), 1, "{answers:?}");
        let (seen, seen_too) =
            tokio::join!(one.log().replay(lane.run), other.log().replay(lane.run));
        assert_eq!(seen, seen_too);
        assert_eq!(seen.unwrap().len() as u64, expect + 1);
    }
}

#[tokio::test]
async fn a_new_file_can_be_made_by_several_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let opening = (0..8).map(|_| {
        let dir = dir.path().to_owned();
        tokio::task::spawn_blocking(move || SqliteStore::open(&dir).unwrap())
    });
    for (n, store) in join_all(opening).await.into_iter().enumerate() {
        append(
            &store.unwrap(),
            new_lane(),
            0,
            &[run_started(&n.to_string())],
        )
        .await
        .unwrap();
    }
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.log().runs(None, 99).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_tail_and_a_pull_notice_what_another_process_commits() {
    let (_dir, one, other) = two();
    let (lane, record) = (new_lane(), step_started(1));
    let mut tail = one.log().tail(Cursor(0), None).await.unwrap();
    let write = async {
        tokio::task::yield_now().await;
        append(&other, lane, 0, std::slice::from_ref(&record))
            .await
            .unwrap();
    };
    let (seen, ()) = tokio::join!(tail.next(), write);
    assert_eq!(seen.unwrap().unwrap().record, record);
    let put = async {
        tokio::task::yield_now().await;
        assert_eq!(other.queue().put("q", task("a")).await, Ok(Put::Queued));
    };
    let (leases, ()) = tokio::join!(one.queue().pull("q", 1, Duration::from_secs(3600)), put);
    assert_eq!(leases.unwrap()[0].task().key, "a");
    assert!(
        other
            .queue()
            .pull("q", 1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_writer_waits_for_another_process_that_writes() {
    let (dir, store) = open();
    let other = raw(&dir);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (lane, record) = (new_lane(), [step_started(1)]);
    let mut appending = Box::pin(append(&store, lane, 0, &record));
    assert!(futures_util::poll!(&mut appending).is_pending());
    assert_eq!(
        store.log().head(lane).await,
        Ok(None),
        "readers do not wait"
    );
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(appending.await, Ok(Cas::Committed(Rev(1))));
}

/// Another process on this machine, that does nothing until it is killed.
fn somebody() -> Child {
    Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn a_claim_takes_over_from_a_process_that_was_killed_and_only_then() {
    let (dir, store) = open();
    let mut somebody = somebody();
    store.queue().put("q", task("a")).await.unwrap();
    let _lease = store.queue().pull("q", 1, Duration::ZERO).await.unwrap();
    let holder = Holder::of(somebody.id()).unwrap().to_string();
    raw(&dir)
        .execute("UPDATE tasks SET holder = ?1", [holder])
        .unwrap();
    let Ok(Claim::Held(who)) = store.queue().claim("q", "a").await else {
        panic!("taken from a process that lives");
    };
    let expected = format!("process {} on this machine, since 20", somebody.id());
    assert!(who.starts_with(&expected), "{who}");
    somebody.kill().unwrap();
    somebody.wait().unwrap();
    let Ok(Claim::Taken(lease)) = store.queue().claim("q", "a").await else {
        panic!("not taken from a process that is gone");
    };
    assert_eq!(lease.deliveries(), 2);
}

/// A store whose clock the test sets.
fn with_clock() -> (tempfile::TempDir, SqliteStore, Arc<AtomicI64>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
    let hand = Arc::clone(&clock);
    let options = SqliteOptions {
        clock: Arc::new(move || hand.load(Ordering::Relaxed)),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open_with(dir.path(), options).unwrap();
    (dir, store, clock)
}

#[tokio::test]
async fn a_lease_does_not_outlive_two_terms_when_the_clock_is_set_back() {
    let (_dir, store, clock) = with_clock();
    store.queue().put("q", task("a")).await.unwrap();
    let pull = async || {
        store
            .queue()
            .pull("q", 1, Duration::ZERO)
            .await
            .unwrap()
            .len()
    };
    let turn = |seconds: i64| clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    // The task stays due: it was put before all of this.
    turn(1_000_000);
    assert_eq!(pull().await, 1);
    turn(-30);
    assert_eq!(
        pull().await,
        0,
        "a small step back only makes the lease longer"
    );
    turn(-1);
    assert_eq!(
        pull().await,
        1,
        "a lease that ends too far ahead cannot be right"
    );
}

#[tokio::test]
async fn what_is_not_delayed_does_not_wait_for_a_clock_that_was_set_back() {
    let (_dir, store, clock) = with_clock();
    store.queue().put("q", task("a")).await.unwrap();
    clock.fetch_sub(3_600_000, Ordering::Relaxed);
    let mut taken = store.queue().pull("q", 1, Duration::ZERO).await.unwrap();
    taken.remove(0).retry(Duration::ZERO).await.unwrap();
    clock.fetch_sub(3_600_000, Ordering::Relaxed);
    let again = store.queue().pull("q", 1, Duration::ZERO).await.unwrap();
    assert_eq!(again.len(), 1);
}

#[tokio::test]
async fn what_a_process_held_that_is_gone_is_handed_out_at_once() {
    let (dir, store) = open();
    for key in ["a", "b"] {
        store.queue().put("q", task(key)).await.unwrap();
    }
    let pull = async |free| store.queue().pull("q", free, Duration::ZERO).await.unwrap();
    let held = pull(2).await;
    assert_eq!((held.len(), pull(2).await.len()), (2, 0));
    let mut somebody = somebody();
    let holder = Holder::of(somebody.id()).unwrap().to_string();
    raw(&dir)
        .execute("UPDATE tasks SET holder = ?1 WHERE key = 'a'", [holder])
        .unwrap();
    assert_eq!(pull(2).await.len(), 0, "it lives");
    somebody.kill().unwrap();
    somebody.wait().unwrap();
    let taken = pull(2).await;
    assert_eq!(taken.len(), 1, "the other is held by this process");
    assert_eq!(taken[0].task().key, "a");
    assert!(
        !held[0].renew().await.unwrap(),
        "whoever had it has lost it"
    );
}
