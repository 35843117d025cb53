//! What a guest may do to itself and to nobody else: one test for each way to misbehave.

mod boundary;
mod capabilities;
mod card;
mod events;
mod every_limit;
mod files;
mod peers;
mod stored;
mod tape;

use std::time::Duration;

use tokio::time::Instant;

use super::testing::guest::{ECHO, Guest, handle};
use super::testing::{Kennel, ask, failure, request, text};
use crate::call::{Bounds, Call as _, Request};
use crate::failure::FailureKind;
use crate::limits::Limits;
use crate::payload::{Blob, Payload};
use crate::units::{Bytes, Fuel};

const SPIN: &str = "(loop $for-ever (br $for-ever)) unreachable";

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn an_agent_answers_in_each_of_the_three_shapes() {
    let kennel = Kennel::new();
    assert_eq!(text(&kennel.agent(&handle(ECHO)), "hello").await, "hello");
    let json = kennel.agent(&handle("(call $json (local.get $in) (local.get $in-len))"));
    let reply = ask(&json, r#"{"a": [1, 2]}"#).await.expect("an answer");
    assert_eq!(*reply.output, Payload::Json(r#"{"a": [1, 2]}"#.into()));
    // The input's parts are the output's: media type at `$in`, bytes at `$in2`.
    let blob = kennel.agent(&handle(
        "(drop (call $answer (i32.const 0) (i32.const 2) (local.get $in) (local.get $in-len)))
         (i32.store (i32.const 32) (local.get $in2)) (i32.store (i32.const 36) (local.get $in2-len)) (i32.const 16)",
    ));
    let input = Payload::Blob(Blob {
        media_type: "image/png".into(),
        bytes: "png".into(),
    });
    let reply = blob.call(request(input.clone())).await.expect("an answer");
    assert_eq!(*reply.output, input);
}

#[tokio::test]
async fn the_agent_s_own_error_decides_the_failure() {
    let kennel = Kennel::new();
    for (case, kind) in [
        (0, FailureKind::InvalidInput),
        (1, FailureKind::Recoverable),
        (2, FailureKind::Fatal),
    ] {
        let body = format!(
            "(call $answer (i32.const 1) (i32.const {case}) (local.get $in) (local.get $in-len))"
        );
        let failure = failure(&kennel.agent(&handle(&body)), "no such page").await;
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (kind, "no such page")
        );
    }
}

#[tokio::test]
async fn a_guest_that_spins_runs_out_of_fuel_and_uses_all_of_it() {
    let kennel = Kennel::new();
    let agent = kennel
        .load(
            "agent",
            &handle(SPIN),
            limits(|l| l.fuel = Fuel(3_000_000)),
            "",
        )
        .expect("loaded");
    let error = ask(&agent, "").await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::OutOfFuel);
    assert_eq!(error.trail.usage().fuel, 3_000_000);
}

#[tokio::test]
async fn a_start_function_that_spins_runs_out_of_fuel() {
    let kennel = Kennel::new();
    let fields = "(func $spin (loop $for-ever (br $for-ever))) (start $spin)";
    let wat = Guest {
        fields,
        handle: ECHO,
        ..Guest::default()
    }
    .wat();
    let agent = kennel
        .load("agent", &wat, limits(|l| l.fuel = Fuel(3_000_000)), "")
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfFuel);
}

#[tokio::test]
async fn a_guest_that_spins_in_its_post_return_gives_no_answer() {
    let kennel = Kennel::new();
    let fields = r#"(func (export "post") (param i32) (loop $for-ever (br $for-ever)))"#;
    let lift = r#"(post-return (core func $i "post"))"#;
    let wat = Guest {
        fields,
        lift,
        handle: ECHO,
        ..Guest::default()
    }
    .wat();
    let agent = kennel
        .load("agent", &wat, limits(|l| l.fuel = Fuel(3_000_000)), "")
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfFuel);
}

#[tokio::test]
async fn a_guest_that_spins_is_stopped_by_its_own_and_by_its_caller_s_deadline() {
    let kennel = Kennel::new();
    let short = crate::units::Span(Duration::from_millis(20));
    let own = kennel
        .load("own", &handle(SPIN), limits(|l| l.timeout = short), "")
        .expect("loaded");
    assert_eq!(failure(&own, "").await.kind, FailureKind::Deadline);
    let caller = kennel.agent(&handle(SPIN));
    let asked = Request {
        deadline: Some(Instant::now() + short.0),
        ..request(Payload::Text(String::new()))
    };
    let error = caller.call(asked).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Deadline);
    assert!(
        error.trail.usage().fuel > 0,
        "what it used until then is known"
    );
}

