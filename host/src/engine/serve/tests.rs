//! Flows that are served: what each event starts, how many at once, and what a crash at any point leaves.

mod crashes;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::*;
use crate::call::{Call, CallError, Reply, Request, Trail};
use crate::delivery::{Delivered, Delivery};
use crate::engine::Engine;
use crate::engine::emit::publisher;
use crate::event::MAX_HOPS;
use crate::flow;
use crate::plan::StepRef;
use crate::record::{Held, Outcome};
use crate::store::append::GIVE_UP;
use crate::store::memory::MemoryStore;
use crate::store::{RunOutcome, SharedBackend};

/// Answers with what it was asked; may hang, and knows how many it was at once.
#[derive(Default)]
struct Echo {
    seen: Mutex<Vec<Value>>,
    now: AtomicUsize,
    most: AtomicUsize,
    /// Without permits it hangs.
    open: Option<Semaphore>,
    takes: Duration,
}

impl Call for Echo {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let asked = format!("{:?}", request.input);
            self.seen.lock().push(asked.into());
            if let Some(open) = &self.open {
                open.acquire().await.expect("it is not closed").forget();
            }
            tokio::time::sleep(self.takes).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            let (output, trail) = (request.input, Trail::default());
            Ok(Reply { output, trail })
        }
        .boxed()
    }
}

/// A flow over a store, with one agent in all its steps.
struct Bench {
    backend: SharedBackend,
    serving: Serving,
    /// How each run ended that was told: `None` when somebody else had it.
    told: Mutex<Vec<Option<bool>>>,
    said: Mutex<Vec<String>>,
}

const FLOW: &str = "kennel: 1\non: {price: {agent: a}}";

impl Bench {
    fn over(backend: SharedBackend, flow: &str, agent: Arc<Echo>) -> Self {
        let plan = flow::parse(FLOW, flow).expect("a flow");
        let call = |at| (StepRef(at), agent.clone() as Arc<dyn Call>);
        let (begin, began) = (Timestamp::UNIX_EPOCH, Instant::now());
        let fleet = Fleet {
            calls: (0..plan.steps.len()).map(call).collect(),
            agents: BTreeMap::new(),
        };
        let serving = Serving {
            fleet: Arc::new(ArcSwap::from_pointee(fleet)),
            plan: Arc::new(plan),
            types: [("price".parse().expect("a type"), None)].into(),
            parallel: 4,
            watch: Watch::default(),
            clock: Arc::new(move || {
                begin
                    .checked_add(began.elapsed())
                    .expect("a time soon after")
            }),
        };
        Self {
            backend,
            serving,
            told: Mutex::default(),
            said: Mutex::default(),
        }
    }

    fn new(store: &MemoryStore, agent: Arc<Echo>) -> Self {
        Self::over(Arc::new(store.clone()), "flow", agent)
    }

    fn engine(&self) -> Engine {
        Engine::new(self.backend.clone(), GIVE_UP)
    }

    fn delivery(&self) -> Delivery {
        Delivery::new(self.backend.clone())
    }

    async fn listen(&self) {
        let types: BTreeSet<_> = self.serving.types.keys().cloned().collect();
        let (plan, delivery) = (&self.serving.plan, self.delivery());
        let subscribed = delivery.subscribe(&plan.name, types, plan.digest, Timestamp::UNIX_EPOCH);
        subscribed.await.expect("subscribed");
    }

    async fn emit(&self, id: &str) -> Vec<Delivered> {
        let (event, delivery) = (event(id), self.delivery());
        let published = delivery.publish(&event, (self.serving.clock)()).await;
        let flows = published.expect("published").flows;
        flows.into_iter().map(|(_, became)| became).collect()
    }

    fn hear(&self, told: Told<'_>) {
        match told {
            Told::Began { .. } => {}
            Told::Ended(ended) => {
                let how = ended.how.as_ref().ok().and_then(Option::as_ref);
                let ok = how
                    .and_then(RunState::outcome)
                    .map(|how| matches!(how, Outcome::Succeeded { .. }));
                self.told.lock().push(ok);
            }
            Told::Left { why, .. } | Told::Trouble(why) => self.said.lock().push(why.to_owned()),
        }
    }

