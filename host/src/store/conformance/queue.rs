//! What every queue must do.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::super::{Claim, LEASE_TERM, Lease, MAX_TASK_BODY, Put, Queue, QueueTask, StoreError};
use super::{LIMIT, Rig, STUCK};

const MOMENT: Duration = Duration::from_millis(1);

fn task(key: &str) -> QueueTask {
    QueueTask {
        key: key.into(),
        priority: 5,
        delay: Duration::ZERO,
        body: Bytes::copy_from_slice(key.as_bytes()),
    }
}

async fn put(queue: &dyn Queue, key: &str) {
    assert_eq!(queue.put("q", task(key)).await, Ok(Put::Queued));
}

async fn pull(queue: &dyn Queue, free: usize) -> Vec<Box<dyn Lease>> {
    queue.pull("q", free, Duration::ZERO).await.unwrap()
}

/// Waits much longer than the test does, so that only a wake-up can bring the task in time.
async fn pull_patiently(queue: &dyn Queue) -> Vec<Box<dyn Lease>> {
    let pull = queue.pull("q", 1, STUCK * 60);
    let pulled = tokio::time::timeout(STUCK, pull).await;
    pulled.expect("the pull was not woken").unwrap()
}

async fn pull_one(queue: &dyn Queue) -> Box<dyn Lease> {
    pull(queue, 1).await.pop().expect("a task")
}

fn keys(leases: &[Box<dyn Lease>]) -> Vec<&str> {
    leases
        .iter()
        .map(|lease| lease.task().key.as_str())
        .collect()
}

fn taken(claim: Claim) -> Box<dyn Lease> {
    match claim {
        Claim::Taken(lease) => lease,
        Claim::Held(who) => panic!("held by {who}"),
        Claim::Absent => panic!("absent"),
    }
}

pub(super) async fn a_task_is_handed_out_once_while_its_lease_holds(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let lease = pull_one(queue).await;
    assert_eq!(lease.task(), &task("a"));
    assert_eq!((lease.deliveries(), lease.term()), (1, LEASE_TERM));
    rig.pass(LEASE_TERM - MOMENT).await;
    assert!(pull(queue, 9).await.is_empty());
}

pub(super) async fn a_lapsed_lease_is_handed_out_again(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    for deliveries in 1..4 {
        let lease = pull_one(queue).await;
        assert_eq!(lease.deliveries(), deliveries);
        rig.pass(LEASE_TERM).await;
    }
}

pub(super) async fn a_renewed_lease_holds_for_another_term(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let lease = pull_one(queue).await;
    for _ in 0..5 {
        rig.pass(LEASE_TERM - MOMENT).await;
        assert_eq!(lease.renew().await, Ok(true));
    }
    rig.pass(LEASE_TERM - MOMENT).await;
    assert!(pull(queue, 1).await.is_empty());
    rig.pass(MOMENT).await;
    assert_eq!(pull(queue, 1).await.len(), 1);
}

pub(super) async fn a_lease_lost_to_somebody_else_cannot_be_renewed_nor_end_the_task(
    rig: impl Rig,
) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let slow = pull_one(queue).await;
    let other_slow = {
        rig.pass(LEASE_TERM).await;
        pull_one(queue).await
    };
    rig.pass(LEASE_TERM).await;
    let present = pull_one(queue).await;
    assert_eq!(slow.renew().await, Ok(false));
    slow.done().await.unwrap();
    other_slow.retry(Duration::ZERO).await.unwrap();
    assert!(
        pull(queue, 1).await.is_empty(),
        "the present lease was touched"
    );
    assert_eq!(present.renew().await, Ok(true));
}

pub(super) async fn a_lapsed_lease_that_nobody_took_can_still_be_used(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let lease = pull_one(queue).await;
    rig.pass(LEASE_TERM * 3).await;
    assert_eq!(lease.renew().await, Ok(true));
    assert!(pull(queue, 1).await.is_empty());
}

pub(super) async fn a_finished_task_is_gone(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    pull_one(queue).await.done().await.unwrap();
    rig.pass(LEASE_TERM * 3).await;
    assert!(pull(queue, 1).await.is_empty());
}

