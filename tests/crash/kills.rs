//! Several processes drive runs in one store, and all of them are killed, again and again: every run that was accepted ends, and agents
//! were called as often as the journals say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Kennel, Random, seed};
use crate::judge::accepted;
use crate::oracle::{Books, StepOf};
use crate::programme::{RECOVERS, Recovery, Row, alone, share};

/// Pages, a stream with batches, a master with workers, and one count that every run adds to.
const FLOW: &str = "kennel: 1
name: load
sequential:
  - { agent: counter, id: first, with: { key: all } }
  - pipeline:
      - { agent: team, skill: count, id: read, pages: true, with: { total: 5, size: 2 } }
      - { agent: counter, id: one, each: true, concurrency: 2, with: { key: all }, output: '${{ index }}' }
      - { agent: team, skill: double, id: twice, each: true, concurrency: 2, batch: { size: 2, wait: 2ms } }
    id: line
  - hierarchical: { master: team, workers: { counts: counter, sums: { agent: team, skill: double } } }
    id: crew
    with:
      subtasks:
        - { agent-type: counts, input: { key: all } }
        - { agent-type: sums, input: 4 }
        - { agent-type: counts, input: { key: all } }
  - { agent: counter, id: last, with: { key: all } }
output: \"${{ {'line': steps.line, 'sum': steps.crew.sum} }}\"
";
/// How often a run of it calls the counter when nothing happens: first, last, five items, two workers.
const COUNTS: usize = 9;
/// Processes at a time.
const AT_ONCE: usize = 3;
/// How often those are killed that resume, after each time that all were killed.
const RESUMES: usize = 2;
/// So many processes are killed at the least.
const KILLS: u64 = 200;
/// And while there is still time, of the whole.
const SHARE: f64 = 0.25;
/// Kills in one store, before it is judged and another begins: its history of state must not be cut off.
const IN_ONE: u64 = 25;

#[test]
fn wherever_all_processes_are_killed_every_accepted_run_ends_and_is_done_as_its_journal_says() {
    let _alone = alone();
    let mut random = Random::of(seed());
    let begun = std::time::Instant::now();
    let time = share(SHARE).unwrap_or(Duration::from_secs(600));
    let mut row = Row {
        what: "three processes and who resumes".into(),
        fault: "kill -9".into(),
        tried: (0, None),
        injected: 0,
        restarts: 0,
        slowest: None,
        failed: 0,
    };
    while row.injected < KILLS || begun.elapsed() < time {
        one_store(&mut random, &mut row);
    }
    row.keep();
}

/// Kills and resumes in one store, then goes on in peace and judges.
#[track_caller]
fn one_store(random: &mut Random, row: &mut Row) {
    let kennel = loaded();
    let quiet = kennel.run(["run", "flow.yaml"]).exits(0).took;
    let mut kills = 0;
    let mut idle = 0;
    // What whoever started the runs was told, apart from the store.
    let mut told = BTreeSet::new();
    while kills < IN_ONE {
        let before =
            Books::open(&kennel).map_or(0, |books| books.one::<u32>("SELECT count(*) FROM events"));
        let running = [(); AT_ONCE].map(|()| kennel.start(["run", "flow.yaml"]));
        // Together they take longer than one alone.
        let mut running = running.into_iter();
        let mut first = running.next().expect("at least one");
        first.wait_for(random.below(2 * quiet));
        let mut killed = 0;
        for process in std::iter::once(first).chain(running) {
            let output = process.kill();
            killed += u64::from(output.code == 128 + 9);
            told.extend(accepted(&output));
        }
        for _ in 0..RESUMES {
            let mut resuming = kennel.start(["runs", "resume"]);
            if !resuming.wait_for(random.below(2 * quiet)) {
                killed += u64::from(resuming.kill().code == 128 + 9);
                row.restarts += 1;
            }
        }
        let after =
            Books::open(&kennel).map_or(0, |books| books.one::<u32>("SELECT count(*) FROM events"));
        // Kills of processes that had come nowhere show nothing.
        if after > before + 5 {
            kills += killed;
        } else {
            idle += 1;
            assert!(idle < 100, "nothing ever goes on");
        }
    }
    row.tried.0 += kills;
    row.injected += kills;
    // Most are killed after that; without any, nothing would be compared.
    assert!(told.len() as u64 > IN_ONE / 5, "{told:?}");
    end_and_judge(&kennel, &told, row);
}

/// A kennel with the flow.
pub(crate) fn loaded() -> Kennel {
    Kennel::new()
        .guest("counter")
        .guest("team")
        .settings("[grants.counter]\nstate = true")
        .file("flow.yaml", FLOW)
}

/// Goes on in peace, and claims that what was told is there and that everything was done as the journals say.
#[track_caller]
pub(crate) fn end_and_judge(kennel: &Kennel, told: &BTreeSet<String>, row: &mut Row) {
    row.restarts += 1;
    let recovery = Recovery::begin();
    kennel.run(["runs", "resume"]).exits(0);
    let resumed = recovery.end().within(RECOVERS);
    row.slowest = row.slowest.max(Some(resumed));
    kennel
        .run(["runs", "resume"])
        .exits(0)
        .says("no unfinished runs");
    let books = Books::open(kennel).expect("the store is there");
    books.are_right();
    let executed = books.executed();
    let runs = books.runs();
    println!(
        "{} runs were accepted, {} were told",
        runs.len(),
        told.len()
    );
    for run in told {
        assert!(runs.contains(run), "run {run} was acknowledged and is lost");
    }
    let mut expected = 0;
    for run in &runs {
        expected += check(kennel, run, &executed);
    }
    let all: u32 = executed.values().sum();
    assert_eq!(all, expected, "nothing was done outside of a run");
    let report = kennel.call("counter", &json!({ "key": "all", "add": 0 }));
    assert_eq!(report["output"]["count"], all, "every call has counted");
}

/// Claims what holds of a run that has ended; returns how often the counter was called for it.
#[track_caller]
fn check(kennel: &Kennel, run: &str, executed: &BTreeMap<StepOf, u32>) -> u32 {
    let records = kennel
        .run(["runs", "show", run, "--records", "--json"])
        .exits(0)
        .json();
    let records = records.as_array().expect("a list");
    let of_type = |kind: &'static str| {
        let events = records.iter().map(|record| &record["event"]);
        events.filter(move |event| event["type"] == kind)
    };
    let ends: Vec<_> = of_type("run-finished").collect();
    assert_eq!(ends.len(), 1, "it ends once: {records:#?}");
    assert_eq!(
        ends[0]["outcome"]["output"]["inline"],
        json!({ "line": [0, 2, 4, 6, 8], "sum": 8 }),
        "{ends:#?}"
    );
    let counted =
        of_type("step-succeeded").filter(|event| !event["output"]["inline"]["count"].is_null());
    let steps: Vec<_> = counted.filter_map(|event| event["step"].as_str()).collect();
    assert_eq!(steps.len(), COUNTS, "each step succeeds once: {steps:?}");
    let done = |step: &&str| {
        let begun = of_type("step-started")
            .filter(|event| event["step"] == *step)
            .count() as u32;
        let done = executed.get(&(run.to_owned(), (*step).to_owned()));
        let done = done.copied().unwrap_or(0);
        assert!(
            (1..=begun).contains(&done),
            "run {run}: step {step} was begun {begun} times and executed {done} times"
        );
        done
    };
    steps.iter().map(done).sum()
}
