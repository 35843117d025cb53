//! What is done while something goes wrong: four pieces of work, each with its way to go on and its way to tell that it was done once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Kennel, Output, until};
use crate::nemesis::{self, Seen};
use crate::oracle::Books;

/// A piece of work in a kennel that is ready for it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [&'static str],
    /// How many lines it prints before it is asked to end; 0 for one that ends by itself.
    pub(crate) lines: u64,
    /// How many runs it has started in the end.
    runs: u32,
    /// Steps of a run that can be in flight at once.
    width: u32,
    ready: Kennel,
}

const SEQUENTIAL: &str = "kennel: 1
name: sequential
sequential:
  - { agent: counter, id: one, with: { key: one } }
  - { agent: counter, id: two, with: { key: two } }
  - { agent: counter, id: three, with: { key: three } }
output: \"${{ [steps.one.count, steps.two.count, steps.three.count] }}\"
";

/// Values of 40 KB stand in the table of blobs, those of 100 KB are files.
const FAN_OUT: &str = "kennel: 1
name: fan-out
sequential:
  - parallel:
      - { agent: counter, id: one, with: { key: one, note: '${{ input.big }}' } }
      - { agent: counter, id: two, with: { key: two, note: '${{ input.small }}' } }
      - { agent: counter, id: three, with: { key: three, note: '${{ input.big }}' } }
    id: all
output: \"${{ [steps.all.one.count, steps.all.two.count, steps.all.three.count] }}\"
";

const WATCH: &str = "kennel: 1
name: watch
on:
  price_change:
    sequential:
      - { agent: counter, id: one, with: { key: '${{ input.key }}-one', note: '${{ input.price }}' } }
      - { agent: counter, id: two, with: { key: '${{ input.key }}-two' } }
";

const ONCE: [&str; 5] = ["run", "flow.yaml", "--json", "--input", "@input.json"];
const EMIT: [&str; 7] = [
    "emit",
    "price_change",
    "--id",
    "1",
    "--data",
    "{\"key\": \"a\", \"price\": 7}",
    "--json",
];
/// One event more than a flow that is served has in its queue.
pub(crate) const EMIT_MORE: &[&str] = &[
    "emit",
    "price_change",
    "--id",
    "more",
    "--data",
    "{\"key\": \"more\", \"price\": 7}",
    "--json",
];
const SERVE: [&str; 3] = ["run", "watch.yaml", "--json"];

/// All of them.
pub(crate) fn all() -> Vec<Workload> {
    vec![sequential(), fan_out(), emit(), served()]
}

fn kennel() -> Kennel {
    Kennel::new()
        .guest("counter")
        .settings("[grants.counter]\nstate = true")
        .file("watch.yaml", WATCH)
}

/// One step after another in a new store, which is made on the way.
pub(crate) fn sequential() -> Workload {
    let kennel = kennel()
        .file("flow.yaml", SEQUENTIAL)
        .file("input.json", "null");
    // Compiles the agent, and leaves no store behind.
    kennel.run(["agents", "--state", ".kennel"]).exits(0);
    let state = kennel.state();
    for name in ["kennel.db", "kennel.db-wal", "kennel.db-shm"] {
        let _ = std::fs::remove_file(state.join(name));
    }
    Workload {
        name: "sequential",
        args: &ONCE,
        lines: 0,
        runs: 1,
        width: 1,
        ready: kennel,
    }
}

/// Steps side by side, with values that are blobs.
fn fan_out() -> Workload {
    let input = json!({ "big": "b".repeat(100_000), "small": "s".repeat(40_000) });
    let kennel = kennel()
        .file("flow.yaml", FAN_OUT)
        .file("input.json", input.to_string());
    kennel.run(["runs", "list"]).exits(0);
    Workload {
        name: "fan-out",
        args: &ONCE,
        lines: 0,
        runs: 1,
        width: 3,
        ready: kennel,
    }
}

/// An event is put into the durable queue of a flow that nobody serves at the moment.
fn emit() -> Workload {
    let kennel = kennel();
    serve_until(&kennel, Books::are_subscribed);
    Workload {
        name: "emit",
        args: &EMIT,
        lines: 0,
        runs: 1,
        width: 1,
        ready: kennel,
    }
}

/// A flow is served, and three events wait for it.
pub(crate) fn served() -> Workload {
    let kennel = kennel();
    serve_until(&kennel, Books::are_subscribed);
    for id in ["1", "2", "3"] {
        let data = json!({ "key": id, "price": 7 }).to_string();
        kennel
            .run(["emit", "price_change", "--id", id, "--data", &data])
            .exits(0);
    }
    Workload {
        name: "serve",
        args: &SERVE,
        lines: 3,
        runs: 3,
        width: 3,
        ready: kennel,
    }
}

impl Workload {
    /// A kennel to do it in.
    pub(crate) fn prepared(&self) -> Kennel {
        self.ready.twin()
    }

    /// Options of its own for the program it runs under.
    pub(crate) fn options(&self) -> Vec<String> {
        let lines = (self.lines > 0).then(|| format!("interrupt={}", self.lines));
        lines.into_iter().collect()
    }

