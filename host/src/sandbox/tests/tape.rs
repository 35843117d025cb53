//! An attempt executed again from its recording: the same to the last unit of fuel, whatever has become of the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::capabilities::sleeper;
use super::limits;
use super::peers::know;
use crate::call::{Answers, Attempt, Bounds, Call, CallError, Reply, Request, Trail, Usage};
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::testing::guest::{ECHO, handle};
use crate::sandbox::testing::imports::{CLOCKS, PEERS, RANDOM, STATE, using};
use crate::sandbox::testing::{Kennel, request};
use crate::sandbox::{Replayed, Sandbox, TapeError};
use crate::units;

/// Answers with 36 bytes: the time, a random number, the next number under the key that is its input, the first eight bytes of what
/// the peer answers that has the skill of that name, and how long that answer is.
fn curious() -> String {
    let functions = [
        ("clock", "now", "(result i64)"),
        ("random", "get-random-bytes", "(param i64 i32)"),
        ("state", "increment", "(param i32 i32 i64 i32)"),
        ("peers", "call", "(param i32 i32 i32 i32 i32 i32 i32 i32)"),
    ];
    let body = "(i64.store (i32.const 600) (call $now))
        (call $get-random-bytes (i64.const 8) (i32.const 64))
        (i64.store (i32.const 608) (i64.load (i32.load (i32.const 64))))
        (call $increment (local.get $in) (local.get $in-len) (i64.const 1) (i32.const 64))
        (i64.store (i32.const 616) (i64.load (i32.const 72)))
        (call $call (local.get $in) (local.get $in-len) (i32.const 0) (local.get $in) (local.get $in-len) (i32.const 0) (i32.const 0) (i32.const 64))
        (i64.store (i32.const 624) (i64.load (i32.load (i32.const 72))))
        (i32.store (i32.const 632) (i32.load (i32.const 76)))
        (drop (call $answer (i32.const 0) (i32.const 2) (local.get $in) (local.get $in-len)))
        (i32.store (i32.const 32) (i32.const 600)) (i32.store (i32.const 36) (i32.const 36))
        (i32.const 16)";
    let imports = format!("{CLOCKS}{RANDOM}{STATE}{PEERS}");
    using(&imports, &functions, body)
}

/// A peer that never says the same twice, and costs something.
#[derive(Default)]
struct Fickle(AtomicU64);

impl Call for Fickle {
    fn call(&self, _: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        let times = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(async move {
            let usage = Usage {
                fuel: 1_000 * times,
                ..Usage::default()
            };
            let attempt = Attempt {
                agent: "fickle".parse().expect("a name"),
                number: 1,
                failure: None,
                usage,
                answers: None,
            };
            Ok(Reply {
                output: Arc::new(Payload::Text(format!(
                    "{times:08}{}",
                    "!".repeat(times as usize)
                ))),
                trail: Trail {
                    attempts: vec![attempt],
                    ..Trail::default()
                },
            })
        })
    }
}

fn load(kennel: &Kennel, limits: Limits) -> Sandbox {
    let grants = "state = true\npeers = ['translate']";
    kennel
        .load("curious", &curious(), limits, grants)
        .expect("loaded")
}

fn asked(input: &str) -> Request {
    request(Payload::Text(input.into()))
}

/// What the attempt with this input answered, used, and was answered.
async fn recorded(agent: &Sandbox, input: &str) -> (Payload, Usage, Option<Answers>) {
    let reply = agent.call(asked(input)).await.expect("an answer");
    let attempt = reply.trail.attempts[0].clone();
    (
        reply.output.as_ref().clone(),
        attempt.usage,
        attempt.answers,
    )
}

