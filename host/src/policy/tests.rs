//! The stack as a whole: the order of the policies, and that they never do more than they were told.

use std::time::Duration;

use expect_test::expect;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::script::{Act, House, name, step, told};
use super::*;
use crate::failure::FailureKind as F;
use crate::plan::Retry;

#[tokio::test(start_paused = true)]
async fn the_order_is_fallback_cache_retry_limit() {
    let mut house = House::new(1);
    let fails_twice = [Act::Fail(F::Recoverable), Act::Fail(F::Recoverable)];
    let fails_once = [Act::Fail(F::Recoverable), Act::Answer("a")];
    let flaky = [fails_twice, fails_twice, fails_once].concat();
    house.agent("flaky", flaky);
    house.agent("steady", [Act::Answer("b")]);
    let step = step("flaky").timeout(1_000).retry(2).cache(60);
    let call = house.stack(&step.fallback(super::script::step("steady").cache(60)));
    let ask = async |who: &str| {
        house.log.line(format_args!("{who} asks"));
        let result = call.call(house.request("?")).await;
        house.log.line(format_args!("{who} got {}", told(&result)));
    };

    ask("first").await;
    ask("second").await;
    let late = async {
        sleep(Duration::from_millis(50)).await;
        ask("fourth").await;
    };
    tokio::join!(ask("third"), late);
    ask("fifth").await;

    // The fallback is outside the cache: the second asker finds steady's answer under steady's key only. The cache is outside the
    // retry: the fourth shares the third's tries. The retry is outside the limit: nobody holds the slot during a wait.
    expect![[r#"
        0000 ms  first asks
        0000 ms  flaky  attempt 1: recoverable, 0 slots free
        0000 ms  flaky  attempt 1 was recoverable: again in 100ms, 1 slots free
        0100 ms  flaky  attempt 2: recoverable, 0 slots free
        0100 ms  steady attempt 1: b, 0 slots free
        0100 ms  first got Text("b"), by steady; flaky 1 recoverable; flaky 2 recoverable; steady 1 ok
        0100 ms  second asks
        0100 ms  flaky  attempt 1: recoverable, 0 slots free
        0100 ms  flaky  attempt 1 was recoverable: again in 100ms, 1 slots free
        0200 ms  flaky  attempt 2: recoverable, 0 slots free
        0200 ms  second got Text("b"), cached 100ms ago, by steady; flaky 1 recoverable; flaky 2 recoverable
        0200 ms  third asks
        0200 ms  flaky  attempt 1: recoverable, 0 slots free
        0200 ms  flaky  attempt 1 was recoverable: again in 100ms, 1 slots free
        0250 ms  fourth asks
        0300 ms  flaky  attempt 2: a, 0 slots free
        0300 ms  fourth got Text("a"), cached 0ns ago
        0300 ms  third got Text("a"); flaky 1 recoverable; flaky 2 ok
        0300 ms  fifth asks
        0300 ms  fifth got Text("a"), cached 0ns ago
    "#]]
    .assert_eq(&house.log.text());
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
