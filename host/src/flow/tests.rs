//! Bad flows and what is said about them, good flows and their plans, the budgets, and random texts.

mod known;
mod mistakes;
mod plans;
mod random;
mod texts;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

fn bad(source: &str, expected: Expect) {
    let problems = parse(source, "test").expect_err("a bad flow");
    expected.assert_eq(&problems.render("flow.yaml", source, false));
}

/// Only the messages, for tables of small mistakes.
fn table(cases: &[&str], expected: Expect) {
    let mut text = String::new();
    for case in cases {
        let source = format!("kennel: 1\n{case}\n");
        match parse(&source, "test") {
            Ok(_) => writeln!(text, "{case:?}: nothing wrong").expect("writing to a string"),
            Err(problems) => {
                for problem in problems.iter() {
                    let line = source.lines().nth(problem.line - 1).unwrap_or_default();
                    let meant: String = line
                        .chars()
                        .skip(problem.column - 1)
                        .take(problem.length)
                        .collect();
                    let hint = problem
                        .hint
                        .as_ref()
                        .map_or(String::new(), |hint| format!(" ({hint})"));
                    writeln!(
                        text,
                        "{}:{} `{meant}`: {}{hint}",
                        problem.line, problem.column, problem.message
                    )
                    .expect("writing to a string");
                }
            }
        }
    }
    expected.assert_eq(&text);
}

const GOOD: &str = r#"kennel: 1
name: document-intelligence
description: Read a scanned page.
input:
  type: object
  required: [document]
  properties: { pages: { type: integer } }
policies:
  careful: { timeout: 10s, retry: { attempts: 5, on: [trapped] }, cache: { ttl: 1h } }
sequential:
  - agent: ocr
    with: { document: "${{ input.document }}", lang: en }
    limits: { memory: 16MiB, fuel: 2G }
  - agent: summarize
    id: summary
    skill: short
    policy: careful
    timeout: 3s
    if: ${{ size(steps.ocr.text) > 10 }}
    fallback: [summarize-lite, { agent: stub, with: "none", retry: { attempts: 2 } }]
    output: "${{ prev.text }}"
  - parallel:
      - agent: entities
        with: "${{ steps.ocr.text }}"
      - sequential:
          - agent: classify
            with: "${{ steps.summary }}"
    require: any
    output: "${{ steps.classify }}"
output: "${{ {'summary': steps.summary, 'all': steps['parallel-1']} }}"
"#;

fn catalogue() -> Catalogue {
    let schema = json!({"type": "object", "required": ["document"], "properties": {"lang": {"enum": ["en", "de"]}}});
    let agent = |skills: &[(&str, Option<&Value>)]| Agent {
        skills: skills
            .iter()
            .map(|(name, schema)| (name.parse().expect("a name"), schema.cloned()))
            .collect(),
    };
    [
        ("ocr", agent(&[("read", Some(&schema))])),
        ("summarize", agent(&[("short", None), ("long", None)])),
        ("entities", agent(&[("find", None)])),
    ]
    .into_iter()
    .map(|(name, agent)| (name.parse().expect("a name"), agent))
    .collect()
}
