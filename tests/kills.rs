//! Several processes drive runs in one store, and all of them are killed, again and again: every run that was accepted ends, and agents
//! were called as often as the journals say.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::{Kennel, Random};

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
/// How often all of them are killed, and then how often those are that resume.
const ROUNDS: usize = 3;
const RESUMES: usize = 2;

#[test]
fn wherever_all_processes_are_killed_every_accepted_run_ends_and_is_done_as_its_journal_says() {
    let mut random = Random::seeded();
    let kennel = Kennel::new()
        .guest("counter")
        .guest("team")
        .settings("[grants.counter]\nstate = true")
        .file("flow.yaml", FLOW);
    let quiet = kennel.run(["run", "flow.yaml"]).exits(0).took;
    for _ in 0..ROUNDS {
        let running = [(); AT_ONCE].map(|()| kennel.start(["run", "flow.yaml"]));
        // Together they take longer than one alone.
        let mut running = running.into_iter();
        let mut first = running.next().expect("at least one");
        first.wait_for(random.below(2 * quiet));
        first.kill();
        running.for_each(|process| drop(process.kill()));
        for _ in 0..RESUMES {
            let mut resuming = kennel.start(["runs", "resume"]);
            if !resuming.wait_for(random.below(2 * quiet)) {
                resuming.kill();
            }
        }
    }
    kennel.run(["runs", "resume"]).exits(0);
    kennel
        .run(["runs", "resume"])
        .exits(0)
        .says("no unfinished runs");

    let executed = executed(&kennel);
    let runs = kennel.runs();
    println!("{} runs were accepted", runs.len());
    let mut expected = 0;
    for run in &runs {
        assert_eq!(run["status"], "succeeded", "{run:#}");
        expected += check(&kennel, run["run"].as_str().expect("an id"), &executed);
    }
    let all: usize = executed.values().sum();
    assert_eq!(all, expected, "nothing was done outside of a run");
    let report = kennel.call("counter", &json!({ "key": "all", "add": 0 }));
    assert_eq!(report["output"]["count"], all, "every call has counted");
}

/// Claims what holds of a run that has ended; returns how often the counter was called for it.
#[track_caller]
fn check(kennel: &Kennel, run: &str, executed: &BTreeMap<String, usize>) -> usize {
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
            .count();
        let done = executed.get(&format!("{run}/{step}")).copied().unwrap_or(0);
        assert!(
            (1..=begun).contains(&done),
            "run {run}: step {step} was begun {begun} times and executed {done} times"
        );
        done
    };
    steps.iter().map(done).sum()
}

/// How often each task has added to the count, as the history of the state tells.
fn executed(kennel: &Kennel) -> BTreeMap<String, usize> {
    let history = kennel
        .run(["state", "history", "counter", "--limit", "1000", "--json"])
        .exits(0)
        .json();
    let changes = history.as_array().expect("a list");
    assert!(changes.len() < 1000, "the history is cut off");
    let mut executed = BTreeMap::new();
    for task in changes.iter().filter_map(|change| change["task"].as_str()) {
        *executed.entry(task.to_owned()).or_insert(0) += 1;
    }
    executed
}
