//! The table row by row, and breakers at work.

use futures_util::FutureExt as _;

use super::super::script::{Act, House, name, step, told};
use super::state::At;
use super::*;
use FailureKind as F;

const RULE: CircuitBreaker = CircuitBreaker {
    failures: 3,
    open_for: Duration::from_secs(60),
    half_open_calls: 2,
};

#[test]
fn the_table() {
    use Happening::{Asked, Failed, Succeeded, Undecided};
    use Verdict::{Busy, Pass, Refuse};
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let (past, soon, then) = (now - second, now + second, now + RULE.open_for);
    let state = |at, failures, round| State {
        at,
        failures,
        round,
    };
    let closed = |failures| state(At::Closed, failures, 7);
    let open = |until| state(At::Open { until }, 3, 7);
    let half = |trying| state(At::HalfOpen { trying }, 3, 7);
    for (row, (from, what, to, verdict)) in [
        // The agent is asked.
        (closed(2), Asked, closed(2), Pass),
        (open(soon), Asked, open(soon), Refuse(soon)),
        (open(now), Asked, half(1), Pass),
        (open(past), Asked, half(1), Pass),
        (half(0), Asked, half(1), Pass),
        (half(1), Asked, half(2), Pass),
        (half(2), Asked, half(2), Busy),
        // It answered.
        (closed(2), Succeeded(7), closed(0), Pass),
        (half(2), Succeeded(7), closed(0), Pass),
        (open(soon), Succeeded(7), open(soon), Pass),
        // It failed.
        (closed(0), Failed(7), closed(1), Pass),
        (closed(1), Failed(7), closed(2), Pass),
        (
            closed(2),
            Failed(7),
            state(At::Open { until: then }, 3, 8),
            Pass,
        ),
        (
            half(1),
            Failed(7),
            state(At::Open { until: then }, 4, 8),
            Pass,
        ),
        (open(soon), Failed(7), open(soon), Pass),
        // Nobody knows.
        (closed(2), Undecided(7), closed(2), Pass),
        (half(2), Undecided(7), half(1), Pass),
        (open(soon), Undecided(7), open(soon), Pass),
        // A call from before the breaker opened says nothing.
        (closed(2), Failed(6), closed(2), Pass),
        (closed(2), Succeeded(6), closed(2), Pass),
        (half(1), Succeeded(6), half(1), Pass),
        (half(1), Failed(6), half(1), Pass),
        (half(1), Undecided(6), half(1), Pass),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            from.next(&RULE, now, what),
            (to, verdict),
            "row {row}: {from:?} {what:?}"
        );
    }
}

