//! A crash at every append of a run, before and after it takes effect, and another while it is driven on: the run ends as if nothing
//! had happened, and what the journal has is not done again.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::mortal::Mortal;
use super::*;
use crate::engine::control::{self, Answer};
use crate::engine::state::Spent;
use crate::id::StepPath;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::store::{RunOutcome, RunSummary};

/// A flow, and what people have said to its run by the time it is driven.
struct Story {
    name: &'static str,
    source: &'static str,
    input: Value,
    /// Steps whose question has its answer.
    answered: &'static [&'static str],
    /// Who has asked the run to stop.
    stopped: Option<&'static str>,
}

/// The flow `inner` of the stories.
const INNER: &str = "kennel: 1
input: { type: object, required: [n] }
sequential: [{ agent: more, with: '${{ input.n }}' }, { agent: b }]
output: \"${{ {'got': steps.more} }}\"
";

/// One for each pattern, and one with all of them.
fn stories() -> Vec<Story> {
    let story = |name, source, input| Story {
        name,
        source,
        input,
        answered: &[],
        stopped: None,
    };
    vec![
        story(
            "sequential",
            "sequential: [{agent: a}, {agent: large}, {agent: b, if: 'false'}, {agent: c, with: '${{ steps.a }}'}]",
            json!(1),
        ),
        story(
            "a failure",
            "sequential: [{agent: a}, {agent: bad}, {agent: b}]",
            json!(1),
        ),
        story(
            "on-error",
            "sequential: [{agent: bad, on-error: continue, output: '${{ error == null ? prev : error.kind }}'}, {agent: b}]",
            json!(1),
        ),
        story(
            "parallel",
            "parallel: [{agent: a}, {agent: bad}, {sequential: [{agent: b}, {agent: c}], id: chain}, {agent: d}]\nrequire: 3",
            json!(1),
        ),
        story(
            "hierarchical",
            "hierarchical: {master: boss, workers: {w: worker, x: bad}, concurrency: 2}",
            json!(5),
        ),
        story(
            "pipeline",
            "pipeline:
  - {agent: pages, pages: true}
  - {agent: even, each: true, concurrency: 3, on-item-error: drop}
  - {agent: more, each: true, concurrency: 2}
  - {agent: a}",
            json!({ "total": 7 }),
        ),
        story(
            "route",
            "route: [{if: prev > 5, agent: a}, {else: {sequential: [{agent: b}, {agent: c}]}}]",
            json!(1),
        ),
        story(
            "repeat",
            "repeat: {do: {agent: more}, until: prev >= 4, max: 9}",
            json!(1),
        ),
        story(
            "a flow inside",
            "sequential: [{agent: a}, {flow: inner, id: sub, with: {n: 3}}, {agent: b}]",
            json!(1),
        ),
        story(
            "emit",
            "sequential: [{agent: a}, {emit: done, id: out, output: '${{ prev.type }}'}, {agent: b}]",
            json!(1),
        ),
        Story {
            answered: &["ask"],
            ..story(
                "approve",
                "sequential: [{approve: 'pay ${{ input }}?', id: ask}, {agent: pay}]",
                json!(1),
            )
        },
        Story {
            stopped: Some("ann"),
            ..story(
                "cancel",
                "parallel: [{agent: a}, {agent: hang}]",
                json!(1),
            )
        },
        Story {
            answered: &["ask"],
            ..story(
                "everything",
                "sequential:
  - parallel:
      - {agent: a}
      - {approve: 'go on?', id: ask}
      - {emit: done, id: out, output: '${{ prev.type }}'}
      - {hierarchical: {master: boss, workers: {w: worker, x: bad}}, id: team}
      - {agent: bad, on-error: continue}
  - route: [{if: 'steps.ask.approved', flow: inner, id: sub, with: {n: 2}}]
  - pipeline:
      - {agent: list}
      - {sequential: [{agent: even}, {agent: more}], id: both, each: true, concurrency: 4, on-item-error: drop}
    id: line
  - repeat: {do: {agent: again}, max: 2}
output: \"${{ {'line': steps.line, 'team': steps.team, 'sub': steps.sub} }}\"",
                json!(1),
            )
        },
    ]
}

