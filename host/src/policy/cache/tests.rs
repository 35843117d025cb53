//! What is answered from the cache, what is not, and who shares an asking with whom.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::advance;

use super::super::script::{Act, House, name, step, told};
use super::*;
use FailureKind as F;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_serves_until_it_is_as_old_as_the_asker_allows() {
    let mut house = House::new(1);
    house.agent("a", [Act::Answer("1"), Act::Answer("2")]);
    let short = house.stack(&step("a").cache(10));
    let long = house.stack(&step("a").cache(60));
    let ask = async |call: &Arc<dyn Call>| told(&call.call(house.request("?")).await);

    assert_eq!(ask(&short).await, "Text(\"1\"); a 1 ok");
    advance(9 * SECOND).await;
    assert_eq!(ask(&short).await, "Text(\"1\"), cached 9s ago");
    advance(SECOND).await;
    assert_eq!(ask(&long).await, "Text(\"1\"), cached 10s ago");
    assert_eq!(ask(&short).await, "Text(\"2\"); a 1 ok");
    advance(SECOND).await;
    assert_eq!(ask(&long).await, "Text(\"2\"), cached 1s ago");
}

#[tokio::test]
async fn failures_are_never_kept() {
    let mut house = House::new(1);
    house.agent("a", [Act::Fail(F::Fatal), Act::Answer("ok")]);
    let call = house.stack(&step("a").cache(60));
    assert!(call.call(house.request("?")).await.is_err());
    assert!(call.call(house.request("?")).await.is_ok());
}

#[tokio::test]
async fn an_answer_serves_only_its_own_question_and_the_agent_that_gave_it() {
    let mut house = House::new(1);
    house.agent("a", [Act::Answer("1"), Act::Answer("2")]);
    house.agent("b", [Act::Answer("3")]);
    let a = house.stack(&step("a").cache(60));
    let b = house.stack(&step("b").cache(60));
    assert_eq!(
        told(&a.call(house.request("x")).await),
        "Text(\"1\"); a 1 ok"
    );
    assert_eq!(
        told(&a.call(house.request("y")).await),
        "Text(\"2\"); a 1 ok"
    );
    assert_eq!(
        told(&b.call(house.request("x")).await),
        "Text(\"3\"); b 1 ok"
    );
}

#[tokio::test]
async fn equal_questions_at_the_same_time_share_one_asking_and_its_use_is_counted_once() {
    let mut house = House::new(1);
    let script = house.agent("a", [Act::Hang, Act::Answer("ok")]);
    let call = house.stack(&step("a").cache(60));
    let all = join_all((0..5).map(|_| call.call(house.request("?"))));
    let (replies, ()) = tokio::join!(all, async { script.tell() });
    let told: Vec<_> = replies.iter().map(told).collect();
    assert_eq!(told[0], "Text(\"ok\"); a 1 ok");
    assert!(
        told[1..]
            .iter()
            .all(|told| told == "Text(\"ok\"), cached 0ns ago"),
        "{told:?}"
    );
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn those_who_wait_get_a_failure_that_says_something_about_their_question() {
    let mut house = House::new(1);
    let script = house.agent("a", [Act::Hang, Act::Fail(F::InvalidInput)]);
    let call = house.stack(&step("a").cache(60));
    let both = join_all((0..2).map(|_| call.call(house.request("?"))));
    let (results, ()) = tokio::join!(both, async { script.tell() });
    let told: Vec<_> = results.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "failed: invalid-input; a 1 invalid-input",
            "failed: invalid-input"
        ]
    );
}

