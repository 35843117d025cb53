//! Flows: what they say is what happens, and what happened can be seen.

use serde_json::{Value, json};

use crate::harness::{Kennel, repository, step};
use crate::hostile;

/// A kennel with the agents that the flows here use.
fn kennel(flow: &str) -> Kennel {
    Kennel::new()
        .guest("counter")
        .guest("flaky")
        .guest("slow")
        .wat("echo", &hostile::echo())
        .wat("trap", &hostile::trap())
        .settings("[grants.counter]\nstate = true\n[grants.flaky]\nstate = true")
        .file("flow.yaml", flow)
}

fn ran(kennel: &Kennel) -> Value {
    kennel.run(["run", "flow.yaml", "--json"]).exits(0).json()
}

/// A kennel with agents that ship with Kennel, the settings that go with them, and one of their flows.
pub(crate) fn shipped(flow: &str, agents: &[impl AsRef<str>]) -> Kennel {
    let plugins = repository().join("plugins");
    let settings = std::fs::read_to_string(plugins.join("kennel.toml")).expect("settings");
    let flow = std::fs::read(plugins.join("flows").join(flow)).expect("the flow is there");
    let kennel = Kennel::new().settings(&settings).file("flow.yaml", flow);
    agents
        .iter()
        .fold(kennel, |kennel, agent| kennel.plugin(agent.as_ref()))
}

