//! Plugins and settings that change while a flow is served: each run sees one version of an agent, and no change fails one.

mod registries;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kennel::engine::Engine;
use kennel::id::Digest;
use kennel::store::sqlite::SqliteStore;
use serde_json::Value;

use crate::harness::{Kennel, Running, until};
use crate::hostile;

/// How long a store may take that is asked after the fact.
const PATIENCE: Duration = Duration::from_secs(10);
/// Asks the same agent twice, with a pause in between in which its file may be exchanged.
const FLOW: &str = "kennel: 1
name: watch
on:
  tick:
    sequential:
      - { agent: version, id: first, with: x }
      - { agent: slow, with: { sleep: 20 } }
      - { agent: version, id: second, with: x }
    output: '${{ [steps.first, steps.second] }}'
";

/// Emits so many events: one process for all of them.
fn emitter(events: usize) -> String {
    format!(
        "kennel: 1\nname: emitter\nrepeat:\n  do: {{ emit: tick, with: '${{{{ index }}}}' }}\n  until: 'index + 1 >= {events}'\n  max: {events}\n"
    )
}

fn version(text: &str) -> Vec<u8> {
    wat::parse_str(hostile::say(text)).expect("an agent")
}

fn kennel() -> Kennel {
    Kennel::new()
        .guest("slow")
        .file("agents/version.wasm", version("v1"))
        .settings("[limits]\nfuel = '900G'")
        .file("watch.yaml", FLOW)
}

/// A flow that is served, in front of a directory in which things happen.
struct Served<'k> {
    kennel: &'k Kennel,
    running: Running,
}

impl<'k> Served<'k> {
    fn begin(kennel: &'k Kennel) -> Self {
        let running = kennel.start(["run", "watch.yaml", "--json"]);
        until("the flow listens", || {
            let listening = kennel.run(["events", "--json"]).exits(0).json();
            listening.to_string().contains("watch").then_some(())
        });
        Self { kennel, running }
    }

    fn plugin(&self) -> PathBuf {
        self.kennel.agents().join("version.wasm")
    }

    /// Puts a whole file in the place of another, as deployments do.
    fn swap(&self, bytes: &[u8]) {
        let new = self.kennel.root().join("new.wasm");
        fs::write(&new, bytes).expect("written");
        fs::rename(new, self.plugin()).expect("renamed");
    }

    /// How often something was said so far.
    fn said(&self, what: &str) -> usize {
        self.running.said().matches(what).count()
    }

    /// Does something, and waits until it is said, once more than before.
    #[track_caller]
    fn says(&self, what: &str, done: impl FnOnce()) {
        let before = self.said(what);
        done();
        until(&format!("`{what}` is said"), || {
            (self.said(what) > before).then_some(())
        });
    }

    /// The output of a run that begins now.
    fn run(&mut self) -> Value {
        let before = self.kennel.runs().len();
        self.kennel.run(["emit", "tick"]).exits(0);
        let run = until("the run has ended", || {
            let runs = self.kennel.runs();
            let ended = runs.len() > before && runs[0]["status"] != "unfinished";
            ended.then(|| runs[0]["run"].as_str().expect("an id").to_owned())
        });
        self.kennel.show(&run)["output"].clone()
    }
}

#[test]
fn two_hundred_swaps_during_five_hundred_runs_fail_none_and_mix_none() {
    const ROUNDS: usize = 10;
    let kennel = kennel().file("emitter.yaml", emitter(500 / ROUNDS));
    let versions = [version("v1"), version("v2")];
    let half = &versions[1][..versions[1].len() / 2];
    let served = Served::begin(&kennel);
    let mut swaps = 0;
    for round in 0..ROUNDS {
        // The runs of a round go on while the next one begins.
        let emitting = kennel.start(["run", "emitter.yaml"]);
        for storm in 0..16 {
            match storm % 4 {
                0 => served.swap(&versions[1]),
                1 => fs::write(served.plugin(), half).expect("written"),
                2 => fs::remove_file(served.plugin()).expect("removed"),
                _ => served.swap(&versions[0]),
            }
            swaps += 1;
        }
        // What stays for a moment is taken, or refused with a reason.
        let (now, other) = (&versions[(round + 1) % 2], &versions[round % 2]);
        served.says("version.wasm` is refused", || {
            fs::write(served.plugin(), half).expect("written")
        });
        served.says("reloaded version", || served.swap(now));
        fs::remove_file(served.plugin()).expect("removed");
        served.swap(now);
        swaps += 4;
        assert_ne!(now, other);
        emitting.wait().exits(0);
    }
    assert_eq!(swaps, 200);
    until("every run has ended", || {
        let runs = kennel
            .run(["runs", "list", "--json", "--limit", "1000"])
            .exits(0)
            .json();
        let ended = |run: &&Value| run["flow"] == "watch" && run["status"] != "unfinished";
        (runs
            .as_array()
            .expect("a list")
            .iter()
            .filter(ended)
            .count()
            == 500)
            .then_some(())
    });
    let output = served.running.interrupt().exits(0);
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (summary, runs) = lines.split_last().expect("a summary");
    assert_eq!(runs.len(), 500);
    assert_eq!(summary["summary"]["succeeded"], 500, "{}", output.stderr);
    let mut seen = BTreeMap::<String, usize>::new();
    for run in runs {
        let [first, second] =
            [&run["output"][0], &run["output"][1]].map(|text| text.as_str().expect("a version"));
        assert_eq!(first, second, "one run, two versions: {run}");
        *seen.entry(first.to_owned()).or_default() += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["v1", "v2"], "{seen:?}");
    let output = output.says("serves on");
    println!(
        "{seen:?} in {:?}, {} reloads",
        output.took,
        output.stderr.matches("reloaded version").count()
    );
    assert_pinned(&kennel, runs, &versions);
}

