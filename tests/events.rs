//! Events from outside: emitted by one process, handled by another, played from a file, and handled once whatever dies.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Kennel, Running, until};

/// Counts each event by the key that it carries.
const FLOW: &str = "kennel: 1
name: watch
on:
  price_change: { agent: counter, with: { key: '${{ input.key }}', note: '${{ input.price }}' } }
";

fn kennel() -> Kennel {
    Kennel::new()
        .guest("counter")
        .guest("slow")
        .settings("[grants.counter]\nstate = true\n[limits]\nfuel = '900G'")
        .file("watch.yaml", FLOW)
}

/// Starts to serve a flow, and returns once it listens.
fn served(kennel: &Kennel, file: &str) -> Running {
    let before = subscriptions(kennel);
    let mut running = kennel.start(["run", file, "--json"]);
    until("the flow listens", || {
        assert!(
            !running.wait_for(std::time::Duration::ZERO),
            "it ended before it listened"
        );
        // The time of the subscription is another one than before.
        (subscriptions(kennel) != before).then_some(())
    });
    running
}

fn subscriptions(kennel: &Kennel) -> Value {
    kennel.run(["events", "--json"]).exits(0).json()
}

fn emit(kennel: &Kennel, id: &str, key: &str) -> Value {
    let data = json!({ "key": key, "price": 7 }).to_string();
    let args = [
        "emit",
        "price_change",
        "--id",
        id,
        "--data",
        &data,
        "--json",
    ];
    kennel.run(args).exits(0).json()["flows"].clone()
}

fn count(kennel: &Kennel, key: &str) -> i64 {
    let report = kennel.call("counter", &json!({ "key": key, "add": 0 }));
    report["output"]["count"]
        .as_i64()
        .unwrap_or_else(|| panic!("{report:#}"))
}

/// Waits until so many runs have ended.
fn ended(kennel: &Kennel, runs: usize) {
    until("the runs have ended", || {
        let listed = kennel.runs();
        let ended = listed
            .iter()
            .filter(|run| run["status"] != "unfinished")
            .count();
        (ended >= runs).then_some(())
    });
}

fn lines(stdout: &str) -> Vec<Value> {
    let line =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    stdout.lines().map(line).collect()
}

#[test]
fn an_event_starts_a_run_of_the_flow_that_listens_and_only_once() {
    let kennel = kennel();
    let running = served(&kennel, "watch.yaml");
    assert_eq!(
        emit(&kennel, "1", "a"),
        json!([{ "flow": "watch", "became": "queued" }])
    );
    ended(&kennel, 1);
    assert_eq!(
        emit(&kennel, "1", "a"),
        json!([{ "flow": "watch", "became": "duplicate" }])
    );
    emit(&kennel, "2", "a");
    ended(&kennel, 2);
    let output = running.interrupt().exits(0);
    let lines = lines(&output.stdout);
    assert_eq!(lines[0]["event"]["id"], "1");
    assert_eq!(lines[0]["output"], json!({ "count": 1, "note": 7 }));
    assert_eq!(lines[2]["summary"]["succeeded"], 2, "{output}");
    assert_eq!(count(&kennel, "a"), 2);
}

#[test]
fn what_is_emitted_while_nobody_serves_the_flow_waits_for_it() {
    let kennel = kennel();
    kennel
        .run(["emit", "price_change", "--data", "{}"])
        .exits(0)
        .says("no flow listens for `price_change`");
    served(&kennel, "watch.yaml").interrupt().exits(0);
    emit(&kennel, "1", "a");
    let running = served(&kennel, "watch.yaml");
    ended(&kennel, 1);
    running.interrupt().exits(0);
    assert_eq!(count(&kennel, "a"), 1);
    emit(&kennel, "2", "a");
    let forgotten = kennel
        .run(["events", "forget", "watch", "--json"])
        .exits(0)
        .json();
    assert_eq!(forgotten, json!({ "flow": "watch", "dropped": 1 }));
    assert_eq!(emit(&kennel, "3", "a"), json!([]));
    kennel
        .run(["events", "forget", "watch"])
        .exits(2)
        .says("does not listen");
}

