//! What a guest keeps: state in its own namespace, and blobs.

use super::limits;
use crate::call::Call as _;
use crate::failure::FailureKind;
use crate::id::Digest;
use crate::limits::Limits;
use crate::payload::{Blob, Payload};
use crate::sandbox::testing::guest::ECHO;
use crate::sandbox::testing::imports::{BLOBS, STATE, using};
use crate::sandbox::testing::{Kennel, failure, request, text};
use crate::units::Bytes;

const INCREMENT: (&str, &str, &str) = ("state", "increment", "(param i32 i32 i64 i32)");
const SET: (&str, &str, &str) = ("state", "set", "(param i32 i32 i32 i32 i32 i32 i32 i32)");

/// `increment` of the key that is the input; answers with the new value as a digit, or `e` and the case of the error.
pub(super) fn counter() -> String {
    let body = "(call $increment (local.get $in) (local.get $in-len) (i64.const 1) (i32.const 64))
        (if (i32.load8_u (i32.const 64)) (then
          (i32.store8 (i32.const 512) (i32.const 101))
          (i32.store8 (i32.const 513) (i32.add (i32.const 48) (i32.load8_u (i32.const 72))))
          (return (call $text (i32.const 512) (i32.const 2)))))
        (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.load8_u (i32.const 72))))
        (call $text (i32.const 512) (i32.const 1))";
    using(STATE, &[INCREMENT], body)
}

/// `set` of the key that is the first byte of the input to the input; answers with two digits: whether it failed, and the revision or
/// the case of the error.
pub(super) fn setter() -> String {
    let set = "(call $set (local.get $in) (i32.const 1) (i32.const 0) (local.get $in) (local.get $in-len) (i32.const 0) (i32.const 0) (i32.const 64))
        (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.load8_u (i32.const 64))))
        (i32.store8 (i32.const 513) (i32.add (i32.const 48) (i32.load8_u (i32.const 72))))
        (call $text (i32.const 512) (i32.const 2))";
    using(STATE, &[SET], set)
}

#[tokio::test]
async fn state_outlives_a_task_and_belongs_to_one_agent() {
    let kennel = Kennel::new();
    let agent = |name| {
        kennel
            .load(name, &counter(), Limits::default(), "state = true")
            .expect("loaded")
    };
    let (first, second) = (agent("first"), agent("second"));
    assert_eq!(text(&first, "n").await, "1");
    assert_eq!(text(&first, "n").await, "2");
    assert_eq!(text(&second, "n").await, "1");
    assert_eq!(text(&first, "m").await, "1");
}

#[tokio::test]
async fn keys_and_values_of_state_are_bounded() {
    let kennel = Kennel::new();
    let agent = kennel
        .load("agent", &counter(), Limits::default(), "state = true")
        .expect("loaded");
    assert_eq!(text(&agent, "").await, "e1", "denied");
    assert_eq!(text(&agent, "a\nb").await, "e1", "denied");
    assert_eq!(text(&agent, &"k".repeat(513)).await, "e2", "quota");
    let small = limits(|l| l.state_value = Bytes(8));
    let agent = kennel
        .load("setter", &setter(), small, "state = true")
        .expect("loaded");
    assert_eq!(text(&agent, "12345678").await, "01", "stored as revision 1");
    assert_eq!(text(&agent, "123456789").await, "12", "quota");
}

