//! Plugins and settings that change while a flow is served: each run sees one version of an agent, and no change fails one.

mod registries;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kennel::engine::Engine;
use kennel::id::Digest;
use kennel::store::sqlite::SqliteStore;
use serde_json::{Value, json};

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
      - { agent: slow, with: { sleep: 60 } }
      - { agent: version, id: second, with: x }
    output: '${{ [steps.first, steps.second] }}'
";

/// Emits 500 events, one after the other, for as long as a file is exchanged: runs are always in flight.
const EMITTER: &str = "kennel: 1
name: emitter
repeat:
  do:
    sequential:
      - { emit: tick, with: '${{ index }}' }
      - { agent: slow, with: { sleep: 8 } }
  until: 'index + 1 >= 500'
  max: 500
";

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
    fn swap(&self, file: &Path, bytes: &[u8]) {
        let new = self.kennel.root().join("new");
        fs::write(&new, bytes).expect("written");
        fs::rename(new, file).expect("renamed");
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

/// A file that is exchanged, again and again.
struct Exchanged {
    file: PathBuf,
    versions: [Vec<u8>; 2],
    /// One that is cut off.
    half: Vec<u8>,
    /// What is said of that.
    refused: &'static str,
    /// What is said when another version is taken.
    reloaded: &'static str,
}

/// Exchanges a file 200 times while 500 events are emitted. The runs that they started, all of which have succeeded.
#[track_caller]
fn storm(kennel: &Kennel, exchanged: &Exchanged) -> Vec<Value> {
    const ROUNDS: usize = 10;
    let Exchanged {
        file,
        versions,
        half,
        refused,
        reloaded,
    } = exchanged;
    fs::write(kennel.root().join("emitter.yaml"), EMITTER).expect("written");
    fs::write(kennel.root().join("emitter.toml"), "").expect("written");
    let served = Served::begin(kennel);
    let emitting = kennel.start(["run", "emitter.yaml", "--config", "emitter.toml"]);
    let mut swaps = 0;
    for round in 0..ROUNDS {
        for storm in 0..16 {
            match storm % 4 {
                0 => served.swap(file, &versions[1]),
                1 => fs::write(file, half).expect("written"),
                2 => fs::remove_file(file).expect("removed"),
                _ => served.swap(file, &versions[0]),
            }
            swaps += 1;
        }
        // What stays for a moment is taken, or refused with a reason.
        let (now, other) = (&versions[(round + 1) % 2], &versions[round % 2]);
        served.says(refused, || fs::write(file, half).expect("written"));
        served.says(reloaded, || served.swap(file, now));
        fs::remove_file(file).expect("removed");
        served.swap(file, now);
        swaps += 4;
        assert_ne!(now, other);
    }
    assert_eq!(swaps, 200);
    emitting.wait().exits(0);
    until("every run has ended", || {
        let runs = kennel
            .run(["runs", "list", "--json", "--limit", "1000"])
            .exits(0)
            .json();
        let ended = |run: &&Value| run["flow"] == "watch" && run["status"] != "unfinished";
        let ended = runs.as_array().expect("a list").iter().filter(ended);
        (ended.count() == 500).then_some(())
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
    let reloads = output.stderr.matches(reloaded).count();
    println!("500 runs in {:?}, {reloads} reloads", output.took);
    runs.to_vec()
}

/// Claims that nobody has seen two versions in one run, and that versions came and went while runs began: each run's output is what was
/// there at its beginning and at its end.
#[track_caller]
fn assert_unmixed(runs: &[Value], versions: [Value; 2]) {
    let mut seen = BTreeMap::new();
    for run in runs {
        let [first, second] = [&run["output"][0], &run["output"][1]];
        assert_eq!(first, second, "one run, two versions: {run}");
        assert!(versions.contains(first), "neither version: {run}");
        seen.insert(run["run"].as_str().expect("an id"), first);
    }
    // Ids are in the order of beginnings.
    let order: Vec<_> = seen.values().collect();
    let turns = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns >= 5, "{turns} turns in {} runs", order.len());
    println!("{turns} turns");
}

#[test]
fn two_hundred_swaps_of_a_plugin_during_five_hundred_runs_fail_none_and_mix_none() {
    let kennel = kennel();
    let versions = [version("v1"), version("v2")];
    let runs = storm(
        &kennel,
        &Exchanged {
            file: kennel.agents().join("version.wasm"),
            half: versions[1][..versions[1].len() / 2].to_vec(),
            versions: versions.clone(),
            refused: "version.wasm` is refused",
            reloaded: "reloaded version",
        },
    );
    assert_unmixed(&runs, ["v1".into(), "v2".into()]);
    assert_pinned(&kennel, &runs, &versions);
}

#[test]
fn two_hundred_swaps_of_the_settings_during_five_hundred_runs_fail_none_and_mix_none() {
    let versions = ["red", "blue"]
        .map(|colour| format!("[limits]\nfuel = '900G'\n[config.snoop]\ncolour = '{colour}'\n"));
    let flow = FLOW
        .replace("agent: version", "agent: snoop")
        .replace("with: x", "with: { look: [] }")
        .replace("steps.first", "steps.first.settings")
        .replace("steps.second", "steps.second.settings");
    let kennel = Kennel::new()
        .guest("slow")
        .guest("snoop")
        .settings(&versions[0])
        .file("watch.yaml", flow);
    let runs = storm(
        &kennel,
        &Exchanged {
            file: kennel.root().join("kennel.toml"),
            half: versions[1].split_at(versions[1].len() - 3).0.into(),
            versions: versions.map(String::into_bytes),
            refused: "kennel.toml` is refused",
            reloaded: "reloaded kennel.toml",
        },
    );
    assert_unmixed(
        &runs,
        ["red", "blue"].map(|colour| json!({ "colour": colour })),
    );
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
    assert_eq!(served.run(), json!(["v1", "v1"]));
    served.says("reloaded version", || {
        served.swap(&served.plugin(), &version("v2"))
    });
    served.says("added third", || {
        fs::write(kennel.agents().join("third.wasm"), version("v3")).expect("written");
    });
    assert_eq!(served.run(), json!(["v2", "v2"]));
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
    assert_eq!(served.run(), json!(["v1", "v1"]));
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
    assert_eq!(served.run(), json!(["v1", "v1"]));
    served.running.interrupt().exits(0);
}
