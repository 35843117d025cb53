//! Agents that emit events: of granted types only, as many as they may, and each once however often the task is tried.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::limits;
use crate::call::Call as _;
use crate::delivery::{Delivered, Delivery, Taken};
use crate::event::{CloudEvent, MAX_HOPS};
use crate::failure::FailureKind;
use crate::id::Digest;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::events::{Emitted, Sent};
use crate::sandbox::testing::guest::ECHO;
use crate::sandbox::testing::imports::{EVENTS, using};
use crate::sandbox::testing::{Kennel, failure, request, text};
use crate::units::Bytes;

const EMIT: (&str, &str, &str) = (
    "events",
    "emit",
    "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
);

/// Emits so many events whose type is the first letter of its input and whose data is the whole of it, as text. Answers with its
/// input, or with what the host said against the last.
pub(super) fn emits(times: u32) -> String {
    let body = format!(
        "(local $n i32)
        (loop $more
          (call $emit (local.get $in) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (local.get $in) (local.get $in-len) (i32.const 0) (i32.const 0) (i32.const 64))
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times}))))
        (if (i32.load8_u (i32.const 64)) (then
          (return (call $text (i32.load (i32.const 68)) (i32.load (i32.const 72))))))
        {ECHO}"
    );
    using(EVENTS, &[EMIT], &body)
}

/// What waits for `flow`.
async fn waiting(kennel: &Kennel, flow: &str) -> Vec<Taken> {
    let delivery = Delivery::new(kennel.host.backend.clone());
    delivery
        .take(flow, 100, Duration::ZERO)
        .await
        .expect("taken")
}

async fn listen(kennel: &Kennel, flow: &str, event_type: &str) {
    let types = [event_type.parse().expect("a type")].into();
    let delivery = Delivery::new(kennel.host.backend.clone());
    let subscribed = delivery.subscribe(flow, types, Digest::of(b""), Timestamp::UNIX_EPOCH);
    subscribed.await.expect("subscribed");
}

#[tokio::test]
async fn an_agent_wakes_a_flow_with_an_event_that_says_where_it_comes_from() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let agent = kennel
        .load("herald", &emits(2), Limits::default(), "events = ['a']")
        .expect("loaded");
    assert_eq!(text(&agent, "a word").await, "a word");
    let taken = waiting(&kennel, "flow").await;
    let told = taken.iter().map(|taken| {
        let event = taken.event();
        assert!(event.time.is_some());
        (event.source.as_str(), event.id.as_str(), event.data.clone())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("/agents/herald", "task-1/events/1", json!("a word")),
            ("/agents/herald", "task-1/events/2", json!("a word"))
        ]
    );
}

#[tokio::test]
async fn a_task_that_is_tried_again_wakes_nothing_twice() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let agent = kennel
        .load("herald", &emits(1), Limits::default(), "events = ['a']")
        .expect("loaded");
    text(&agent, "a").await;
    for taken in waiting(&kennel, "flow").await {
        taken.accepted().await.expect("marked");
    }
    assert_eq!(text(&agent, "a").await, "a", "the agent is not told");
    assert!(waiting(&kennel, "flow").await.is_empty());
}

#[tokio::test]
async fn a_type_that_is_not_granted_is_refused_with_the_line_that_would_allow_it() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "b").await;
    let agent = kennel
        .load("herald", &emits(1), Limits::default(), "events = ['a']")
        .expect("loaded");
    assert_eq!(
        text(&agent, "b").await,
        "denied: `herald` may not emit `b`; to allow it, write in kennel.toml:  [grants.herald]  events = [\"b\"]"
    );
    assert!(
        text(&agent, "-")
            .await
            .starts_with("denied: `-` is not a valid event type")
    );
    assert!(waiting(&kennel, "flow").await.is_empty());
}

#[tokio::test]
async fn an_agent_without_any_grant_of_events_is_not_loaded() {
    let loaded = Kennel::new().load("herald", &emits(1), Limits::default(), "");
    let said = loaded.err().expect("refused").to_string();
    assert!(said.contains("events = [\"TYPE\"]"), "{said}");
}

#[tokio::test]
async fn events_of_a_task_are_counted_and_measured() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let few = limits(|l| l.events = 2);
    let agent = kennel
        .load("herald", &emits(3), few, "events = ['a']")
        .expect("loaded");
    assert_eq!(failure(&agent, "a").await.kind, FailureKind::Quota);
    assert_eq!(waiting(&kennel, "flow").await.len(), 2);
    let small = limits(|l| l.event = Bytes(3));
    let agent = kennel
        .load("herald", &emits(1), small, "events = ['a']")
        .expect("loaded");
    assert_eq!(
        failure(&agent, "a two").await.kind,
        FailureKind::TooMuchData
    );
}

#[tokio::test]
async fn an_event_is_measured_with_its_escapes() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let small = limits(|l| l.event = Bytes(20));
    let agent = kennel
        .load("herald", &emits(1), small, "events = ['a']")
        .expect("loaded");
    assert_eq!(text(&agent, "a and twelve more").await, "a and twelve more");
    // Four bytes that become nineteen, and the quotes.
    let failure = failure(&agent, "a\u{1}\u{2}\u{3}").await;
    assert_eq!(failure.kind, FailureKind::TooMuchData);
    assert!(failure.message.contains("21 bytes"), "{}", failure.message);
    assert_eq!(waiting(&kennel, "flow").await.len(), 1);
}