#[tokio::test]
async fn a_neighbour_is_answered_while_others_spin_on_the_same_thread() {
    let kennel = Kennel::new();
    let spinner = kennel
        .load(
            "spinner",
            &handle(SPIN),
            limits(|l| l.fuel = Fuel(2_000_000_000)),
            "",
        )
        .expect("loaded");
    let neighbour = kennel.agent(&handle(ECHO));
    let spin = std::pin::pin!(futures_util::future::join_all(
        (0..8).map(|_| ask(&spinner, ""))
    ));
    let answers = std::pin::pin!(async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            assert_eq!(text(&neighbour, "still here").await, "still here");
        }
    });
    let first = futures_util::future::select(spin, answers).await;
    assert!(
        matches!(first, futures_util::future::Either::Right(_)),
        "the spinners end only after 2 G of fuel each"
    );
}

#[tokio::test]
async fn endless_recursion_fills_the_stack() {
    let kennel = Kennel::new();
    let fields = "(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))";
    let wat = Guest {
        fields,
        handle: "(call $deeper (i32.const 0))",
        ..Guest::default()
    }
    .wat();
    assert_eq!(
        failure(&kennel.agent(&wat), "").await.kind,
        FailureKind::StackOverflow
    );
}

#[tokio::test]
async fn each_way_to_trap_is_named() {
    let kennel = Kennel::new();
    for (body, message) in [
        ("unreachable", "`unreachable`"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        ("(i32.load (i32.const -4))", "out of bounds memory access"),
    ] {
        let failure = failure(&kennel.agent(&handle(body)), "").await;
        assert_eq!(failure.kind, FailureKind::Trapped);
        assert!(failure.message.contains(message), "{failure}");
    }
}

#[tokio::test]
async fn a_guest_that_wants_more_memory_than_it_may_have_is_out_of_memory() {
    let kennel = Kennel::new();
    let retry = "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) unreachable";
    let give_up = "(block $full (loop $more (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1))) (br $more))) unreachable";
    for body in [retry, give_up] {
        let agent = kennel
            .load(
                "agent",
                &handle(body),
                limits(|l| l.memory = Bytes(4 << 20)),
                "",
            )
            .expect("loaded");
        let error = ask(&agent, "").await.unwrap_err();
        assert_eq!(
            error.failure.kind,
            FailureKind::OutOfMemory,
            "{}",
            error.failure
        );
        assert!(error.failure.message.contains("4MiB"), "{}", error.failure);
        let peak = error.trail.usage().peak_memory;
        assert!((3 << 20..=4 << 20).contains(&peak), "{peak}");
    }
}

#[tokio::test]
async fn growth_beyond_what_a_memory_can_be_does_not_make_the_meter_forget() {
    let kennel = Kennel::new();
    // Grows by 1 MiB, and by more than 4 GiB, which wasmtime refuses without asking; gives up at the first refusal of the former.
    let body = "(block $full (loop $more
        (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
        (drop (memory.grow (i32.const 65536)))
        (br_if $more (i32.lt_u (memory.size) (i32.const 512))))
        (return (call $text (i32.const 512) (i32.const 0)))) unreachable";
    let agent = kennel
        .load(
            "agent",
            &handle(body),
            limits(|l| l.memory = Bytes(4 << 20)),
            "",
        )
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfMemory);
}

#[tokio::test]
async fn a_guest_that_takes_no_for_an_answer_goes_on() {
    let kennel = Kennel::new();
    let body = format!("(drop (memory.grow (i32.const 1000))) {ECHO}");
    let agent = kennel
        .load(
            "agent",
            &handle(&body),
            limits(|l| l.memory = Bytes(4 << 20)),
            "",
        )
        .expect("loaded");
    assert_eq!(text(&agent, "fine").await, "fine");
}

#[tokio::test]
async fn a_memory_that_begins_too_large_is_out_of_memory() {
    let kennel = Kennel::new();
    let lowered = "(core module $big (memory 100)) (core instance (instantiate $big))";
    let wat = Guest {
        lowered,
        handle: ECHO,
        ..Guest::default()
    }
    .wat();
    let agent = kennel
        .load("agent", &wat, limits(|l| l.memory = Bytes(4 << 20)), "")
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfMemory);
}

#[tokio::test]
async fn many_memories_together_count_as_one() {
    let kennel = Kennel::new();
    let instances = "(core instance (instantiate $one))".repeat(12);
    let lowered = format!("(core module $one (memory 8)) {instances}");
    let wat = Guest {
        lowered: &lowered,
        handle: ECHO,
        ..Guest::default()
    }
    .wat();
    // Twelve memories of 512 KiB: each fits, all of them do not.
    let agent = kennel
        .load("agent", &wat, limits(|l| l.memory = Bytes(4 << 20)), "")
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfMemory);
    let agent = kennel
        .load("agent", &wat, limits(|l| l.memory = Bytes(8 << 20)), "")
        .expect("loaded");
    let reply = ask(&agent, "").await.expect("an answer");
    assert!(reply.trail.usage().peak_memory >= 12 * 8 * 65_536);
}