#[test]
fn only_what_speaks_against_the_agent_counts() {
    let not: Vec<_> = F::ALL
        .iter()
        .filter(|kind| !counts(**kind, false))
        .collect();
    assert_eq!(
        not.iter().map(|kind| kind.label()).collect::<Vec<_>>(),
        [
            "invalid-input",
            "denied",
            "call-depth",
            "call-cycle",
            "fan-out",
            "breaker-open",
            "overloaded",
            "cancelled"
        ]
    );
    assert!(!counts(F::Deadline, true), "the caller had no more time");
    assert!(counts(F::Trapped, true));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_keeps_failing_is_not_asked_until_its_time_and_one_answer_closes() {
    let mut house = House::new(4);
    let fails = [Act::Fail(F::Trapped); 4];
    let script = house.agent(
        "a",
        [&fails[..], &[Act::Answer("ok"), Act::Answer("ok")]].concat(),
    );
    let call = house.stack(&step("a").breaker(3, 60));
    let ask = async || told(&call.call(house.request("?")).await);
    for _ in 0..3 {
        assert_eq!(ask().await, "failed: trapped; a 1 trapped");
    }
    tokio::time::advance(Duration::from_millis(500)).await;
    let error = call.call(house.request("?")).await.expect_err("open");
    assert_eq!(
        error.to_string(),
        "breaker-open: `a` has failed 3 times in a row and is not asked again for 1m; `circuit-breaker` says so"
    );
    assert_eq!(ask().await, "failed: breaker-open; a 1 breaker-open");
    assert_eq!(script.calls(), 3);
    let shared = &house.providers.shared;
    let snapshot = shared.breakers()[0].1;
    assert_eq!((snapshot.standing, snapshot.failures), (Standing::Open, 3));
    assert_eq!(snapshot.open_for, Some(Duration::from_millis(59_500)));

    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ask().await, "failed: trapped; a 1 trapped", "it is tried");
    assert_eq!(
        ask().await,
        "failed: breaker-open; a 1 breaker-open",
        "and not well"
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(ask().await, "Text(\"ok\"); a 1 ok");
    assert_eq!(ask().await, "Text(\"ok\"); a 1 ok");
    let snapshot = shared.breakers()[0].1;
    assert_eq!(
        (snapshot.standing, snapshot.failures),
        (Standing::Closed, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn only_some_calls_try_it_and_one_that_is_dropped_makes_room() {
    let mut house = House::new(4);
    let tried = [Act::Hang, Act::Answer("too late"), Act::Answer("ok")];
    let script = house.agent("a", [&[Act::Fail(F::Fatal)], &tried[..]].concat());
    let call = house.stack(&step("a").breaker(1, 1));
    assert!(call.call(house.request("?")).await.is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut trying = call.call(house.request("?"));
    assert!((&mut trying).now_or_never().is_none());
    let error = call
        .call(house.request("?"))
        .await
        .expect_err("one is enough");
    assert_eq!(
        error.failure.message,
        "`a` has failed 1 times in a row and is just being tried again; `circuit-breaker` lets no more calls through until that has ended"
    );
    drop(trying);
    assert!(call.call(house.request("?")).await.is_ok());
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn runs_share_a_breaker_and_other_agents_have_their_own() {
    let mut house = House::new(4);
    house.agent("a", [Act::Fail(F::Fatal)]);
    house.agent("b", [Act::Answer("ok")]);
    let one = house.stack(&step("a").breaker(1, 60));
    let two = house.stack(&step("a").breaker(1, 60).fallback(step("b").breaker(1, 60)));
    assert!(one.call(house.request("?")).await.is_err());
    assert_eq!(
        told(&two.call(house.request("?")).await),
        "Text(\"ok\"), by b; a 1 breaker-open; b 1 ok"
    );
}

#[tokio::test]
async fn a_new_plugin_begins_with_a_closed_breaker_and_the_old_one_keeps_its_own() {
    let mut house = House::new(4);
    house.agent("a", [Act::Fail(F::Fatal), Act::Answer("ok")]);
    let old = house.stack(&step("a").breaker(1, 60));
    assert!(old.call(house.request("?")).await.is_err());
    house.providers.shared.renew(&name("a"));
    let new = house.stack(&step("a").breaker(1, 60));
    assert!(new.call(house.request("?")).await.is_ok());
    let error = old.call(house.request("?")).await.expect_err("open");
    assert_eq!(error.failure.kind, F::BreakerOpen);
}

#[tokio::test(start_paused = true)]
async fn every_try_counts_and_an_open_breaker_ends_the_retries() {
    let mut house = House::new(4);
    let script = house.agent("a", [Act::Fail(F::Recoverable); 2]);
    let call = house.stack(&step("a").retry(5).breaker(2, 60));
    assert_eq!(
        told(&call.call(house.request("?")).await),
        "failed: breaker-open; a 1 recoverable; a 2 recoverable; a 3 breaker-open"
    );
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_s_own_timeout_counts_and_its_caller_s_deadline_does_not() {
    for (timeout, standing) in [(1_000, Standing::Open), (9_000, Standing::Closed)] {
        let mut house = House::new(4);
        house.agent("a", [Act::Hang]);
        let call = house.stack(&step("a").timeout(timeout).breaker(1, 60));
        let mut request = house.request("?");
        request.deadline = Some(Instant::now() + Duration::from_secs(5));
        let error = call.call(request).await.expect_err("no answer");
        assert_eq!(error.failure.kind, F::Deadline);
        assert_eq!(house.providers.shared.breakers()[0].1.standing, standing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_can_be_kept_for_the_next_process() {
    let open_for = Some(Duration::from_secs(9));
    for (standing, failures, open_for, asked) in [
        (Standing::Closed, 2, None, true),
        (Standing::Open, 3, open_for, false),
        (Standing::HalfOpen, 3, None, true),
    ] {
        let mut house = House::new(4);
        house.agent("a", [Act::Answer("ok")]);
        let kept = Snapshot {
            standing,
            failures,
            open_for,
        };
        let text = serde_json::to_string(&kept).expect("plain data");
        let read: Snapshot = serde_json::from_str(&text).expect("it reads back");
        house.providers.shared.restore(&name("a"), &read);
        assert_eq!(house.providers.shared.breakers(), [(name("a"), kept)]);
        let call = house.stack(&step("a").breaker(3, 60));
        assert_eq!(call.call(house.request("?")).await.is_ok(), asked, "{text}");
    }
}
