//! Nothing is allowed until it is granted, and what is granted is all there is.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::harness::Kennel;
use crate::hostile;

#[test]
fn an_import_without_a_grant_is_refused_with_the_line_that_allows_it_and_runs_once_that_stands_there()
 {
    let kennel = Kennel::new().guest("counter");
    let refused = kennel
        .run(["call", "counter", "--set", "key=a"])
        .exits(3)
        .says("kennel:agent/state@0.1.0");
    // What is to be pasted stands below the name of the file, further in than all else.
    let (_, below) = refused
        .stderr
        .split_once("in kennel.toml:\n")
        .unwrap_or_else(|| panic!("no lines to add in {refused}"));
    let lines: Vec<_> = below
        .lines()
        .map_while(|line| line.strip_prefix("        "))
        .collect();
    let kennel = kennel.settings(&lines.join("\n"));
    let report = kennel
        .run(["call", "counter", "--json", "--set", "key=a"])
        .exits(0)
        .json();
    assert_eq!(report["output"]["count"], 1);
}

#[test]
fn a_grant_is_worth_nothing_to_an_agent_whose_manifest_does_not_ask() {
    let kennel = Kennel::new()
        .guest("counter")
        .settings("[grants.counter]\nstate = true")
        .manifest("counter", "");
    kennel
        .run(["call", "counter", "--set", "key=a"])
        .exits(3)
        .says("in counter.toml:\n        [needs]\n        state = true");
    let kennel = kennel.manifest("counter", "[needs]\nstate = true");
    kennel.run(["call", "counter", "--set", "key=a"]).exits(0);
}

#[test]
fn a_grant_for_one_file_is_not_for_another_that_takes_its_place() {
    let kennel = Kennel::new().guest("counter");
    let report = &kennel.run(["agents", "list", "--json"]).exits(0).json()[0];
    assert_eq!(
        (&report["agent"], &report["status"]),
        (&json!("counter"), &json!("refused"))
    );
    let granted = kennel.settings("[grants.counter]\nstate = true");
    let shown = granted
        .run(["agents", "show", "counter", "--json"])
        .exits(0)
        .json();
    let digest = shown["digest"].as_str().expect("a digest").to_owned();
    let bound = granted.file(
        "kennel.toml",
        format!("[grants.counter]\nstate = true\ndigest = '{digest}'"),
    );
    bound.run(["call", "counter", "--set", "key=a"]).exits(0);
    let path = bound.agents().join("counter.wasm");
    let other = crate::harness::touched(fs::read(&path).expect("read"));
    let bound = bound.file("agents/counter.wasm", other);
    bound
        .run(["call", "counter", "--set", "key=a"])
        .exits(3)
        .says("state");
}

#[test]
fn what_nobody_may_have_is_refused_by_name_and_harms_no_other_plugin() {
    let kennel = Kennel::new()
        .wat("echo", &hostile::echo())
        .wat("sockets", &hostile::importing("wasi:sockets/tcp@0.2.0"))
        .wat("evil", &hostile::importing("evil:host/escape"))
        .wat("state", &hostile::importing("kennel:agent/state@0.1.0"))
        .settings("[grants.state]\nstate = true");
    kennel
        .run(["call", "sockets", "--text", "x"])
        .exits(3)
        .says("wasi:sockets/tcp@0.2.0")
        .says("never");
    kennel
        .run(["call", "evil", "--text", "x"])
        .exits(3)
        .says("evil:host/escape");
    kennel.run(["call", "state", "--text", "x"]).exits(0);
    kennel.run(["call", "echo", "--text", "x"]).exits(0);
    let listed = kennel.run(["agents", "list", "--json"]).exits(0).json();
    let status = |agent: &str| {
        let agents = listed.as_array().expect("a list");
        agents
            .iter()
            .find(|report| report["agent"] == agent)
            .map(|report| report["status"].clone())
    };
    assert_eq!(status("echo"), Some(json!("ready")));
    assert_eq!(status("evil"), Some(json!("refused")));
}