/// What each run was pinned to, as its journal says, is what it was answered by.
fn assert_pinned(kennel: &Kennel, runs: &[Value], versions: &[Vec<u8>; 2]) {
    let digests =
        [("v1", &versions[0]), ("v2", &versions[1])].map(|(text, bytes)| (text, Digest::of(bytes)));
    let store = Arc::new(SqliteStore::open(&kennel.state()).expect("opened"));
    let engine = Engine::new(store, PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for run in runs {
        let id = run["run"].as_str().expect("an id").parse().expect("an id");
        let beginning = runtime.block_on(engine.beginning(id));
        let beginning = beginning.expect("it is there");
        let pinned = beginning
            .agents
            .iter()
            .find(|(agent, _)| agent.as_str() == "version");
        let answered = run["output"][0].as_str().expect("a version");
        let of = digests.iter().find(|(text, _)| *text == answered);
        assert_eq!(
            pinned.map(|(_, digest)| digest),
            of.map(|(_, digest)| digest),
            "{run}"
        );
    }
}

#[test]
fn a_file_that_is_removed_leaves_what_the_flow_needs_in_service() {
    let kennel = kennel().wat("other", &hostile::echo());
    let mut served = Served::begin(&kennel);
    served.says("is gone, but the flow needs agent `version`", || {
        fs::remove_file(served.plugin()).expect("removed");
    });
    served.says("removed other", || {
        fs::remove_file(kennel.agents().join("other.wasm")).expect("removed");
    });
    assert_eq!(served.run(), serde_json::json!(["v1", "v1"]));
    served.says("reloaded version", || served.swap(&version("v2")));
    served.says("added third", || {
        fs::write(kennel.agents().join("third.wasm"), version("v3")).expect("written");
    });
    assert_eq!(served.run(), serde_json::json!(["v2", "v2"]));
    served.running.interrupt().exits(0);
}

#[test]
fn settings_hold_for_runs_that_begin_later_and_what_is_wrong_with_them_changes_nothing() {
    let kennel = kennel();
    let mut served = Served::begin(&kennel);
    let settings =
        |text: &str| fs::write(kennel.root().join("kennel.toml"), text).expect("written");
    served.says("at line 2, column 1", || {
        settings("[limits]\nfule = '1G'\n")
    });
    served.says("`host` is other than it was at the start", || {
        settings("[host]\nslots = 7\n")
    });
    served.says("`limits.memory` is more than", || {
        settings("[limits]\nmemory = '1GiB'\n")
    });
    served.says("it is gone", || {
        fs::remove_file(kennel.root().join("kennel.toml")).expect("removed");
    });
    assert_eq!(served.run(), serde_json::json!(["v1", "v1"]));
    // Too little for an agent to describe itself.
    served.says(
        "the flow needs agent `slow`, which would be refused",
        || settings("[limits]\nfuel = '10'\n"),
    );
    // Less than one answer has.
    served.says("reloaded kennel.toml", || {
        settings("[limits]\noutput = '1B'\n")
    });
    served.run();
    assert_eq!(kennel.runs()[0]["status"], "failed");
    served.says("reloaded kennel.toml", || {
        settings("[limits]\nfuel = '900G'\n")
    });
    assert_eq!(served.run(), serde_json::json!(["v1", "v1"]));
    served.running.interrupt().exits(0);
}