pub(super) async fn a_task_tried_later_waits_for_its_delay(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let delay = Duration::from_secs(90);
    pull_one(queue).await.retry(delay).await.unwrap();
    rig.pass(delay - MOMENT).await;
    assert!(pull(queue, 1).await.is_empty());
    rig.pass(MOMENT).await;
    assert_eq!(pull_one(queue).await.deliveries(), 2);
}

pub(super) async fn a_delayed_task_is_not_handed_out_before_its_time(rig: impl Rig) {
    let queue = rig.store().queue();
    let delay = Duration::from_secs(3600);
    let late = QueueTask {
        delay,
        ..task("late")
    };
    assert_eq!(queue.put("q", late).await, Ok(Put::Queued));
    rig.pass(delay - MOMENT).await;
    assert!(pull(queue, 1).await.is_empty());
    rig.pass(MOMENT).await;
    assert_eq!(keys(&pull(queue, 1).await), ["late"]);
}

pub(super) async fn a_key_is_in_a_queue_once_and_free_again_afterwards(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    assert_eq!(queue.put("q", task("a")).await, Ok(Put::Duplicate));
    assert_eq!(queue.put("other", task("a")).await, Ok(Put::Queued));
    let lease = pull_one(queue).await;
    assert_eq!(
        queue.put("q", task("a")).await,
        Ok(Put::Duplicate),
        "leased is still there"
    );
    lease.done().await.unwrap();
    put(queue, "a").await;
    assert_eq!(pull_one(queue).await.deliveries(), 1);
}

pub(super) async fn a_full_queue_pushes_back_and_others_do_not_notice(rig: impl Rig) {
    let queue = rig.store().queue();
    for n in 0..LIMIT {
        put(queue, &n.to_string()).await;
    }
    assert_eq!(queue.put("q", task("more")).await, Ok(Put::Full));
    assert_eq!(queue.put("q", task("3")).await, Ok(Put::Duplicate));
    assert_eq!(queue.put("other", task("more")).await, Ok(Put::Queued));
    let lease = pull_one(queue).await;
    assert_eq!(
        queue.put("q", task("more")).await,
        Ok(Put::Full),
        "leased tasks count"
    );
    lease.done().await.unwrap();
    put(queue, "more").await;
}

pub(super) async fn higher_priorities_go_first_and_the_oldest_first_among_equals(rig: impl Rig) {
    let queue = rig.store().queue();
    for (key, priority) in [("b1", 5), ("c", 0), ("b2", 5), ("a", 255), ("b0", 5)] {
        let task = QueueTask {
            priority,
            ..task(key)
        };
        assert_eq!(queue.put("q", task).await, Ok(Put::Queued));
    }
    assert_eq!(keys(&pull(queue, 2).await), ["a", "b1"]);
    assert_eq!(keys(&pull(queue, 9).await), ["b2", "b0", "c"]);
}

