//! A run that was accepted is finished, whatever happens to the process, and what was done is not done again.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Kennel, Random, Running, seed, step, touched, until};
use crate::hostile;

/// The second step takes for ever unless it is begun again.
const FLOW: &str = "kennel: 1
name: three
sequential:
  - { agent: counter, id: one, with: { key: one } }
  - { agent: slow, id: two, with: { sleep: 25000, once: true, note: rested } }
  - { agent: counter, id: three, with: { key: three, note: '${{ prev }}' } }
output: \"${{ [steps.one.count, steps.two, steps.three] }}\"
";

fn kennel() -> Kennel {
    Kennel::new()
        .guest("counter")
        .guest("slow")
        .settings("[grants.counter]\nstate = true\n[limits]\nfuel = '900G'")
        .file("flow.yaml", FLOW)
}

/// Starts a flow, and returns its run once the journal says that step `id` has begun.
fn started(kennel: &Kennel, id: &str) -> (Running, String) {
    let before = kennel.runs().len();
    let mut running = kennel.start(["run", "flow.yaml"]);
    let run = until("the step has begun", || {
        assert!(
            !running.wait_for(Duration::ZERO),
            "the run ended before it was stopped"
        );
        let runs = kennel.runs();
        let run = runs.first().filter(|_| runs.len() > before)?["run"]
            .as_str()?
            .to_owned();
        let steps = kennel.show(&run)["steps"].clone();
        steps
            .as_array()?
            .iter()
            .any(|step| step["step"] == id && step["status"] == "running")
            .then_some(run)
    });
    (running, run)
}

/// How often `counter` was called for this key.
fn count(kennel: &Kennel, key: &str) -> i64 {
    let report = kennel.call("counter", &json!({ "key": key, "add": 0 }));
    report["output"]["count"]
        .as_i64()
        .unwrap_or_else(|| panic!("{report:#}"))
}