/// The names of all agents that ship with Kennel: the folders whose packages become components.
fn every_agent() -> Vec<String> {
    let folders = std::fs::read_dir(repository().join("plugins")).expect("the agents are there");
    folders
        .map(|folder| folder.expect("listed").path())
        .filter(|folder| {
            let package = std::fs::read_to_string(folder.join("Cargo.toml"));
            package.is_ok_and(|package| package.contains("cdylib"))
        })
        .filter_map(|folder| folder.file_name()?.to_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_scanned_page_is_read_summarized_searched_and_classified() {
    let plugins = repository().join("plugins");
    let kennel = shipped(
        "document-intelligence.yaml",
        &["ocr", "summarize", "entities", "classify"],
    );
    let models = kennel.data("ocr").join("models");
    std::fs::create_dir_all(&models).expect("made");
    for file in ["detector.onnx", "recogniser.onnx", "characters.txt"] {
        std::fs::copy(plugins.join("ocr/models").join(file), models.join(file)).expect("copied");
    }
    let page = plugins.join("samples/scanned-report.jpg");
    let input = json!({ "document": format!("@{}", page.display()) }).to_string();
    let report = kennel
        .run(["run", "flow.yaml", "--json", "--input", &input])
        .exits(0)
        .json();
    let records = [
        "runs",
        "show",
        report["run"].as_str().expect("an id"),
        "--records",
        "--json",
    ];
    let records = kennel.run(records).exits(0).json();
    let read = records
        .as_array()
        .expect("a list")
        .iter()
        .find_map(|record| {
            let event = &record["event"];
            (event["step"] == "ocr").then(|| event["output"]["inline"]["text"].as_str())?
        });
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let truth = std::fs::read_to_string(page.with_extension("txt")).expect("read");
    let (read, truth) = (words(read.expect("a text")), words(&truth));
    let right = 1.0 - strsim::levenshtein(&read, &truth) as f64 / truth.chars().count() as f64;
    assert!(
        right >= 0.95,
        "{right:.4} of the characters are right: {read}"
    );
    let output = &report["output"];
    let summary = output["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("Kestrel Bay Ferries"), "{report:#}");
    assert_eq!(output["class"], "finance", "{report:#}");
    let named: Vec<_> = output["entities"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entity| entity["text"].as_str())
        .collect();
    for name in ["Margaret Ashdown", "£96.4 million", "12 March 2026"] {
        assert!(named.contains(&name), "{name} is not in {named:?}");
    }
}

#[test]
fn documents_of_every_kind_are_summarized_searched_and_classified() {
    let expected = ["extract", "summarize", "entities", "classify"];
    let kennel = shipped("report-intelligence.yaml", &expected);
    for kind in ["txt", "md", "html", "pdf"] {
        let sample = repository()
            .join("plugins/samples/quarterly-report")
            .with_extension(kind);
        let input = json!({ "document": format!("@{}", sample.display()) }).to_string();
        let report = kennel
            .run(["run", "flow.yaml", "--json", "--input", &input])
            .exits(0)
            .json();
        let output = &report["output"];
        assert!(
            output["summary"]
                .as_str()
                .is_some_and(|summary| summary.len() > 20),
            "{kind}: {report:#}"
        );
        assert!(
            output["entities"]
                .as_array()
                .is_some_and(|found| found.len() > 3),
            "{kind}: {report:#}"
        );
        assert_eq!(output["class"], "finance", "{kind}: {report:#}");
        let steps = report["steps"].as_array().expect("a list");
        let agents: Vec<_> = steps
            .iter()
            .filter_map(|step| step["agent"].as_str())
            .collect();
        assert!(
            expected.iter().all(|agent| agents.contains(agent)),
            "{agents:?}"
        );
        for measure in ["fuel", "peak-memory", "wall-us", "bytes-in", "bytes-out"] {
            assert!(
                steps
                    .iter()
                    .all(|step| step["usage"][measure].as_u64() > Some(0)),
                "{measure}: {report:#}"
            );
        }
    }
}

#[test]
fn a_step_that_fails_is_tried_again_and_then_another_agent_answers_and_all_of_it_is_told() {
    let kennel = kennel(
        "kennel: 1
name: third
sequential:
  - { agent: counter, id: one, with: { key: a } }
  - { agent: counter, id: two, with: { key: b } }
  - agent: flaky
    id: three
    with: { how: recoverable, times: 100 }
    retry: { attempts: 3, backoff: 1ms }
    fallback: [slow]
    output: \"${{ prev }}\"
",
    );
    let flow = std::fs::read_to_string(kennel.root().join("flow.yaml")).expect("read");
    let kennel = kennel.file(
        "flow.yaml",
        flow.replace("times: 100", "times: 100, sleep: 1, note: instead"),
    );
    let output = kennel.run(["run", "flow.yaml", "--json"]).exits(0);
    let report = output.json();
    assert_eq!(report["output"], "instead");
    let three = step(&report, "three");
    assert_eq!(three["trail"]["fell-back-to"], "slow");
    let attempts: Vec<_> = attempts(three);
    assert_eq!(
        attempts,
        [
            "flaky recoverable",
            "flaky recoverable",
            "flaky recoverable",
            "slow succeeded"
        ]
    );
    let run = report["run"].as_str().expect("an id");
    let shown = kennel.run(["runs", "show", run]).exits(0).stdout;
    assert!(shown.contains("pinned to counter (sha256:"), "{shown}");
    let rows: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("three "))
        .collect();
    assert_eq!(rows.len(), 4, "{shown}");
    assert!(
        rows[0].contains("recoverable") && rows[0].contains("failure 1 of 100"),
        "{shown}"
    );
    assert!(
        rows[3].contains("slow") && rows[3].contains("fallback for `flaky`"),
        "{shown}"
    );
    output.says("attempt 1 failed");
}

/// `AGENT HOW` for each attempt of a step.
fn attempts(step: &Value) -> Vec<String> {
    let attempts = step["trail"]["attempts"].as_array().expect("a list");
    let how = |attempt: &Value| {
        attempt["failure"]["kind"]
            .as_str()
            .unwrap_or("succeeded")
            .to_owned()
    };
    attempts
        .iter()
        .map(|attempt| {
            format!(
                "{} {}",
                attempt["agent"].as_str().unwrap_or("?"),
                how(attempt)
            )
        })
        .collect()
}

#[test]
fn what_is_tried_again_is_the_same_task() {
    let flow = "kennel: 1
name: again
sequential:
  - { agent: flaky, with: { how: recoverable, times: 2 }, retry: { attempts: 3, backoff: 1ms } }
";
    let report = ran(&kennel(flow));
    // The agent counts under the task's id: three calls are three attempts of one task.
    assert_eq!(
        report["output"],
        json!({ "calls": 3, "attempt": 3 }),
        "{report:#}"
    );
}

#[test]
fn what_the_agent_calls_hopeless_is_not_tried_again() {
    let flow = "kennel: 1
name: hopeless
sequential:
  - { agent: flaky, with: { how: fatal, times: 1 }, retry: { attempts: 3, backoff: 1ms } }
";
    let report = kennel(flow)
        .run(["run", "flow.yaml", "--json"])
        .exits(1)
        .json();
    assert_eq!(
        (&report["status"], &report["failed-step"]),
        (&json!("failed"), &json!("flaky"))
    );
    assert_eq!(report["failure"]["kind"], "fatal");
    assert_eq!(attempts(step(&report, "flaky")), ["flaky fatal"]);
}

#[test]
fn who_asks_the_same_twice_is_answered_from_the_cache() {
    let flow = "kennel: 1
name: twice
sequential:
  - { agent: counter, id: one, with: { key: a }, cache: { ttl: 5m } }
  - { agent: counter, id: two, with: { key: a }, cache: { ttl: 5m } }
  - { agent: counter, id: other, with: { key: b }, cache: { ttl: 5m } }
  - { agent: counter, id: fresh, with: { key: a } }
output: \"${{ [steps.one.count, steps.two.count, steps.other.count, steps.fresh.count] }}\"
";
    let report = ran(&kennel(flow));
    assert_eq!(report["output"], json!([1, 1, 1, 2]), "{report:#}");
    assert!(
        step(&report, "two")["trail"]["cached"].is_number(),
        "{report:#}"
    );
    assert!(
        step(&report, "one")["trail"]["cached"].is_null(),
        "{report:#}"
    );
    assert_eq!(step(&report, "two")["usage"]["fuel"], 0);
}

#[test]
fn a_branch_that_fails_leaves_its_siblings_alone() {
    let flow = |require: &str| {
        format!(
            "kennel: 1
name: branches
sequential:
  - parallel:
      - {{ agent: echo, id: good, with: fine }}
      - {{ agent: trap, id: bad, with: x }}
      - {{ agent: slow, id: late, with: {{ sleep: 300, note: late }} }}
    id: all
    require: {require}
"
        )
    };
    let report = ran(&kennel(&flow("2")));
    assert_eq!(
        (&report["output"]["good"], &report["output"]["late"]),
        (&json!("fine"), &json!("late")),
        "{report:#}"
    );
    assert_eq!(step(&report, "bad")["failure"]["kind"], "trapped");
    let report = ran(&kennel(&flow("any")));
    assert_eq!(report["output"]["good"], "fine");
    let report = kennel(&flow("all"))
        .run(["run", "flow.yaml", "--json"])
        .exits(1)
        .json();
    assert_eq!(report["failure"]["kind"], "trapped", "{report:#}");
    assert_eq!(step(&report, "good")["status"], "succeeded");
}

#[test]
fn a_step_whose_guard_is_false_is_skipped() {
    let flow = "kennel: 1
name: guarded
sequential:
  - { agent: counter, id: one, with: { key: a } }
  - { agent: counter, id: never, if: steps.one.count > 1, with: { key: b } }
  - { agent: counter, id: always, if: steps.one.count == 1, with: { key: c } }
";
    let report = ran(&kennel(flow));
    assert_eq!(step(&report, "never")["status"], "skipped");
    assert_eq!(step(&report, "always")["status"], "succeeded");
    assert_eq!(report["output"]["count"], 1);
}

const CHECKED: &str = "kennel: 1
name: checked
input:
  type: object
  required: [name]
  properties: { name: { type: string } }
sequential:
  - { agent: echo, with: 'hello ${{ input.name }}' }
";

#[test]
fn an_input_that_does_not_fit_is_refused_before_anything_runs() {
    let kennel = kennel(CHECKED);
    kennel
        .run(["run", "flow.yaml", "--input", "{}"])
        .exits(2)
        .says("name");
    kennel
        .run(["run", "flow.yaml", "--set", "name=3"])
        .exits(2)
        .says("string");
    assert!(kennel.runs().is_empty(), "a run was accepted");
}

#[test]
fn an_input_can_be_given_in_many_ways() {
    let kennel = kennel(CHECKED).file("input.json", r#"{"name": "file"}"#);
    let said = |args: &[&str]| {
        kennel
            .run([&["run", "flow.yaml"], args].concat())
            .exits(0)
            .stdout
    };
    assert_eq!(said(&["--input", r#"{"name": "json"}"#]), "hello json\n");
    assert_eq!(said(&["--input", "@input.json"]), "hello file\n");
    assert_eq!(said(&["--set", "name=set"]), "hello set\n");
    assert_eq!(
        said(&["--input", "@input.json", "--set", "name=both"]),
        "hello both\n"
    );
    assert_eq!(said(&["--set", "name=@@home"]), "hello @home\n");
    let piped = kennel
        .run_on(r#"{"name": "pipe"}"#, ["run", "flow.yaml", "--input", "-"])
        .exits(0);
    assert_eq!(piped.stdout, "hello pipe\n");
    kennel
        .run(["run", "flow.yaml", "--input", "hello"])
        .exits(2)
        .says("help:");
    kennel
        .run(["run", "flow.yaml", "--set", "name=@missing.txt"])
        .exits(2)
        .says("missing.txt");
}

#[test]
fn a_file_in_the_input_reaches_the_agents_as_a_blob() {
    let flow = "kennel: 1\nname: blob\nsequential:\n  - { agent: counter, with: { key: a, note: '${{ input.page }}' } }\n";
    let kennel = kennel(flow).file("page.html", "<p>hello");
    let output = kennel
        .run(["run", "flow.yaml", "--json", "--set", "page=@page.html"])
        .exits(0)
        .json();
    let note = &output["output"]["note"];
    assert!(
        note["$blob"]
            .as_str()
            .is_some_and(|digest| digest.starts_with("sha256:")),
        "{output:#}"
    );
    assert_eq!(
        (&note["media-type"], &note["size"]),
        (&json!("text/html"), &json!(8))
    );
}

const FIVE: &str = "kennel: 1
name: five
sequential:
  - agnet: echo
  - { agent: echo, id: twin, timeout: soon }
  - { agent: echo, id: twin }
  - { agent: echo, id: text, with: '${{ steps.nowhere.text }}' }
  - { agent: echo, id: sum, with: '${{ 1 + }}' }
";

#[test]
fn a_flow_with_five_mistakes_is_told_all_five_each_where_it_stands() {
    let kennel = kennel(FIVE);
    let told = kennel.run(["flow", "check", "flow.yaml"]).exits(2);
    for line in [
        "flow.yaml:4:5",
        "flow.yaml:5:",
        "flow.yaml:6:",
        "flow.yaml:7:",
        "flow.yaml:8:",
    ] {
        assert!(told.stderr.contains(line), "{line} is missing in {told}");
    }
    assert!(told.stderr.matches('^').count() >= 5, "{told}");
    assert!(told.stderr.contains("5 problems"), "{told}");
    let report = kennel
        .run(["flow", "check", "flow.yaml", "--json"])
        .exits(2)
        .json();
    let diagnostics = report["diagnostics"]
        .as_array()
        .unwrap_or_else(|| panic!("{report:#}"));
    let lines: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic["line"].clone())
        .collect();
    assert_eq!(lines, [4, 5, 6, 7, 8], "{report:#}");
    assert!(
        diagnostics
            .iter()
            .all(|diagnostic| diagnostic["column"].as_u64() > Some(0)),
        "{report:#}"
    );
    kennel.run(["run", "flow.yaml"]).exits(2).says("5 problems");
}

#[test]
fn an_agent_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    let kennel = kennel("kennel: 1\nname: typo\nsequential:\n  - agent: ehco\n");
    kennel
        .run(["flow", "check", "flow.yaml"])
        .exits(2)
        .says("ehco")
        .says("did you mean `echo`")
        .says("flow.yaml:4:");
    kennel.run(["run", "flow.yaml"]).exits(2).says("echo");
}

#[test]
fn a_flow_without_mistakes_is_valid_and_can_be_drawn() {
    let kennel = kennel(CHECKED);
    assert_eq!(
        kennel
            .run(["flow", "check", "flow.yaml", "--json"])
            .exits(0)
            .json()["valid"],
        true
    );
    kennel.run(["flow", "check", "flow.yaml"]).exits(0);
    assert!(
        kennel
            .run(["flow", "graph", "flow.yaml"])
            .exits(0)
            .stdout
            .contains("echo")
    );
    assert!(
        kennel
            .run(["flow", "graph", "flow.yaml", "--format", "dot"])
            .exits(0)
            .stdout
            .starts_with("digraph")
    );
    let schema = kennel.run(["flow", "schema"]).exits(0).json();
    assert!(
        schema["properties"]["sequential"].is_object() || schema["$defs"].is_object(),
        "{schema:#}"
    );
}

#[test]
fn the_flows_that_ship_with_kennel_have_no_mistakes() {
    let kennel = shipped("report-intelligence.yaml", &every_agent());
    for flow in std::fs::read_dir(repository().join("plugins/flows")).expect("the flows are there")
    {
        let path = flow.expect("listed").path();
        if path.extension().is_some_and(|end| end == "yaml") {
            kennel
                .run(["flow".as_ref(), "check".as_ref(), path.as_os_str()])
                .exits(0);
        }
    }
}

#[test]
fn the_usage_of_a_run_is_the_sum_of_its_steps() {
    let flow = "kennel: 1\nname: sum\nsequential:\n  - { agent: counter, id: one, with: { key: a } }\n  - { agent: echo, with: x }\n";
    let report = ran(&kennel(flow));
    let fuel = |value: &Value| value["usage"]["fuel"].as_u64().expect("a number");
    let steps = report["steps"].as_array().expect("a list");
    assert_eq!(fuel(&report), steps.iter().map(fuel).sum::<u64>());
    assert!(steps.iter().all(|step| fuel(step) > 0), "{report:#}");
}