#[tokio::test]
async fn a_table_grows_no_further_than_allowed() {
    let kennel = Kennel::new();
    let fields = "(table $t 1 funcref)";
    let grow = "(if (i32.ne (table.grow $t (ref.null func) (i32.const 20001)) (i32.const -1)) (then unreachable))
                (if (i32.eq (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)) (then unreachable))";
    let body = format!("{grow} {ECHO}");
    let wat = Guest {
        fields,
        handle: &body,
        ..Guest::default()
    }
    .wat();
    assert_eq!(text(&kennel.agent(&wat), "bounded").await, "bounded");
}

#[tokio::test]
async fn a_caller_s_bounds_hold_when_they_are_below_the_agent_s_limits() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&handle(SPIN));
    let asked = |fuel| Request {
        bounds: Bounds {
            fuel: Some(fuel),
            memory: None,
            ..Bounds::default()
        },
        ..request(Payload::Text(String::new()))
    };
    assert_eq!(
        agent
            .call(asked(1_000))
            .await
            .unwrap_err()
            .trail
            .usage()
            .fuel,
        1_000
    );
    let frugal = kennel
        .load(
            "frugal",
            &handle(SPIN),
            limits(|l| l.fuel = Fuel(2_000)),
            "",
        )
        .expect("loaded");
    assert_eq!(
        frugal
            .call(asked(1 << 40))
            .await
            .unwrap_err()
            .trail
            .usage()
            .fuel,
        2_000
    );
    let hungry = kennel.agent(&handle("(drop (memory.grow (i32.const 64))) unreachable"));
    let bounds = Bounds {
        fuel: None,
        memory: Some(1 << 20),
        ..Bounds::default()
    };
    let asked = Request {
        bounds,
        ..request(Payload::Text(String::new()))
    };
    assert_eq!(
        hungry.call(asked).await.unwrap_err().failure.kind,
        FailureKind::OutOfMemory
    );
}

#[tokio::test]
async fn the_same_task_uses_the_same_fuel_every_time() {
    let kennel = Kennel::new();
    let count = "(local $n i32) (loop $more (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3000000))))";
    let agent = kennel.agent(&handle(&format!("{count} {ECHO}")));
    let mut used = Vec::new();
    for _ in 0..3 {
        used.push(
            ask(&agent, "again")
                .await
                .expect("an answer")
                .trail
                .usage()
                .fuel,
        );
    }
    assert!(
        used[0] > 3_000_000 && used.iter().all(|fuel| *fuel == used[0]),
        "{used:?}"
    );
}

#[tokio::test]
async fn no_task_sees_what_another_left_behind() {
    let kennel = Kennel::new();
    let body = format!(
        "(if (i32.load (i32.const 512)) (then unreachable)) (i32.store (i32.const 512) (i32.const 1)) {ECHO}"
    );
    let agent = kennel.agent(&handle(&body));
    for _ in 0..5 {
        assert_eq!(text(&agent, "first").await, "first");
    }
}

#[tokio::test]
async fn a_trap_leaves_the_next_task_alone() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&handle(&format!(
        "(if (i32.eqz (local.get $in-len)) (then unreachable)) {ECHO}"
    )));
    for _ in 0..5 {
        assert_eq!(failure(&agent, "").await.kind, FailureKind::Trapped);
        assert_eq!(text(&agent, "alive").await, "alive");
    }
}

#[tokio::test]
async fn usage_says_what_went_in_and_out() {
    let kennel = Kennel::new();
    let usage = ask(&kennel.agent(&handle(ECHO)), "12345")
        .await
        .expect("an answer")
        .trail
        .usage();
    assert_eq!(
        (usage.bytes_in, usage.bytes_out, usage.host_calls),
        (5, 5, 0)
    );
    assert_eq!(usage.peak_memory, 2 * 65_536);
    assert!(usage.fuel > 0 && usage.fuel < 10_000, "{}", usage.fuel);
}

#[tokio::test]
async fn a_full_pool_is_overload_and_recovers() {
    let kennel = Kennel::with_instances(1);
    let spinner = kennel
        .load(
            "spinner",
            &handle(SPIN),
            limits(|l| l.fuel = Fuel(20_000_000)),
            "",
        )
        .expect("loaded");
    let other = kennel.agent(&handle(ECHO));
    let (spun, refused) = tokio::join!(failure(&spinner, ""), async {
        tokio::task::yield_now().await;
        failure(&other, "").await
    });
    assert_eq!(
        (spun.kind, refused.kind),
        (FailureKind::OutOfFuel, FailureKind::Overloaded)
    );
    assert_eq!(text(&other, "room again").await, "room again");
}

#[tokio::test]
async fn a_dropped_call_gives_its_slot_back() {
    let kennel = Kennel::with_instances(1);
    let spinner = kennel.agent(&handle(SPIN));
    let other = kennel.agent(&handle(ECHO));
    let cancelled = tokio::time::timeout(Duration::from_millis(5), ask(&spinner, "")).await;
    assert!(cancelled.is_err());
    assert_eq!(text(&other, "room again").await, "room again");
}