pub(super) async fn a_pull_takes_no_more_than_asked_for(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    put(queue, "b").await;
    assert!(
        queue
            .pull("q", 0, Duration::from_secs(60))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(pull(queue, 1).await.len(), 1);
    assert_eq!(pull(queue, 9).await.len(), 1);
    assert!(
        queue
            .pull("unknown", 1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn a_waiting_pull_is_woken_by_a_put(rig: impl Rig) {
    let queue = rig.store().queue();
    let put = async {
        tokio::task::yield_now().await;
        put(queue, "a").await;
    };
    let (leases, ()) = tokio::join!(pull_patiently(queue), put);
    assert_eq!(keys(&leases), ["a"]);
}

pub(super) async fn a_waiting_pull_is_woken_by_a_retry(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let lease = pull_one(queue).await;
    let retry = async {
        tokio::task::yield_now().await;
        lease.retry(Duration::ZERO).await.unwrap();
    };
    let (leases, ()) = tokio::join!(pull_patiently(queue), retry);
    assert_eq!(leases[0].deliveries(), 2);
}

pub(super) async fn a_pull_gives_up_after_its_wait(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let _lease = pull_one(queue).await;
    let wait = Duration::from_millis(20);
    let started = tokio::time::Instant::now();
    assert!(queue.pull("q", 1, wait).await.unwrap().is_empty());
    assert!(started.elapsed() >= wait);
}

pub(super) async fn many_pullers_share_tasks_without_overlap(rig: impl Rig) {
    let queue = rig.store().queue();
    for n in 0..LIMIT {
        put(queue, &n.to_string()).await;
    }
    let pulls = join_all((0..LIMIT).map(|_| pull(queue, 3))).await;
    let mut got: Vec<usize> = pulls
        .iter()
        .flat_map(|leases| keys(leases))
        .map(|key| key.parse().unwrap())
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..LIMIT).collect::<Vec<_>>());
}

pub(super) async fn a_claim_takes_a_free_task_before_it_is_due(rig: impl Rig) {
    let queue = rig.store().queue();
    let delay = Duration::from_secs(3600);
    queue
        .put("q", QueueTask { delay, ..task("a") })
        .await
        .unwrap();
    let lease = taken(queue.claim("q", "a").await.unwrap());
    assert_eq!((lease.task(), lease.deliveries()), (&task("a"), 1));
    lease.done().await.unwrap();
    assert!(matches!(queue.claim("q", "a").await, Ok(Claim::Absent)));
}

pub(super) async fn a_claim_is_refused_while_the_holder_lives(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let lease = pull_one(queue).await;
    let Ok(Claim::Held(who)) = queue.claim("q", "a").await else {
        panic!("the claim was not refused");
    };
    assert!(who.contains("process"), "{who}");
    assert_eq!(lease.renew().await, Ok(true));
}

pub(super) async fn a_claim_takes_over_a_lapsed_lease(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    let slow = pull_one(queue).await;
    rig.pass(LEASE_TERM).await;
    let lease = taken(queue.claim("q", "a").await.unwrap());
    assert_eq!(lease.deliveries(), 2);
    assert_eq!(slow.renew().await, Ok(false));
}

pub(super) async fn a_claim_of_nothing_finds_nothing(rig: impl Rig) {
    let queue = rig.store().queue();
    put(queue, "a").await;
    assert!(matches!(queue.claim("q", "b").await, Ok(Claim::Absent)));
    assert!(matches!(queue.claim("other", "a").await, Ok(Claim::Absent)));
}

pub(super) async fn a_body_that_is_too_large_is_refused(rig: impl Rig) {
    let queue = rig.store().queue();
    let body = Bytes::from(vec![0; MAX_TASK_BODY + 1]);
    let exact = QueueTask {
        body: body.slice(1..),
        ..task("a")
    };
    assert_eq!(queue.put("q", exact).await, Ok(Put::Queued));
    let large = queue.put("q", QueueTask { body, ..task("b") }).await;
    assert!(matches!(large, Err(StoreError::Refused(_))), "{large:?}");
    assert_eq!(pull(queue, 9).await.len(), 1);
}

pub(super) async fn room_tells_what_a_put_would_answer_and_puts_nothing(rig: impl Rig) {
    let queue = rig.store().queue();
    for n in 0..LIMIT {
        assert_eq!(queue.room("q", &n.to_string()).await, Ok(Put::Queued));
        put(queue, &n.to_string()).await;
    }
    assert_eq!(queue.room("q", "3").await, Ok(Put::Duplicate));
    assert_eq!(queue.room("q", "more").await, Ok(Put::Full));
    assert_eq!(queue.room("other", "more").await, Ok(Put::Queued));
    assert!(matches!(
        queue.claim("other", "more").await,
        Ok(Claim::Absent)
    ));
}

pub(super) async fn a_cleared_queue_is_empty_whatever_stood_in_it(rig: impl Rig) {
    let queue = rig.store().queue();
    for key in ["held", "put off", "due"] {
        put(queue, key).await;
    }
    let held = taken(queue.claim("q", "held").await.unwrap());
    let put_off = taken(queue.claim("q", "put off").await.unwrap());
    put_off.retry(Duration::from_secs(3600)).await.unwrap();
    queue.put("other", task("mine")).await.unwrap();
    assert_eq!(queue.clear("q").await, Ok(3));
    assert_eq!(queue.clear("q").await, Ok(0));
    assert_eq!(held.renew().await, Ok(false));
    for key in ["held", "put off", "due"] {
        assert_eq!(queue.room("q", key).await, Ok(Put::Queued), "{key}");
    }
    put(queue, "held").await;
    held.done().await.unwrap();
    assert_eq!(keys(&pull(queue, 9).await), ["held"]);
    assert_eq!(queue.room("other", "mine").await, Ok(Put::Duplicate));
}
