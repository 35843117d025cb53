//! The command line as programs and people meet it: exit codes, streams, JSON, and what never reaches a terminal.

use serde_json::json;

use crate::harness::Kennel;
use crate::hostile;

fn kennel() -> Kennel {
    Kennel::new()
        .wat("echo", &hostile::echo())
        .wat("trap", &hostile::trap())
        .file(
            "good.yaml",
            "kennel: 1\nname: good\nsequential:\n  - { agent: echo, with: hello }\n",
        )
        .file(
            "bad.yaml",
            "kennel: 1\nname: bad\nsequential:\n  - { agent: trap, with: x }\n",
        )
}

#[test]
fn each_way_to_end_has_its_exit_code() {
    let kennel = kennel().wat("evil", &hostile::importing("evil:host/escape"));
    for (args, code) in [
        (&["run", "good.yaml"][..], 0),
        (&["call", "echo", "--text", "x"], 0),
        (&["run", "bad.yaml"], 1),
        (&["call", "trap", "--text", "x"], 1),
        (&["run", "missing.yaml"], 2),
        (&["call", "nobody", "--text", "x"], 2),
        (&["call", "no such name", "--text", "x"], 2),
        (&["run", "good.yaml", "--input", "{"], 2),
        (&["run", "good.yaml", "--agents", "nowhere"], 2),
        (&["walk"], 2),
        (&["call", "evil", "--text", "x"], 3),
    ] {
        let output = kennel.run(args);
        assert_eq!(output.code, code, "{output}");
        assert_eq!(
            code == 0,
            output.stdout.contains(['h', 'x']),
            "results go to standard output: {output}"
        );
        assert!(
            code == 0 || !output.stderr.is_empty(),
            "a failure says why: {output}"
        );
    }
}

#[test]
fn an_agent_and_a_skill_that_are_not_there_are_answered_with_what_is() {
    let kennel = Kennel::new()
        .guest("counter")
        .guest("team")
        .settings("[grants.counter]\nstate = true");
    for (args, wrong, help) in [
        (
            &["call", "conter", "--text", "x"][..],
            "no agent `conter`",
            "did you mean `counter`?",
        ),
        (
            &["call", "nobody", "--text", "x"],
            "no agent `nobody`",
            "the directory has: counter, team",
        ),
        (
            &["call", "team", "--text", "x"],
            "agent `team` has several skills",
            "choose one with --skill: ",
        ),
        (
            &["call", "team", "--skill", "duble", "--text", "x"],
            "agent `team` has no skill `duble`",
            "did you mean `double`?",
        ),
        (
            &["call", "counter", "--skill", "fly", "--text", "x"],
            "agent `counter` has no skill `fly`",
            "it has: count",
        ),
    ] {
        kennel.run(args).exits(2).says(wrong).says(help);
    }
    let health = kennel.run(["agents", "--json"]).exits(0).json().to_string();
    assert!(
        !health.contains("\"failed\":1"),
        "nobody was asked: {health}"
    );
}

#[test]
fn a_state_directory_that_cannot_be_used_is_exit_code_4() {
    let kennel = kennel().file("in-the-way", "a file");
    kennel
        .run(["run", "good.yaml", "--state", "in-the-way/state"])
        .exits(4);
    let kennel = kennel.file("torn/kennel.db", "this is no database");
    kennel.run(["run", "good.yaml", "--state", "torn"]).exits(4);
}

#[test]
fn only_results_go_to_standard_output() {
    let output = kennel().run(["run", "good.yaml"]).exits(0);
    assert_eq!(output.stdout, "hello\n");
    assert!(
        output.stderr.contains("good"),
        "progress goes to standard error: {output}"
    );
    assert_eq!(kennel().run(["run", "bad.yaml"]).stdout, "");
}

#[test]
fn nothing_is_coloured_when_nobody_watches() {
    let kennel = kennel();
    for args in [
        &["run", "good.yaml"][..],
        &["run", "bad.yaml"],
        &["agents"],
        &["runs"],
        &["doctor"],
        &["--help"],
    ] {
        let output = kennel.run(args);
        assert!(
            !format!("{}{}", output.stdout, output.stderr).contains('\u{1b}'),
            "{:?}",
            output
        );
    }
}

