//! The bound on earlier answers, and what happens to those that cannot be read.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::id::Digest;
use crate::payload::Payload;

/// A store that keeps `answers` bytes of answers, and whose clock is moved by hand.
fn bounded(answers: u64) -> (TempDir, SqliteStore, Arc<AtomicI64>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(1_000));
    let hand = clock.clone();
    let options = SqliteOptions {
        answers,
        clock: Arc::new(move || hand.load(Ordering::Relaxed)),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open_with(dir.path(), options).unwrap();
    (dir, store, clock)
}

/// Answers come first in the writer's line, so after a change that is waited for they are there.
async fn put(store: &SqliteStore, n: u32, bytes: usize) {
    let answer = Payload::Text("x".repeat(bytes));
    store.answers().put(key(n), &Arc::new(answer));
    let waited_for = Bytes::from(n.to_string());
    store.blobs().put(waited_for).await.unwrap();
}

fn key(n: u32) -> Digest {
    Digest::of(&n.to_le_bytes())
}

async fn kept(store: &SqliteStore, of: u32) -> Vec<u32> {
    let mut kept = Vec::new();
    for n in 0..of {
        if store.answers().get(key(n)).await.is_some() {
            kept.push(n);
        }
    }
    kept
}

#[tokio::test]
async fn the_oldest_make_room_and_what_is_replaced_counts_once() {
    let (dir, store, clock) = bounded(4 * 1_256);
    for n in 0..6 {
        put(&store, n, 1_000).await;
        clock.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(kept(&store, 6).await, [2, 3, 4, 5]);
    put(&store, 2, 1_000).await; // given anew, so 3 is the oldest now
    put(&store, 6, 1_500).await;
    assert_eq!(kept(&store, 7).await, [2, 5, 6]);
    let sums = "SELECT sum(length(bytes) + 256) = (SELECT bytes FROM answers_used) FROM answers";
    let right: bool = raw(&dir).query_row(sums, [], |row| row.get(0)).unwrap();
    assert!(right, "what is counted is what is there");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept_and_pushes_nothing_out() {
    let (_dir, store, _) = bounded(1 << 20);
    put(&store, 0, 10).await;
    put(&store, 1, (4 << 20) + 1).await;
    assert_eq!(kept(&store, 2).await, [0]);
}

#[tokio::test]
async fn an_answer_from_the_future_or_of_an_unknown_form_is_not_there() {
    let (dir, store, clock) = bounded(1 << 20);
    put(&store, 0, 10).await;
    clock.fetch_sub(1, Ordering::Relaxed);
    assert_eq!(kept(&store, 1).await, Vec::<u32>::new());
    clock.fetch_add(1, Ordering::Relaxed);
    assert_eq!(kept(&store, 1).await, [0]);
    raw(&dir)
        .execute("UPDATE answers SET format = 'json'", [])
        .unwrap();
    assert_eq!(kept(&store, 1).await, Vec::<u32>::new());
}
