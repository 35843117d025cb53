//! Events on their way, over the store in memory: who gets them, how often, and what is left after a loss.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{Backend as _, Claim, LEASE_TERM};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn delivery(store: &MemoryStore) -> Delivery {
    Delivery::new(Arc::new(store.clone()))
}

fn event(id: &str) -> CloudEvent {
    CloudEvent::new(
        "/test",
        id,
        "price".parse().expect("a type"),
        json!({ "n": id }),
    )
    .expect("an event")
}

/// A store in which these flows listen for `price`.
async fn listening(flows: &[&str]) -> (MemoryStore, Delivery) {
    let store = MemoryStore::new();
    let delivery = delivery(&store);
    for flow in flows {
        listen(&delivery, flow, "price").await;
    }
    (store, delivery)
}

async fn listen(delivery: &Delivery, flow: &str, event_type: &str) {
    let types = [event_type.parse().expect("a type")].into();
    let subscribed = delivery
        .subscribe(flow, types, Digest::of(b"flow"), NOW)
        .await;
    subscribed.expect("subscribed");
}

async fn publish(delivery: &Delivery, event: &CloudEvent) -> Vec<(String, Delivered)> {
    delivery.publish(event, NOW).await.expect("published").flows
}

async fn take(delivery: &Delivery, flow: &str) -> Vec<Taken> {
    delivery
        .take(flow, 10, Duration::ZERO)
        .await
        .expect("taken")
}

async fn accept(taken: Vec<Taken>) {
    for taken in taken {
        taken.accepted().await.expect("marked");
    }
}

