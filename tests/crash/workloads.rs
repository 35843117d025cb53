//! What is done while something goes wrong: four pieces of work, each with its way to go on and its way to tell that it was done once.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Kennel, Running, until};
use crate::judge::is_acknowledged;
use crate::nemesis::{self, Seen};
use crate::oracle::Books;
use crate::programme::{Recovery, Took};

/// A piece of work in a kennel that is ready for it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [&'static str],
    /// How many lines it prints before it is asked to end; 0 for one that ends by itself.
    pub(crate) lines: u64,
    /// How many runs it has started in the end.
    pub(crate) runs: u32,
    /// Steps of a run that can be in flight at once.
    pub(crate) width: u32,
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
    let kennel = fan_out_in(kennel());
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

fn fan_out_in(kennel: Kennel) -> Kennel {
    let input = json!({ "big": "b".repeat(100_000), "small": "s".repeat(40_000) });
    kennel
        .file("flow.yaml", FAN_OUT)
        .file("input.json", input.to_string())
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

/// All is done, of every kind: runs with blobs, runs from events, state that they have shared.
pub(crate) fn settled() -> Kennel {
    let workload = served();
    let kennel = workload.ready;
    serve_until(&kennel, |books| books.are_settled(workload.runs));
    let kennel = fan_out_in(kennel);
    kennel.run(ONCE).exits(0);
    kennel
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

    /// Starts what somebody would who finds it cut off.
    pub(crate) fn restart(&self, kennel: &Kennel, seen: &Seen) -> Running {
        kennel.start(self.resume(seen))
    }

    /// Whether all has ended.
    pub(crate) fn is_done(&self, books: &Books) -> bool {
        books.are_settled(self.runs)
    }

    /// Goes on until all is done; how long it took.
    #[track_caller]
    pub(crate) fn recover(&self, kennel: &Kennel, seen: &Seen) -> Took {
        self.lacks_nothing(kennel, seen);
        let recovery = Recovery::begin();
        let resume = self.resume(seen);
        if resume != SERVE {
            kennel.run(resume).exits(0);
        }
        if matches!(self.name, "emit" | "serve") {
            serve_until(kennel, |books| books.are_settled(self.runs));
        }
        recovery.end()
    }

    /// Goes on, and is cut off too, at an operation of this number or later by hand; how often it was
    /// killed, since it may have ended before.
    #[track_caller]
    pub(crate) fn recover_badly(&self, kennel: &Kennel, seen: &Seen, fault: &str, at: u64) -> u64 {
        let resume = self.resume(seen);
        // What is killed by hand must not be in the middle of taking back what is lost.
        let fault = match resume == SERVE {
            true => "kill-after",
            false => fault,
        };
        let options = [
            format!("fault={fault}"),
            format!("at={at}"),
            format!("seed={at}"),
        ];
        let mut under = nemesis::start(kennel, &options, resume);
        until("it has ended, or all is done", || {
            let ended = under.running.wait_for(Duration::from_millis(5));
            // A flow is served for ever.
            let done = || Books::open(kennel).is_some_and(|books| self.is_done(&books));
            (ended || resume == SERVE && done()).then_some(())
        });
        u64::from(under.kill().code == 128 + 9)
    }
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
