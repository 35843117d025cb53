//! How many are in flight at once, how long each may take, and that nobody waits for a place that never comes.

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::super::script::{Act, House, name, step, told};
use super::*;
use crate::payload::Payload;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn no_more_attempts_are_in_flight_than_may_be_and_waiting_is_accounted() {
    let mut house = House::new(2);
    house.agent("a", [Act::Take(SECOND), Act::Answer("ok")].repeat(3));
    let call = house.stack(&step("a"));
    let replies = join_all((0..3).map(|_| call.call(house.request("?")))).await;
    let queued: Vec<_> = replies
        .iter()
        .map(|reply| reply.as_ref().expect("an answer").trail.usage().queue_us)
        .collect();
    assert_eq!(queued, [0, 0, 1_000_000]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_overloaded_at_once() {
    let mut house = House::new(1);
    let script = house.agent("a", [Act::Hang, Act::Answer("ok"), Act::Answer("ok")]);
    let call = house.stack(&step("a"));
    let mut runs = call.call(house.request("?"));
    let mut waits = call.call(house.request("?"));
    assert!((&mut runs).now_or_never().is_none());
    assert!((&mut waits).now_or_never().is_none());
    let refused = call
        .call(house.request("?"))
        .now_or_never()
        .expect("at once");
    assert_eq!(told(&refused), "failed: overloaded; a 1 overloaded");
    script.tell();
    assert!(runs.await.is_ok() && waits.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_not_let_in_in_time_is_overloaded() {
    let mut house = House::new(1);
    house.agent("a", [Act::Hang]);
    let other = house.agent("b", []);
    let call = house.stack(&step("a"));
    let mut runs = call.call(house.request("?"));
    assert!((&mut runs).now_or_never().is_none());
    let call = house.stack(&step("b").timeout(1_000));
    let result = call.call(house.request("?")).await;
    assert_eq!(told(&result), "failed: overloaded; b 1 overloaded");
    let error = result.expect_err("no room");
    assert_eq!(
        error.failure.message,
        "none of 1 tasks in flight ended within 1s; raise the step's `timeout` if it needs longer"
    );
    assert_eq!(error.trail.usage().queue_us, 1_000_000);
    assert_eq!(
        (other.calls(), house.providers.shared.slots.waiting()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_answers_is_cut_off_and_is_in_flight_no_more() {
    let mut house = House::new(1);
    house.agent("a", [Act::Hang]);
    let call = house.stack(&step("a").timeout(1_000));
    let result = call.call(house.request("?")).await;
    assert_eq!(told(&result), "failed: deadline; a 1 deadline");
    let error = result.expect_err("no answer");
    assert_eq!(
        error.failure.message,
        "no answer within 1s; raise the step's `timeout` if it needs longer"
    );
    assert_eq!(error.trail.usage().wall_us, 1_050_000);
    assert_eq!(house.providers.shared.slots.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_counts_and_the_nearer_deadline_holds() {
    /// Says how many milliseconds it was given.
    struct Clock;
    impl Call for Clock {
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
            let left = request.deadline.expect("a deadline") - Instant::now();
            let output = Arc::new(Payload::Text(left.as_millis().to_string()));
            let trail = crate::call::Trail::default();
            Box::pin(async { Ok(Reply { output, trail }) })
        }
    }
    let mut house = House::new(1);
    house.agent("slow", [Act::Take(SECOND), Act::Answer("ok")].repeat(3));
    house.base("clock", Arc::new(Clock));
    for (timeout, deadline, left) in [
        (3_000, None, "2000"),
        (3_000, Some(5_000), "2000"),
        (5_000, Some(3_000), "2000"),
    ] {
        let mut request = house.request("?");
        request.deadline = deadline.map(|ms| Instant::now() + Duration::from_millis(ms));
        let slow = house.stack(&step("slow"));
        let clock = house.stack(&step("clock").timeout(timeout));
        let (_, reply) = tokio::join!(slow.call(house.request("?")), clock.call(request));
        let reply = reply.expect("an answer");
        assert_eq!(*reply.output, Payload::Text(left.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_asks_nobody() {
    let mut house = House::new(1);
    let script = house.agent("a", []);
    let mut request = house.request("?");
    request.deadline = Some(Instant::now());
    let result = house.stack(&step("a")).call(request).await;
    assert_eq!(told(&result), "failed: deadline; a 1 deadline");
    assert_eq!(script.calls(), 0);
}

/// Asks its peer and waits for it, as an agent in a sandbox does.
struct Asks(Arc<dyn Call>);

impl Call for Asks {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let mut asked = Request::new("peer", request.input.clone());
            let callers = request.lineage.callers.iter().cloned();
            asked.lineage.callers = callers.chain([name("caller")]).collect();
            self.0.call(asked).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn agents_that_wait_for_agents_come_to_an_end_on_a_host_for_one() {
    let mut house = House::new(1);
    house.agent("leaf", [Act::Take(SECOND), Act::Answer("ok")].repeat(2));
    house.base("middle", Arc::new(Asks(house.stack(&step("leaf")))));
    house.base("root", Arc::new(Asks(house.stack(&step("middle")))));
    let root = house.stack(&step("root").timeout(10_000));
    let (one, two) = tokio::join!(root.call(house.request("1")), root.call(house.request("2")));
    assert!(
        one.is_ok() && two.is_ok(),
        "{} / {}",
        told(&one),
        told(&two)
    );
    assert_eq!(house.providers.shared.slots.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_cancelled_while_it_waits_for_a_peer_leaves_nothing_in_flight() {
    let mut house = House::new(1);
    house.agent("leaf", [Act::Hang]);
    house.base("root", Arc::new(Asks(house.stack(&step("leaf")))));
    let stack = house.stack(&step("root"));
    let mut root = stack.call(house.request("?"));
    assert!((&mut root).now_or_never().is_none());
    assert_eq!(house.providers.shared.slots.in_flight(), 2);
    drop(root);
    assert_eq!(house.providers.shared.slots.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_caller_is_not_blamed_on_the_step() {
    let mut house = House::new(1);
    house.agent("a", [Act::Hang]);
    let mut request = house.request("?");
    request.deadline = Some(Instant::now() + SECOND);
    let call = house.stack(&step("a").timeout(5_000));
    let error = call.call(request).await.expect_err("no answer");
    assert_eq!(
        error.failure.message,
        "no answer within 1s; the step's `deadline`, or whoever waits for it, allows no more"
    );
}
