//! What Kennel can do, a test for each class of it: patterns, coordination, distribution, state, resilience, performance, health.
//!
//! Each name begins with the class, so that the list of tests is the list of what there is.

use serde_json::{Value, json};

use crate::harness::{Kennel, step, until};
use crate::hostile;

/// A kennel with the agents that the flows here use.
fn kennel(flow: &str) -> Kennel {
    ["team", "counter", "flaky", "slow", "ping", "pong"]
        .into_iter()
        .fold(Kennel::new(), Kennel::guest)
        .wat("trap", &hostile::trap())
        .settings(
            "[grants.counter]
state = true
[grants.flaky]
state = true
[grants.ping]
peers = ['pong', 'double', 'ping']
[grants.pong]
peers = ['ping']",
        )
        .file("flow.yaml", format!("kennel: 1\n{flow}"))
}

fn run(kennel: &Kennel, input: &Value) -> Value {
    let input = input.to_string();
    kennel
        .run(["run", "flow.yaml", "--json", "--input", &input])
        .json()
}

/// The output of a run of `flow` on `input`.
#[track_caller]
fn gives(flow: &str, input: &Value) -> Value {
    let report = run(&kennel(flow), input);
    assert_eq!(report["status"], "succeeded", "{report:#}");
    report["output"].clone()
}

fn count(kennel: &Kennel, key: &str) -> i64 {
    let report = kennel.call("counter", &json!({ "key": key, "add": 0 }));
    report["output"]["count"]
        .as_i64()
        .unwrap_or_else(|| panic!("{report:#}"))
}

/// What `kennel agents` says about the health of `agent`.
fn health(kennel: &Kennel, agent: &str) -> Value {
    let shown = kennel.run(["agents", "show", agent, "--json"]).exits(0);
    shown.json()["health"].clone()
}

const DOUBLE: &str = "agent: team, skill: double";

// Patterns.

#[test]
fn sequential_each_step_gets_the_output_of_the_one_before() {
    let flow = format!("sequential: [{{ {DOUBLE}, id: a }}, {{ {DOUBLE}, id: b }}]");
    assert_eq!(gives(&flow, &json!(5)), 20);
}

#[test]
fn parallel_a_branch_that_fails_takes_no_sibling_down_and_is_reported() {
    let kennel = kennel(&format!(
        "parallel: [{{ {DOUBLE}, id: good }}, {{ agent: trap, id: bad }}, {{ {DOUBLE}, id: too }}]
require: 2"
    ));
    let report = run(&kennel, &json!(4));
    assert_eq!(report["output"], json!({ "good": 8, "too": 8 }));
    assert_eq!(step(&report, "bad")["failure"]["kind"], "trapped");
}