/// What is outside of the host and outlives it: what agents were asked to do, and what was emitted.
#[derive(Default)]
struct World {
    executed: Mutex<Vec<StepPath>>,
    emitted: Mutex<Vec<String>>,
}

/// Every agent. What it does follows from the id of its step, and how long it takes from the step's path.
struct Scripted {
    id: String,
    world: Arc<World>,
}

impl Call for Scripted {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            let (_, path) = request.task_id.split_once('/').expect("RUN/PATH");
            self.world.executed.lock().push(StepPath::named(path));
            let mut hasher = DefaultHasher::new();
            path.hash(&mut hasher);
            let drawn = hasher.finish();
            tokio::time::sleep(Duration::from_millis(drawn % 4)).await;
            let asked: Value = match &*request.input {
                Payload::Text(text) => json!(text),
                Payload::Json(text) => serde_json::from_str(text).expect("JSON"),
                Payload::Blob(_) => panic!("no step hands on a blob"),
            };
            let attempt = |number, failure| Attempt {
                agent: "scripted".parse().expect("a name"),
                number,
                failure,
                usage: Usage {
                    fuel: drawn % 1000,
                    peak_memory: drawn % 77,
                    wall_us: 1,
                    ..Usage::default()
                },
                answers: None,
            };
            let again = Failure::new(FailureKind::Recoverable, "once more");
            let trail = |last| Trail {
                attempts: vec![attempt(1, Some(again)), attempt(2, last)],
                ..Trail::default()
            };
            match answer(&self.id, &asked) {
                Some(Ok(output)) => Ok(Reply {
                    output: Arc::new(Payload::Json(output.to_string())),
                    trail: trail(None),
                }),
                Some(Err(kind)) => {
                    let failure = Failure::new(kind, "it did not work");
                    let trail = trail(Some(failure.clone()));
                    Err(CallError { failure, trail })
                }
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

/// `None`: it hangs.
fn answer(id: &str, asked: &Value) -> Option<Result<Value, FailureKind>> {
    let number = asked.as_i64().unwrap_or_default();
    Some(match id {
        "hang" => return None,
        "bad" => Err(FailureKind::Fatal),
        "even" if number % 2 != 0 => Err(FailureKind::InvalidInput),
        "more" => Ok(json!(number + 1)),
        "list" => Ok(json!([1, 2, 3, 4, 6])),
        // Becomes a blob.
        "large" => Ok(json!({ "text": "x".repeat(40_000) })),
        "pages" => {
            let (total, begin) = (asked["total"].as_i64(), asked["cursor"].as_i64());
            let (total, begin) = (total.unwrap_or_default(), begin.unwrap_or_default());
            let end = total.min(begin + 3);
            let items: Vec<_> = (begin..end).collect();
            Ok(json!({ "items": items, "next": (end < total).then_some(end) }))
        }
        id if id.ends_with("plan") => {
            let kinds = ["w", "x", "w", "w"];
            let subtasks = kinds.map(|kind| json!({ "agent-type": kind, "input": 7 }));
            Ok(json!({ "subtasks": subtasks }))
        }
        _ => Ok(json!({ id: asked })),
    })
}

/// A story with its plan.
struct Told {
    story: Story,
    plan: Arc<Plan>,
}

impl Told {
    fn new(story: Story) -> Self {
        let source = format!("kennel: 1\n{}", story.source);
        let sources = BTreeMap::from([("inner.yaml".to_owned(), INNER.to_owned())]);
        let plan = flow::parse_with(&source, "test", &sources).unwrap_or_else(|diagnostics| {
            panic!("{}", diagnostics.render(story.name, &source, false))
        });
        let plan = Arc::new(plan);
        Self { story, plan }
    }

    fn all() -> Vec<Self> {
        stories().into_iter().map(Self::new).collect()
    }

    /// A life of the host: accepts the run, unless it is there, and drives it to its end.
    async fn live(&self, world: &Arc<World>, backend: SharedBackend) -> RunState {
        let out = world.clone();
        let publish: Arc<Publish> = Arc::new(move |emission: Emission| {
            out.emitted.lock().push(emission.id);
            async { Ok(()) }.boxed()
        });
        let engine = Engine::new(backend.clone(), GIVE_UP).publishing(publish);
        let run = match the_run(&backend).await {
            Some(line) => line.run,
            None => {
                let input = self.story.input.clone();
                let accepted = engine.accept(&self.plan, BTreeMap::new(), input).await;
                accepted.expect("accepted")
            }
        };
        self.speak(&backend, run).await;
        let calls = self.plan.steps.iter().enumerate().map(|(at, step)| {
            let (id, world) = (step.id.to_string(), world.clone());
            (
                StepRef(at),
                Arc::new(Scripted { id, world }) as Arc<dyn Call>,
            )
        });
        let (calls, watch) = (calls.collect(), Watch::default());
        let never = std::future::pending();
        let driven = engine.drive(run, self.plan.clone(), &calls, &watch, never);
        driven.await.expect("driven")
    }

    /// People say what they have to say as long as the run has not ended.
    async fn speak(&self, backend: &SharedBackend, run: RunId) {
        let line = the_run(backend).await;
        if line.is_none_or(|line| line.outcome.is_some()) {
            return;
        }
        for path in self.story.answered {
            let answer = Answer {
                approved: true,
                by: "ann".into(),
                note: None,
            };
            let path = StepPath::named(path);
            let left = control::answer(backend.as_ref(), run, &path, &answer);
            left.await.expect("left");
        }
        if let Some(by) = self.story.stopped {
            let left = control::ask_to_stop(backend.as_ref(), run, by);
            left.await.expect("left");
        }
    }

    /// A life over `backend` through `mortal`; `None` when it died. Whatever the journal had before was not done again, and nothing was
    /// done before the journal said so.
    async fn life(
        &self,
        world: &Arc<World>,
        backend: &SharedBackend,
        mortal: Option<Mortal>,
    ) -> Option<RunState> {
        let ended = completed(&events(backend).await);
        let before = world.executed.lock().len();
        let state = match mortal {
            None => {
                let life = self.live(world, backend.clone());
                let life = tokio::time::timeout(Duration::from_secs(600), life).await;
                Some(life.unwrap_or_else(|_| panic!("{}: it is stuck", self.story.name)))
            }
            Some(mortal) => {
                let died = mortal.died();
                tokio::select! {
                    biased;
                    () = died => None,
                    state = self.live(world, Arc::new(mortal)) => Some(state),
                }
            }
        };
        let begun = events(backend).await;
        let executed = world.executed.lock();
        for path in &executed[before..] {
            assert!(!ended.contains(path), "{path} was done again");
        }
        for path in executed.iter() {
            let done = executed.iter().filter(|other| *other == path).count();
            assert!(
                done <= starts(&begun, path),
                "{path} was done before the journal said so"
            );
        }
        state
    }

    /// What holds at the end, whatever was on the way.
    async fn check(
        &self,
        world: &World,
        backend: &SharedBackend,
        state: &RunState,
        as_if: &Outcome,
    ) {
        let outcome = state.outcome().expect("it has ended");
        assert_eq!(outcome, as_if, "as if nothing had happened");
        let engine = Engine::new(backend.clone(), GIVE_UP);
        let records = engine.read(state.run()).all().await.expect("there");
        let events: Vec<_> = records.iter().map(|record| record.event.clone()).collect();
        let is_end = |event: &&Event| matches!(event, Event::RunFinished { .. });
        assert_eq!(events.iter().filter(is_end).count(), 1, "it ends once");
        let replayed = RunState::replay(self.plan.clone(), state.run(), &events).expect("legal");
        let sum = spent(&events);
        assert_eq!((state.spent(), replayed.spent()), (sum, sum));

        let executed = world.executed.lock().clone();
        for event in &events {
            if let Event::StepSucceeded { step, .. } | Event::StepFailed { step, .. } = event {
                assert!(executed.contains(step), "{step} was not done");
            }
            if let Event::EventEmitted { id, .. } = event {
                assert!(world.emitted.lock().contains(id), "{id} was not emitted");
            }
        }
        let line = the_run(backend).await.expect("it is listed");
        assert_eq!(line, listed(state.run(), &self.plan, &records));
        let claim = backend.queue().claim(RUNS, &state.run().to_string()).await;
        assert!(matches!(claim, Ok(Claim::Absent)), "nothing waits any more");
        for words in [".answers", ".stops"] {
            let left = backend.kv().keys(words, "", None, 9).await;
            assert_eq!(left, Ok(vec![]), "what was said is forgotten");
        }
    }

    /// How it ends when nothing happens.
    async fn undisturbed(&self) -> Outcome {
        let (world, backend) = (
            Arc::default(),
            Arc::new(MemoryStore::new()) as SharedBackend,
        );
        let state = self.life(&world, &backend, None).await.expect("it lives");
        let outcome = state.outcome().expect("it has ended").clone();
        self.check(&world, &backend, &state, &outcome).await;
        outcome
    }
}

/// The one run.
async fn the_run(backend: &SharedBackend) -> Option<RunSummary> {
    let mut lines = backend.log().runs(None, 9).await.expect("listed");
    assert!(lines.len() < 2, "it was accepted once: {lines:?}");
    lines.pop()
}

async fn events(backend: &SharedBackend) -> Vec<Event> {
    match the_run(backend).await {
        None => Vec::new(),
        Some(line) => {
            let stored = backend.log().replay(line.run).await.expect("read");
            stored
                .into_iter()
                .map(|stored| stored.record.event)
                .collect()
        }
    }
}

/// The steps that have ended; none does twice.
fn completed(events: &[Event]) -> BTreeSet<StepPath> {
    let mut completed = BTreeSet::new();
    for event in events {
        if let Event::StepSucceeded { step, .. }
        | Event::StepFailed { step, .. }
        | Event::StepSkipped { step }
        | Event::EventEmitted { step, .. }
        | Event::ApprovalAnswered { step, .. } = event
        {
            assert!(completed.insert(step.clone()), "{step} has ended twice");
        }
    }
    completed
}

fn starts(events: &[Event], path: &StepPath) -> usize {
    let is = |event: &&Event| matches!(event, Event::StepStarted { step, .. } if step == path);
    events.iter().filter(is).count()
}

/// What was spent, added up by hand.
fn spent(events: &[Event]) -> Spent {
    let mut spent = Spent::default();
    for event in events {
        if let Event::StepSucceeded { trail, .. } | Event::StepFailed { trail, .. } = event {
            for attempt in &trail.attempts {
                spent.calls += 1;
                spent.usage = spent.usage.plus(attempt.usage);
            }
        }
    }
    spent
}

/// The line that the records deserve.
fn listed(run: RunId, plan: &Plan, records: &[Record]) -> RunSummary {
    let (first, last) = (records.first().expect("one"), records.last().expect("one"));
    RunSummary {
        run,
        flow: plan.name.clone(),
        started: first.at,
        updated: last.at,
        outcome: Some(match &last.event {
            Event::RunFinished { outcome } => match outcome {
                Outcome::Succeeded { .. } => RunOutcome::Succeeded,
                Outcome::Failed { .. } => RunOutcome::Failed,
                Outcome::Cancelled { .. } => RunOutcome::Cancelled,
            },
            other => panic!("the last record is {other:?}"),
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_and_another_after_it_change_nothing_about_the_end() {
    for told in Told::all() {
        let as_if = told.undisturbed().await;
        let mut points = 0;
        for first in crash_points() {
            let (world, store) = (Arc::default(), MemoryStore::new());
            let alive: SharedBackend = Arc::new(store.clone());
            let mortal = Mortal::at_append(alive.clone(), first.n, first.after);
            if told.life(&world, &alive, Some(mortal)).await.is_some() {
                break;
            }
            points += 1;
            for second in crash_points() {
                // Each second life has a world that goes on from the first.
                let world = Arc::new(world.copy());
                let store = store.fork();
                let alive: SharedBackend = Arc::new(store.clone());
                let mortal = Mortal::at_append(alive.clone(), second.n, second.after);
                let survived = told.life(&world, &alive, Some(mortal)).await;
                let is_last = survived.is_some();
                let (backend, state) = match survived {
                    Some(state) => (alive, state),
                    None => {
                        let backend: SharedBackend = Arc::new(store.fork());
                        let state = told.life(&world, &backend, None).await;
                        (backend, state.expect("it lives"))
                    }
                };
                told.check(&world, &backend, &state, &as_if).await;
                if is_last {
                    break;
                }
            }
        }
        let name = told.story.name;
        assert!(points >= 4, "{name}: only {points} points, it sees nothing");
    }
}

/// Not only appends: claims, leases, blobs and words too.
#[tokio::test(start_paused = true)]
async fn a_crash_at_anything_that_is_asked_of_the_store_changes_nothing_about_the_end() {
    for told in Told::all() {
        let as_if = told.undisturbed().await;
        for point in crash_points() {
            let (world, store) = (Arc::default(), MemoryStore::new());
            let alive: SharedBackend = Arc::new(store.clone());
            let mortal = Mortal::new(alive.clone(), point.n, point.after);
            if told.life(&world, &alive, Some(mortal)).await.is_some() {
                break;
            }
            let backend: SharedBackend = Arc::new(store.fork());
            let state = told.life(&world, &backend, None).await.expect("it lives");
            told.check(&world, &backend, &state, &as_if).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_to_a_run_is_forgotten_though_its_driver_was_lost_right_after_the_end() {
    let asks = |told: &Told| told.story.name == "approve";
    let told = Told::all().into_iter().find(asks).expect("a question");
    let (world, store) = (Arc::default(), MemoryStore::new());
    let alive: SharedBackend = Arc::new(store.clone());
    // Accepted; asked; answered and on; ended.
    let mortal = Mortal::at_append(alive.clone(), 3, true);
    assert!(told.life(&world, &alive, Some(mortal)).await.is_none());
    let line = the_run(&alive).await.expect("it is listed");
    assert_eq!(line.outcome, Some(RunOutcome::Succeeded));
    let backend: SharedBackend = Arc::new(store.fork());
    told.life(&world, &backend, None).await.expect("it lives");
    let left = backend.kv().keys(".answers", "", None, 9).await;
    assert_eq!(left, Ok(vec![]));
}

/// The same file, as a process sees it that starts ten minutes later: whoever held a lease is gone.
fn open(dir: &Path, later: i64) -> SharedBackend {
    let options = SqliteOptions {
        clock: Arc::new(move || Timestamp::now().as_millisecond() + later),
        ..SqliteOptions::default()
    };
    Arc::new(SqliteStore::open_with(dir, options).expect("opened"))
}

#[tokio::test]
async fn in_sqlite_a_crash_at_any_append_changes_nothing_about_the_end() {
    let few = ["hierarchical", "pipeline", "approve", "emit", "cancel"];
    for told in Told::all() {
        if !few.contains(&told.story.name) {
            continue;
        }
        let as_if = told.undisturbed().await;
        for point in crash_points() {
            let (world, dir) = (Arc::default(), tempfile::tempdir().expect("a directory"));
            let alive = open(dir.path(), 0);
            let mortal = Mortal::at_append(alive.clone(), point.n, point.after);
            if told.life(&world, &alive, Some(mortal)).await.is_some() {
                break;
            }
            drop(alive);
            let backend = open(dir.path(), 600_000);
            let state = told.life(&world, &backend, None).await.expect("it lives");
            told.check(&world, &backend, &state, &as_if).await;
        }
    }
}

/// When to die: before the first thing, after it, before the second…
struct Point {
    n: usize,
    after: bool,
}

fn crash_points() -> impl Iterator<Item = Point> {
    (0..).flat_map(|n| [false, true].map(|after| Point { n, after }))
}

impl World {
    fn copy(&self) -> Self {
        Self {
            executed: Mutex::new(self.executed.lock().clone()),
            emitted: Mutex::new(self.emitted.lock().clone()),
        }
    }
}