#[tokio::test]
async fn an_emitter_is_told_when_a_flow_has_no_room() {
    let kennel = Kennel::with_queue_limit(1);
    listen(&kennel, "flow", "a").await;
    let agent = kennel
        .load("herald", &emits(2), Limits::default(), "events = ['a']")
        .expect("loaded");
    let said = agent
        .call(request(Payload::Text("a".into())))
        .await
        .expect("an answer")
        .output;
    let Payload::Text(said) = Arc::unwrap_or_clone(said) else {
        panic!("not a text")
    };
    assert!(
        said.starts_with("overloaded: too many events wait for `flow`"),
        "{said}"
    );
}

#[tokio::test]
async fn an_event_emitted_again_after_a_refusal_wakes_nobody_twice() {
    let kennel = Kennel::with_queue_limit(1);
    for flow in ["full", "free"] {
        listen(&kennel, flow, "a").await;
    }
    fill(&kennel, "full").await;
    let agent = kennel
        .load("herald", &emits(3), Limits::default(), "events = ['a']")
        .expect("loaded");
    let said = text(&agent, "a").await;
    assert!(said.starts_with("overloaded"), "{said}");
    for taken in waiting(&kennel, "free").await {
        assert_eq!(taken.event().id, "task-1/events/1");
        taken.accepted().await.expect("marked");
    }
    assert!(waiting(&kennel, "free").await.is_empty(), "one of three");
    // Tried again when there is room: the first has the number that it had, and the next are new ones.
    waiting(&kennel, "full")
        .await
        .remove(0)
        .accepted()
        .await
        .expect("marked");
    text(&agent, "a").await;
    assert_eq!(
        waiting(&kennel, "full").await[0].event().id,
        "task-1/events/1"
    );
    assert_eq!(
        waiting(&kennel, "free").await[0].event().id,
        "task-1/events/2"
    );
}

#[test]
fn an_event_that_differs_from_a_refused_one_has_a_number_of_its_own() {
    let [a, b] = ["a", "b"].map(|data| Sent::of(&[b"type", data.as_bytes()]));
    assert_ne!(Sent::of(&[b"a", b"bc"]), Sent::of(&[b"ab", b"c"]));
    let mut emitted = Emitted::default();
    let first = emitted.number(a);
    emitted.refuse(a, first);
    let other = emitted.number(b);
    assert_ne!(first, other);
    assert_eq!(emitted.number(a), first, "it is emitted again");
    assert!(emitted.number(a) > other, "it reached everybody");
}

/// Puts one event for `flow`, which nobody takes.
async fn fill(kennel: &Kennel, flow: &str) {
    let event_type = "a".parse().expect("a type");
    let event = CloudEvent::new("/test", "1", event_type, json!(null)).expect("an event");
    let delivery = Delivery::new(kennel.host.backend.clone());
    let delivered = delivery.deliver(flow, &event, Timestamp::UNIX_EPOCH).await;
    assert_eq!(delivered, Ok(Delivered::Queued));
}

#[tokio::test]
async fn an_agent_at_the_end_of_a_chain_of_events_emits_no_more() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let agent = kennel
        .load("herald", &emits(1), Limits::default(), "events = ['a']")
        .expect("loaded");
    let after = async |hops: u8| {
        let mut asked = request(Payload::Text("a".into()));
        asked.lineage.hops = hops;
        let reply = agent.call(asked).await.expect("an answer");
        let Payload::Text(said) = Arc::unwrap_or_clone(reply.output) else {
            panic!("not a text")
        };
        said
    };
    let said = after(MAX_HOPS + 1).await;
    assert!(said.starts_with("it is not emitted: call-depth"), "{said}");
    assert!(waiting(&kennel, "flow").await.is_empty());
    assert_eq!(after(MAX_HOPS).await, "a");
    assert_eq!(waiting(&kennel, "flow").await[0].event().hops, MAX_HOPS);
}

#[tokio::test]
async fn a_replay_emits_nothing() {
    let kennel = Kennel::new();
    listen(&kennel, "flow", "a").await;
    let agent = kennel
        .load("herald", &emits(2), Limits::default(), "events = ['a']")
        .expect("loaded");
    let asked = || request(Payload::Text("a word".into()));
    let reply = agent.call(asked()).await.expect("an answer");
    assert_eq!(waiting(&kennel, "flow").await.len(), 2);
    let attempt = &reply.trail.attempts[0];
    let Some(crate::call::Answers::Inline(tape)) = &attempt.answers else {
        panic!("{attempt:?}")
    };
    // Under another task id the events would be new ones.
    let other = crate::call::Request::new("task-2", asked().input);
    let again = agent.replay(other, Some(tape)).await.expect("it plays");
    assert_eq!(again.diverged, None);
    assert_eq!(again.outcome.as_ref(), Ok(reply.output.as_ref()));
    assert_eq!(again.usage.fuel, attempt.usage.fuel);
    assert!(
        waiting(&kennel, "flow").await.is_empty(),
        "it emitted again"
    );
}