    /// What somebody does who finds it cut off. An event that was acknowledged is not emitted again: it must be there.
    fn resume(&self, seen: &Seen) -> &'static [&'static str] {
        match self.name {
            "sequential" | "fan-out" => &["runs", "resume"],
            "emit" if !is_acknowledged(seen) => &EMIT,
            _ => &SERVE,
        }
    }

    /// Goes on until all is done; how long it took.
    #[track_caller]
    pub(crate) fn recover(&self, kennel: &Kennel, seen: &Seen) -> Duration {
        let begun = Instant::now();
        let resume = self.resume(seen);
        if resume != SERVE {
            kennel.run(resume).exits(0);
        }
        if matches!(self.name, "emit" | "serve") {
            serve_until(kennel, |books| books.are_settled(self.runs));
        }
        begun.elapsed()
    }

    /// Goes on, and is cut off too, at an operation of this number or later by hand; how often it was
    /// killed, since it may have ended before.
    #[track_caller]
    pub(crate) fn recover_badly(&self, kennel: &Kennel, seen: &Seen, at: u64) -> u64 {
        let options = ["fault=kill-after".into(), format!("at={at}")];
        let resume = self.resume(seen);
        let mut under = nemesis::start(kennel, &options, resume);
        until("it has ended, or all is done", || {
            let ended = under.running.wait_for(Duration::from_millis(5));
            // A flow is served for ever.
            let done = || Books::open(kennel).is_some_and(|books| books.are_settled(self.runs));
            (ended || resume == SERVE && done()).then_some(())
        });
        u64::from(under.kill().code == 128 + 9)
    }

    /// Claims what must hold after it went wrong `times` times and was gone on with.
    #[track_caller]
    pub(crate) fn judge(&self, kennel: &Kennel, seen: &Seen, times: u64) {
        let books = Books::open(kennel).expect("the store is there");
        books.are_right();
        let runs = books.runs();
        for run in accepted(&seen.output) {
            assert!(
                runs.contains(&run),
                "run {run} was acknowledged and is lost"
            );
        }
        // Before it was acknowledged, a run that was asked for may be there or not; events were, before anything went wrong or by then.
        let may_lack = matches!(self.name, "sequential" | "fan-out");
        let least = if may_lack { 0 } else { self.runs };
        let found = runs.len() as u32;
        assert!(
            (least..=self.runs).contains(&found),
            "{found} runs where {} belong",
            self.runs
        );
        let failed = |run: &String| {
            books.one::<String>(&format!("SELECT outcome FROM runs WHERE run = '{run}'"))
                == "failed"
        };
        let failed: Vec<_> = runs.iter().filter(|run| failed(run)).collect();
        self.judge_steps(&failed, &books, &runs, u32::try_from(times).expect("few"));
        for run in &runs {
            let report = kennel.show(run);
            let blames_the_store = report["failure"]["message"]
                .as_str()
                .is_some_and(|why| why.contains("the store is unavailable"));
            assert!(
                report["status"] == "succeeded" || blames_the_store,
                "{report:#}"
            );
            let records = kennel
                .run(["runs", "show", run, "--records", "--json"])
                .exits(0);
            assert!(
                records
                    .json()
                    .as_array()
                    .is_some_and(|records| records.len() > 2)
            );
        }
    }

    /// Each step has succeeded once, and was executed no more often than it was begun.
    #[track_caller]
    fn judge_steps(&self, failed: &[&String], books: &Books, runs: &[String], times: u32) {
        let (steps, mut executed) = (books.steps(), books.executed());
        let mut more = 0;
        for (step, (begun, succeeded)) in steps {
            if step.1 == "all" || step.1.is_empty() {
                continue;
            }
            // What follows a step that was told that the store fails is not done.
            let least = u32::from(!failed.contains(&&step.0));
            assert!(
                (least..=1).contains(&succeeded),
                "{step:?} succeeded {succeeded} times"
            );
            let done = executed.remove(&step).unwrap_or(0);
            assert!(
                (succeeded..=begun).contains(&done),
                "{step:?} was begun {begun} times and executed {done} times"
            );
            assert!(
                begun <= 1 + times,
                "{step:?} was begun {begun} times after {times} faults"
            );
            more += done.saturating_sub(1);
        }
        assert!(
            executed.is_empty(),
            "done outside of a journal: {executed:?} of {runs:?}"
        );
        assert!(
            more <= times * self.width,
            "{more} executions too many after {times} faults"
        );
    }
}

/// The runs that a command has said to be accepted, to whoever started it: `run FLOW ID` on standard error before it drives one, and
/// documents on standard output that name one. Only what came out whole counts.
pub(crate) fn accepted(output: &Output) -> Vec<String> {
    let begun = output.stderr.split_inclusive('\n').filter_map(|line| {
        let words: Vec<_> = line.strip_suffix('\n')?.split_whitespace().collect();
        match words.as_slice() {
            ["run", _, id] if id.len() == 26 => Some((*id).to_owned()),
            _ => None,
        }
    });
    let whole = |text: &str| serde_json::from_str::<Value>(text).ok();
    let documents = whole(&output.stdout)
        .into_iter()
        .chain(output.stdout.lines().filter_map(whole));
    let named = documents.filter_map(|value| value["run"].as_str().map(str::to_owned));
    begun.chain(named).collect()
}

/// Whether the command has printed its result.
fn is_acknowledged(seen: &Seen) -> bool {
    serde_json::from_str::<Value>(&seen.output.stdout).is_ok()
}

/// Serves the flow until its store says that it is enough.
#[track_caller]
pub(crate) fn serve_until(kennel: &Kennel, enough: impl Fn(&Books) -> bool) {
    let mut serving = kennel.start(SERVE);
    until("all is done", || {
        assert!(!serving.wait_for(Duration::ZERO), "it ended by itself");
        Books::open(kennel).filter(&enough).map(drop)
    });
    // 130 when it had not come so far as to listen for Ctrl-C.
    let output = serving.interrupt();
    assert!([0, 130].contains(&output.code), "{output}");
}
