//! The stack as a whole: the order of the policies, and that they never do more than they were told.

use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::script::{Act, House, name, step, told};
use super::*;
use crate::failure::FailureKind as F;
use crate::health::quarantine::FAULTS;
use crate::plan::Retry;
use crate::slots::Sizes;

#[tokio::test(start_paused = true)]
async fn the_order_is_degrade_fallback_cache_retry_breaker_limit() {
    let mut house = House::new(1);
    let fails = |times| vec![Act::Fail(F::Recoverable); times];
    house.agent(
        "flaky",
        [fails(5), vec![Act::Answer("a")], fails(6)].concat(),
    );
    house.agent("steady", ["b", "d", "e", "f", "g"].map(Act::Answer));
    house.agent("cheap", [Act::Answer("c")]);
    let alternative = step("steady").cache(60);
    let step = step("flaky")
        .timeout(1_000)
        .retry(2)
        .cache(60)
        .breaker(6, 60);
    let call = house.stack(&step.fallback(alternative).degrade(0.8, "cheap"));
    let ask_for = async |who: &str, what: &str, degraded: bool| {
        house.log.line(format_args!("{who} asks"));
        let request = Request {
            degraded,
            ..house.request(what)
        };
        let result = call.call(request).await;
        house.log.line(format_args!("{who} got {}", told(&result)));
    };
    let ask = async |who: &str| ask_for(who, "?", false).await;

    ask("first").await;
    ask("second").await;
    let late = async {
        sleep(Duration::from_millis(50)).await;
        ask("fourth").await;
    };
    tokio::join!(ask("third"), late);
    ask("fifth").await;
    ask_for("sixth", "?", true).await;
    ask_for("seventh", "!", false).await;
    ask_for("eighth", "!!", false).await;
    ask_for("ninth", "!!!", false).await;
    ask_for("tenth", "!!!!", false).await;

    // The fallback is outside the cache: the second asker finds steady's answer under steady's key only. The cache is outside the
    // retry: the fourth shares the third's tries. Degrading is outside the cache: the sixth gets none of its answers. The breaker is
    // inside the retry, whose tries it counts: the ninth's second one is the sixth in a row; and it is inside the fallback, which
    // answers the tenth. The retry is outside the limit: nobody is in flight during a wait.
    expect![[r#"
        0000 ms  first asks
        0000 ms  flaky  attempt 1: recoverable, 1 in flight
        0000 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0100 ms  flaky  attempt 2: recoverable, 1 in flight
        0100 ms  steady attempt 1: b, 1 in flight
        0100 ms  first got Text("b"), by steady; flaky 1 recoverable; flaky 2 recoverable; steady 1 ok
        0100 ms  second asks
        0100 ms  flaky  attempt 1: recoverable, 1 in flight
        0100 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0200 ms  flaky  attempt 2: recoverable, 1 in flight
        0200 ms  second got Text("b"), cached 100ms ago, by steady; flaky 1 recoverable; flaky 2 recoverable
        0200 ms  third asks
        0200 ms  flaky  attempt 1: recoverable, 1 in flight
        0200 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0250 ms  fourth asks
        0300 ms  flaky  attempt 2: a, 1 in flight
        0300 ms  fourth got Text("a"), cached 0ns ago
        0300 ms  third got Text("a"); flaky 1 recoverable; flaky 2 ok
        0300 ms  fifth asks
        0300 ms  fifth got Text("a"), cached 0ns ago
        0300 ms  sixth asks
        0300 ms  cheap  attempt 1: c, 1 in flight
        0300 ms  sixth got Text("c"), degraded to cheap; cheap 1 ok
        0300 ms  seventh asks
        0300 ms  flaky  attempt 1: recoverable, 1 in flight
        0300 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0400 ms  flaky  attempt 2: recoverable, 1 in flight
        0400 ms  steady attempt 1: d, 1 in flight
        0400 ms  seventh got Text("d"), by steady; flaky 1 recoverable; flaky 2 recoverable; steady 1 ok
        0400 ms  eighth asks
        0400 ms  flaky  attempt 1: recoverable, 1 in flight
        0400 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0500 ms  flaky  attempt 2: recoverable, 1 in flight
        0500 ms  steady attempt 1: e, 1 in flight
        0500 ms  eighth got Text("e"), by steady; flaky 1 recoverable; flaky 2 recoverable; steady 1 ok
        0500 ms  ninth asks
        0500 ms  flaky  attempt 1: recoverable, 1 in flight
        0500 ms  flaky  attempt 1 was recoverable: again in 100ms, 0 in flight
        0600 ms  flaky  attempt 2: recoverable, 1 in flight
        0600 ms  steady attempt 1: f, 1 in flight
        0600 ms  ninth got Text("f"), by steady; flaky 1 recoverable; flaky 2 recoverable; steady 1 ok
        0600 ms  tenth asks
        0600 ms  steady attempt 1: g, 1 in flight
        0600 ms  tenth got Text("g"), by steady; flaky 1 breaker-open; steady 1 ok
    "#]]
    .assert_eq(&house.log.text());
}

#[tokio::test(start_paused = true)]
async fn nobody_queues_for_an_agent_that_may_not_be_asked() {
    let mut house = House::new(1);
    house.agent("trap", [Act::Fail(F::Trapped); FAULTS as usize]);
    house.agent("hang", [Act::Hang]);
    for _ in 0..FAULTS {
        let trapped = house.stack(&step("trap")).call(house.request("?")).await;
        assert!(trapped.is_err());
    }
    let (hanging, quarantined) = (house.stack(&step("hang")), house.stack(&step("trap")));
    let refused = async {
        sleep(Duration::from_millis(1)).await;
        quarantined.call(house.request("?")).await
    };
    // The only place is taken for ever.
    let ended = tokio::select! {
        _ = hanging.call(house.request("?")) => panic!("it hangs"),
        refused = refused => told(&refused),
    };
    assert!(ended.ends_with("; trap 1 breaker-open"), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_step_s_deadline_bounds_all_tries_waits_and_fallbacks_together() {
    let second = Duration::from_secs(1);
    let tries = [Act::Take(second), Act::Fail(F::Recoverable)];
    for (deadline, took, expected) in [
        (500, 550, "failed: deadline; a 1 deadline"),
        (
            1_050,
            1_000,
            "failed: recoverable; a 1 recoverable; b 1 recoverable",
        ),
        (
            1_500,
            1_550,
            "failed: deadline; a 1 recoverable; a 2 deadline",
        ),
        (
            9_000,
            2_100,
            "failed: fatal; a 1 recoverable; a 2 recoverable; b 1 fatal",
        ),
    ] {
        let mut house = House::new(1);
        house.agent("a", [tries, tries].concat());
        let end = if deadline == 9_000 {
            F::Fatal
        } else {
            F::Recoverable
        };
        house.agent("b", [Act::Fail(end)]);
        let mut call = step("a").retry(2).fallback(step("b"));
        call.policy.deadline = Some(Duration::from_millis(deadline));
        let start = Instant::now();
        let result = house.stack(&call).call(house.request("?")).await;
        assert_eq!(told(&result), expected, "{deadline}");
        assert_eq!(start.elapsed(), Duration::from_millis(took), "{deadline}");
    }
}

#[tokio::test]
async fn a_timeout_bounds_one_try_and_a_deadline_never_puts_one_off() {
    let mut house = House::new(1);
    let mirror = Arc::new(Mirror(Default::default()));
    house.base("a", mirror.clone());
    let second = Duration::from_secs(1);
    for (timeout, deadline, caller, left) in [
        (None, None, None, None),
        (Some(3), Some(2), None, Some(2)),
        (Some(1), Some(2), None, Some(1)),
        (None, Some(9), Some(4), Some(4)),
    ] {
        let mut call = step("a");
        call.policy.timeout = timeout.map(|n| second * n);
        call.policy.deadline = deadline.map(|n| second * n);
        let now = Instant::now();
        let request = Request {
            deadline: caller.map(|n| now + second * n),
            ..house.request("?")
        };
        house.stack(&call).call(request).await.expect_err("seen");
        let seen = mirror.0.lock().pop().expect("asked").deadline;
        let seen = seen.map(|end| (end - now).as_secs_f64().round() as u32);
        assert_eq!(seen, left, "{timeout:?} {deadline:?} {caller:?}");
    }
}

#[tokio::test]
async fn a_step_s_priority_holds_for_its_fallbacks_unless_they_have_their_own() {
    let mut house = House::new(1);
    let mirror = Arc::new(Mirror(Default::default()));
    for agent in ["a", "b", "c"] {
        house.base(agent, mirror.clone());
    }
    let mut third = step("c");
    third.policy.priority = Some(Priority::Background);
    let mut call = step("a").fallback(step("b")).fallback(third);
    let ask = async |call: &CallStep| {
        let request = Request {
            priority: Priority::Low,
            ..house.request("?")
        };
        house.stack(call).call(request).await.expect_err("seen");
        let seen = std::mem::take(&mut *mirror.0.lock());
        seen.into_iter()
            .map(|seen| seen.priority)
            .collect::<Vec<_>>()
    };
    use Priority as P;
    assert_eq!(ask(&call).await, [P::Low, P::Low, P::Background]);
    call.policy.priority = Some(P::High);
    assert_eq!(ask(&call).await, [P::High, P::High, P::Background]);
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_step_is_let_in_first() {
    let mut house = House::new(1);
    house.providers.shared.slots = Arc::new(Slots::new(Sizes {
        queue: 9,
        ..house.providers.shared.slots.sizes()
    }));
    house.agent(
        "first",
        [Act::Take(Duration::from_secs(1)), Act::Answer("first")],
    );
    let mut calls = vec![house.stack(&step("first"))];
    for (agent, priority) in [("low", Priority::Low), ("critical", Priority::Critical)] {
        house.agent(agent, [Act::Answer(agent)]);
        let mut step = step(agent);
        step.policy.priority = Some(priority);
        calls.push(house.stack(&step));
    }
    let order = parking_lot::Mutex::new(Vec::new());
    let all = calls.iter().map(async |call| {
        let reply = call.call(house.request("?")).await.expect("an answer");
        order.lock().push(format!("{:?}", reply.output));
    });
    futures_util::future::join_all(all).await;
    assert_eq!(
        order.lock().join(" "),
        r#"Text("first") Text("critical") Text("low")"#
    );
}

#[tokio::test]
async fn a_stack_around_an_agent_that_is_not_there_names_it() {
    let mut house = House::new(1);
    house.agent("here", []);
    let step = step("here").fallback(super::script::step("gone"));
    let error = stack(&step, &house.providers).err().expect("no stack");
    assert_eq!(error, NotLoaded::Agent(name("gone")));
    assert_eq!(
        error.to_string(),
        "agent `gone` is not loaded; put its plugin into the directory of agents, or name another one"
    );
}

/// Gives back what it was asked.
struct Mirror(parking_lot::Mutex<Vec<Request>>);

impl Call for Mirror {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        self.0.lock().push(request);
        Box::pin(async { Err(CallError::new(F::Fatal, "seen")) })
    }
}

#[tokio::test]
async fn each_agent_is_asked_for_its_own_skill_and_within_the_bounds_of_the_whole_step() {
    let mut house = House::new(1);
    let mirror = Arc::new(Mirror(Default::default()));
    house.base("a", mirror.clone());
    house.base("b", mirror.clone());
    let mut second = step("b");
    second.policy.bounds.memory = Some(7);
    let mut first = step("a").fallback(second);
    first.skill = Some("read".parse().expect("a name"));
    first.policy.bounds.fuel = Some(9);

    let mut request = house.request("?");
    request.bounds.fuel = Some(10);
    house.stack(&first).call(request).await.expect_err("seen");
    let seen = mirror.0.lock();
    let asked = |n: usize| {
        let skill = seen[n].skill.as_ref().map(|skill| skill.as_str());
        (skill, seen[n].bounds.fuel, seen[n].bounds.memory)
    };
    assert_eq!(asked(0), (Some("read"), Some(9), None));
    assert_eq!(asked(1), (None, Some(9), Some(7)));
}

/// Fails at once or after a while, for ever, or as often as it may.
fn failing(times: u32, takes: Duration, kind: F) -> Vec<Act> {
    (0..times)
        .flat_map(|_| [Act::Take(takes), Act::Fail(kind)])
        .collect()
}

proptest! {
    #[test]
    fn no_retry_passes_its_attempts_or_the_deadline(
        attempts in 0_u32..6,
        backoff in 0_u64..2_000,
        factor in prop_oneof![0.0..4.0_f64, Just(f64::MAX), Just(f64::NAN), Just(-1.0)],
        max_backoff in 0_u64..4_000,
        jitter: bool,
        takes in 0_u64..500,
        deadline in prop::option::of(0_u64..6_000),
        kind in prop::sample::select(F::ALL),
        on in prop::option::of(prop::sample::subsequence(F::ALL, 0..F::ALL.len())),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let mut house = House::new(1);
            let script = house.agent("a", failing(attempts.max(1), Duration::from_millis(takes), kind));
            let mut step = step("a");
            let (backoff, max_backoff) = (Duration::from_millis(backoff), Duration::from_millis(max_backoff));
            let tried = on.as_ref().map_or(kind.retryable(), |on| on.contains(&kind)) && kind != F::Cancelled;
            step.policy.retry = Some(Retry { attempts, backoff, factor, max_backoff, jitter, on });
            let start = Instant::now();
            let mut request = house.request("?");
            request.deadline = deadline.map(|after| start + Duration::from_millis(after));
            let by = request.deadline;

            let error = house.stack(&step).call(request).await.expect_err("it fails always");
            prop_assert!(script.calls() <= attempts.max(1));
            match by {
                // A try that began in time may end within the grace after it.
                Some(by) => prop_assert!(Instant::now() <= by.max(start) + Duration::from_millis(50)),
                None => prop_assert_eq!(script.calls(), if tried { attempts.max(1) } else { 1 }),
            }
            let numbers: Vec<_> = error.trail.attempts.iter().map(|attempt| attempt.number).collect();
            let counted: Vec<_> = (1..).take(numbers.len()).collect();
            prop_assert_eq!(numbers, counted);
            // An attempt that found its deadline passed is in the trail, though the agent was not asked.
            let tried = error.trail.attempts.len();
            prop_assert!((script.calls() as usize..=attempts.max(1) as usize).contains(&tried));
            Ok(())
        })?;
    }
}
