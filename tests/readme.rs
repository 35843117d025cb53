//! What the README shows works as it is shown.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::Kennel;

fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(readme).expect("the README")
}

/// The first block of `language` in the README.
fn block(language: &str) -> String {
    blocks(language).swap_remove(0)
}

/// Every block of `language` in the README.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let begin = format!("```{language}\n");
    let begun = readme.split(&begin).skip(1);
    let blocks: Vec<_> = begun
        .map(|rest| rest.split_once("```").expect("the end of the block").0)
        .map(str::to_owned)
        .collect();
    assert!(!blocks.is_empty(), "there is no block of {language}");
    blocks
}

/// What stands in backquotes in the first column of the table with this heading.
fn first_column(heading: &str) -> Vec<String> {
    let readme = readme();
    let (_, table) = readme
        .split_once(&format!("| {heading} |"))
        .expect("a table with this heading");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("a name").to_owned())
        .collect()
}

#[test]
fn the_flow_has_no_mistakes_and_its_agents_are_there() {
    let kennel = Kennel::new();
    let agents = ["extract", "summarize", "entities", "classify"];
    let kennel = agents.into_iter().fold(kennel, Kennel::plugin);
    let kennel = kennel.file("report.yaml", block("yaml"));
    kennel.run(["flow", "check", "report.yaml"]).exits(0);
    let run = [
        "run",
        "report.yaml",
        "--json",
        "--set",
        "document=Ada Lovelace met Charles Babbage in London. They paid $5 for tea.",
    ];
    let output = kennel.run(run).exits(0).json();
    let named: Vec<_> = output["output"]["entities"]["entities"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entity| &entity["kind"])
        .collect();
    assert!(named.iter().any(|kind| **kind == "money"), "{output:#}");
}

#[test]
fn the_settings_are_valid() {
    let kennel = Kennel::new().settings(&block("toml"));
    kennel.run(["agents", "list"]).exits(0);
}

#[test]
fn the_agent_is_the_example_that_is_compiled() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/rust/examples/word_count.rs");
    let example = std::fs::read_to_string(example).expect("the example");
    let dense = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("//!"))
            .flat_map(str::split_whitespace)
            .collect::<String>()
    };
    let shown = dense(&block("rust"))
        .replace("_task:", "_:")
        .replace(",}", "}");
    assert_eq!(
        dense(&example).replace("batch:", "").replace(",}", "}"),
        shown
    );
}

#[test]
fn the_event_driven_flow_has_no_mistakes() {
    let kennel = ["classify", "summarize"]
        .into_iter()
        .fold(Kennel::new(), Kennel::plugin);
    let kennel = kennel.file("watch.yaml", &blocks("yaml")[1]);
    kennel.run(["flow", "check", "watch.yaml"]).exits(0);
}

#[test]
fn every_kind_of_step_and_every_policy_is_in_its_table_and_no_other() {
    let schema = Kennel::new().run(["flow", "schema"]).exits(0).json();
    let defs = schema["$defs"].as_object().expect("definitions");
    let kinds: BTreeSet<_> = defs
        .keys()
        .filter_map(|name| Some(name.strip_suffix("-step")?.to_owned()))
        .collect();
    assert_eq!(
        first_column("kind").into_iter().collect::<BTreeSet<_>>(),
        kinds
    );

    let keys = |step: &str| {
        let properties = defs[step]["properties"].as_object().expect("keys");
        properties.keys().cloned().collect::<BTreeSet<_>>()
    };
    let of_any = keys("sequential-step");
    let policies: BTreeSet<_> = keys("skill-step")
        .into_iter()
        .filter(|key| !of_any.contains(key) && !["skill", "policy"].contains(&key.as_str()))
        .collect();
    assert_eq!(
        first_column("policy").into_iter().collect::<BTreeSet<_>>(),
        policies
    );
}

#[test]
fn every_command_is_in_the_table_with_every_one_below_it() {
    let kennel = Kennel::new();
    let mut shown = BTreeSet::new();
    for row in first_column("command") {
        let row = row.replace('\\', "");
        let mut words = row.split(' ').skip(1);
        let command = words.next().expect("a command").to_owned();
        let below = words
            .next()
            .filter(|word| word.chars().all(|c| c.is_lowercase() || c == '|'));
        if let Some(below) = below {
            let below: BTreeSet<_> = below.split('|').map(str::to_owned).collect();
            assert_eq!(below, commands(&kennel, &[&command]), "kennel {command}");
        }
        shown.insert(command);
    }
    assert_eq!(shown, commands(&kennel, &[]));
}

/// The commands that the help of `command` lists.
fn commands(kennel: &Kennel, command: &[&str]) -> BTreeSet<String> {
    let help = kennel
        .run(command.iter().chain(&["--help"]))
        .exits(0)
        .stdout
        .clone();
    let (_, list) = help.split_once("Commands:\n").expect("commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_demo_is_a_flow_that_ships_and_every_flow_has_a_demo() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let flows: BTreeSet<_> = std::fs::read_dir(plugins.join("flows"))
        .expect("flows")
        .map(|flow| flow.expect("a flow").path().with_extension(""))
        .map(|flow| flow.file_name().expect("a name").display().to_string())
        .collect();
    let xtask = std::fs::read_to_string(plugins.join("../xtask/src/demo.rs")).expect("the demos");
    for flow in &flows {
        assert!(
            xtask.contains(&format!("name: \"{flow}\"")),
            "no demo of {flow}"
        );
    }
    let page = std::fs::read_to_string(plugins.join("README.md")).expect("the table");
    for text in [readme(), page] {
        let demos = text.split("`cargo xtask demo").skip(1).map(|rest| {
            let name = rest.split(['`', ' ']).find(|word| !word.is_empty());
            let named = name.filter(|name| rest.starts_with(' ') && !name.starts_with('-'));
            named.unwrap_or("document-intelligence").to_owned()
        });
        assert_eq!(demos.collect::<BTreeSet<_>>(), flows);
    }
}
