//! How agents fare, as another process sees it while one serves a flow, and after that one was killed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Kennel, Running, step, until};
use crate::hostile;

/// A kennel whose flow is woken by `go`.
fn kennel(flow: &str) -> Kennel {
    Kennel::new()
        .guest("slow")
        .wat("trap", &hostile::trap())
        .file("flow.yaml", format!("kennel: 1\non:\n  go:\n{flow}"))
}

/// Starts to serve the flow, and returns once it listens.
fn served(kennel: &Kennel) -> Running {
    let mut running = kennel.start(["run", "flow.yaml", "--json"]);
    until("the flow listens", || {
        assert!(
            !running.wait_for(Duration::ZERO),
            "it ended before it listened"
        );
        let flows = kennel.run(["events", "--json"]).exits(0).json();
        flows
            .as_array()
            .is_some_and(|flows| !flows.is_empty())
            .then_some(())
    });
    running
}

/// Emits one event; how many there were.
fn emit(kennel: &Kennel, events: &mut usize) -> usize {
    *events += 1;
    let data = json!({ "n": events }).to_string();
    kennel.run(["emit", "go", "--data", &data]).exits(0);
    *events
}

/// Emits one event and returns the newest run once all have ended.
fn woken(kennel: &Kennel, events: &mut usize) -> Value {
    let runs = emit(kennel, events);
    until("the run has ended", || {
        let listed = kennel.runs();
        let all = listed.len() == runs && listed.iter().all(|run| run["status"] != "unfinished");
        all.then(|| kennel.show(listed[0]["run"].as_str().expect("an id")))
    })
}

/// What `kennel agents` says about the health of `agent`.
fn health(kennel: &Kennel, agent: &str) -> Value {
    let shown = kennel.run(["agents", "show", agent, "--json"]).exits(0);
    shown.json()["health"].clone()
}

#[test]
fn a_quarantine_is_shown_while_the_flow_is_served_and_a_release_lets_its_agent_through_there() {
    let steps: String = ["a", "b", "c", "d", "e"]
        .map(|id| format!("      - {{ agent: trap, id: {id}, on-error: continue }}\n"))
        .concat();
    let kennel = kennel(&format!("    sequential:\n{steps}"));
    let kinds = |run: &Value| {
        let kind = |id: &str| step(run, id)["failure"]["kind"].clone();
        ["a", "b", "c", "d", "e"].map(kind)
    };
    let mut running = served(&kennel);
    let mut events = 0;
    let first = woken(&kennel, &mut events);
    assert_eq!(kinds(&first), [(); 5].map(|()| json!("trapped")));

    // Each one that is let through lengthens the quarantine.
    let shown = until("the quarantine is shown", || {
        let health = health(&kennel, "trap");
        if health["state"] != "quarantined" {
            woken(&kennel, &mut events);
            return None;
        }
        Some(health)
    });
    assert!(shown["until"].is_string(), "{shown:#}");

    // Its time alone would let one task through, and only a release all five.
    kennel
        .run(["agents", "release", "trap"])
        .exits(0)
        .says("is let through again");
    until("the flow asks the agent again", || {
        let run = woken(&kennel, &mut events);
        (kinds(&run) == [(); 5].map(|()| json!("trapped"))).then_some(())
    });
    assert!(!running.wait_for(Duration::ZERO), "it serves still");
    running.interrupt().exits(0);
}

#[test]
fn a_breaker_that_opened_in_a_served_flow_is_shown_while_it_serves_and_after_kill_9() {
    let kennel = kennel("    agent: trap\n    circuit-breaker: { failures: 2, open-for: 10m }\n");
    assert_eq!(health(&kennel, "trap")["breaker"]["state"], "closed");
    let running = served(&kennel);
    let mut events = 0;
    woken(&kennel, &mut events);
    woken(&kennel, &mut events);
    let open = || {
        let health = health(&kennel, "trap");
        (health["breaker"]["state"] == "open").then_some(health)
    };
    let shown = until("the breaker is shown", open);
    assert_eq!(shown["state"], "breaker-open", "{shown:#}");
    assert_eq!(shown["breaker"]["failures"], 2, "{shown:#}");
    let left = shown["breaker"]["left-ms"].as_u64().expect("a time");
    assert!((1..=600_000).contains(&left), "{shown:#}");
    let page = kennel.run(["agents", "show", "trap"]).exits(0);
    assert!(page.stdout.contains("breaker   open for "), "{page}");
    until("the tasks are counted", || {
        (health(&kennel, "trap")["failed"] == json!({ "trapped": 2 })).then_some(())
    });

    running.kill();
    assert!(open().is_some(), "{:#}", health(&kennel, "trap"));
}

#[test]
fn a_task_in_flight_is_shown_to_others_until_it_ends_or_its_process_is_killed() {
    let kennel = kennel("    agent: slow\n    with: { sleep: 25000 }\n");
    let in_flight = |n: u64| {
        until("the number is shown", || {
            (health(&kennel, "slow")["in-flight"] == n).then_some(())
        });
    };
    let running = served(&kennel);
    assert_eq!(health(&kennel, "slow")["in-flight"], 0);
    emit(&kennel, &mut 0);
    in_flight(1);
    let call = kennel.start(["call", "slow", "--input", "{\"sleep\": 25000}"]);
    in_flight(2);
    call.interrupt();
    in_flight(1);
    running.kill();
    in_flight(0);
}