    /// Serves until `enough` says so, asked whenever nothing else goes on.
    async fn serve_until(&self, enough: impl AsyncFn(&Self) -> bool) -> Tally {
        let stop = async {
            while !enough(self).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let mut tell = |told: Told<'_>| self.hear(told);
        let served = self.engine().serve(&self.serving, &mut tell, stop).await;
        served.expect("served")
    }

    async fn replay(&self, events: Vec<CloudEvent>, speed: Speed) -> Tally {
        let mut tell = |told: Told<'_>| self.hear(told);
        let never = std::future::pending();
        let engine = self.engine();
        let played = engine
            .replay(&self.serving, events, speed, &mut tell, never)
            .await;
        played.expect("played")
    }

    /// How each run in the store has ended.
    async fn outcomes(&self) -> Vec<Option<RunOutcome>> {
        let runs = self.backend.log().runs(None, 1000).await.expect("listed");
        runs.into_iter().map(|run| run.outcome).collect()
    }
}

fn event(id: &str) -> CloudEvent {
    let data = json!({ "n": id });
    CloudEvent::new("/test", id, "price".parse().expect("a type"), data).expect("an event")
}

fn at(id: &str, seconds: i64) -> CloudEvent {
    let time = Timestamp::from_second(seconds).expect("a time");
    CloudEvent {
        time: Some(time),
        ..event(id)
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_wakes_itself_comes_to_an_end() {
    let mut bench = Bench::new(&MemoryStore::new(), echo());
    let plan = flow::parse("kennel: 1\non: {price: {emit: price}}", "flow");
    bench.serving.plan = Arc::new(plan.expect("a flow"));
    bench.listen().await;
    bench.emit("1").await;
    let engine = bench.engine().publishing(publisher(bench.backend.clone()));
    let chain = usize::from(MAX_HOPS);
    let stop = async {
        while bench.told.lock().len() <= chain {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut tell = |told: Told<'_>| bench.hear(told);
    let served = engine.serve(&bench.serving, &mut tell, stop).await;
    served.expect("served");
    let mut told = bench.told.lock().clone();
    assert_eq!(told.pop(), Some(Some(false)), "the last may not emit");
    assert_eq!(told, vec![Some(true); chain]);
    let rest = bench.delivery().take("flow", 9, Duration::ZERO).await;
    assert!(rest.expect("taken").is_empty());
}

/// One that hangs until it is let go.
fn hanging() -> Arc<Echo> {
    Arc::new(Echo {
        open: Some(Semaphore::new(0)),
        ..Echo::default()
    })
}

fn echo() -> Arc<Echo> {
    Arc::default()
}

fn taking(takes: Duration) -> Arc<Echo> {
    Arc::new(Echo {
        takes,
        ..Echo::default()
    })
}

async fn ended(bench: &Bench, count: usize) -> bool {
    bench.told.lock().len() >= count
}

#[tokio::test(start_paused = true)]
async fn each_event_starts_one_run_that_has_its_data_as_input() {
    let bench = Bench::new(&MemoryStore::new(), echo());
    bench.listen().await;
    bench.emit("1").await;
    let tally = bench
        .serve_until(async |bench| {
            if bench.told.lock().len() == 1 {
                bench.emit("2").await;
            }
            ended(bench, 2).await
        })
        .await;
    assert_eq!((tally.events, tally.succeeded, tally.failed), (2, 2, 0));
    let runs = bench.backend.log().runs(None, 9).await.expect("listed");
    let first = bench.engine().read(runs[1].run).next().await;
    assert_eq!(
        first.expect("a journal").expect("a record").event.value(),
        Some(&Held::Inline(Arc::new(json!({ "n": "1" }))))
    );
}

#[tokio::test(start_paused = true)]
async fn one_event_wakes_two_flows() {
    let store = MemoryStore::new();
    let benches = ["one", "other"].map(|flow| Bench::over(Arc::new(store.clone()), flow, echo()));
    for bench in &benches {
        bench.listen().await;
    }
    assert_eq!(benches[0].emit("1").await, [Delivered::Queued; 2]);
    let [one, other] = benches
        .each_ref()
        .map(|bench| bench.serve_until(async |bench| ended(bench, 1).await));
    let (one, other) = tokio::join!(one, other);
    assert_eq!((one.succeeded, other.succeeded), (1, 1));
    assert_eq!(benches[0].outcomes().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn runs_go_on_at_the_same_time_but_not_more_than_allowed() {
    let agent = taking(Duration::from_secs(1));
    let bench = Bench::new(&MemoryStore::new(), agent.clone());
    bench.listen().await;
    for n in 0..10 {
        bench.emit(&n.to_string()).await;
    }
    let begun = Instant::now();
    let tally = bench
        .serve_until(async |bench| ended(bench, 10).await)
        .await;
    assert_eq!(tally.succeeded, 10);
    assert_eq!(agent.most.load(Ordering::SeqCst), 4);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert!(tally.took.quantile(0.5) >= Some(Duration::from_secs(1)));
}

/// A fleet of one agent with this version, which answers in both steps.
fn fleet(version: &str, agent: &Arc<Echo>) -> Arc<Fleet> {
    let call = |at| (StepRef(at), agent.clone() as Arc<dyn Call>);
    let name = "a".parse().expect("a name");
    Arc::new(Fleet {
        calls: [0, 1, 2].map(call).into(),
        agents: [(name, Digest::of(version.as_bytes()))].into(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_the_agents_that_it_began_with_and_lets_them_go_at_its_end() {
    let mut bench = Bench::new(&MemoryStore::new(), echo());
    let plan = "kennel: 1\non: {price: {sequential: [{agent: a}, {agent: a, id: b}]}}";
    bench.serving.plan = Arc::new(flow::parse(plan, "flow").expect("a flow"));
    let agents = [(); 2].map(|()| taking(Duration::from_secs(1)));
    let old = fleet("v1", &agents[0]);
    let held = Arc::downgrade(&old);
    bench.serving.fleet.store(old);
    bench.listen().await;
    bench.emit("1").await;
    let asked = |at: usize| agents[at].seen.lock().len();
    let tally = bench
        .serve_until(async |bench| {
            // In the middle of its first step; and then an event that comes after it.
            if asked(0) == 1 && bench.outcomes().await.len() == 1 {
                bench.serving.fleet.store(fleet("v2", &agents[1]));
                bench.emit("2").await;
            }
            let both = ended(bench, 2).await;
            if both {
                // While it is still served, and the agents are another fleet's.
                assert!(held.upgrade().is_none());
            }
            both
        })
        .await;
    assert_eq!(tally.succeeded, 2);
    assert_eq!((asked(0), asked(1)), (2, 2));
    for (at, version) in [(1, "v1"), (0, "v2")] {
        let runs = bench.backend.log().runs(None, 9).await.expect("listed");
        let beginning = bench.engine().beginning(runs[at].run).await;
        assert_eq!(
            beginning.expect("one").agents,
            fleet(version, &echo()).agents
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_began_with_other_agents_is_not_driven_with_these_when_its_event_comes_again() {
    let bench = Bench::new(&MemoryStore::new(), echo());
    bench.listen().await;
    bench.emit("1").await;
    let mut taken = bench.delivery().take("flow", 1, Duration::ZERO).await;
    let taken = taken.as_mut().expect("taken").pop().expect("there");
    // Whoever accepted it died before it could say so.
    let old = fleet("v1", &echo());
    let engine = bench.engine();
    let accepted = engine.accept_event(
        &bench.serving.plan,
        old.agents.clone(),
        taken.run(),
        taken.event(),
    );
    accepted.await.expect("accepted");
    taken
        .later(Duration::from_secs(5))
        .await
        .expect("given back");
    let now = echo();
    bench.serving.fleet.store(fleet("v2", &now));
    let tally = bench.serve_until(async |bench| ended(bench, 1).await).await;
    assert_eq!((tally.succeeded, tally.unfinished), (0, 1));
    assert_eq!(now.seen.lock().len(), 0);
    assert_eq!(bench.outcomes().await, [None]);
    let rest = bench
        .delivery()
        .take("flow", 9, Duration::from_secs(60))
        .await;
    assert!(
        rest.expect("looked").is_empty(),
        "it does not come again and again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_event_was_put_off_begins_with_what_stands_in_its_journal() {
    // The queue of runs has one place, which is taken: the run is in its journal, and its event comes again.
    let store = MemoryStore::new().with_queue_limit(1);
    let agents = [(); 2].map(|()| echo());
    let bench = Bench::new(&store, echo());
    bench.listen().await;
    let queue = bench.backend.queue();
    let task = crate::store::QueueTask {
        key: "in the way".into(),
        priority: 2,
        delay: Duration::ZERO,
        body: bytes::Bytes::new(),
    };
    queue.put(crate::engine::RUNS, task).await.expect("put");
    bench.serving.fleet.store(fleet("v1", &agents[0]));
    bench.emit("1").await;
    let tally = bench
        .serve_until(async |bench| {
            if ended(bench, 1).await && bench.told.lock().len() == 1 {
                bench.serving.fleet.store(fleet("v2", &agents[1]));
                if let crate::store::Claim::Taken(lease) =
                    (queue.claim(crate::engine::RUNS, "in the way").await).expect("claimed")
                {
                    lease.done().await.expect("done");
                }
            }
            ended(bench, 2).await
        })
        .await;
    assert_eq!((tally.succeeded, tally.unfinished), (1, 1));
    assert_eq!(
        agents.each_ref().map(|agent| agent.seen.lock().len()),
        [1, 0]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_full_disk_broke_off_goes_on_by_itself_when_there_is_room() {
    let store = MemoryStore::new();
    let agent = hanging();
    let bench = Bench::new(&store, agent.clone());
    bench.listen().await;
    bench.emit("1").await;
    let full = Mutex::new(None);
    let tally = bench
        .serve_until(async |bench| {
            let since = *full.lock();
            match since {
                None if agent.seen.lock().len() == 1 => {
                    store.set_down(true);
                    *full.lock() = Some(Instant::now());
                    agent.open.as_ref().expect("a semaphore").add_permits(9);
                    false
                }
                Some(since) if since.elapsed() > 9 * GIVE_UP => {
                    store.set_down(false);
                    bench.told.lock().len() == 1
                }
                _ => false,
            }
        })
        .await;
    assert_eq!((tally.events, tally.succeeded), (1, 1));
    assert_eq!(*bench.told.lock(), [Some(true)]);
    assert_eq!(bench.outcomes().await, [Some(RunOutcome::Succeeded)]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_starts_nothing() {
    let bench = Bench::new(&MemoryStore::new(), echo());
    bench.listen().await;
    for id in ["1", "1", "2"] {
        bench.emit(id).await;
    }
    bench.serve_until(async |bench| ended(bench, 2).await).await;
    assert_eq!(bench.emit("1").await, [Delivered::Duplicate]);
    assert_eq!(bench.outcomes().await, [Some(RunOutcome::Succeeded); 2]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_flow_no_longer_handles_starts_nothing_and_does_not_come_again() {
    let bench = Bench::new(&MemoryStore::new(), echo());
    let stale = CloudEvent {
        event_type: "news".parse().expect("a type"),
        ..event("stale")
    };
    let delivery = bench.delivery();
    let deliver = || delivery.deliver("flow", &stale, Timestamp::UNIX_EPOCH);
    assert_eq!(deliver().await, Ok(Delivered::Queued));
    bench.listen().await;
    bench.emit("1").await;
    let tally = bench.serve_until(async |bench| ended(bench, 1).await).await;
    assert_eq!((tally.ignored, tally.succeeded), (1, 1));
    assert_eq!(deliver().await, Ok(Delivered::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_runs_back_and_the_next_process_goes_on_with_them() {
    let store = MemoryStore::new();
    let agent = hanging();
    let bench = Bench::new(&store, agent.clone());
    bench.listen().await;
    bench.emit("1").await;
    let hangs = async |_: &Bench| agent.now.load(Ordering::SeqCst) == 1;
    let tally = bench.serve_until(hangs).await;
    assert_eq!((tally.succeeded, tally.unfinished), (0, 1));
    let next = Bench::new(&store.fork(), echo());
    let tally = next.serve_until(async |bench| ended(bench, 1).await).await;
    assert_eq!(
        (tally.events, tally.succeeded),
        (0, 1),
        "no event, but its run"
    );
    assert_eq!(next.outcomes().await, [Some(RunOutcome::Succeeded)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_version_of_the_flow_is_told_and_left() {
    let store = MemoryStore::new();
    let bench = Bench::new(&store, echo());
    let other =
        flow::parse("kennel: 1\nsequential: [{agent: a}, {agent: b}]", "flow").expect("a flow");
    bench
        .engine()
        .accept(&other, BTreeMap::new(), json!({}))
        .await
        .expect("accepted");
    bench
        .serve_until(async |bench| !bench.said.lock().is_empty())
        .await;
    assert_eq!(
        bench.said.lock()[0],
        "it was started with another version of the flow"
    );
    assert_eq!(bench.outcomes().await, [None]);
}

#[tokio::test(start_paused = true)]
async fn timers_of_two_processes_tick_once() {
    let store = MemoryStore::new();
    let benches = [(); 2].map(|()| {
        let mut bench = Bench::new(&store, echo());
        bench.serving.types = [(
            "price".parse().expect("a type"),
            Some(Duration::from_secs(30)),
        )]
        .into();
        bench
    });
    let minute = async |bench: &Bench| (bench.serving.clock)().as_second() >= 100;
    let [one, other] = benches.each_ref().map(|bench| bench.serve_until(minute));
    let (one, other) = tokio::join!(one, other);
    assert_eq!(
        one.succeeded + other.succeeded,
        3,
        "at 30, 60 and 90 seconds"
    );
    assert_eq!(
        benches[0].outcomes().await,
        [Some(RunOutcome::Succeeded); 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_played_as_it_happened_or_faster() {
    let events = || {
        vec![
            at("1", 1000),
            at("2", 1060),
            event("3"),
            at("4", 1030),
            at("5", 1120),
        ]
    };
    for (speed, took) in [
        (Speed::Times(1.0), 120),
        (Speed::Times(60.0), 2),
        (Speed::Max, 0),
    ] {
        let bench = Bench::new(&MemoryStore::new(), echo());
        let begun = Instant::now();
        let tally = bench.replay(events(), speed).await;
        assert_eq!(tally.succeeded, 5);
        assert_eq!(begun.elapsed().as_secs(), took, "{speed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_counts_anew_each_time_and_tells_what_it_left_out() {
    let bench = Bench::new(&MemoryStore::new(), echo());
    let other = CloudEvent {
        event_type: "news".parse().expect("a type"),
        ..event("3")
    };
    for _ in 0..2 {
        let events = vec![event("1"), event("2"), event("1"), other.clone()];
        let tally = bench.replay(events, Speed::Max).await;
        assert_eq!(
            (
                tally.events,
                tally.succeeded,
                tally.duplicates,
                tally.ignored
            ),
            (4, 2, 1, 1)
        );
    }
    assert_eq!(bench.outcomes().await.len(), 4);
    assert_eq!(bench.emit("1").await, [], "nobody was subscribed");
}

#[tokio::test(start_paused = true)]
async fn a_recording_of_any_length_is_played_with_as_many_runs_as_allowed() {
    let agent = taking(Duration::from_secs(1));
    let bench = Bench::new(&MemoryStore::new(), agent.clone());
    let events = (0..100).map(|n| event(&n.to_string())).collect();
    let begun = Instant::now();
    assert_eq!(bench.replay(events, Speed::Max).await.succeeded, 100);
    assert_eq!(begun.elapsed().as_secs(), 25);
    assert_eq!(agent.most.load(Ordering::SeqCst), 4);
}
