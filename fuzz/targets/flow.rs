//! Flow files: from any text to a plan or to diagnostics that a person can follow.
//!
//! The oracle: nothing panics or takes long; every diagnostic lies inside the text and is safe to print; and what the parser takes,
//! the published JSON Schema takes too, so that no editor marks a flow that runs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use kennel::flow::{self, Agent, Catalogue, Diagnostics, Format};
use kennel::plan::Plan;
use serde_json::{Value, json};

use crate::harness::{Forest, Maker, Target, to_yaml};

pub(crate) const TARGET: Target = Target {
    name: "flow",
    ending: "yaml",
    inputs: 400,
    seeds,
    words: include_str!("../words/flow.txt"),
    make,
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    super::files("plugins/flows", "yaml")
        .chain(super::files("fuzz/seeds/flow", "yaml"))
        .collect()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    static TREES: LazyLock<Forest> =
        LazyLock::new(|| Forest::of(seeds().iter().map(Vec::as_slice), read));
    match maker.below(10) {
        0..4 => maker.mutated(),
        4 => on_one_line(maker, &TREES),
        5..9 => to_yaml(&TREES.changed(maker)).into_bytes(),
        _ => {
            let text = to_yaml(&TREES.changed(maker)).into_bytes();
            maker.mutate(text)
        }
    }
}

/// All of it on one line, with letters at its beginning that take two bytes each: columns count characters.
fn on_one_line(maker: &mut Maker<'_>, trees: &Forest) -> Vec<u8> {
    let mut tree = trees.changed(maker);
    if let Some(map) = tree.as_object_mut() {
        map.shift_insert(
            0,
            "description".into(),
            "é".repeat(1 + maker.below(400)).into(),
        );
    }
    tree.to_string().into_bytes()
}

/// The text as a tree, by the rules that the format has for YAML.
fn read(text: &[u8]) -> Option<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(std::str::from_utf8(text).ok()?, options).ok()
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    drop(flow::named(&text, "folder/own.yaml"));
    match flow::parse_with(&text, "hint", &OTHERS) {
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            well_placed(&problems, &text);
            marks(&problems)
        }
        Ok(plan) => {
            checked(&plan, &text);
            drawn(&plan);
            as_the_schema_says(&text);
            format!("{} steps, {:?}", plan.steps.len().min(12), kinds(&plan))
        }
    }
}

/// Flows that others may name; one of them goes round in a circle.
pub(super) static OTHERS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let others = [
        (
            "other.yaml",
            "kennel: 1\ninput: { type: object }\nagent: a\nwith: \"${{ input.document }}\"\noutput: \"${{ prev }}\"\n",
        ),
        (
            "round.yaml",
            "kennel: 1\nsequential: [{ agent: a }, { flow: round }]\n",
        ),
        ("events.yaml", "kennel: 1\non: { tick: { agent: a } }\n"),
        ("bad.yaml", "kennel: 1\nagnet: a\n"),
    ];
    others
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
});

/// Every diagnostic lies inside `text`, and nothing in it would move a terminal's cursor.
fn well_placed(problems: &Diagnostics, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems.iter() {
        let line = problem.line.checked_sub(1).and_then(|at| lines.get(at));
        let line =
            line.unwrap_or_else(|| panic!("line {} of {}: {problem:?}", problem.line, lines.len()));
        let chars = line.chars().count();
        assert!(
            (1..=chars + 1).contains(&problem.column),
            "column {} of {chars}: {problem:?}",
            problem.column
        );
        let end = problem.column - 1 + problem.length;
        assert!(
            problem.length >= 1 && end <= chars.max(problem.column),
            "{} characters after column {} of {chars}: {problem:?}",
            problem.length,
            problem.column
        );
        let said = [Some(&problem.message), problem.hint.as_ref()];
        for said in said.into_iter().flatten() {
            assert!(!said.trim().is_empty(), "nothing is said: {problem:?}");
            assert!(!said.chars().any(char::is_control), "{said:?}");
            super::no_engine_fault(said);
        }
    }
    let shown = problems.render("file\u{1b}[2J.yaml", text, false);
    let unsafe_to_print = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(unsafe_to_print, None, "{shown}");
    drop(problems.render("file.yaml", text, true));
}

/// What is said, without what is quoted: so that the same mistake with other names is the same.
fn marks(problems: &Diagnostics) -> String {
    let bare = |message: &str| {
        let parts = message.split('`').step_by(2);
        let text = parts.collect::<Vec<_>>().join("`");
        text.chars()
            .filter(|c| !c.is_ascii_digit())
            .collect::<String>()
    };
    let mut marks: Vec<_> = problems
        .iter()
        .take(3)
        .map(|problem| bare(&problem.message))
        .collect();
    marks.sort();
    marks.dedup();
    marks.join("; ")
}

/// A plan that was read can be checked against whatever is loaded, and read again.
fn checked(plan: &Plan, text: &str) {
    for catalogue in [&Catalogue::new(), &*LOADED] {
        well_placed(&flow::check(plan, catalogue), text);
    }
    let again =
        flow::parse_with(&plan.source, &plan.name, &plan.sources).expect("it was read before");
    assert_eq!(
        again.digest, plan.digest,
        "reading again gives another plan"
    );
    assert_eq!(again.steps.len(), plan.steps.len());
    for input in [
        json!(null),
        json!({"document": "a", "items": [1]}),
        json!([]),
    ] {
        drop(flow::check_input(&plan.name, plan.input.as_ref(), &input));
    }
}

static LOADED: LazyLock<Catalogue> = LazyLock::new(|| {
    let skill = |schema: Value| (schema != json!(null)).then_some(schema);
    let wants = json!({"type": "object", "required": ["document"], "additionalProperties": false});
    let agents = [
        ("a", vec![("do", json!(null))]),
        ("b", vec![("do", wants.clone()), ("look", json!(null))]),
        ("boss", vec![("plan", json!(null)), ("synthesize", wants)]),
    ];
    let agents = agents.map(|(name, skills)| {
        let skills = skills.into_iter();
        let skills: BTreeMap<_, _> = skills
            .map(|(name, schema)| (name.parse().expect("a name"), skill(schema)))
            .collect();
        (name.parse().expect("a name"), Agent { skills })
    });
    agents.into_iter().collect()
});

fn drawn(plan: &Plan) {
    let mermaid = flow::graph(plan, Format::Mermaid);
    assert!(mermaid.starts_with("flowchart TD\n"), "{mermaid}");
    let dot = flow::graph(plan, Format::Dot);
    assert!(dot.starts_with("digraph ") && dot.ends_with("}\n"), "{dot}");
    for text in [mermaid, dot] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    }
}

fn as_the_schema_says(text: &str) {
    static SCHEMA: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::validator_for(&flow::schema()).expect("a schema"));
    // Some texts are a flow to Kennel and another tree to a reader that follows other rules of YAML: these say nothing.
    let Some(tree) = read(text.as_bytes()) else {
        return;
    };
    if let Err(error) = SCHEMA.validate(&tree) {
        panic!(
            "the parser takes what the schema refuses at {}: {error}",
            error.instance_path()
        );
    }
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |step: &kennel::plan::Step| super::kind(&step.kind);
    let mut kinds: Vec<_> = plan.steps.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