#[test]
fn after_kill_9_a_run_goes_on_where_it_was_and_nothing_is_done_twice() {
    let kennel = kennel();
    let (running, run) = started(&kennel, "two");
    assert_eq!(running.kill().code, 128 + 9);
    assert_eq!(kennel.show(&run)["status"], "unfinished");
    let report = kennel
        .run(["runs", "resume", &run, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        report["output"],
        json!([1, "rested", { "count": 1, "note": "rested" }]),
        "{report:#}"
    );
    assert_eq!((count(&kennel, "one"), count(&kennel, "three")), (1, 1));
    let begun = |id| step(&report, id)["begun"].clone();
    assert_eq!(
        [begun("one"), begun("two"), begun("three")],
        [json!(1), json!(2), json!(1)]
    );
    assert_eq!(kennel.runs()[0]["status"], "succeeded");
}

#[test]
fn resume_without_a_run_finishes_all_that_is_unfinished() {
    let kennel = kennel();
    let runs = [(); 2].map(|()| {
        let (running, run) = started(&kennel, "two");
        running.kill();
        run
    });
    kennel.run(["runs", "resume"]).exits(0);
    for run in &runs {
        assert_eq!(kennel.show(run)["status"], "succeeded");
    }
    assert_eq!(count(&kennel, "one"), 2);
    kennel
        .run(["runs", "resume"])
        .exits(0)
        .says("no unfinished runs");
}

#[test]
fn ctrl_c_stops_the_agents_and_leaves_a_run_that_can_be_resumed_at_once() {
    let kennel = kennel();
    let (running, run) = started(&kennel, "two");
    running
        .interrupt()
        .exits(130)
        .says(&format!("kennel runs resume {run}"));
    let report = kennel
        .run(["runs", "resume", &run, "--json"])
        .exits(0)
        .json();
    assert_eq!(report["output"][1], "rested");
    assert_eq!(count(&kennel, "one"), 1);
}

#[test]
fn ctrl_c_stops_an_agent_that_spins() {
    let kennel = Kennel::new()
        .wat("spin", &hostile::spin())
        .settings("[limits]\nfuel = '90000G'\ntimeout = '10m'")
        .file(
            "flow.yaml",
            "kennel: 1\nname: spin\nsequential:\n  - { agent: spin, id: two, with: x }\n",
        );
    let (mut running, _) = started(&kennel, "two");
    assert!(!running.wait_for(Duration::from_millis(200)), "it spins");
    let output = running.interrupt().exits(130);
    assert!(output.took < Duration::from_secs(60), "{output}");
    let mut running = kennel.start(["call", "spin", "--text", "x"]);
    assert!(!running.wait_for(Duration::from_millis(500)), "it spins");
    running.interrupt().exits(130);
}

#[test]
fn a_finished_run_is_not_run_again_and_says_the_same_again() {
    let flow = FLOW.replace("25000", "1");
    let kennel = kennel().file("flow.yaml", flow);
    let first = kennel.run(["run", "flow.yaml", "--json"]).exits(0);
    let run = first.json()["run"].as_str().expect("an id").to_owned();
    let again = kennel.run(["runs", "resume", &run, "--json"]).exits(0);
    assert_eq!(first.stdout, again.stdout);
    assert_eq!(first.json(), kennel.show(&run));
    assert_eq!((count(&kennel, "one"), count(&kennel, "three")), (1, 1));
}

#[test]
fn a_run_is_not_resumed_with_another_plugin_than_it_was_started_with() {
    let kennel = kennel();
    let (running, run) = started(&kennel, "two");
    running.kill();
    let path = kennel.agents().join("counter.wasm");
    let before = fs::read(&path).expect("read");
    let kennel = kennel.file("agents/counter.wasm", touched(before.clone()));
    kennel
        .run(["runs", "resume", &run])
        .exits(3)
        .says("counter")
        .says("put that file back");
    assert_eq!(kennel.show(&run)["status"], "unfinished");
    let kennel = kennel.file("agents/counter.wasm", before);
    kennel.run(["runs", "resume", &run]).exits(0);
}

#[test]
fn a_run_is_resumed_with_the_flow_that_it_was_started_with() {
    let kennel = kennel();
    let (running, run) = started(&kennel, "two");
    running.kill();
    fs::remove_file(kennel.root().join("flow.yaml")).expect("removed");
    kennel.run(["runs", "resume", &run]).exits(0);
}

#[test]
fn a_run_that_somebody_drives_is_not_driven_by_another() {
    let kennel = kennel();
    let (running, run) = started(&kennel, "two");
    let refused = kennel.run(["runs", "resume", &run]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains(&run), "{refused}");
    running.kill();
    kennel.run(["runs", "resume", &run]).exits(0);
}

/// Steps of the flow that is killed at random.
const STEPS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// How often it is.
const KILLS: u32 = 24;

#[test]
fn wherever_a_run_is_killed_it_is_finished_with_at_most_one_step_more_for_each_kill() {
    let mut random = Random::of(seed());
    let kennel = Kennel::new()
        .guest("counter")
        .settings("[grants.counter]\nstate = true")
        .file("flow.yaml", counting());
    let quiet = kennel
        .run(["run", "flow.yaml", "--set", "run=quiet"])
        .exits(0)
        .took;
    let mut kills = 0;
    for name in 0.. {
        if kills >= KILLS {
            break;
        }
        let name = format!("r{name}");
        let mut killed = 0;
        let mut args = vec![
            "run".to_owned(),
            "flow.yaml".to_owned(),
            "--set".to_owned(),
            format!("run={name}"),
        ];
        loop {
            let mut running = kennel.start(&args);
            if running.wait_for(random.below(quiet)) {
                running.wait().exits(0);
                break;
            }
            running.kill();
            killed += 1;
            let Some(run) = unfinished(&kennel) else {
                break;
            };
            args = vec!["runs".into(), "resume".into(), run];
        }
        kills += killed;
        check(&kennel, &name, killed);
    }
    println!("{kills} kills");
}

fn counting() -> String {
    let step = |id: &&str| {
        format!(
            "  - {{ agent: counter, id: {id}, with: {{ key: '${{{{ input.run }}}}-{id}', note: '${{{{ input.run }}}}' }} }}\n"
        )
    };
    let steps: String = STEPS.iter().map(step).collect();
    format!("kennel: 1\nname: counting\nsequential:\n{steps}output: \"${{{{ input.run }}}}\"\n")
}

/// The run that was just killed, unless it had not been accepted or had finished.
fn unfinished(kennel: &Kennel) -> Option<String> {
    let newest = kennel.runs().into_iter().next()?;
    (newest["status"] == "unfinished").then(|| newest["run"].as_str().expect("an id").to_owned())
}

/// Claims what holds of the newest run after it has been killed some times and finished.
#[track_caller]
fn check(kennel: &Kennel, name: &str, killed: u32) {
    let newest = kennel.runs()[0].clone();
    let report = kennel.show(newest["run"].as_str().expect("an id"));
    if report["output"] != name {
        // Killed before it was accepted: then it has not done anything either.
        assert!(killed > 0);
        assert_eq!(
            count(kennel, &format!("{name}-a")),
            0,
            "a run that was not accepted did something"
        );
        return;
    }
    assert_eq!(report["status"], "succeeded", "{report:#}");
    let mut more = 0;
    for id in STEPS {
        let executed = count(kennel, &format!("{name}-{id}"));
        more += executed - 1;
        let begun = step(&report, id)["begun"].as_i64().expect("a number");
        assert!(
            (1..=begun).contains(&executed),
            "step {id} was begun {begun} times and executed {executed} times"
        );
    }
    assert!(
        more <= killed.into(),
        "{more} executions too many after {killed} kills: {report:#}"
    );
    let records = kennel
        .run([
            "runs",
            "show",
            newest["run"].as_str().expect("an id"),
            "--records",
            "--json",
        ])
        .exits(0)
        .json();
    let succeeded = |id: &str| {
        let of_step = |record: &&Value| {
            record["event"]["type"] == "step-succeeded" && record["event"]["step"] == id
        };
        records
            .as_array()
            .expect("a list")
            .iter()
            .filter(of_step)
            .count()
    };
    assert!(STEPS.iter().all(|id| succeeded(id) == 1), "{records:#}");
}