#[test]
fn hierarchical_a_master_plans_workers_work_and_the_master_puts_together() {
    let flow = "hierarchical: { master: team, workers: { sums: { agent: team, skill: double }, traps: trap } }";
    let subtasks = json!([
        { "agent-type": "sums", "input": 2 },
        { "agent-type": "traps", "input": 0 },
        { "agent-type": "sums", "input": 3 },
    ]);
    assert_eq!(
        gives(flow, &json!({ "subtasks": subtasks })),
        json!({ "sum": 10, "failed": ["trapped"] })
    );
    let kennel = kennel(flow);
    for (subtasks, says) in [
        (json!([]), "the master's plan is empty"),
        (
            json!([{ "agent-type": "poems" }]),
            "unknown agent type `poems`",
        ),
        (json!([{ "input": 1 }]), "is malformed"),
    ] {
        let report = run(&kennel, &json!({ "subtasks": subtasks }));
        let message = report["failure"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{report:#}");
    }
}

#[test]
fn event_driven_each_event_of_a_recording_starts_a_run_and_the_handlers_of_one_run_at_once() {
    let kennel = kennel(
        "on:
  tick: { parallel: [{ agent: counter, id: a, with: { key: a } }, { agent: counter, id: b, with: { key: b } }] }",
    );
    let event = |id: u32| {
        let event = json!({ "specversion": "1.0", "id": id.to_string(), "source": "/test", "type": "tick",
            "time": "2026-01-01T00:00:00Z", "data": {} });
        format!("{event}\n")
    };
    let kennel = kennel.file("events.jsonl", (0..5).map(event).collect::<String>());
    kennel
        .run(["run", "flow.yaml", "--events", "events.jsonl"])
        .exits(0);
    assert_eq!((count(&kennel, "a"), count(&kennel, "b")), (5, 5));
}

#[test]
fn pipeline_items_stream_through_stages_in_order_and_a_bad_one_is_dropped() {
    let flow = format!(
        "pipeline:
  - {{ agent: team, skill: count, id: read, pages: true }}
  - {{ {DOUBLE}, id: twice, each: true, concurrency: 4, on-item-error: drop }}
  - {{ {DOUBLE}, id: again, each: true, batch: {{ size: 4, wait: 2ms }} }}"
    );
    let output = gives(&flow, &json!({ "total": 40, "size": 7 }));
    let expected: Vec<i64> = (0..40).filter(|n| *n != 13).map(|n| 4 * n).collect();
    assert_eq!(output, json!(expected));
}

#[test]
fn route_repeat_and_flows_inside_flows_nest() {
    let kennel = kennel(
        "route:
  - { if: 'prev > 1000', agent: trap }
  - else:
      repeat:
        do: { flow: inner }
        until: prev > 100
        max: 20",
    )
    .file(
        "inner.yaml",
        format!("kennel: 1\nsequential: [{{ {DOUBLE} }}]\noutput: '${{{{ prev + 1 }}}}'"),
    );
    assert_eq!(run(&kennel, &json!(3))["output"], 127);
}

#[test]
fn approve_parks_a_run_until_a_person_answers() {
    let kennel = kennel(&format!(
        "sequential: [{{ approve: 'double ${{{{ input }}}}?', id: ask }}, {{ {DOUBLE}, with: '${{{{ input }}}}' }}]"
    ));
    for (args, status) in [(&[][..], "succeeded"), (&["--deny"], "failed")] {
        let before = kennel.runs().len();
        let running = kennel.start(["run", "flow.yaml", "--json", "--input", "21"]);
        let run = until("the run asks", || {
            let runs = kennel.runs();
            let run = runs.first().filter(|_| runs.len() > before)?["run"]
                .as_str()?
                .to_owned();
            let asks = kennel.show(&run)["steps"][0]["status"] == "running";
            asks.then_some(run)
        });
        let answer = [&["runs", "approve", &run, "--by", "ann"], args].concat();
        let said = kennel.run(answer).exits(0).stdout;
        assert!(said.contains("step `ask`"), "{said}");
        let report = running.wait().json();
        assert_eq!(report["status"], status, "{report:#}");
    }
}

#[test]
fn approve_that_nobody_answers_in_time_takes_its_default_or_fails() {
    let flow = |default: &str| {
        format!(
            "sequential: [{{ approve: 'double?', id: ask, timeout: 10ms{default} }}, {{ {DOUBLE}, with: 21 }}]"
        )
    };
    assert_eq!(gives(&flow(", default: approve"), &json!(null)), 42);
    for default in [", default: deny", ""] {
        let report = run(&kennel(&flow(default)), &json!(null));
        assert_eq!(report["failed-step"], "ask", "{default}: {report:#}");
    }
}

// Coordination.

#[test]
fn centralized_a_flow_with_fixed_workers_decides_who_does_what() {
    let flow = "hierarchical: { master: team, workers: { sums: { agent: team, skill: double } }, concurrency: 1 }";
    let subtasks: Vec<_> = (0..8)
        .map(|n| json!({ "agent-type": "sums", "input": n }))
        .collect();
    assert_eq!(gives(flow, &json!({ "subtasks": subtasks }))["sum"], 56);
}

#[test]
fn decentralized_agents_find_and_call_peers_and_circles_are_refused() {
    let chain = json!({ "call": { "skill": "pong", "input": { "note": "found" } } });
    assert_eq!(gives("agent: ping", &chain), "found");
    let circle = json!({ "call": { "skill": "pong", "input": { "call": { "skill": "ping", "input": {} } } } });
    let report = run(&kennel("agent: ping"), &circle);
    let message = report["failure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("call-cycle"), "{report:#}");
}

#[test]
fn hybrid_a_master_names_skills_and_the_host_finds_who_has_them() {
    let flow = "hierarchical: { master: team, workers: by-skill }";
    let subtasks = json!([
        { "skill": "double", "input": 4 },
        { "skill": "ping", "input": { "call": { "skill": "double", "input": 8 } } },
        { "skill": "juggle", "input": 0 },
    ]);
    assert_eq!(
        gives(flow, &json!({ "subtasks": subtasks })),
        json!({ "sum": 24, "failed": ["invalid-input"] })
    );
}

// Distribution.

#[test]
fn load_balanced_a_skill_goes_to_the_agent_that_has_the_least_to_do() {
    let rest = "{ skill: sleep, with: { sleep: 300 }";
    let kennel = kennel(&format!(
        "parallel: [{rest}, id: a }}, {rest}, id: b }}, {rest}, id: c }}, {rest}, id: d }}]"
    ));
    let twin = std::fs::read(kennel.agents().join("slow.wasm")).expect("it is there");
    let kennel = kennel.file("agents/twin.wasm", crate::harness::touched(twin));
    let report = run(&kennel, &json!(null));
    assert_eq!(report["status"], "succeeded", "{report:#}");
    let asked = |agent: &str| {
        let steps = report["steps"].as_array().expect("steps").iter();
        steps.filter(|step| step["agent"] == agent).count()
    };
    assert_eq!((asked("slow"), asked("twin")), (2, 2), "{report:#}");
}

#[test]
fn load_balanced_who_is_busy_is_asked_for_nothing_more() {
    let one = |id: &str| format!("{{ skill: sleep, id: {id}, with: {{ sleep: 20 }} }}");
    let kennel = kennel(&format!(
        "parallel:
  - {{ agent: slow, id: busy, with: {{ sleep: 1500 }} }}
  - sequential: [{{ agent: twin, id: first, with: {{ sleep: 200 }} }}, {}, {}, {}]",
        one("a"),
        one("b"),
        one("c")
    ));
    let twin = std::fs::read(kennel.agents().join("slow.wasm")).expect("it is there");
    let kennel = kennel.file("agents/twin.wasm", crate::harness::touched(twin));
    let report = run(&kennel, &json!(null));
    assert_eq!(report["status"], "succeeded", "{report:#}");
    for id in ["a", "b", "c"] {
        assert_eq!(step(&report, id)["agent"], "twin", "{report:#}");
    }
}

#[test]
fn priority_with_one_slot_what_is_critical_goes_before_what_waited_longer() {
    let branches: String = ["background", "critical"]
        .iter()
        .flat_map(|class| (0..8).map(move |n| (class, n)))
        .map(|(class, n)| {
            format!("  - {{ agent: counter, id: {class}-{n}, with: {{ key: turn }}, priority: {class} }}\n")
        })
        .collect();
    let kennel =
        kennel(&format!("parallel:\n{branches}")).settings("[host]\nslots = 1\nin-flight = 1");
    let report = run(&kennel, &json!(null));
    // Whoever asks first finds the slot free; from then on the class decides.
    let turns = |class: &str| -> i64 {
        let count = |n| report["output"][format!("{class}-{n}")]["count"].as_i64();
        (0..8).map(|n| count(n).expect("a count")).sum()
    };
    let (critical, background) = (turns("critical"), turns("background"));
    assert_eq!(critical + background, (1..=16).sum::<i64>(), "{report:#}");
    assert!(
        critical < background,
        "{critical} and {background}: {report:#}"
    );
}

// State.

#[test]
fn shared_state_counts_what_agents_at_the_same_time_add() {
    let branches: String = (0..20)
        .map(|n| format!("  - {{ agent: counter, id: c{n}, with: {{ key: all }} }}\n"))
        .collect();
    let kennel = kennel(&format!("parallel:\n{branches}"));
    assert_eq!(run(&kennel, &json!(null))["status"], "succeeded");
    assert_eq!(count(&kennel, "all"), 20);
}

#[test]
fn event_sourced_every_change_of_state_is_a_record_and_tells_who_made_it() {
    let kennel = kennel(
        "sequential: [{ agent: counter, id: a, with: { key: k } }, { agent: counter, id: b, with: { key: k, add: 4 } }]",
    );
    let report = run(&kennel, &json!(null));
    let history = kennel
        .run(["state", "history", "counter", "k", "--json"])
        .exits(0)
        .json();
    let changes = history.as_array().expect("a list");
    assert_eq!(changes.len(), 2, "{history:#}");
    assert!(
        changes.iter().all(|change| change["run"] == report["run"]),
        "{history:#}"
    );
}

// Resilience.

#[test]
fn retry_a_recoverable_failure_is_tried_again_and_a_fatal_one_is_not() {
    let flow = |how: &str| {
        format!(
            "agent: flaky\nwith: {{ how: {how}, times: 2 }}\nretry: {{ attempts: 3, backoff: 1ms }}"
        )
    };
    assert_eq!(
        gives(&flow("recoverable"), &json!(null)),
        json!({ "calls": 3, "attempt": 3 })
    );
    let report = run(&kennel(&flow("fatal")), &json!(null));
    assert_eq!(report["failure"]["message"], "failure 1 of 2");
}

#[test]
fn circuit_breaker_stops_asking_an_agent_that_keeps_failing_and_is_shown() {
    let kennel = kennel(
        "sequential:
  - { agent: trap, id: a, on-error: continue, circuit-breaker: { failures: 2, open-for: 60s } }
  - { agent: trap, id: b, on-error: continue, circuit-breaker: { failures: 2, open-for: 60s } }
  - { agent: trap, id: c, on-error: continue, circuit-breaker: { failures: 2, open-for: 60s } }",
    );
    let report = run(&kennel, &json!(null));
    let kinds = ["a", "b", "c"].map(|id| step(&report, id)["failure"]["kind"].clone());
    assert_eq!(
        kinds,
        [json!("trapped"), json!("trapped"), json!("breaker-open")]
    );
    let health = health(&kennel, "trap");
    assert_eq!(health["state"], "breaker-open", "{health:#}");
    let breaker = &health["breaker"];
    assert_eq!(
        (&breaker["state"], &breaker["failures"]),
        (&json!("open"), &json!(2))
    );
    let left = breaker["left-ms"].as_u64().expect("a time");
    assert!((1..=60_000).contains(&left), "{health:#}");
}

#[test]
fn fallback_asks_the_next_agent_when_one_has_failed_for_good() {
    let flow = format!("sequential: [{{ agent: trap, fallback: [{{ {DOUBLE} }}] }}]");
    assert_eq!(gives(&flow, &json!(6)), 12);
}

// Performance.

#[test]
fn cached_an_answer_serves_the_same_question_of_another_process() {
    let kennel = kennel("agent: counter\nwith: { key: k }\ncache: { ttl: 1h }");
    for _ in 0..3 {
        assert_eq!(run(&kennel, &json!(null))["output"]["count"], 1);
    }
    assert_eq!(count(&kennel, "k"), 1);
}

#[test]
fn batch_calls_of_a_stage_share_one_sandbox() {
    let kennel = kennel(&format!(
        "parallel: [{{ {DOUBLE}, id: a, batch: {{ size: 2, wait: 5s }} }}, {{ {DOUBLE}, id: b, batch: {{ size: 2, wait: 5s }} }}]"
    ));
    let report = run(&kennel, &json!(3));
    assert_eq!(report["output"], json!({ "a": 6, "b": 6 }));
    assert_eq!(step(&report, "a")["trail"]["batch"], 2, "{report:#}");
}

// Health.

#[test]
fn monitored_an_agent_shows_what_it_did_across_processes() {
    let kennel = kennel(&format!(
        "sequential: [{{ {DOUBLE}, id: a }}, {{ {DOUBLE}, id: b }}]"
    ));
    let reports = [run(&kennel, &json!(1)), run(&kennel, &json!(13))];
    let health = health(&kennel, "team");
    let counts = ["completed", "succeeded", "in-flight"].map(|count| &health[count]);
    assert_eq!(counts, [3, 2, 0], "{health:#}");
    assert_eq!(health["failed"], json!({ "fatal": 1 }));
    let rate = health["success-rate"].as_f64().expect("a share");
    assert!((rate - 2.0 / 3.0).abs() < 1e-9, "{health:#}");
    assert_eq!(health["breaker"]["state"], "closed", "{health:#}");

    // The same as the runs themselves say.
    let steps = reports
        .iter()
        .flat_map(|report| report["steps"].as_array().expect("a report has steps"));
    let asked = |step: &&Value| step["trail"]["attempts"][0].is_object();
    let usages: Vec<_> = steps.filter(asked).map(|step| &step["usage"]).collect();
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{health:#}"));
    let all = |what: &'static str| usages.iter().map(move |usage| number(&usage[what]));
    assert_eq!(usages.len(), 3, "{reports:#?}");
    assert_eq!(number(&health["fuel"]), all("fuel").sum::<u64>());
    assert_eq!(number(&health["queue-us"]), all("queue-us").sum::<u64>());
    let latency = &health["latency-us"];
    let (least, most) = (all("wall-us").min(), all("wall-us").max());
    let (least, most) = (least.expect("some"), most.expect("some"));
    let percentiles = ["p50", "p95", "p99"].map(|of| number(&latency[of]));
    assert!(percentiles.is_sorted(), "{health:#}");
    // Each is within a percent of some task's.
    assert!(percentiles[0] * 101 >= least * 100, "{least} {health:#}");
    assert!(
        percentiles[2] * 100 <= most * 101 + 100,
        "{most} {health:#}"
    );
}

#[test]
fn degradable_beyond_the_budget_the_cheaper_agent_answers() {
    let kennel = kennel(&format!(
        "budget: {{ calls: 1, on-exceeded: degrade }}
sequential:
  - {{ {DOUBLE}, id: a }}
  - {{ agent: trap, id: b, degrade: {{ above: 0.9, to: slow }}, with: {{ sleep: 0, note: cheap }} }}"
    ));
    let report = run(&kennel, &json!(1));
    assert_eq!(report["output"], "cheap", "{report:#}");
    assert_eq!(step(&report, "b")["trail"]["degraded-to"], "slow");
}

#[test]
fn degradable_on_a_busy_host_the_cheaper_agent_answers() {
    let flow = "parallel:
  - { agent: slow, id: busy, with: { sleep: SLEEP } }
  - sequential:
      - { agent: slow, id: first, with: { sleep: 200 } }
      - { agent: trap, id: b, on-error: continue, degrade: { above: 0.4, to: slow }, with: { sleep: 0, note: cheap } }";
    let asked = |sleep: &str| {
        let kennel =
            kennel(&flow.replace("SLEEP", sleep)).settings("[host]\nslots = 2\nin-flight = 2");
        let report = run(&kennel, &json!(null));
        step(&report, "b")["trail"]["degraded-to"].clone()
    };
    assert_eq!(asked("1500"), "slow", "half of the places are taken");
    assert_eq!(asked("0"), json!(null), "nobody else is there");
}

#[test]
fn a_budget_that_is_used_up_stops_the_run_and_says_which() {
    let kennel = kennel(&format!(
        "budget: {{ calls: 1 }}\nsequential: [{{ {DOUBLE}, id: a }}, {{ {DOUBLE}, id: b }}]"
    ));
    let report = run(&kennel, &json!(1));
    assert_eq!(report["failure"]["kind"], "quota");
    assert!(
        report["failure"]["message"]
            .as_str()
            .is_some_and(|said| said.contains("budget of calls (1)")),
        "{report:#}"
    );
}

#[test]
fn a_budget_of_calls_counts_tries_and_the_calls_of_peers() {
    let tries = kennel(
        "budget: { calls: 3 }
sequential: [{ agent: flaky, id: a, with: { how: recoverable, times: 100 }, retry: { attempts: 50, backoff: 1ms } }]",
    );
    let report = run(&tries, &json!(null));
    assert_eq!(report["failure"]["message"], "failure 3 of 100");
    let peers = |calls: u64| {
        let kennel = kennel(&format!(
            "budget: {{ calls: {calls} }}
sequential:
  - {{ agent: ping, id: a, with: {{ call: {{ skill: pong, input: {{ note: x }} }}, times: 3 }} }}
  - {{ {DOUBLE}, id: b, with: 1 }}"
        ));
        run(&kennel, &json!(null))
    };
    let enough = peers(5);
    assert_eq!(enough["status"], "succeeded", "{enough:#}");
    assert_eq!(step(&enough, "a")["usage"]["peer-calls"], 3, "{enough:#}");
    let used_up = peers(4);
    let why = used_up["failure"]["message"].as_str().expect("a failure");
    assert_eq!(used_up["failed-step"], "b", "{used_up:#}");
    assert!(why.contains("budget of calls (4)"), "{why}");
    // One of the peers is refused, as the agent is told.
    let too_few = peers(3);
    assert_eq!(step(&too_few, "a")["usage"]["peer-calls"], 2, "{too_few:#}");
}

#[test]
fn a_budget_of_fuel_or_time_ends_the_step_that_would_pass_it() {
    let one = run(&kennel("agent: counter\nwith: { key: a }"), &json!(null));
    let fuel = one["usage"]["fuel"].as_u64().expect("a number");
    let flow = format!(
        "budget: {{ fuel: {} }}
sequential: [{{ agent: counter, id: a, with: {{ key: a }} }}, {{ agent: counter, id: b, with: {{ key: a }} }}]",
        fuel + fuel / 2
    );
    let report = run(&kennel(&flow), &json!(null));
    assert_eq!(report["failed-step"], "b", "{report:#}");
    assert_eq!(report["failure"]["kind"], "out-of-fuel", "{report:#}");
    let late = "budget: { wall: 200ms }\nagent: slow\nwith: { sleep: 50000 }";
    let report = run(&kennel(late), &json!(null));
    assert_eq!(report["failure"]["kind"], "deadline", "{report:#}");
}

// Runs, steered from outside.

#[test]
fn cancel_stops_a_spinning_agent_within_moments() {
    let kennel = kennel("agent: spin")
        .wat("spin", &hostile::spin())
        .settings("[limits]\nfuel = '900G'");
    let running = kennel.start(["run", "flow.yaml", "--json"]);
    let run = until("the run has begun", || {
        let run = kennel.runs().first()?["run"].as_str()?.to_owned();
        (kennel.show(&run)["steps"][0]["status"] == "running").then_some(run)
    });
    let cancel = ["runs", "cancel", &run, "--by", "ann"];
    let said = kennel.run(cancel).exits(0).stdout;
    assert!(said.contains("cancelled"), "{said}");
    let report = running.wait().json();
    assert_eq!(report["status"], "cancelled", "{report:#}");
    assert_eq!(kennel.show(&run)["failure"]["message"], "by ann");
    kennel
        .run(["runs", "cancel", &run])
        .exits(2)
        .says("has ended already");
}

#[test]
fn follow_tells_what_happens_in_a_run_that_another_process_drives() {
    let kennel = kennel(
        "sequential: [{ agent: slow, id: one, with: { sleep: 1000, note: x } }, { agent: slow, id: two, with: { sleep: 0, note: done } }]",
    );
    let driving = kennel.start(["run", "flow.yaml", "--json"]);
    let run = until("the run has begun", || {
        Some(kennel.runs().first()?["run"].as_str()?.to_owned())
    });
    let records = kennel.start(["runs", "follow", &run, "--json"]);
    let followed = kennel.run(["runs", "follow", &run]).exits(0);
    assert_eq!(followed.stdout.trim(), "done", "{followed}");
    let followed = followed.says("one").says("two");
    assert!(!followed.stderr.contains("error"), "{followed}");
    let records = records.wait().exits(0);
    let kinds: Vec<Value> = records
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event"]["type"].clone())
        .collect();
    let expected = [
        "run-started",
        "step-started",
        "step-succeeded",
        "step-started",
        "step-succeeded",
        "run-finished",
    ];
    assert_eq!(kinds, expected, "{records}");
    driving.wait().exits(0);
}

#[test]
fn fork_reuses_what_was_before_a_step_and_changes_what_it_is_told_to() {
    let kennel = kennel(&format!(
        "sequential: [{{ agent: counter, id: a, with: {{ key: k }} }}, {{ {DOUBLE}, id: b, with: '${{{{ input.n + steps.a.count }}}}' }}]"
    ));
    let first = run(&kennel, &json!({ "n": 1 }));
    assert_eq!(first["output"], 4);
    let id = first["run"].as_str().expect("an id");
    let fork = [
        "runs",
        "fork",
        id,
        "--from",
        "b",
        "--set",
        "n=10",
        "--set",
        "steps.a.count=5",
        "--json",
    ];
    let forked = kennel.run(fork).exits(0).json();
    assert_eq!(forked["output"], 30, "{forked:#}");
    assert_eq!(count(&kennel, "k"), 1);
    kennel
        .run(["runs", "fork", id, "--from", "zzz"])
        .exits(2)
        .says("has not come to step `zzz`");
}

#[test]
fn replay_executes_the_attempts_again_and_finds_them_equal() {
    let kennel = kennel(&format!(
        "sequential: [{{ agent: counter, id: a, with: {{ key: k }} }}, {{ {DOUBLE}, id: b, with: '${{{{ steps.a.count }}}}' }}]"
    ));
    let report = run(&kennel, &json!(null));
    let id = report["run"].as_str().expect("an id");
    kennel.run(["runs", "replay", id]).exits(0);
    assert_eq!(count(&kennel, "k"), 1, "a replay changes nothing");
}