fn inline(answers: Option<Answers>) -> Bytes {
    match answers {
        Some(Answers::Inline(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

async fn replay(agent: &Sandbox, input: &str, tape: Option<&[u8]>) -> Replayed {
    agent.replay(asked(input), tape).await.expect("it plays")
}

#[tokio::test]
async fn a_replay_is_the_same_to_the_last_unit_of_fuel_and_touches_nothing() {
    let kennel = Kennel::new();
    let fickle = Arc::new(Fickle::default());
    know(&kennel, vec![("translate", "fickle", fickle.clone())]);
    let agent = load(&kennel, Limits::default());
    let (output, usage, answers) = recorded(&agent, "translate").await;
    let tape = inline(answers);
    // The world moves on: the number, the peer's answer and its price are others now.
    let (other, used, _) = recorded(&agent, "translate").await;
    assert_ne!((other, used.fuel), (output.clone(), usage.fuel));
    know(&kennel, vec![]);
    for _ in 0..3 {
        let again = replay(&agent, "translate", Some(&tape)).await;
        assert_eq!(again.diverged, None);
        assert_eq!(again.outcome, Ok(output.clone()));
        assert_eq!(again.usage.fuel, usage.fuel);
        assert_eq!(again.usage.host_calls, usage.host_calls);
    }
    let kv = kennel.host.backend.kv();
    let number = kv
        .get("curious", "translate")
        .await
        .expect("read")
        .expect("there");
    assert_eq!(number.value.bytes, "2", "a replay changed it");
    assert_eq!(
        fickle.0.load(Ordering::Relaxed),
        2,
        "a replay called the peer"
    );
}

#[tokio::test]
async fn a_guest_that_goes_another_way_is_told_apart_at_that_call() {
    let kennel = Kennel::new();
    know(
        &kennel,
        vec![("translate", "fickle", Arc::new(Fickle::default()))],
    );
    let agent = load(&kennel, Limits::default());
    let tape = inline(recorded(&agent, "translate").await.2);
    let again = replay(&agent, "translated", Some(&tape)).await;
    assert!(again.outcome.is_err());
    assert_eq!(
        again.diverged.as_deref(),
        Some(
            "call 3 was `state.increment translate` when it was recorded, and is `state.increment translated` now"
        )
    );
    let sleepy = kennel.agent(&sleeper(1, 1, ECHO));
    let less = replay(&sleepy, "x", Some(&tape)).await;
    assert_eq!(
        less.diverged.as_deref(),
        Some(
            "after 0 answers it asked nothing more; then the recorded attempt asked for the time since its start"
        )
    );
    let none = replay(&agent, "translate", None).await;
    assert_eq!(
        none.diverged.as_deref(),
        Some(
            "call 1 asks for the time since its start; the recorded attempt had asked for everything by then"
        )
    );
}

#[tokio::test]
async fn an_attempt_that_asks_nothing_leaves_nothing_behind_and_can_be_replayed() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&handle(ECHO));
    let (output, usage, answers) = recorded(&agent, "hello").await;
    assert_eq!(answers, None);
    let again = replay(&agent, "hello", None).await;
    assert_eq!(again.outcome, Ok(output));
    assert_eq!((again.usage.fuel, again.diverged), (usage.fuel, None));
}

#[tokio::test]
async fn the_bounds_of_an_attempt_are_those_of_its_replay() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&handle(&format!("(loop $more (br $more)) {ECHO}")));
    let mut bound = asked("x");
    bound.bounds = Bounds {
        fuel: Some(10_000),
        memory: None,
        ..Bounds::default()
    };
    let error = agent.call(bound).await.expect_err("it spins");
    let attempt = &error.trail.attempts[0];
    let tape = inline(attempt.answers.clone());
    let again = replay(&agent, "x", Some(&tape)).await;
    assert_eq!(again.outcome, Err(error.failure.clone()));
    assert_eq!(again.usage.fuel, attempt.usage.fuel);
}

#[tokio::test(start_paused = true)]
async fn a_replay_does_not_wait_where_the_attempt_did() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&sleeper(5, 3, ECHO));
    let begun = tokio::time::Instant::now();
    let (_, usage, answers) = recorded(&agent, "rested").await;
    assert_eq!(begun.elapsed().as_secs(), 15);
    let tape = answers.map(|answers| inline(Some(answers)));
    let again = replay(&agent, "rested", tape.as_deref()).await;
    assert_eq!(begun.elapsed().as_secs(), 15);
    assert_eq!((again.usage.fuel, again.diverged), (usage.fuel, None));
}

#[tokio::test]
async fn an_attempt_that_is_told_too_much_goes_on_and_cannot_be_replayed() {
    let kennel = Kennel::new();
    know(
        &kennel,
        vec![("translate", "fickle", Arc::new(Fickle::default()))],
    );
    let agent = load(&kennel, limits(|l| l.tape = units::Bytes(40)));
    match recorded(&agent, "translate").await.2 {
        Some(Answers::Lost(why)) => assert!(why.contains("`limits.tape`"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_recording_that_cannot_be_read_is_refused() {
    let kennel = Kennel::new();
    know(
        &kennel,
        vec![("translate", "fickle", Arc::new(Fickle::default()))],
    );
    let agent = load(&kennel, Limits::default());
    let tape = inline(recorded(&agent, "translate").await.2);
    let refused = async |tape: &[u8]| agent.replay(asked("translate"), Some(tape)).await.err();
    let newer: Vec<u8> = [9].iter().chain(&tape[1..]).copied().collect();
    assert_eq!(refused(&newer).await, Some(TapeError::Version(9)));
    for cut in [0, 1, 2, tape.len() / 2, tape.len() - 1] {
        let end = refused(&tape[..cut]).await;
        let whole_entries = end.is_none();
        assert!(
            whole_entries || matches!(end, Some(TapeError::Damaged(_))),
            "{cut}: {end:?}"
        );
        assert!(
            !whole_entries || cut > 3,
            "{cut}: a tape without its beginning was played"
        );
    }
}