#[tokio::test(start_paused = true)]
async fn one_event_reaches_every_flow_that_listens_for_its_type() {
    let (_, delivery) = listening(&["a", "b"]).await;
    listen(&delivery, "deaf", "news").await;
    let flows = publish(&delivery, &event("1")).await;
    assert_eq!(
        flows,
        [
            ("a".into(), Delivered::Queued),
            ("b".into(), Delivered::Queued)
        ]
    );
    let runs = [take(&delivery, "a").await, take(&delivery, "b").await].map(|taken| {
        assert_eq!(taken[0].event(), &event("1"));
        taken[0].run()
    });
    assert_ne!(runs[0], runs[1], "each flow has a run of its own");
    assert!(take(&delivery, "deaf").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_listens_for_is_dropped_and_that_is_said() {
    let (_, delivery) = listening(&[]).await;
    assert_eq!(publish(&delivery, &event("1")).await, []);
    listen(&delivery, "late", "price").await;
    assert!(take(&delivery, "late").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_known_while_the_event_waits_while_it_is_worked_on_and_for_good() {
    let (_, delivery) = listening(&["a"]).await;
    let again = || async { publish(&delivery, &event("1")).await[0].1 };
    assert_eq!(again().await, Delivered::Queued);
    assert_eq!(again().await, Delivered::Duplicate, "it waits");
    let taken = take(&delivery, "a").await;
    assert_eq!(again().await, Delivered::Duplicate, "it is worked on");
    accept(taken).await;
    assert_eq!(again().await, Delivered::Duplicate, "it was accepted");
    assert!(take(&delivery, "a").await.is_empty());
    assert_eq!(
        publish(&delivery, &event("2")).await[0].1,
        Delivered::Queued
    );
}

#[tokio::test(start_paused = true)]
async fn what_slipped_into_the_queue_although_it_was_accepted_is_not_handed_out() {
    let (store, delivery) = listening(&["a"]).await;
    publish(&delivery, &event("1")).await;
    // A publisher that was asleep since it looked for the mark.
    let Ok(Claim::Taken(lease)) = store
        .queue()
        .claim("events.a", &event("1").key().hex())
        .await
    else {
        panic!("not there")
    };
    let task = lease.task().clone();
    lease.retry(Duration::ZERO).await.expect("given back");
    accept(take(&delivery, "a").await).await;
    store.queue().put("events.a", task).await.expect("put");
    assert!(take(&delivery, "a").await.is_empty());
    let gone = store
        .queue()
        .claim("events.a", &event("1").key().hex())
        .await;
    assert!(matches!(gone, Ok(Claim::Absent)), "and it is gone");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_lease_was_lost_comes_again_and_means_the_same_run() {
    let (store, delivery) = listening(&["a"]).await;
    publish(&delivery, &event("1")).await;
    let lost = take(&delivery, "a").await.remove(0).run();
    assert!(take(&delivery, "a").await.is_empty(), "somebody has it");
    let after_a_crash = self::delivery(&store.fork());
    let again = after_a_crash
        .take("a", 10, LEASE_TERM * 2)
        .await
        .expect("taken");
    assert_eq!(again[0].run(), lost);
    assert_eq!(again[0].event(), &event("1"));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_that_flow_alone() {
    let store = MemoryStore::new().with_queue_limit(1);
    let delivery = delivery(&store);
    listen(&delivery, "a", "price").await;
    publish(&delivery, &event("1")).await;
    listen(&delivery, "b", "price").await;
    let published = delivery.publish(&event("2"), NOW).await.expect("published");
    assert_eq!(published.at(Delivered::Full).collect::<Vec<_>>(), ["a"]);
    assert_eq!(published.at(Delivered::Queued).collect::<Vec<_>>(), ["b"]);
    accept(take(&delivery, "a").await).await;
    assert_eq!(
        publish(&delivery, &event("2")).await,
        [
            ("a".into(), Delivered::Queued),
            ("b".into(), Delivered::Duplicate)
        ],
        "so it may be emitted again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_event_travels_as_a_blob() {
    let (_, delivery) = listening(&["a"]).await;
    let large = CloudEvent {
        data: json!("x".repeat(500_000)),
        ..event("1")
    };
    assert_eq!(publish(&delivery, &large).await[0].1, Delivered::Queued);
    assert_eq!(take(&delivery, "a").await[0].event(), &large);
}

#[tokio::test(start_paused = true)]
async fn a_large_event_that_finds_no_room_leaves_no_blob() {
    let store = MemoryStore::new().with_queue_limit(1);
    let delivery = delivery(&store);
    listen(&delivery, "a", "price").await;
    publish(&delivery, &event("1")).await;
    let large = |id: &str| CloudEvent {
        data: json!("x".repeat(INLINE_MAX)),
        ..event(id)
    };
    let kept = |id: &str| {
        let digest = Digest::of(large(id).to_value().to_string().as_bytes());
        let store = store.clone();
        async move { store.blobs().has(digest).await.expect("looked") }
    };
    assert_eq!(publish(&delivery, &large("2")).await[0].1, Delivered::Full);
    assert_eq!(
        publish(&delivery, &large("1")).await[0].1,
        Delivered::Duplicate
    );
    assert!(!kept("2").await && !kept("1").await);
    accept(take(&delivery, "a").await).await;
    assert_eq!(
        publish(&delivery, &large("2")).await[0].1,
        Delivered::Queued
    );
    assert!(kept("2").await);
}

#[tokio::test(start_paused = true)]
async fn how_many_events_led_to_one_travels_with_it() {
    let (_, delivery) = listening(&["a"]).await;
    for (id, size) in [("1", 1), ("2", INLINE_MAX)] {
        let data = json!("x".repeat(size));
        let third = CloudEvent { data, ..event(id) }.after(3);
        publish(&delivery, &third.expect("an event")).await;
    }
    let taken = take(&delivery, "a").await;
    let hops: Vec<_> = taken.iter().map(|taken| taken.event().hops).collect();
    assert_eq!(hops, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_put_off_and_holds_nobody_up() {
    let (store, delivery) = listening(&["a"]).await;
    let entry = |key: &str, body: &'static [u8]| QueueTask {
        key: key.into(),
        priority: 2,
        delay: Duration::ZERO,
        body: body.into(),
    };
    for (key, body) in [
        ("damaged", &b"{"[..]),
        ("newer", br#"{"version":9,"at":0,"event":{}}"#),
        ("foreign", br#"{"version":1,"at":0,"event":{"id":"1"}}"#),
    ] {
        store
            .queue()
            .put("events.a", entry(key, body))
            .await
            .expect("put");
    }
    publish(&delivery, &event("1")).await;
    let taken = take(&delivery, "a").await;
    assert_eq!(
        taken.iter().map(Taken::event).collect::<Vec<_>>(),
        [&event("1")]
    );
    let put_off = store.queue().claim("events.a", "newer").await;
    assert!(
        matches!(put_off, Ok(Claim::Taken(_))),
        "an update of kennel can still read it"
    );
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_stays_unreadable_is_dropped_and_gives_its_place_back() {
    let store = MemoryStore::new().with_queue_limit(1);
    let delivery = delivery(&store);
    listen(&delivery, "a", "price").await;
    put_damaged(&store).await;
    for _ in 0..LOOKS {
        let full = publish(&delivery, &event("1")).await;
        assert_eq!(full[0].1, Delivered::Full);
        assert!(take(&delivery, "a").await.is_empty());
        tokio::time::advance(UNREADABLE).await;
    }
    let queued = publish(&delivery, &event("1")).await;
    assert_eq!(queued[0].1, Delivered::Queued);
    assert_eq!(take(&delivery, "a").await[0].event(), &event("1"));
}

#[tokio::test(start_paused = true)]
async fn an_ended_subscription_leaves_nothing_behind_that_was_put_off() {
    let (store, delivery) = listening(&["a"]).await;
    put_damaged(&store).await;
    assert!(take(&delivery, "a").await.is_empty(), "it is put off");
    publish(&delivery, &event("1")).await;
    let mut taken = take(&delivery, "a").await;
    let later = Duration::from_secs(60);
    taken.remove(0).later(later).await.expect("put off");
    assert_eq!(delivery.unsubscribe("a").await, Ok(Some(2)));
    let room = store.queue().room("events.a", "damaged").await;
    assert_eq!(room, Ok(Put::Queued));
}

#[tokio::test(start_paused = true)]
async fn an_event_too_long_to_be_read_again_is_never_queued() {
    let (_, delivery) = listening(&["a"]).await;
    let long = CloudEvent {
        data: json!("\u{1}".repeat(256 << 10)),
        ..event("1")
    };
    let refused = delivery.publish(&long, NOW).await;
    assert!(
        matches!(&refused, Err(StoreError::Refused(why)) if why.contains("put what is large into a blob")),
        "{refused:?}"
    );
    assert_eq!(delivery.unsubscribe("a").await, Ok(Some(0)));
}

async fn put_damaged(store: &MemoryStore) {
    let task = QueueTask {
        key: "damaged".into(),
        priority: 2,
        delay: Duration::ZERO,
        body: b"{"[..].into(),
    };
    let put = store.queue().put("events.a", task).await;
    assert_eq!(put, Ok(Put::Queued));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_outlives_its_process_until_it_is_ended() {
    let (store, delivery) = listening(&["a", "b"]).await;
    listen(&delivery, "a", "news").await;
    let other = self::delivery(&store.fork());
    let of = |flow: &str, all: Vec<Subscription>| {
        let one = all.into_iter().find(|one| one.flow == flow);
        one.map(|one| {
            one.types
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })
    };
    let all = other.subscriptions().await.expect("read");
    assert_eq!(
        of("a", all.clone()),
        Some(vec!["news".into()]),
        "the last word holds"
    );
    assert_eq!(of("b", all), Some(vec!["price".into()]));
    publish(&other, &event("1")).await;
    assert_eq!(other.unsubscribe("b").await, Ok(Some(1)));
    assert_eq!(other.unsubscribe("b").await, Ok(None));
    assert_eq!(publish(&other, &event("2")).await, []);
    assert!(take(&other, "b").await.is_empty());
}

#[test]
fn a_flow_with_any_name_has_a_queue_that_every_backend_can_name() {
    assert_eq!(queue("watch-prices"), "events.watch-prices");
    for odd in ["", "a b", "a.b", "a/b", "ä", &"n".repeat(64)] {
        assert_eq!(queue(odd).len(), "events.".len() + 64, "{odd}");
    }
    assert_ne!(queue("a b"), queue("a c"));
}
