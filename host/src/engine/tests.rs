//! Runs driven over the memory store: to their end, over crashes, against faults and rivals.

mod crashes;
pub(in crate::engine) mod mortal;

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::call::{Answers, Attempt, CallError, Reply, Request, Trail, Usage};
use crate::failure::FailureKind;
use crate::flow;
use crate::payload::{Blob, Payload};
use crate::record::Outcome;
use crate::store::Backend as _;
use crate::store::append::GIVE_UP;
use crate::store::memory::{Faults, MemoryStore};

/// An agent for tests: counts its executions, may be held up, and answers with what it was asked.
#[derive(Default)]
struct Agent {
    executions: AtomicU32,
    seen: Mutex<Vec<(String, u32, Payload)>>,
    answer: Option<Payload>,
    /// Without permits the agent hangs.
    open: Option<Semaphore>,
}

impl Call for Agent {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            self.executions.fetch_add(1, Ordering::SeqCst);
            self.seen.lock().push((
                request.task_id.to_string(),
                request.attempt,
                Payload::clone(&request.input),
            ));
            if let Some(open) = &self.open {
                open.acquire()
                    .await
                    .map_err(|_| CallError::new(FailureKind::Cancelled, "closed"))?
                    .forget();
            }
            let output = self.answer.clone().map_or(request.input, Arc::new);
            match &*output {
                Payload::Text(text) if text == "panic" => panic!("an agent's call panicked"),
                _ => Ok(Reply {
                    output,
                    trail: Trail::default(),
                }),
            }
        }
        .boxed()
    }
}

impl Agent {
    fn answering(answer: Payload) -> Arc<Self> {
        Arc::new(Self {
            answer: Some(answer),
            ..Self::default()
        })
    }

    fn hanging() -> Arc<Self> {
        Arc::new(Self {
            open: Some(Semaphore::new(0)),
            ..Self::default()
        })
    }

    fn executions(&self) -> u32 {
        self.executions.load(Ordering::SeqCst)
    }
}

struct Bench {
    store: MemoryStore,
    plan: Arc<Plan>,
    calls: Calls,
}

impl Bench {
    /// A flow over these agents; each is found by the id of its step.
    fn new(store: MemoryStore, source: &str, agents: &[(&str, Arc<Agent>)]) -> Self {
        let plan = flow::parse(source, "test")
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render("test", source, false)));
        let call = |id: &str| -> Arc<dyn Call> {
            let known = agents.iter().find(|(name, _)| *name == id);
            known.map_or_else(|| Arc::new(Agent::default()), |(_, agent)| agent.clone())
                as Arc<dyn Call>
        };
        let calls = plan
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| (StepRef(at), call(step.id.as_str())))
            .collect();
        Self {
            store,
            plan: Arc::new(plan),
            calls,
        }
    }

    fn engine(&self) -> Engine {
        Engine::new(Arc::new(self.store.clone()), GIVE_UP)
    }

    async fn accept(&self, input: Value) -> RunId {
        self.engine()
            .accept(&self.plan, BTreeMap::new(), input)
            .await
            .expect("accepted")
    }

    async fn drive(&self, run: RunId) -> Result<RunState, EngineError> {
        self.engine()
            .drive(
                run,
                self.plan.clone(),
                &self.calls,
                &Watch::default(),
                std::future::pending(),
            )
            .await
    }

    async fn run(&self, input: Value) -> Outcome {
        let run = self.accept(input).await;
        self.drive(run)
            .await
            .expect("driven")
            .outcome()
            .expect("an outcome")
            .clone()
    }
}

fn output(value: Value) -> Outcome {
    Outcome::Succeeded {
        output: Held::Inline(Arc::new(value)),
    }
}

const THREE: &str = "kennel: 1\nsequential: [{agent: a}, {agent: b}, {agent: c}]";