#[test]
fn json_is_one_document_of_the_documented_shape_whatever_happens() {
    let kennel = kennel();
    let good = kennel.run(["run", "good.yaml", "--json"]).exits(0).json();
    assert_eq!(
        (&good["flow"], &good["status"], &good["output"]),
        (&json!("good"), &json!("succeeded"), &json!("hello"))
    );
    let keys: Vec<_> = good
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "run", "flow", "status", "output", "agents", "usage", "steps"
        ]
    );
    let bad = kennel.run(["run", "bad.yaml", "--json"]).exits(1).json();
    let keys: Vec<_> = bad
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "run",
            "flow",
            "status",
            "failed-step",
            "failure",
            "agents",
            "usage",
            "steps"
        ]
    );
    let listed = kennel.run(["runs", "--json"]).exits(0).json();
    let statuses: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| run["status"].clone())
        .collect();
    assert_eq!(statuses, ["failed", "succeeded"], "newest first");
    let called = kennel
        .run(["call", "echo", "--text", "x", "--json"])
        .exits(0)
        .json();
    let keys: Vec<_> = called
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["agent", "status", "output", "usage", "trail"]);
    assert_eq!(
        kennel.run(["agents", "--json"]).exits(0).json()[0]["agent"],
        "echo"
    );
    assert!(kennel.run(["doctor", "--json"]).exits(0).json().is_array());
    let run = good["run"].as_str().expect("an id");
    let records = kennel
        .run(["runs", "show", run, "--records", "--json"])
        .exits(0)
        .json();
    let types: Vec<_> = records
        .as_array()
        .expect("a list")
        .iter()
        .map(|record| record["event"]["type"].clone())
        .collect();
    assert_eq!(
        types,
        [
            "run-started",
            "step-started",
            "step-succeeded",
            "run-finished"
        ]
    );
}

#[test]
fn doctor_finds_a_healthy_kennel_healthy_and_names_what_is_not() {
    let kennel = kennel();
    kennel.run(["doctor"]).exits(0);
    let kennel = kennel.file("kennel.toml", "[limts]");
    let output = kennel.run(["doctor"]).exits(2);
    assert!(output.stdout.contains("did you mean `limits`?"), "{output}");
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            kennel()
                .run(["completions", shell])
                .exits(0)
                .stdout
                .contains("kennel"),
            "{shell}"
        );
    }
}

#[test]
fn help_names_the_exit_codes_and_each_command_says_what_it_is_for() {
    let kennel = kennel();
    let help = kennel.run(["--help"]).exits(0).stdout;
    assert!(help.contains("130 interrupted"), "{help}");
    for command in [
        "run",
        "call",
        "agents",
        "flow",
        "runs",
        "doctor",
        "completions",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is missing in {help}"
        );
        kennel.run([command, "--help"]).exits(0);
    }
}

#[test]
fn hostile_words_and_names_never_steer_the_terminal() {
    let kennel = Kennel::new()
        .guest("chatty")
        .file("agents/\u{1b}[2Jred.wasm", "")
        .file("agents/\u{202e}back.wasm", "")
        .file("flow.yaml", "kennel: 1\nname: \"a\\e[2Jb\"\nsequential:\n  - { agent: chatty, with: { lines: 2, fail: true } }\n")
        .file("\u{1b}[2J.yaml", "kennel: 1\nname: x\nsequential:\n  - { agent: \"\\e[2J\" }\n");
    for args in [
        &["call", "chatty", "--input", "{\"lines\": 2}"][..],
        &[
            "call",
            "chatty",
            "--input",
            "{\"lines\": 2, \"fail\": true}",
        ],
        &["agents"],
        &["agents", "--json"],
        &["agents", "show", "chatty"],
        &["agents", "show", "\u{1b}[2J"],
        &["agents", "check", "agents/\u{1b}[2Jred.wasm"],
        &["run", "flow.yaml"],
        &["run", "flow.yaml", "--json"],
        &["run", "\u{1b}[2J.yaml"],
        &["flow", "check", "\u{1b}[2J.yaml"],
        &["flow", "check", "\u{1b}[2J.yaml", "--json"],
        &["runs"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        kennel.run_in_colour(args).harmless();
    }
}
