//! What can be looked at again: shared state with its history, and runs whose attempts are executed once more.

use serde_json::{Value, json};

use crate::harness::{Kennel, touched};
use crate::hostile;

fn kennel() -> Kennel {
    Kennel::new()
        .wat("echo", &hostile::echo())
        .wat("trap", &hostile::trap())
        .file(
            "flow.yaml",
            "kennel: 1\nname: again\nsequential:\n  - { agent: echo, id: first, with: '${{ input.text }}' }\n  - agent: trap\n    id: second\n    retry: { attempts: 2, backoff: 1ms, on: [trapped] }\n    fallback: [{ agent: echo, with: '${{ steps.first }}!' }]\n",
        )
}

fn run(kennel: &Kennel) -> String {
    let output = kennel.run(["run", "flow.yaml", "--json", "--set", "text=hello"]);
    let report = output.exits(0).json();
    assert_eq!(report["output"], "hello!");
    report["run"].as_str().expect("an id").to_owned()
}

#[test]
fn every_attempt_of_a_run_is_the_same_when_it_is_executed_again() {
    let kennel = kennel();
    let id = run(&kennel);
    let report = kennel
        .run(["runs", "replay", &id, "--json"])
        .exits(0)
        .json();
    let attempts = report["attempts"].as_array().expect("a list");
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            let fuel = attempt["recorded-fuel"] == attempt["replayed-fuel"];
            let word = |key: &str| attempt[key].as_str().unwrap_or_default().to_owned();
            (word("step"), word("agent"), word("status"), fuel)
        })
        .collect();
    let expected = [
        ("first", "echo"),
        ("second", "trap"),
        ("second", "trap"),
        ("second", "echo"),
    ];
    let expected = expected.map(|(step, agent)| (step.into(), agent.into(), "same".into(), true));
    assert_eq!(told, expected, "{report:#}");
    let counts = ["same", "different", "not-replayed"].map(|key| report[key].clone());
    assert_eq!(counts, [json!(4), json!(0), json!(0)]);
    let people = kennel.run(["runs", "replay", &id]).exits(0);
    assert!(people.stderr.contains("4 the same"), "{people}");
    assert_eq!(kennel.runs().len(), 1, "a replay is no run");
}

#[test]
fn what_comes_out_otherwise_is_told_with_output_and_fuel() {
    let kennel = Kennel::new()
        .guest("snoop")
        .settings("[config.snoop]\ncolour = 'red'")
        .file(
            "flow.yaml",
            "kennel: 1\nname: look\nsequential: [{ agent: snoop, id: look, with: { look: [] } }]\n",
        );
    let run = kennel.run(["run", "flow.yaml", "--json"]).exits(0).json();
    let id = run["run"].as_str().expect("an id");
    kennel.run(["runs", "replay", id]).exits(0);
    let file = kennel.root().join("kennel.toml");
    let other = std::fs::read_to_string(&file)
        .expect("read")
        .replace("red", "a colour between red and blue");
    std::fs::write(file, other).expect("written");
    let report = kennel.run(["runs", "replay", id, "--json"]).exits(1).json();
    assert_eq!(report["different"], 1, "{report:#}");
    let detail = report["attempts"][0]["detail"].to_string();
    assert!(
        detail.contains("colour") && detail.contains("fuel: "),
        "{report:#}"
    );
    kennel
        .run(["runs", "replay", id])
        .exits(1)
        .says("1 different");
}

#[test]
fn a_run_is_replayed_with_its_own_plugins_only() {
    let kennel = kennel();
    let id = run(&kennel);
    let file = kennel.agents().join("echo.wasm");
    let wasm = std::fs::read(&file).expect("read");
    std::fs::write(&file, touched(wasm)).expect("written");
    let refused = kennel.run(["runs", "replay", &id]).exits(3);
    assert!(refused.stderr.contains("`echo`"), "{refused}");
    kennel
        .run(["runs", "replay", "01KC3H9DZ5Q0000000000000ZZ"])
        .exits(2);
}

#[test]
fn state_is_listed_read_changed_and_its_history_told() {
    let kennel = Kennel::cold();
    kennel.run(["state", "list"]).exits(2);
    let set = |args: &[&str], code| {
        let all = ["state", "set", "clerk"].iter().chain(args).copied();
        kennel.run(all.collect::<Vec<_>>()).exits(code)
    };
    assert_eq!(set(&["visits", "7"], 0).stdout, "1\n");
    assert_eq!(set(&["visits", "8", "--expect", "1"], 0).stdout, "2\n");
    let late = set(&["visits", "9", "--expect", "1"], 1);
    assert!(late.stderr.contains("is at revision 2"), "{late}");
    set(&["", "x"], 2);
    set(&["note", "a\u{1b}[2Jb"], 0);
    let list = kennel.run(["state", "list", "clerk"]).exits(0);
    assert!(!list.stdout.contains('\u{1b}'), "{list}");
    let get = |args: &[&str]| {
        let all = ["state", "get", "clerk"].iter().chain(args).copied();
        kennel.run(all.collect::<Vec<_>>()).exits(0)
    };
    assert_eq!(get(&["visits"]).stdout, "8\n");
    assert_eq!(get(&["visits", "--revision", "1"]).stdout, "7\n");
    assert_eq!(get(&["visits", "--json"]).json()["value"], 8);
    kennel.run(["state", "delete", "clerk", "visits"]).exits(0);
    kennel.run(["state", "get", "clerk", "visits"]).exits(1);
    let history = kennel.run(["state", "history", "clerk", "visits", "--json"]);
    let history = history.exits(0).json();
    let told: Vec<_> = history
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| (change["change"].clone(), change["value"].clone()))
        .collect();
    let expected = [
        ("set", json!(7)),
        ("swap", json!(8)),
        ("delete", Value::Null),
    ];
    assert_eq!(told, expected.map(|(change, value)| (json!(change), value)));
}
