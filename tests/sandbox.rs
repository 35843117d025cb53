//! What an agent may do to itself, and to nobody else.

use serde_json::{Value, json};

use crate::harness::{Kennel, Output};
use crate::hostile;

/// Bounds small enough that a hostile agent meets them soon, also when the machine is busy.
const LIMITS: &str = "[limits]\nfuel = '200M'\nmemory = '16MiB'\ntimeout = '20s'";
/// For agents that are to meet the clock and not the meter.
const PLENTY: &str = "[limits]\nfuel = '900G'\nmemory = '16MiB'\ntimeout = '20s'";

fn called(kennel: &Kennel, agent: &str) -> Output {
    kennel.run(["call", agent, "--text", "hello", "--json"])
}

/// Claims that the call failed, as a task does, and returns how.
#[track_caller]
fn failure(output: Output) -> Value {
    let report = output.exits(1).json();
    assert_eq!(report["status"], "failed", "{report:#}");
    assert!(
        report["failure"]["message"]
            .as_str()
            .is_some_and(|said| !said.is_empty()),
        "{report:#}"
    );
    report
}

#[track_caller]
fn kind(report: &Value) -> &str {
    report["failure"]["kind"]
        .as_str()
        .expect("a failure has a kind")
}

#[test]
fn five_hostile_agents_fail_in_five_ways_and_the_host_says_which() {
    let kennel = Kennel::new()
        .settings(&LIMITS.replace("16MiB", "256MiB"))
        .wat("echo", &hostile::echo())
        .wat("spin", &hostile::spin())
        .wat("hoard", &hostile::hoard())
        .manifest("hoard", "[limits]\nmemory = '16MiB'")
        .wat("recurse", &hostile::recurse())
        .wat("trap", &hostile::trap())
        .wat("flood", &hostile::flood(100));
    let quiet = called(&kennel, "echo").exits(0);
    assert_eq!(quiet.json()["output"], "hello");
    for (agent, expected, memory) in [
        ("spin", "out-of-fuel", 1),
        ("hoard", "out-of-memory", 16),
        ("recurse", "stack-overflow", 2),
        ("trap", "trapped", 1),
        ("flood", "too-much-data", 100),
    ] {
        let output = called(&kennel, agent);
        let grown = output.peak_rss.saturating_sub(quiet.peak_rss) >> 20;
        let report = failure(output);
        assert_eq!(kind(&report), expected, "{report:#}");
        assert!(
            report["usage"]["fuel"].as_u64() > Some(0),
            "it ran: {report:#}"
        );
        assert_eq!(
            report["trail"]["attempts"].as_array().map(Vec::len),
            Some(1),
            "{report:#}"
        );
        assert!(
            grown <= memory + 16,
            "`{agent}` made the host grow by {grown} MiB, {memory} are its own"
        );
    }
}

#[test]
fn an_output_over_the_limit_is_refused_with_the_key_that_bounds_it() {
    let kennel = Kennel::new()
        .settings("[limits]\noutput = '16'")
        .wat("echo", &hostile::echo());
    kennel.run(["call", "echo", "--text", "fits"]).exits(0);
    let report = failure(kennel.run([
        "call",
        "echo",
        "--json",
        "--text",
        "this does not fit any more",
    ]));
    assert_eq!(kind(&report), "output-too-large");
}

#[test]
fn an_agent_that_spins_is_stopped_by_the_clock_when_fuel_is_plenty() {
    let kennel = Kennel::new()
        .settings(PLENTY)
        .wat("spin", &hostile::spin())
        .wat("start", &hostile::spin_at_start())
        .wat("after", &hostile::spin_after_answer())
        .wat("fill", &hostile::fill())
        .guest("slow");
    for agent in ["spin", "start", "after", "fill"] {
        let report =
            failure(kennel.run(["call", agent, "--json", "--text", "x", "--timeout", "300ms"]));
        assert_stopped_at(300, &report);
    }
    let report = failure(kennel.run([
        "call",
        "slow",
        "--json",
        "--set",
        "sleep=60000",
        "--timeout",
        "300ms",
    ]));
    assert_stopped_at(300, &report);
}