#[test]
fn what_is_no_plugin_is_refused_for_what_it_is() {
    let kennel = Kennel::cold()
        .file("agents/empty.wasm", "")
        .file("agents/text.wasm", "(component)")
        .file("agents/module.wasm", b"\0asm\x01\0\0\0")
        .file("agents/elf.wasm", b"\x7fELF\x02\x01\x01\0")
        .file(
            "agents/cut.wasm",
            &wat::parse_str(hostile::echo()).expect("valid")[..200],
        )
        .wat("echo", &hostile::echo())
        .file(
            "elsewhere.wasm",
            wat::parse_str(hostile::echo()).expect("valid"),
        );
    symlink("../elsewhere.wasm", kennel.agents().join("link.wasm")).expect("linked");
    fs::create_dir(kennel.agents().join("dir.wasm")).expect("made");
    let listed = kennel.run(["agents", "list", "--json"]).exits(0).json();
    let refused = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter(|report| report["status"] == "refused");
    let mut names: Vec<_> = refused
        .map(|report| report["agent"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["cut", "dir", "elf", "empty", "link", "module", "text"]
    );
    kennel.run(["call", "echo", "--text", "x"]).exits(0);
}

const READ: &str = "[grants.files]\nfiles = [{ path = 'data', access = 'read' }]";
const WRITE: &str = "[grants.files]\nfiles = [{ path = 'data', access = 'write' }]";

/// A kennel with a file to read, and one outside that nobody may touch.
fn with_files(grant: &str) -> Kennel {
    let kennel = Kennel::new().guest("files").settings(grant);
    fs::create_dir_all(kennel.data("files").join("data")).expect("made");
    fs::write(kennel.data("files").join("data/inside"), "inside").expect("written");
    fs::write(kennel.data("files").join("canary"), "untouched").expect("written");
    kennel
}

/// What came of each operation: `Ok` with its answer, or `Err` with the reason.
#[track_caller]
fn tried(kennel: &Kennel, ops: &Value) -> Vec<Result<String, String>> {
    let report = kennel.call("files", ops);
    let came = report["output"]
        .as_array()
        .unwrap_or_else(|| panic!("{report:#}"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    came.iter()
        .map(|came| {
            if came["done"].is_string() {
                Ok(text(&came["done"]))
            } else {
                Err(text(&came["refused"]))
            }
        })
        .collect()
}

#[test]
fn a_granted_directory_can_be_read_and_with_that_grant_not_written() {
    let kennel = with_files(READ);
    let came = tried(
        &kennel,
        &json!([
            { "read": "data/inside" }, { "list": "data" },
            { "write": ["data/inside", "changed"] }, { "write": ["data/new", "new"] }, { "truncate": "data/inside" },
            { "make-dir": "data/dir" }, { "remove": "data/inside" }, { "rename": ["data/inside", "data/else"] },
            { "hard-link": ["data/inside", "data/else"] },
        ]),
    );
    assert_eq!(came[..2], [Ok("inside".into()), Ok("inside".into())]);
    assert!(came[2..].iter().all(Result::is_err), "{came:?}");
    let data = kennel.data("files").join("data");
    assert_eq!(
        fs::read_to_string(data.join("inside")).expect("still there"),
        "inside"
    );
    assert_eq!(fs::read_dir(data).expect("listed").count(), 1);
}

#[test]
fn a_directory_granted_for_writing_can_be_written() {
    let kennel = with_files(WRITE);
    let came = tried(
        &kennel,
        &json!([{ "write": ["data/new", "new"] }, { "read": "data/new" }, { "list": "data" }]),
    );
    assert_eq!(
        came,
        [
            Ok("done".to_owned()),
            Ok("new".into()),
            Ok("inside new".into())
        ]
    );
    assert_eq!(
        fs::read_to_string(kennel.data("files").join("data/new")).expect("there"),
        "new"
    );
}

#[test]
fn an_agent_that_may_write_has_a_quota_and_is_told_when_it_is_full() {
    let kennel = with_files(WRITE).settings("[limits]\nfiles = '100KiB'\nfile-count = 3");
    let came = tried(
        &kennel,
        &json!([
            { "append": ["data/new", 1 << 20] }, { "set-size": ["data/new", 1_u64 << 40] }, { "crowd": ["data/many", 1_000_000] },
            { "remove": "data/new" }, { "append": ["data/new", 80 << 10] },
        ]),
    );
    // The C library of the guest asks no stream what went wrong.
    for (refused, told) in came
        .iter()
        .zip(["I/O error", "QuotaExceeded", "QuotaExceeded"])
    {
        let told = refused.as_ref().is_err_and(|why| why.contains(told));
        assert!(told, "{came:?}");
    }
    assert_eq!(came[3..], [Ok("done".into()), Ok("done".into())]);
    let data = kennel.data("files").join("data");
    assert_eq!(
        fs::metadata(data.join("new")).expect("there").len(),
        80 << 10
    );
    assert_eq!(fs::read_dir(data).expect("listed").count(), 3);
    // By default there is enough for that.
    let came = tried(
        &with_files(WRITE),
        &json!([{ "append": ["data/new", 1 << 20] }]),
    );
    assert_eq!(came, [Ok("done".to_owned())]);
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands_with_the_one_that_was_meant() {
    let kennel = Kennel::new().wat("echo", &hostile::echo());
    let kennel = kennel.file("kennel.toml", "[limits]\nmemroy = '1MiB'");
    kennel
        .run(["call", "echo", "--text", "x"])
        .exits(2)
        .says("memroy")
        .says("did you mean `memory`?");
    let kennel = kennel.file("kennel.toml", "[grants.echo]\nstat = true");
    kennel
        .run(["call", "echo", "--text", "x"])
        .exits(2)
        .says("did you mean `state`?");
    let kennel = kennel
        .file("kennel.toml", "")
        .manifest("echo", "[need]\nstate = true");
    kennel
        .run(["call", "echo", "--text", "x"])
        .exits(3)
        .says("did you mean `needs`?");
}

#[test]
fn agents_show_tells_what_is_asked_for_granted_and_given_and_why() {
    let kennel = Kennel::new()
        .guest("counter")
        .manifest(
            "counter",
            "[needs]\nstate = true\nenv = ['LANG']\n[limits]\nmemory = '8MiB'",
        )
        .settings("[grants.counter]\nstate = true\nenv = ['HOME']");
    let shown = kennel
        .run(["agents", "show", "counter", "--json"])
        .exits(0)
        .json();
    assert_eq!(shown["needs"]["env"], json!(["LANG"]));
    assert_eq!(shown["grants"]["env"], json!(["HOME"]));
    assert_eq!(
        (&shown["effective"]["env"], &shown["effective"]["state"]),
        (&json!([]), &json!(true))
    );
    assert_eq!(shown["limits"]["memory"], "8MiB");
    let imports = shown["imports"].as_array().expect("a list");
    assert!(imports.iter().any(|import| {
        import["name"]
            .as_str()
            .is_some_and(|name| name.contains("kennel:agent/state"))
    }));
    kennel
        .run(["agents", "show", "conter"])
        .exits(2)
        .says("did you mean `counter`?");
}

#[test]
fn a_file_can_be_checked_before_it_is_dropped_in() {
    let kennel = Kennel::new()
        .file(
            "new/good.wasm",
            wat::parse_str(hostile::echo()).expect("valid"),
        )
        .file(
            "new/bad.wasm",
            wat::parse_str(hostile::importing("evil:host/escape")).expect("valid"),
        );
    kennel.run(["agents", "check", "new/good.wasm"]).exits(0);
    let output = kennel
        .run(["agents", "check", "new/good.wasm", "new/bad.wasm", "--json"])
        .exits(3);
    let found: Vec<_> = output
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .map(|report| report["status"].clone())
        .collect();
    assert_eq!(found, [json!("ready"), json!("refused")]);
}