#[tokio::test]
async fn those_who_wait_keep_their_own_tries() {
    let mut house = House::new(1);
    let script = house.agent(
        "a",
        [Act::Hang, Act::Fail(F::Recoverable), Act::Answer("ok")],
    );
    let first = house.stack(&step("a").cache(60));
    let second = house.stack(&step("a").cache(60).retry(2));
    let both = async {
        tokio::join!(
            first.call(house.request("?")),
            second.call(house.request("?"))
        )
    };
    let ((first, second), ()) = tokio::join!(both, async { script.tell() });
    assert_eq!(told(&first), "failed: recoverable; a 1 recoverable");
    assert_eq!(told(&second), "Text(\"ok\"); a 1 ok");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_ask_for_themselves_when_only_the_others_time_ran_out() {
    let mut house = House::new(2);
    let script = house.agent(
        "a",
        [
            Act::Hang,
            Act::Answer("never"),
            Act::Answer("1"),
            Act::Answer("2"),
        ],
    );
    let call = house.stack(&step("a").cache(60));
    let mut hurried = house.request("?");
    hurried.deadline = Some(Instant::now() + SECOND);
    let (first, second, third) = tokio::join!(
        call.call(hurried),
        call.call(house.request("?")),
        call.call(house.request("?"))
    );
    assert_eq!(told(&first), "failed: deadline; a 1 deadline");
    assert_eq!(told(&second), "Text(\"1\"); a 1 ok");
    assert_eq!(told(&third), "Text(\"2\"); a 1 ok");
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_for_anothers_answer_keeps_its_own_deadline() {
    let mut house = House::new(1);
    let script = house.agent("a", [Act::Hang, Act::Answer("ok")]);
    let call = house.stack(&step("a").cache(60));
    let mut hurried = house.request("?");
    hurried.deadline = Some(Instant::now() + SECOND);
    let hurried = async {
        let result = call.call(hurried).await;
        script.tell();
        result
    };
    let (patient, hurried) = tokio::join!(call.call(house.request("?")), hurried);
    assert_eq!(told(&patient), "Text(\"ok\"); a 1 ok");
    assert_eq!(told(&hurried), "failed: deadline");
}

#[tokio::test]
async fn an_asking_goes_on_without_its_first_asker_and_stops_without_any() {
    let mut house = House::new(1);
    let script = house.agent("a", [Act::Hang, Act::Answer("ok"), Act::Hang]);
    let call = house.stack(&step("a").cache(60));
    let mut first = call.call(house.request("?"));
    let mut second = call.call(house.request("?"));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    script.tell();
    assert_eq!(told(&second.await), "Text(\"ok\"), cached 0ns ago");
    assert_eq!(script.calls(), 1);

    let mut only = call.call(house.request("another"));
    assert!((&mut only).now_or_never().is_none());
    assert_eq!(house.providers.shared.slots.in_flight(), 1);
    drop(only);
    assert_eq!(house.providers.shared.slots.in_flight(), 0);
    assert!(house.providers.shared.cache.flights.is_empty());
}

#[tokio::test]
async fn a_question_from_an_agent_never_waits_for_somebody_elses() {
    let mut house = House::new(2);
    let script = house.agent(
        "a",
        [Act::Hang, Act::Answer("flow's"), Act::Answer("peer's")],
    );
    let call = house.stack(&step("a").cache(60));
    let mut flow = call.call(house.request("?"));
    assert!((&mut flow).now_or_never().is_none());
    let mut nested = house.request("?");
    nested.lineage.callers = [name("b")].into();
    let peers = call.call(nested.clone()).now_or_never();
    let peers = peers.expect("an answer without waiting");
    assert_eq!(told(&peers), "Text(\"peer's\"); a 1 ok");
    script.tell();
    assert_eq!(told(&flow.await), "Text(\"flow's\"); a 1 ok");
    assert!(
        call.call(nested)
            .await
            .expect("kept")
            .trail
            .cached
            .is_some()
    );
}

#[tokio::test]
async fn one_who_looked_before_an_answer_was_kept_and_leads_after_it_finds_it() {
    let mut house = House::new(1);
    let inner = house.agent("a", []);
    let cache = house.providers.shared.cache.clone();
    let parts = Arc::new(Parts {
        inner,
        digest: Digest::of(b"a"),
        ttl: SECOND,
        cache: cache.clone(),
    });
    let request = house.request("?");
    let key = key::of(parts.digest, &request);
    let lead = parts.lead(key, request);
    cache
        .keep(key, Arc::new(Payload::Text("kept".into())))
        .await;
    let reply = lead.await.expect("the answer");
    assert_eq!(*reply.output, Payload::Text("kept".into()));
    assert!(reply.trail.cached.is_some());
}

#[tokio::test]
async fn a_fallbacks_answer_is_kept_under_its_own_key_only() {
    let mut house = House::new(1);
    house.agent("a", [Act::Fail(F::Fatal), Act::Answer("a's")]);
    house.agent("b", [Act::Answer("b's")]);
    let call = house.stack(&step("a").cache(60).fallback(step("b").cache(60)));
    assert_eq!(
        told(&call.call(house.request("?")).await),
        "Text(\"b's\"), by b; a 1 fatal; b 1 ok"
    );
    assert_eq!(
        told(&call.call(house.request("?")).await),
        "Text(\"a's\"); a 1 ok"
    );
}

#[tokio::test]
async fn answers_never_take_more_than_the_capacity() {
    let cache = AnswerCache::new(64 << 10);
    for n in 0..100_u8 {
        let output = Arc::new(Payload::Text("x".repeat(4 << 10)));
        cache.keep(Digest::of(&[n]), output).await;
    }
    cache.answers.run_pending_tasks().await;
    let kept = cache.answers.weighted_size();
    assert!((32 << 10..=64 << 10).contains(&kept), "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_askers_on_many_threads_cause_one_asking() {
    let mut house = House::new(2);
    let script = house.agent("a", [Act::Answer("ok")]);
    let call = house.stack(&step("a").cache(60));
    let askers = (0..200).map(|_| {
        let (call, request) = (call.clone(), house.request("?"));
        tokio::spawn(async move { call.call(request).await.map(|reply| reply.trail) })
    });
    let used: u64 = join_all(askers)
        .await
        .into_iter()
        .map(|trail| trail.expect("no panic").expect("an answer").usage().fuel)
        .sum();
    assert_eq!((script.calls(), used), (1, 1));
}

/// Answers that outlive a cache; a store in memory without anything else.
#[derive(Default)]
struct Shelf {
    kept: parking_lot::Mutex<std::collections::HashMap<Digest, (Payload, Instant)>>,
    stuck: bool,
}

impl Answers for Shelf {
    fn get(&self, key: Digest) -> BoxFuture<'_, Option<(Payload, Duration)>> {
        Box::pin(async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            let found = self.kept.lock().get(&key).cloned();
            found.map(|(answer, given)| (answer, given.elapsed()))
        })
    }

    fn put(&self, key: Digest, answer: &Arc<Payload>) {
        let entry = (answer.as_ref().clone(), Instant::now());
        self.kept.lock().insert(key, entry);
    }
}

/// A process over the shelf: what it has in memory is its own.
fn process(shelf: &Arc<Shelf>, acts: &[Act]) -> House {
    let mut house = House::new(1);
    house.providers.shared.cache = Arc::new(AnswerCache::default().over(shelf.clone()));
    house.agent("a", acts.iter().copied());
    house
}

#[tokio::test(start_paused = true)]
async fn an_answer_outlives_its_process_and_grows_old_all_the_same() {
    let shelf = Arc::new(Shelf::default());
    let ask = async |house: &House, ttl| {
        let call = house.stack(&step("a").cache(ttl));
        told(&call.call(house.request("?")).await)
    };
    let first = process(&shelf, &[Act::Answer("1")]);
    assert_eq!(ask(&first, 60).await, "Text(\"1\"); a 1 ok");
    advance(9 * SECOND).await;

    let second = process(&shelf, &[Act::Answer("2")]);
    assert_eq!(ask(&second, 60).await, "Text(\"1\"), cached 9s ago");
    advance(SECOND).await;
    assert_eq!(ask(&second, 10).await, "Text(\"2\"); a 1 ok");
    let third = process(&shelf, &[]);
    assert_eq!(ask(&third, 10).await, "Text(\"2\"), cached 0ns ago");
    advance(SECOND).await;
    assert_eq!(ask(&first, 5).await, "Text(\"2\"), cached 1s ago");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_does_not_answer_holds_a_call_up_for_a_second_and_no_longer() {
    let shelf = Arc::new(Shelf {
        stuck: true,
        ..Shelf::default()
    });
    let house = process(&shelf, &[Act::Answer("1")]);
    let call = house.stack(&step("a").cache(60));
    let start = Instant::now();
    let result = call.call(house.request("?")).await;
    assert_eq!(told(&result), "Text(\"1\"); a 1 ok");
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn failures_do_not_outlive_their_process_either() {
    let shelf = Arc::new(Shelf::default());
    for act in [Act::Fail(F::Fatal), Act::Answer("ok")] {
        let house = process(&shelf, &[act]);
        let call = house.stack(&step("a").cache(60));
        let result = call.call(house.request("?")).await;
        assert_eq!(result.is_ok(), matches!(act, Act::Answer(_)));
    }
}