#[tokio::test]
async fn a_task_reads_the_blobs_of_its_input_and_those_it_wrote_and_no_others() {
    let kennel = Kennel::new();
    let blob = Blob {
        media_type: "image/png".into(),
        bytes: "png".into(),
    };
    let digest = kennel
        .host
        .backend
        .blobs()
        .put(blob.bytes.clone())
        .await
        .expect("stored");
    // The digest stands at a fixed place of the input; `result<blob, string>` at 64 becomes `result<payload, error>` at 16.
    let at = r#"{"a":{"$blob":""#.len();
    let read = format!(
        "(call $read (i32.add (local.get $in) (i32.const {at})) (i32.const 71) (i32.const 64))
         (drop (call $answer (i32.load8_u (i32.const 64)) (i32.const 2) (i32.load (i32.const 68)) (i32.load (i32.const 72))))
         (i32.store (i32.const 32) (i32.load (i32.const 76))) (i32.store (i32.const 36) (i32.load (i32.const 80)))
         (i32.const 16)"
    );
    let agent = kennel.agent(&using(
        BLOBS,
        &[("blobs", "read", "(param i32 i32 i32)")],
        &read,
    ));
    let input = format!(r#"{{"a":{}}}"#, blob.reference().to_value());
    let reply = agent
        .call(request(Payload::json(input).expect("json")))
        .await
        .expect("an answer");
    assert_eq!(*reply.output, Payload::Blob(blob));
    // The same digest, but not as a reference.
    let input = format!(r#"{{"a":{{"$plob":"{digest}"}}}}"#);
    let failure = agent
        .call(request(Payload::json(input).expect("json")))
        .await
        .unwrap_err()
        .failure;
    assert!(
        failure.message.contains("neither the input refers to"),
        "{failure}"
    );
    // What it wrote, it may read: write the input as a blob, read what `write` answered.
    let write = "(call $write (local.get $in) (local.get $in-len) (local.get $in) (local.get $in-len) (i32.const 96))
         (call $read (i32.load (i32.const 100)) (i32.load (i32.const 104)) (i32.const 64))
         (if (i32.load8_u (i32.const 64)) (then unreachable)) (call $text (i32.load (i32.const 76)) (i32.load (i32.const 80)))";
    let functions = [
        ("blobs", "read", "(param i32 i32 i32)"),
        ("blobs", "write", "(param i32 i32 i32 i32 i32)"),
    ];
    assert_eq!(
        text(&kennel.agent(&using(BLOBS, &functions, write)), "kept").await,
        "kept"
    );
}

#[tokio::test]
async fn a_task_reads_a_part_of_a_blob_and_nothing_beyond_its_end() {
    let kennel = Kennel::new();
    let functions = [
        ("blobs", "read-part", "(param i32 i32 i64 i32 i32)"),
        ("blobs", "write", "(param i32 i32 i32 i32 i32)"),
    ];
    for (offset, length, part) in [(1, 3, "bcd"), (4, 100, "ef"), (9, 1, ""), (-1, -1, "")] {
        let body = format!(
            "(call $write (local.get $in) (local.get $in-len) (local.get $in) (local.get $in-len) (i32.const 96))
             (call $read-part (i32.load (i32.const 100)) (i32.load (i32.const 104)) (i64.const {offset}) (i32.const {length}) (i32.const 64))
             (if (i32.load8_u (i32.const 64)) (then unreachable)) (call $text (i32.load (i32.const 68)) (i32.load (i32.const 72)))"
        );
        let agent = kennel.agent(&using(BLOBS, &functions, &body));
        assert_eq!(text(&agent, "abcdef").await, part, "{length} from {offset}");
    }
}

/// Writes its input as a blob, twice, and answers with it.
pub(super) fn writes_twice() -> String {
    let write = "(call $write (local.get $in) (local.get $in-len) (local.get $in) (local.get $in-len) (i32.const 64))";
    let write_of = ("blobs", "write", "(param i32 i32 i32 i32 i32)");
    using(BLOBS, &[write_of], &format!("{write} {write} {ECHO}"))
}

#[tokio::test]
async fn the_blobs_that_a_task_writes_are_bounded_together() {
    let kennel = Kennel::new();
    let agent = kennel
        .load("agent", &writes_twice(), limits(|l| l.blobs = Bytes(8)), "")
        .expect("loaded");
    assert_eq!(text(&agent, "1234").await, "1234", "each task has its own");
    assert_eq!(text(&agent, "1234").await, "1234");
    let failure = failure(&agent, "12345").await;
    assert_eq!(failure.kind, FailureKind::Quota);
    assert!(failure.message.contains("`limits.blobs`"), "{failure}");
}

#[tokio::test]
async fn a_replay_reads_the_blobs_that_it_writes_and_stores_none() {
    let kennel = Kennel::new();
    let write = "(call $write (local.get $in) (local.get $in-len) (local.get $in) (local.get $in-len) (i32.const 96))
         (call $read (i32.load (i32.const 100)) (i32.load (i32.const 104)) (i32.const 64))
         (if (i32.load8_u (i32.const 64)) (then unreachable)) (call $text (i32.load (i32.const 76)) (i32.load (i32.const 80)))";
    let functions = [
        ("blobs", "read", "(param i32 i32 i32)"),
        ("blobs", "write", "(param i32 i32 i32 i32 i32)"),
    ];
    let agent = kennel.agent(&using(BLOBS, &functions, write));
    let kept = Payload::Text("kept".into());
    let digest = Digest::of(b"kept");
    let blobs = kennel.host.backend.blobs();
    let replayed = agent.replay(request(kept.clone()), None).await;
    let replayed = replayed.expect("it plays");
    assert_eq!((replayed.outcome, replayed.diverged), (Ok(kept), None));
    assert_eq!(blobs.has(digest).await, Ok(false));
    text(&agent, "kept").await;
    assert_eq!(blobs.has(digest).await, Ok(true));
}