#[test]
fn after_kill_9_the_event_s_run_goes_on_and_nothing_is_done_twice() {
    let kennel = kennel().file(
        "slow.yaml",
        "kennel: 1
on:
  price_change:
    sequential:
      - { agent: counter, with: { key: '${{ input.key }}' } }
      - { agent: slow, with: { sleep: 25000, once: true } }
",
    );
    let running = served(&kennel, "slow.yaml");
    emit(&kennel, "1", "a");
    until("the second step runs", || {
        let run = kennel.runs().first()?["run"].as_str()?.to_owned();
        let steps = kennel.show(&run)["steps"].clone();
        (steps[1]["status"] == "running").then_some(())
    });
    running.kill();
    let running = served(&kennel, "slow.yaml");
    ended(&kennel, 1);
    running.interrupt().exits(0);
    assert_eq!((kennel.runs().len(), count(&kennel, "a")), (1, 1));
}

#[test]
fn a_recording_is_played_to_its_end_each_time_anew() {
    let event = |id: usize, key: &str| {
        json!({ "specversion": "1.0", "id": id.to_string(), "source": "/market", "type": "price_change",
            "time": format!("2026-01-01T00:00:{id:02}Z"), "data": { "key": key, "price": id } })
        .to_string()
    };
    let recording: Vec<_> = (0..20).map(|id| event(id, "a")).collect();
    let kennel = kennel()
        .file("market.jsonl", recording.join("\n"))
        .file("bad.jsonl", format!("{}\nprice 7\n{{}}\n", event(1, "b")))
        .file("once.yaml", "kennel: 1\nagent: counter\nwith: { key: c }");
    for round in 1..=2 {
        let output = kennel
            .run([
                "run",
                "watch.yaml",
                "--events",
                "market.jsonl",
                "--speed",
                "60",
                "--json",
            ])
            .exits(0);
        let lines = lines(&output.stdout);
        let summary = &lines[20]["summary"];
        assert_eq!(
            (&summary["events"], &summary["succeeded"]),
            (&json!(20), &json!(20)),
            "{output}"
        );
        assert!(
            summary["p99-us"].as_u64() >= summary["p50-us"].as_u64(),
            "{output}"
        );
        assert_eq!(count(&kennel, "a"), 20 * round);
    }
    kennel
        .run(["run", "watch.yaml", "--events", "bad.jsonl"])
        .exits(2)
        .says("line 2: it is not a JSON object")
        .says("line 3: `specversion`: it is missing")
        .says("nothing was run");
    assert_eq!(count(&kennel, "b"), 0);
    kennel
        .run(["run", "once.yaml", "--events", "market.jsonl"])
        .exits(2)
        .says("waits for no events");
    kennel
        .run(["run", "watch.yaml", "--input", "{}"])
        .exits(2)
        .says("no input is taken");
}

#[test]
fn a_flow_wakes_another_and_a_timer_wakes_the_first() {
    let kennel = kennel().file(
        "clock.yaml",
        "kennel: 1
on:
  tick:
    every: 1s
    sequential:
      - { agent: counter, with: { key: ticks } }
      - { emit: price_change, with: { key: woken, price: '${{ prev.count }}' } }
",
    );
    let watch = served(&kennel, "watch.yaml");
    let clock = served(&kennel, "clock.yaml");
    until("it was woken twice", || {
        (count(&kennel, "woken") >= 2).then_some(())
    });
    clock.interrupt().exits(0);
    let output = watch.interrupt().exits(0);
    let first = &lines(&output.stdout)[0];
    assert_eq!(first["event"]["source"], "/flows/clock", "{output}");
    assert_eq!(first["output"]["note"], 1);
}

#[test]
fn what_is_no_event_is_refused_with_the_reason() {
    let kennel = kennel();
    for (args, said) in [
        (&["emit", "a/b"][..], "not a valid event type"),
        (&["emit", "a", "--data", "{"], "--data is not JSON"),
        (
            &["emit", "a", "--source", "a b"],
            "`source`: it must be a URI",
        ),
        (&["emit", "a", "--id", ""], "`id`: it is empty"),
    ] {
        kennel.run(args).exits(2).says(said);
    }
    fs::write(kennel.root().join("data.json"), "{\"key\": \"a\"}").expect("written");
    kennel.run(["emit", "a", "--data", "@data.json"]).exits(0);
}