/// Within a second of its deadline: the engine counts in milliseconds, the rest is for a busy machine.
#[track_caller]
fn assert_stopped_at(deadline_ms: u64, report: &Value) {
    assert_eq!(kind(report), "deadline", "{report:#}");
    let ran = report["usage"]["wall_us"]
        .as_u64()
        .or(report["usage"]["wall-us"].as_u64());
    let ran = ran.unwrap_or_else(|| panic!("no wall time in {report:#}")) / 1000;
    assert!(
        (deadline_ms..deadline_ms + 1000).contains(&ran),
        "it ran for {ran} ms"
    );
}

#[test]
fn the_limit_of_an_agent_holds_without_any_timeout_asked_for() {
    let settings = PLENTY.replace("'20s'", "'400ms'");
    let kennel = Kennel::new()
        .settings(&settings)
        .wat("spin", &hostile::spin());
    assert_stopped_at(400, &failure(called(&kennel, "spin")));
}

#[test]
fn the_same_task_burns_the_same_fuel_each_time() {
    let kennel = Kennel::new()
        .settings(LIMITS)
        .wat("echo", &hostile::echo())
        .wat("spin", &hostile::spin());
    let fuel = |agent: &str| {
        called(&kennel, agent).json()["usage"]["fuel"]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(fuel("echo"), fuel("echo"));
    let spun = fuel("spin");
    assert_eq!(spun, fuel("spin"));
    assert!(
        (199_000_000..=200_100_000).contains(&spun),
        "all its fuel and no more, not {spun}"
    );
}

#[test]
fn asking_for_memory_for_ever_ends_and_never_gets_more_than_the_limit() {
    let kennel = Kennel::new()
        .settings(LIMITS)
        .wat("echo", &hostile::echo())
        .wat("hoard", &hostile::hoard_for_ever());
    let quiet = called(&kennel, "echo").exits(0).peak_rss;
    let output = called(&kennel, "hoard");
    assert!(
        output.peak_rss <= quiet + (32 << 20),
        "{} bytes, {quiet} when quiet",
        output.peak_rss
    );
    let report = failure(output);
    assert!(
        matches!(kind(&report), "out-of-memory" | "out-of-fuel"),
        "{report:#}"
    );
    assert!(
        report["usage"]["peak-memory"].as_u64() <= Some(16 << 20),
        "{report:#}"
    );
}

#[test]
fn agents_that_lie_about_their_memory_are_told_that_they_break_the_rules() {
    let liars = hostile::liars();
    let kennel = liars
        .iter()
        .fold(Kennel::new().settings(LIMITS), |kennel, (name, wat)| {
            kennel.wat(name, wat)
        });
    for (name, _) in &liars {
        let report = failure(called(&kennel, name));
        assert_eq!(kind(&report), "abi-violation", "{name}: {report:#}");
    }
}

#[test]
fn ways_to_give_up_have_names_of_their_own() {
    let kennel = Kennel::new()
        .settings("[grants.flaky]\nstate = true")
        .guest("flaky");
    for (how, expected) in [
        ("invalid-input", "invalid-input"),
        ("recoverable", "recoverable"),
        ("fatal", "fatal"),
        ("panic", "trapped"),
        ("exit", "exit"),
    ] {
        let input = json!({ "how": how, "times": 1 }).to_string();
        let report = failure(kennel.run(["call", "flaky", "--json", "--input", &input]));
        assert_eq!(kind(&report), expected, "{report:#}");
        let said = report["failure"]["message"].as_str().unwrap_or_default();
        assert!(
            how == "exit" || said.contains("failure 1 of 1"),
            "the agent's own words are kept: {said}"
        );
    }
}

#[test]
fn a_flood_of_words_is_cut_and_counted_and_cannot_steer_the_terminal() {
    let kennel = Kennel::new()
        .settings("[limits]\nfuel = '20G'")
        .guest("chatty");
    let output = kennel
        .run_in_colour([
            "call",
            "chatty",
            "--set",
            "lines=20000",
            "--set",
            "long=5000000",
        ])
        .harmless();
    assert!(
        output.stderr.len() < 1 << 20,
        "{} bytes of log are shown",
        output.stderr.len()
    );
    assert!(
        output.stderr.contains("out 0"),
        "the first words are shown: {output}"
    );
    for fail in ["fail=false", "fail=true"] {
        kennel
            .run_in_colour(["call", "chatty", "--set", "lines=3", "--set", fail])
            .harmless();
        kennel
            .run_in_colour([
                "call", "chatty", "--json", "--set", "lines=3", "--set", fail,
            ])
            .harmless();
    }
}

#[test]
fn an_agent_sees_nothing_of_the_machine_but_what_it_is_granted() {
    let look = json!({ "look": ["/", ".", "..", "/proc", "/etc", "/home", "/tmp", "data"] });
    let seen = Kennel::new().guest("snoop").call("snoop", &look);
    assert_eq!(seen["output"]["env"], json!([]), "{seen:#}");
    assert_eq!(seen["output"]["seen"], json!([]), "{seen:#}");
    assert_eq!(seen["output"]["settings"], json!({}), "{seen:#}");
    let granted = "[grants.snoop]\nenv = ['PATH', 'ABSENT']\nfiles = [{ path = 'data', access = 'read' }]\n\
                   [config.snoop]\ntone = 'dry'";
    let seen = Kennel::new()
        .guest("snoop")
        .settings(granted)
        .call("snoop", &look);
    assert_eq!(
        seen["output"]["env"],
        json!([["PATH", "/usr/bin:/bin"]]),
        "{seen:#}"
    );
    assert_eq!(
        seen["output"]["settings"],
        json!({ "tone": "dry" }),
        "{seen:#}"
    );
    let dirs: Vec<_> = seen["output"]["seen"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert!(dirs.contains(&&json!("data")), "{seen:#}");
    assert!(!dirs.iter().any(|dir| ["/proc", "/etc", "/home", ".."].contains(&dir.as_str().unwrap_or_default())));
}

#[test]
fn circles_of_calls_are_refused() {
    let grants = "[grants.ping]\npeers = ['ping', 'pong']\n[grants.pong]\npeers = ['ping', 'pong']";
    let kennel = Kennel::new().settings(grants).guest("ping").guest("pong");
    let ask = |skill: &str, input: Value| json!({ "call": { "skill": skill, "input": input } });
    let answered = kennel.call("ping", &ask("pong", json!({ "note": "hi" })));
    assert_eq!(answered["output"], "hi", "{answered:#}");
    for circle in [ask("ping", json!({})), ask("pong", ask("ping", json!({})))] {
        let report = kennel.call("ping", &circle);
        assert_eq!(report["status"], "failed", "{report:#}");
        assert!(
            report["failure"]["message"]
                .as_str()
                .is_some_and(|said| said.contains("call-cycle")),
            "{report:#}"
        );
    }
}

#[test]
fn chains_of_calls_and_crowds_of_calls_have_an_end() {
    let settings = "[grants.ping]\npeers = ['pong']\n[grants.pong]\npeers = ['count']\n[grants.counter]\nstate = true\n[limits]\n";
    let kennel = Kennel::new()
        .guest("ping")
        .guest("pong")
        .guest("counter")
        .settings(settings);
    let ask = |skill: &str, input: Value| json!({ "call": { "skill": skill, "input": input } });
    let chain = ask("pong", ask("count", json!({ "key": "a" })));
    assert_eq!(kennel.call("ping", &chain)["output"]["count"], 1);
    let kennel = kennel.file(
        "kennel.toml",
        format!("{settings}call-depth = 1\ncalls = 10"),
    );
    let report = kennel.call("ping", &chain);
    assert!(
        report["failure"]["message"]
            .as_str()
            .is_some_and(|said| said.contains("call-depth")),
        "{report:#}"
    );
    let mut crowd = ask("pong", json!({ "note": "here" }));
    crowd["times"] = json!(40);
    let report = kennel.call("ping", &crowd);
    let answers = report["output"]
        .as_array()
        .unwrap_or_else(|| panic!("{report:#}"));
    let refused = answers.iter().filter(|answer| {
        answer["error"]
            .as_str()
            .is_some_and(|said| said.contains("fan-out"))
    });
    assert_eq!(refused.count(), 30, "{report:#}");
}

#[test]
fn a_peer_that_is_not_granted_cannot_be_called() {
    let kennel = Kennel::new()
        .settings("[grants.ping]\npeers = ['other']")
        .guest("ping")
        .guest("pong");
    let report = kennel.call("ping", &json!({ "call": { "skill": "pong", "input": {} } }));
    assert_eq!(report["status"], "failed", "{report:#}");
    assert!(
        report["failure"]["message"]
            .as_str()
            .is_some_and(|said| said.contains("pong")),
        "{report:#}"
    );
}
