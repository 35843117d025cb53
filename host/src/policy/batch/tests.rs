//! Who goes together with whom, when a batch is sent off, and what becomes of each of its tasks.

use std::fmt::Write as _;

use futures_util::future::join_all;

use super::super::script::{House, step, told};
use super::*;
use crate::call::{Attempt, Trail, Usage};
use crate::failure::Failure;
use crate::id::AgentName;
use crate::payload::Payload;
use crate::plan::CallStep;
use FailureKind as F;

const MS: Duration = Duration::from_millis(1);

/// An agent that handles batches: answers each task with its input in capitals, but fails all that come with `poison`.
struct Press {
    start: Instant,
    takes: Duration,
    log: Mutex<String>,
}

impl Press {
    fn answer(&self, request: &Request, poisoned: bool) -> Result<Reply, CallError> {
        let failure = poisoned.then(|| Failure::new(F::Trapped, "poisoned"));
        let agent: AgentName = "press".parse().expect("a name");
        let attempt = Attempt {
            agent,
            number: request.attempt,
            failure: failure.clone(),
            usage: Usage::default(),
            answers: None,
        };
        let trail = Trail {
            attempts: vec![attempt],
            ..Trail::default()
        };
        match failure {
            Some(failure) => Err(CallError { failure, trail }),
            None => Ok(Reply {
                output: Arc::new(Payload::Text(text(request).to_uppercase())),
                trail,
            }),
        }
    }
}

fn text(request: &Request) -> String {
    match &*request.input {
        Payload::Text(text) => text.clone(),
        other => panic!("not a text: {other:?}"),
    }
}

impl Call for Press {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let alone = [request.clone()];
            let requests = request
                .together
                .as_ref()
                .map_or(&alone[..], |all| all.requests());
            let texts: Vec<_> = requests.iter().map(text).collect();
            let at = self.start.elapsed().as_millis();
            writeln!(self.log.lock(), "{at} ms: {}", texts.join(" ")).expect("a string");
            sleep(self.takes).await;
            let poisoned = texts.iter().any(|text| text == "poison");
            let results = requests.iter().map(|one| self.answer(one, poisoned));
            let mut results: Vec<_> = results.collect();
            match &request.together {
                None => results.remove(0),
                Some(together) => together.give(results),
            }
        })
    }

    fn batches(&self) -> bool {
        true
    }
}

fn house(takes: Duration) -> (House, Arc<Press>) {
    let press = Arc::new(Press {
        start: Instant::now(),
        takes,
        log: Mutex::default(),
    });
    let mut house = House::new(1);
    house.base("press", press.clone());
    (house, press)
}

/// A call of the press that gathers up to three within 10 ms.
fn gathers() -> CallStep {
    let mut step = step("press");
    step.policy.batch = Some(plan::Batch {
        size: 3,
        wait: 10 * MS,
    });
    step
}

/// Asks for `input` after `millis`, through a stack of its own, as another run would.
async fn ask(house: &House, step: &CallStep, millis: u32, input: &str) -> String {
    sleep(millis * MS).await;
    told(&house.stack(step).call(house.request(input)).await)
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_when_its_first_has_waited_long_enough() {
    let (house, press) = house(Duration::ZERO);
    let step = gathers();
    let asked = [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (9, "e"), (30, "f")];
    let answers = join_all(asked.map(|(at, input)| ask(&house, &step, at, input))).await;
    let expected = ["A", "B", "C", "D", "E", "F"];
    assert_eq!(
        answers,
        expected.map(|up| format!("Text({up:?}); press 1 ok"))
    );
    assert_eq!(
        press.log.lock().as_str(),
        "2 ms: a b c\n13 ms: d e\n40 ms: f\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_one_slot_and_says_how_many_it_was() {
    let (house, press) = house(MS);
    let step = gathers();
    let stack = house.stack(&step);
    let calls = ["a", "b", "c"].map(|input| stack.call(house.request(input)));
    for result in join_all(calls).await {
        assert_eq!(result.expect("an answer").trail.batch, Some(3));
    }
    assert_eq!(press.log.lock().as_str(), "0 ms: a b c\n");
    let alone = stack.call(house.request("d")).await.expect("an answer");
    assert_eq!(alone.trail.batch, None);
    assert_eq!(house.health("press").report().tally.succeeded, 4);
}

#[tokio::test(start_paused = true)]
async fn different_skills_and_agents_do_not_go_together() {
    let (house, press) = house(Duration::ZERO);
    let mut read = gathers();
    read.skill = Some("read".parse().expect("a name"));
    let plain = gathers();
    tokio::join!(
        ask(&house, &read, 0, "a"),
        ask(&house, &plain, 0, "b"),
        ask(&house, &read, 0, "c"),
    );
    let log = press.log.lock();
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable(); // which of two that are due at the same time goes first says nothing
    assert_eq!(lines, ["10 ms: a c", "10 ms: b"]);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_batch_fails_all_of_it_and_a_retry_goes_alone() {
    let (house, press) = house(Duration::ZERO);
    let mut step = gathers().retry(2);
    let retry = step.policy.retry.as_mut().expect("it was set");
    retry.on = Some(vec![F::Trapped]);
    let asked = ["a", "poison", "c"].map(|input| ask(&house, &step, 0, input));
    assert_eq!(
        join_all(asked).await,
        [
            "Text(\"A\"); press 1 trapped; press 2 ok",
            "failed: trapped; press 1 trapped; press 2 trapped",
            "Text(\"C\"); press 1 trapped; press 2 ok",
        ]
    );
    assert_eq!(
        press.log.lock().as_str(),
        "0 ms: a poison c\n100 ms: a\n100 ms: poison\n100 ms: c\n"
    );
}

#[tokio::test(start_paused = true)]
async fn each_keeps_its_own_deadline_and_nobody_else_s() {
    let (house, _) = house(Duration::from_secs(5));
    let (short, long) = (gathers().timeout(1_000), gathers().timeout(60_000));
    let (short, long) = tokio::join!(ask(&house, &short, 0, "a"), ask(&house, &long, 0, "b"));
    assert_eq!(short, "failed: deadline");
    assert_eq!(long, "Text(\"B\"); press 1 ok");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_before_the_batch_goes_is_not_in_it_and_holds_nobody_up() {
    let (house, press) = house(Duration::ZERO);
    let step = gathers();
    let stack = house.stack(&step);
    let gives_up = tokio::time::timeout(2 * MS, stack.call(house.request("first")));
    let (gone, stays) = tokio::join!(gives_up, ask(&house, &step, 1, "b"));
    assert!(gone.is_err());
    assert_eq!(stays, "Text(\"B\"); press 1 ok");
    assert_eq!(press.log.lock().as_str(), "10 ms: b\n");
    drop(tokio::time::timeout(MS, stack.call(house.request("nobody"))).await);
    assert!(house.providers.shared.batches.0.lock().open.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_let_in_fails_all_alike() {
    let (house, press) = house(Duration::from_secs(9));
    let hog = async { ask(&house, &step("press"), 0, "hog").await };
    let step = gathers().timeout(100);
    let late = join_all([1, 2].map(|at| ask(&house, &step, at, "late")));
    let (_, late) = tokio::join!(hog, late);
    assert_eq!(late.len(), 2);
    assert!(
        late.iter()
            .all(|told| told.starts_with("failed: overloaded")),
        "{late:?}"
    );
    assert_eq!(press.log.lock().as_str(), "0 ms: hog\n");
}