#[tokio::test(start_paused = true)]
async fn a_run_goes_to_its_end_and_leaves_nothing_in_the_queue() {
    let bench = Bench::new(MemoryStore::new(), THREE, &[]);
    let run = bench.accept(json!({ "n": 1 })).await;
    let state = bench.drive(run).await.expect("driven");
    assert_eq!(state.outcome(), Some(&output(json!({ "n": 1 }))));
    assert!(matches!(
        bench.store.queue().claim(RUNS, &run.to_string()).await,
        Ok(Claim::Absent)
    ));
    let again = bench.drive(run).await.expect("a finished run is only read");
    assert_eq!(again.outcome(), state.outcome());
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_only_what_was_running() {
    let (first, second) = (Arc::new(Agent::default()), Agent::hanging());
    let agents = [("a", first.clone()), ("b", second.clone())];
    let bench = Bench::new(MemoryStore::new(), THREE, &agents);
    let run = bench.accept(json!(1)).await;
    let crashed = tokio::time::timeout(Duration::from_secs(5), bench.drive(run)).await;
    assert!(crashed.is_err(), "the second agent hangs");

    let bench = Bench::new(bench.store.fork(), THREE, &agents);
    second.open.as_ref().expect("a semaphore").add_permits(1);
    let state = bench.drive(run).await.expect("driven on");
    assert_eq!(state.outcome(), Some(&output(json!(1))));
    assert_eq!((first.executions(), second.executions()), (1, 2));
    let seen = second.seen.lock();
    assert_eq!(seen[0].0, seen[1].0, "the task id is the idempotency key");
    assert_eq!((seen[0].1, seen[1].1), (1, 2), "the attempt counts on");
}

#[tokio::test(start_paused = true)]
async fn whoever_was_overtaken_commits_nothing() {
    let slow = Agent::hanging();
    let agents = [("b", slow.clone())];
    let bench = Bench::new(MemoryStore::new(), THREE, &agents);
    let run = bench.accept(json!(1)).await;
    let calls = bench.calls.clone();
    let (engine, plan) = (bench.engine(), bench.plan.clone());
    let zombie = tokio::spawn(async move {
        engine
            .drive(run, plan, &calls, &Watch::default(), std::future::pending())
            .await
            .map(|_| ())
    });
    while slow.executions() == 0 {
        tokio::task::yield_now().await;
    }
    // The zombie stops renewing its lease as far as the new owner can see, but its call goes on.
    let rival = Bench::new(bench.store.clone(), THREE, &[]);
    let watch = Watch::default();
    let engine = rival.engine();
    let opened = engine.open(run, rival.plan.clone()).await;
    let (journal, _, state) = opened.expect("open");
    let state = drive::Driver::new(&engine, journal, state, None, &rival.calls, &watch)
        .run()
        .await
        .expect("driven on");
    assert!(state.outcome().is_some());
    slow.open.as_ref().expect("a semaphore").add_permits(1);
    assert!(matches!(
        zombie.await.expect("joined"),
        Err(EngineError::Fenced(_))
    ));
    let records = rival.engine().read(run).all().await.expect("a journal");
    let ends = records
        .iter()
        .filter(|record| matches!(record.event, Event::RunFinished { .. }))
        .count();
    assert_eq!(ends, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_somebody_works_on_is_not_taken() {
    let bench = Bench::new(MemoryStore::new(), THREE, &[]);
    let run = bench.accept(json!(1)).await;
    let Ok(Claim::Taken(_lease)) = bench.store.queue().claim(RUNS, &run.to_string()).await else {
        panic!("not taken")
    };
    assert!(matches!(bench.drive(run).await, Err(EngineError::Held(..))));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_is_given_back_at_once() {
    let hanging = Agent::hanging();
    let bench = Bench::new(MemoryStore::new(), THREE, &[("b", hanging.clone())]);
    let run = bench.accept(json!(1)).await;
    let stop = async {
        while hanging.executions() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let watch = Watch::default();
    let driven = bench
        .engine()
        .drive(run, bench.plan.clone(), &bench.calls, &watch, stop)
        .await;
    assert!(matches!(driven, Err(EngineError::Stopped(_))));
    let claimed = bench.store.queue().claim(RUNS, &run.to_string()).await;
    assert!(
        matches!(claimed, Ok(Claim::Taken(_))),
        "nobody holds it any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_the_queue_full_leaves_nothing_behind() {
    let store = MemoryStore::new().with_queue_limit(0);
    let bench = Bench::new(store, THREE, &[]);
    let refused = bench
        .engine()
        .accept(&bench.plan, BTreeMap::new(), json!(1))
        .await;
    assert!(matches!(refused, Err(EngineError::Full)));
    assert_eq!(bench.store.log().runs(None, 10).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_queue_full_of_runs_that_have_ended_has_room() {
    let bench = Bench::new(MemoryStore::new().with_queue_limit(2), THREE, &[]);
    let mut ended = Vec::new();
    for _ in 0..2 {
        let run = bench.accept(json!(1)).await;
        bench.drive(run).await.expect("driven");
        ended.push(run);
    }
    // As if their processes had been lost right after the last record.
    for run in ended {
        bench.engine().enqueue(run).await.expect("room");
    }
    let run = bench.accept(json!(1)).await;
    let other = bench.accept(json!(1)).await;
    let full = bench.engine().enqueue(RunId::generate()).await;
    assert!(matches!(full, Err(EngineError::Full)), "{full:?}");
    for run in [run, other] {
        bench
            .drive(run)
            .await
            .expect("those that wait are still there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_queue_entry_is_put_back() {
    let bench = Bench::new(MemoryStore::new(), THREE, &[]);
    let run = bench.accept(json!(1)).await;
    let Ok(Claim::Taken(lease)) = bench.store.queue().claim(RUNS, &run.to_string()).await else {
        panic!("not taken")
    };
    lease.done().await.expect("removed");
    assert!(bench.drive(run).await.expect("driven").outcome().is_some());
}

#[tokio::test(start_paused = true)]
async fn large_values_become_blobs_and_come_back() {
    let large = json!({ "text": "x".repeat(100_000) });
    let bench = Bench::new(MemoryStore::new(), THREE, &[]);
    let run = bench.accept(large.clone()).await;
    bench.drive(run).await.expect("driven");
    let stored = bench.store.log().replay(run).await.expect("replayed");
    let heaviest = stored
        .iter()
        .map(|stored| serde_json::to_string(&stored.record).map_or(0, |text| text.len()))
        .max();
    assert!(heaviest < Some(64 << 10), "{heaviest:?}");
    let again = bench.drive(run).await.expect("read back");
    assert_eq!(again.outcome(), Some(&output(large)));
}

#[tokio::test(start_paused = true)]
async fn a_large_value_that_comes_again_is_one_blob() {
    let large = json!({ "text": "x".repeat(100_000) });
    let bench = Bench::new(MemoryStore::new(), THREE, &[]);
    let mut digests = Vec::new();
    for _ in 0..2 {
        let run = bench.accept(large.clone()).await;
        bench.drive(run).await.expect("driven");
        let stored = bench.store.log().replay(run).await.expect("replayed");
        digests.extend(
            stored
                .iter()
                .filter_map(|stored| match stored.record.event.value() {
                    Some(Held::Blob(blob)) => Some(blob.digest),
                    _ => None,
                }),
        );
    }
    assert!(
        digests.len() > 4,
        "the input, each output and the run's, twice"
    );
    digests.dedup();
    assert_eq!(digests, [Digest::of(large.to_string().as_bytes())]);
}

/// An agent that echoes, and whose host answered with so many bytes.
struct Told(usize);

impl Call for Told {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        let attempt = Attempt {
            agent: "told".parse().expect("a name"),
            number: request.attempt,
            failure: None,
            usage: Usage::default(),
            answers: Some(Answers::Inline(vec![7; self.0].into())),
        };
        let trail = Trail {
            attempts: vec![attempt],
            ..Trail::default()
        };
        let output = request.input;
        async move { Ok(Reply { output, trail }) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_host_answered_is_kept_with_the_attempt_and_a_large_answer_as_a_blob() {
    for (size, is_blob) in [(4 << 10, false), (5 << 10, true)] {
        let source = "kennel: 1\nsequential: [{agent: a}]";
        let mut bench = Bench::new(MemoryStore::new(), source, &[]);
        for call in bench.calls.values_mut() {
            *call = Arc::new(Told(size));
        }
        let run = bench.accept(json!(1)).await;
        bench.drive(run).await.expect("driven");
        let records = bench.engine().read(run).all().await.expect("a journal");
        let answers = records.iter().find_map(|record| match &record.event {
            Event::StepSucceeded { trail, .. } => trail.attempts[0].answers.clone(),
            _ => None,
        });
        let kept = match answers.expect("kept") {
            Answers::Inline(bytes) if !is_blob => bytes,
            Answers::Blob(blob) if is_blob => {
                let bytes = bench.store.blobs().get(blob.digest).await;
                bytes.expect("read").expect("there")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(kept, vec![7; size]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_blob_reference_reaches_the_agent_as_the_blob_and_an_output_blob_becomes_one() {
    let page = Blob {
        media_type: "image/png".into(),
        bytes: Bytes::from_static(b"png"),
    };
    let agent = Agent::answering(Payload::Blob(page.clone()));
    let bench = Bench::new(
        MemoryStore::new(),
        "kennel: 1\nsequential: [{agent: a, with: '${{ input.page }}'}]",
        &[("a", agent.clone())],
    );
    bench
        .store
        .blobs()
        .put(page.bytes.clone())
        .await
        .expect("kept");
    let outcome = bench
        .run(json!({ "page": page.reference().to_value() }))
        .await;
    assert_eq!(agent.seen.lock()[0].2, Payload::Blob(page.clone()));
    assert_eq!(outcome, output(page.reference().to_value()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_fails_that_step_alone() {
    let agents = [("a", Agent::answering(Payload::Text("panic".into())))];
    let source = "kennel: 1\nparallel: [{agent: a}, {agent: b}]\nrequire: any";
    let bench = Bench::new(MemoryStore::new(), source, &agents);
    assert_eq!(bench.run(json!(7)).await, output(json!({ "b": 7 })));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_could_not_be_read_back_fails_its_step() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let bench = Bench::new(
        MemoryStore::new(),
        THREE,
        &[("a", Agent::answering(Payload::Json(deep)))],
    );
    let outcome = bench.run(json!(1)).await;
    assert!(
        matches!(&outcome, Outcome::Failed { failure, .. } if failure.kind == FailureKind::OutputTooLarge),
        "{outcome:?}"
    );
}

/// Every fault the contract allows, and a crash at a random moment: every accepted run ends once, and no completed step runs again.
#[tokio::test(start_paused = true)]
async fn runs_end_over_faults_and_crashes() {
    const FAULTS: Faults = Faults {
        unavailable: 0.1,
        lost_answer: 0.1,
        lost_hint: 0.5,
        double_delivery: 0.1,
        disorder: 0.2,
        lapse: 0.05,
        pause: 0.2,
    };
    let source = "kennel: 1\nsequential:\n  - agent: a\n  - parallel: [{agent: b}, {sequential: [{agent: c}, {agent: d}]}]\n  - agent: e";
    for seed in 0..200 {
        let mut bench = Bench::new(MemoryStore::with_faults(seed, FAULTS), source, &[]);
        let Ok(run) = bench
            .engine()
            .accept(&bench.plan, BTreeMap::new(), json!(seed))
            .await
        else {
            continue;
        };
        let crash_after = Duration::from_millis(seed % 40);
        let _ = tokio::time::timeout(crash_after, bench.drive(run)).await;
        bench.store = bench.store.fork();
        let state = bench
            .drive(run)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(state.outcome().is_some(), "seed {seed}");
        let records = bench.engine().read(run).all().await.expect("a journal");
        let events = records.iter().map(|record| &record.event);
        RunState::replay(bench.plan.clone(), run, events)
            .unwrap_or_else(|illegal| panic!("seed {seed}: {illegal}"));
    }
}
