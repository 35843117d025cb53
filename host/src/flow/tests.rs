//! Bad flows and what is said about them, good flows and their plans, the budgets, and random texts.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::failure::FailureKind;
use crate::plan::{Kind, Require};

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

#[test]
fn five_mistakes_are_told_at_once() {
    bad(
        r#"kennel: 1
name: five
sequential:
  - agent: ocr
    tiemout: 30s
  - agent: summarize
    timeout: soon
    with: "${{ steps.orc.text }} and ${{ inptu.title }}"
  - parallel: []
"#,
        expect![[r#"
            error: unknown key `tiemout`
             --> flow.yaml:5:5
              |
            5 |     tiemout: 30s
              |     ^^^^^^^
              |
              = help: did you mean `timeout`?

            error: `soon` is not a length of time; write for example `30s` or `200ms`
             --> flow.yaml:7:14
              |
            7 |     timeout: soon
              |              ^^^^

            error: there is no step `orc`
             --> flow.yaml:8:22
              |
            8 |     with: "${{ steps.orc.text }} and ${{ inptu.title }}"
              |                      ^^^
              |
              = help: did you mean `ocr`?

            error: unknown name `inptu`; `input`, `prev`, `steps.ID` and `run.id` are known
             --> flow.yaml:8:42
              |
            8 |     with: "${{ steps.orc.text }} and ${{ inptu.title }}"
              |                                          ^^^^^

            error: the list of steps is empty
             --> flow.yaml:9:15
              |
            9 |   - parallel: []
              |               ^
              |
              = help: put at least one step into it
        "#]],
    );
}

#[test]
fn the_place_inside_an_expression_is_marked() {
    bad(
        r#"kennel: 1
sequential:
  - agent: word-count
  - agent: b
    if: steps.word-count.n > 1
    with:
      text: |
        First line, é.
        ${{ size(prev, }}
      other: "${{ steps['word-cuont'].n + now() }}"
"#,
        expect![[r#"
            error: unknown name `count`; `input`, `prev`, `steps.ID` and `run.id` are known
             --> flow.yaml:5:20
              |
            5 |     if: steps.word-count.n > 1
              |                    ^^^^^
              |
              = help: write `steps['word-count']`: after a dot, `-` would be a minus

            error: it ends too early: a bracket or an operand is missing
             --> flow.yaml:9:23
              |
            9 |         ${{ size(prev, }}
              |                       ^

            error: unknown function `now`; known are `bool`, `contains`, `double`, `dyn`, `endsWith`, `int`, `matches`, `size`, `startsWith`, `string`, `type`, `uint`
              --> flow.yaml:10:43
               |
            10 |       other: "${{ steps['word-cuont'].n + now() }}"
               |                                           ^^^
        "#]],
    );
}

#[test]
fn structure_mistakes() {
    table(
        &[
            "name: x",
            "agent: a\nparallel: [{agent: b}]",
            "sequential: 5",
            "sequential: []",
            "sequential: [5]",
            "sequential: [{}]",
            "sequential: [{id: x}]",
            "sequential: [{agent: a, sequential: [{agent: b}]}]",
            "sequential: [{agnet: a}]",
            "sequential: [{route: []}]",
            "sequential: [{route: [{if: 'true', agent: a}, {else: {agent: b}, id: x, fi: 1}]}]",
            "sequential: [{agent: a, on-error: continue, wiht: 1, zzz: 2}]",
            "sequential: [{parallel: [{agent: a}], timeout: 3s, skill: x}]",
            "sequential: [{agent: a, require: any}]",
            "on: {}",
            "id: main\nagent: a\nif: 'true'",
            "agent: a\nagent: b",
            "agent: [a]",
            "agent: 007",
            "sequential: [{agent: a, id: 1.5}, {emit: 2}]",
            "agent: 'no such\u{1b}[31m name'",
            "name: ''\nagent: a",
            "agent: a\npolicies: []",
            "[]",
        ],
        expect![[r#"
            1:1 `k`: a flow needs one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (for example `agent: NAME`)
            3:1 `parallel`: a flow has exactly one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (there is `agent` already; put both into a `sequential` or `parallel` list)
            2:13 `5`: `5` should be a list of steps
            2:13 `[`: the list of steps is empty (put at least one step into it)
            2:14 `5`: `5` should be a step, which is a map
            2:14 `{`: a step needs one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (for example `agent: NAME`)
            2:15 `id`: a step needs one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (for example `agent: NAME`)
            2:25 `sequential`: a step has exactly one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (there is `agent` already; put both into a `sequential` or `parallel` list)
            2:15 `agnet`: unknown key `agnet` (did you mean `agent`?)
            2:22 `[`: the list of arms is empty (write for example `- if: size(prev) > 100` and a step)
            2:66 `id`: `id` does not belong here (everything about the step stands below `else`)
            2:73 `fi`: unknown key `fi` (known are `else`)
            2:45 `wiht`: unknown key `wiht` (did you mean `with`?)
            2:54 `zzz`: unknown key `zzz` (known are `id`, `with`, `if`, `output`, `on-error`, `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve`, `agent`, `skill`, `policy`, `timeout`, `retry`, `fallback`, `cache`, `limits`, `deadline`, `circuit-breaker`, `degrade`, `batch`, `priority`)
            2:39 `timeout`: `timeout` does not belong here (policies stand on the agents inside a group)
            2:52 `skill`: a step has exactly one of `agent`, `skill`, `sequential`, `parallel`, `hierarchical`, `pipeline`, `route`, `repeat`, `flow`, `emit`, `approve` (there is `parallel` already; put both into a `sequential` or `parallel` list)
            2:25 `require`: `require` does not belong here (it says how many branches of a `parallel` must succeed)
            2:1 `on`: `on` names no event (write for example `on: { price_change: { agent: NAME } }`)
            2:1 `id`: `id` does not belong here (the outermost step has no `id` and no `if`; put it into a `sequential`)
            4:1 `if`: `if` does not belong here (the outermost step has no `id` and no `if`; put it into a `sequential`)
            3:1 `agent`: the key `agent` stands twice (the first one is on line 2)
            2:8 `[`: a list stands here, but should be the name of an agent
            2:8 `007`: `7.0` should be the name of an agent (a name that looks like a number stands in quotes)
            2:29 `1.5`: `1.5` should be an id (a name that looks like a number stands in quotes)
            2:42 `2`: `2` should be the type of an event (a name that looks like a number stands in quotes)
            2:16 ``: unexpected character: `\u{1b}'
            2:7 `''`: an empty text stands here, but should be a name
            3:11 `[`: a list stands here, but should be named sets of policies, which is a map
            2:1 `[`: simple key expected ':'
        "#]],
    );
}

#[test]
fn id_and_reference_mistakes() {
    table(
        &[
            "sequential: [{agent: a}, {agent: a}]",
            "sequential: [{agent: a, id: x}, {agent: b, id: x}]",
            "sequential: [{agent: a, id: 'b c'}]",
            "sequential: [{agent: a, with: '${{ steps.b }}'}, {agent: b}]",
            "sequential: [{agent: a, with: '${{ steps.a }}'}]",
            "sequential: [{agent: a, output: '${{ steps.a }}'}]",
            "parallel: [{agent: a}, {agent: b, with: '${{ steps.a }}'}]",
            "sequential: [{id: g, sequential: [{agent: a, if: steps.g.x}]}]",
            "sequential: [{id: g, parallel: [{agent: a}], with: '${{ steps.a }}'}]",
            "agent: a\noutput: '${{ steps.summary }}'",
            "sequential: [{agent: a-b}, {agent: c, with: '${{ steps.a-b }}'}]",
        ],
        expect![[r#"
            2:34 `a`: a second step would have the id `a` (the first one is on line 2; give this step an `id` of its own)
            2:48 `x`: the id `x` stands twice (the first one is on line 2)
            2:29 `'b c'`: `b c` is not a valid step id: only ASCII letters, digits, `-`, `_` and `.` are allowed
            2:42 `b`: `b` runs later (a step can read the steps before it)
            2:42 `a`: `a` is this step itself, which has not run yet
            2:44 `a`: `a` is this step itself (its output is `prev` here)
            2:52 `a`: `a` runs at the same time, in another branch of `parallel` (put the two steps into a `sequential`)
            2:56 `g`: `g` is the step around this one, which has not ended yet
            2:63 `a`: `a` runs later (a step can read the steps before it)
            3:20 `summary`: there is no step `summary` (known are `a`)
            2:58 `b`: unknown name `b`; `input`, `prev`, `steps.ID` and `run.id` are known (write `steps['a-b']`: after a dot, `-` would be a minus)
        "#]],
    );
}

#[test]
fn policy_mistakes() {
    table(
        &[
            "agent: a\ntimeout: 30",
            "agent: a\ntimeout: 0s",
            "agent: a\ntimeout: 9999999999y",
            "agent: a\nretry: 3",
            "agent: a\nretry: {attempts: 0, factor: 0.5, jitter: 'on', backoff: x, max-backof: 3s}",
            "agent: a\nretry: {on: [timeout, recoverble], attempts: 1.5}",
            "agent: a\nretry: {on: []}",
            "agent: a\nfallback: b",
            "agent: a\nfallback: []",
            "agent: a\nfallback: [{skill: x}, {agent: b, fallback: [c]}, 'b b']",
            "agent: a\ncache: {key: 1}",
            "agent: a\ncache: {ttl: 5}",
            "agent: a\nlimits: {memory: lots, fuel: -1, cpu: 2}",
            "agent: a\npolicy: carefull\npolicies: {careful: {timeout: 3s, circuit-breaker: {}}}",
            "agent: a\npolicy: x",
            "policies: {p: {cache: {ttl: 1s, key: '${{ steps.b }}'}}}\nsequential: [{agent: a, policy: p}, {agent: b}]",
            "parallel: [{agent: a}]\nrequire: 2",
            "parallel: [{agent: a}]\nrequire: most",
            "parallel: [{agent: a}]\nrequire: 0",
            "parallel: [{agent: a}]\nrequire: [1]",
        ],
        expect![[r#"
            3:10 `30`: `30` is not a length of time; write for example `30s` or `200ms`
            3:10 `0s`: a length of time must be longer than nothing
            3:10 `9999999999y`: `9999999999y` is longer than the 366 days that are allowed; write for example `30s` or `7days`
            3:8 `3`: `3` should be `retry`, which is a map
            3:19 `0`: `0` should be a whole number from 1 to 100
            3:30 `0.5`: `0.5` should be a number from 1 to 100
            3:43 `'on'`: `on` should be true or false
            3:58 `x`: `x` is not a length of time; write for example `30s` or `200ms`
            3:61 `max-backof`: unknown key `max-backof` (did you mean `max-backoff`?)
            3:14 `timeout`: unknown failure kind `timeout` (did you mean `deadline`?)
            3:46 `1.5`: `1.5` should be a whole number from 1 to 100
            3:13 `[`: the list of failure kinds is empty (leave `on` out for the usual ones)
            3:11 `b`: `b` should be a list of agents, such as `[other-agent]`
            3:11 `[`: the list of fallbacks is empty (name an agent, or leave `fallback` out)
            3:12 `{`: a fallback needs `agent` (write `- NAME`, or `- agent: NAME` with policies below)
            3:8 `{`: `cache` needs `ttl` (write for example `cache: { ttl: 5m }`)
            3:14 `5`: `5` is not a length of time; write for example `30s` or `200ms`
            3:18 `lots`: `lots` is not a number of bytes; write for example `64MiB`
            3:30 `-1`: `-1` is not an amount of fuel; write for example `5G` or `200M`
            3:34 `cpu`: unknown key `cpu` (known are `memory`, `fuel`)
            3:9 `carefull`: there is no set of policies `carefull` (did you mean `careful`?)
            3:9 `x`: there is no set of policies `x` (the flow has no `policies`)
            2:49 `b`: `b` runs later (a step can read the steps before it)
            3:10 `2`: 2 of 1 branches cannot be required (write `all`, `any` or a number from 1 to 1)
            3:10 `most`: `most` does not say how many must succeed (write `all`, `any` or a number from 1 to 1)
            3:10 `0`: 0 of 1 branches cannot be required (write `all`, `any` or a number from 1 to 1)
            3:10 `[`: a list stands here, but should be `all`, `any` or a number from 1 to 1
        "#]],
    );
}

#[test]
fn input_schemas_are_checked() {
    table(
        &[
            "agent: a\ninput: {type: objekt}",
            "agent: a\ninput: {properties: {n: {type: string, minLength: -1}}, required: n}",
            "agent: a\ninput: {$ref: 'https://example.com/schema.json'}",
            "agent: a\ninput: {$ref: 'file:///etc/passwd'}",
            "agent: a\ninput: {$schema: 'https://example.com/meta', type: string}",
            "agent: a\ninput: {type: string, pattern: '(?<!a)b'}",
            "agent: a\ninput: text",
        ],
        expect![[r#"
            3:15 `objekt`: not a valid JSON Schema: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword
            3:51 `-1`: not a valid JSON Schema: -1 is less than the minimum of 0
            3:67 `n`: not a valid JSON Schema: "n" is not of type "array"
            3:8 `{`: not a valid JSON Schema: Resource 'https://example.com/schema.json' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch https://example.com/schema.json
            3:8 `{`: not a valid JSON Schema: Resource 'file:///etc/passwd' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch file:///etc/passwd
            3:8 `{`: not a valid JSON Schema: Resource 'https://example.com/meta' is not present in a registry and retrieving it failed: `resolve-http` feature or a custom resolver is required to resolve external schemas via HTTP
            3:32 `'(?<!a)b'`: not a valid JSON Schema: "(?<!a)b" is not a "regex"
            3:8 `text`: `text` should be a JSON Schema, which is a map
        "#]],
    );
}

#[test]
fn the_version_is_asked_for() {
    bad(
        "agent: a\n",
        expect![[r#"
            error: the version of the format is missing
             --> flow.yaml:1:1
              |
            1 | agent: a
              | ^
              |
              = help: begin the file with `kennel: 1`
        "#]],
    );
    bad(
        "kennel: 2\nagent: a\n",
        expect![[r#"
            error: the format 2 is not known to this version of kennel
             --> flow.yaml:1:9
              |
            1 | kennel: 2
              |         ^
              |
              = help: it reads `kennel: 1`
        "#]],
    );
    bad(
        "kennel: one\nagent: a\n",
        expect![[r#"
            error: `one` should be the number of the format: 1
             --> flow.yaml:1:9
              |
            1 | kennel: one
              |         ^^^
        "#]],
    );
}

#[test]
fn what_is_not_yaml_is_told() {
    for (source, expected) in [
        (
            "",
            expect![[r#"
                error: nothing stands here, but should be a flow, which is a map
                 --> flow.yaml:1:1
                  |
                1 |
                  | ^
            "#]],
        ),
        (
            "a: [1\nb: 2\n",
            expect![[r#"
                error: illegal placement of ':' indicator
                 --> flow.yaml:2:2
                  |
                2 | b: 2
                  |  ^
            "#]],
        ),
        (
            "kennel: 1\nagent: &a x\nname: *a\n",
            expect![[r#"
                error: anchors and aliases are not allowed
                 --> flow.yaml:2:11
                  |
                2 | agent: &a x
                  |           ^
                  |
                  = help: write the value again where it is needed; `policies` are named sets
            "#]],
        ),
        (
            "kennel: 1\n<<: {agent: a}\n",
            expect![[r#"
                error: merge keys are not allowed
                 --> flow.yaml:2:1
                  |
                2 | <<: {agent: a}
                  | ^^
                  |
                  = help: `policies` are named sets that a step can refer to
            "#]],
        ),
        (
            "kennel: 1\nagent: a\n---\nkennel: 1\n",
            expect![[r#"
                error: a flow file holds one document
                 --> flow.yaml:3:1
                  |
                3 | ---
                  | ^^^
            "#]],
        ),
        (
            "kennel: 1\nname: \"a\u{7}\u{202e}b\"\nagent: \"\u{1b}[31mred\"\n",
            expect![[r#"
                error: unexpected character: `\u{7}'
                 --> flow.yaml:2:9
                  |
                2 | name: "a��b"
                  |         ^
            "#]],
        ),
    ] {
        bad(source, expected);
    }
}

#[test]
fn bombs_do_not_go_off() {
    let first = |source: &str| {
        parse(source, "x")
            .expect_err("a bomb")
            .iter()
            .next()
            .expect("a problem")
            .message
            .clone()
    };
    let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n";
    assert_eq!(first(laughs), "anchors and aliases are not allowed");
    let deep = format!(
        "kennel: 1\nwith: {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let blocks = (0..200).fold("kennel: 1\n".to_owned(), |text, depth| {
        text + &" ".repeat(depth) + "a:\n"
    });
    let wide = format!("kennel: 1\nwith: [{}]", "1,".repeat(MAX_NODES));
    for (bomb, message) in [
        (&deep, "the file nests deeper than 32 levels"),
        (&blocks, "the file nests deeper than 32 levels"),
        (&wide, "the file holds more than 10000 values"),
    ] {
        assert_eq!(first(bomb), message);
    }
    let large = format!("kennel: 1\nagent: a\n#{}", "x".repeat(MAX_SOURCE));
    assert!(first(&large).contains("1048576 are allowed"));
    let full = "kennel: 1\nagent: a\n#".to_owned();
    let full = full.clone() + &"x".repeat(MAX_SOURCE - full.len());
    assert!(parse(&full, "x").is_ok());
}

#[test]
fn there_is_a_most_of_steps_and_of_messages() {
    let flow = |count: usize| {
        let steps: String = (0..count)
            .map(|n| format!("  - {{agent: a, id: s{n}}}\n"))
            .collect();
        format!("kennel: 1\nsequential:\n{steps}")
    };
    assert_eq!(
        parse(&flow(MAX_STEPS - 1), "x").map(|plan| plan.steps.len()),
        Ok(MAX_STEPS)
    );
    let problems = parse(&flow(MAX_STEPS + 20), "x").expect_err("too many steps");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let wrong = flow(MAX_STEPS - 1).replace("agent", "agnet");
    let problems = parse(&wrong, "x").expect_err("many mistakes");
    assert_eq!(problems.len(), 100);
    assert_eq!(
        problems.iter().last().and_then(|last| last.hint.clone()),
        Some("399 more problems are not shown".into())
    );
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

#[test]
fn a_good_flow_becomes_a_plan() {
    let plan =
        parse(GOOD, "x").unwrap_or_else(|problems| panic!("{}", problems.render("x", GOOD, false)));
    let mut text = format!("{}: {:?}\n", plan.name, plan.description);
    for step in &plan.steps {
        let kind = match &step.kind {
            Kind::Call(call) => format!("call {call} {:?}", call.policy),
            other => format!("{other:?}"),
        };
        writeln!(text, "{} line {}: {kind}", step.id, step.line).expect("writing to a string");
        writeln!(
            text,
            "   when {:?}, with {:?}, output {:?}",
            step.when.as_ref().map(crate::expr::Expr::source),
            step.with.as_ref().map(|with| with
                .expressions()
                .map(|e| e.source().to_owned())
                .collect::<Vec<_>>()),
            step.output.is_some()
        )
        .expect("writing to a string");
    }
    expect![[r#"
        document-intelligence: Some("Read a scanned page.")
        sequential-1 line 10: Sequential([StepRef(1), StepRef(2), StepRef(3)])
           when None, with None, output false
        ocr line 11: call ocr Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: Some(2000000000), memory: Some(16777216) }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when None, with Some(["input.document"]), output false
        summary line 14: call summarize · short Policy { timeout: Some(3s), retry: Some(Retry { attempts: 5, backoff: 100ms, factor: 2.0, max_backoff: 30s, jitter: true, on: Some([Trapped]) }), fallback: [Fallback { call: CallStep { callee: Agent(AgentName("summarize-lite")), skill: None, policy: Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None } }, with: None }, Fallback { call: CallStep { callee: Agent(AgentName("stub")), skill: None, policy: Policy { timeout: None, retry: Some(Retry { attempts: 2, backoff: 100ms, factor: 2.0, max_backoff: 30s, jitter: true, on: None }), fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None } }, with: Some(Value(String("none"))) }], cache: Some(Cache { ttl: 3600s, key: None }), bounds: Bounds { fuel: None, memory: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when Some("size(steps.ocr.text) > 10"), with None, output true
        parallel-1 line 22: Parallel { branches: [StepRef(4), StepRef(5)], require: Any, concurrency: None }
           when None, with None, output true
        entities line 23: call entities Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when None, with Some(["steps.ocr.text"]), output false
        sequential-2 line 25: Sequential([StepRef(6)])
           when None, with None, output false
        classify line 26: call classify Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when None, with Some(["steps.summary"]), output false
    "#]]
    .assert_eq(&text);
}

#[test]
fn keys_of_a_step_win_over_its_named_policies() {
    let plan = parse(GOOD, "x").expect("a good flow");
    let Kind::Call(call) = &plan.step(crate::plan::StepRef(2)).kind else {
        panic!("a call");
    };
    assert_eq!(call.policy.timeout, Some(Duration::from_secs(3)));
    assert_eq!(
        call.policy.retry.as_ref().map(|retry| retry.attempts),
        Some(5)
    );
    assert_eq!(
        call.policy
            .retry
            .as_ref()
            .and_then(|retry| retry.on.clone()),
        Some(vec![FailureKind::Trapped])
    );
    assert_eq!(
        call.policy.cache.as_ref().map(|cache| cache.ttl),
        Some(Duration::from_secs(3600))
    );
    assert_eq!(call.policy.fallback.len(), 2);
}

#[test]
fn the_outermost_step_may_be_any_kind() {
    let plan = |text: &str| parse(&format!("kennel: 1\n{text}"), "hint").expect("a good flow");
    let agent = plan("agent: a\nskill: s\nwith: [1, 2]\ntimeout: 3s\noutput: ${{ steps.a }}");
    assert_eq!(agent.name, "hint");
    assert!(agent.output.is_some() && agent.step(crate::plan::StepRef(0)).output.is_none());
    assert_eq!(
        agent
            .step(crate::plan::StepRef(0))
            .with
            .as_ref()
            .and_then(|with| with.constant()),
        Some(&json!([1, 2]))
    );
    let parallel = plan("parallel: [{agent: a}, {agent: b}]\nrequire: 2");
    assert!(matches!(
        parallel.step(crate::plan::StepRef(0)).kind,
        Kind::Parallel {
            require: Require::AtLeast(2),
            ..
        }
    ));
    assert_eq!(
        parallel.step(crate::plan::StepRef(0)).id.as_str(),
        "parallel-1"
    );
}

#[test]
fn input_is_checked_against_the_schema() {
    let plan = parse(GOOD, "x").expect("a good flow");
    assert_eq!(
        check_input(&plan.name, plan.input.as_ref(), &json!({"document": "d"})),
        Ok(())
    );
    let failure = check_input(&plan.name, plan.input.as_ref(), &json!({"pages": "two"}))
        .expect_err("two violations");
    assert_eq!(failure.kind, FailureKind::InvalidInput);
    expect![[r#"the input does not fit the flow `document-intelligence`: "document" is a required property; /pages: "two" is not of type "integer""#]].assert_eq(&failure.message);
}

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

#[test]
fn a_plan_is_checked_against_what_is_loaded() {
    let source = r#"kennel: 1
sequential:
  - agent: ocr
    with: { document: d, lang: fr }
  - agent: ocr
    id: again
    with: just text
    fallback:
      - agent: entities
        with: anything
  - agent: summarize
  - agent: summarize
    id: second
    skill: shrt
  - agent: entity
  - agent: ocr
    id: third
    with: { document: "${{ prev }}", lang: fr }
"#;
    let plan = parse(source, "x").expect("a good flow");
    expect![[r#"
        error: this does not fit the input of `ocr` at `/lang`: "fr" is not one of "en" or "de"
         --> flow.yaml:4:11
          |
        4 |     with: { document: d, lang: fr }
          |           ^

        error: this does not fit the input of `ocr`: "just text" is not of type "object"
         --> flow.yaml:7:11
          |
        7 |     with: just text
          |           ^^^^^^^^^

        error: the agent `summarize` has several skills
          --> flow.yaml:11:12
           |
        11 |   - agent: summarize
           |            ^^^^^^^^^
           |
           = help: it has `long`, `short`; write one of them at `skill`

        error: the agent `summarize` has no skill `shrt`
          --> flow.yaml:14:12
           |
        14 |     skill: shrt
           |            ^^^^
           |
           = help: did you mean `short`?

        error: there is no agent `entity`
          --> flow.yaml:15:12
           |
        15 |   - agent: entity
           |            ^^^^^^
           |
           = help: loaded are `entities`, `ocr`, `summarize`
    "#]]
    .assert_eq(&check(&plan, &catalogue()).render("flow.yaml", source, false));
    assert!(
        check(
            &parse("kennel: 1\nagent: entities", "x").expect("a good flow"),
            &catalogue()
        )
        .is_empty()
    );
}

#[test]
fn diagnostics_are_data_too() {
    let problems = parse("kennel: 1\nagnet: a\n", "x").expect_err("a bad flow");
    expect![[r#"[{"line":2,"column":1,"length":5,"message":"unknown key `agnet`","hint":"did you mean `agent`?"}]"#]].assert_eq(&serde_json::to_string(&problems).expect("plain data"));
    let coloured = problems.render("x", "kennel: 1\nagnet: a\n", true);
    assert!(coloured.contains("\u{1b}["), "{coloured}");
}

#[test]
fn a_mistake_in_a_very_long_line_is_shown_without_the_line() {
    let source = format!(
        "kennel: 1\nwith: '{}'\nagent: [{}]\n",
        "x".repeat(100_000),
        "1, ".repeat(3000)
    );
    let text = parse(&source, "x")
        .expect_err("a bad flow")
        .render("x", &source, false);
    assert!(text.len() < 2000, "{}", text.len());
    let source = format!("{{kennel: 1, name: '{}', agnet: a}}", "é".repeat(5000));
    let text = parse(&source, "x")
        .expect_err("a bad flow")
        .render("x", &source, false);
    assert!(text.len() < 2000 && text.contains("x:1:5023"), "{text}");
}

#[test]
fn a_plan_can_be_drawn() {
    let source = GOOD.replace(
        "size(steps.ocr.text) > 10",
        "size(steps.ocr.text) > 10 && '\\\"<b>' != ''",
    );
    let plan = parse(&source, "x")
        .unwrap_or_else(|problems| panic!("{}", problems.render("x", &source, false)));
    expect![[r#"
        flowchart TD
          input(["input"])
          s1["ocr"]
          input --> s1
          s2["summary<br/>summarize · short<br/>if size(steps.ocr.text) #62; 10 #38;#38; '#92;#34;#60;b#62;' != …"]
          s1 --> s2
          s2f0["summarize-lite"]
          s2 -. fallback .-> s2f0
          s2f1["stub"]
          s2f0 -. fallback .-> s2f1
          subgraph g0 ["parallel-1 (any)"]
            s4["entities"]
            s2 --> s4
            s6["classify"]
            s2 --> s6
          end
          output(["output"])
          s4 --> output
          s6 --> output
    "#]]
    .assert_eq(&graph(&plan, Format::Mermaid));
    expect![[r#"
        digraph "document-intelligence" {
          node [shape=box, style=rounded];
          input [label="input", shape=oval];
          s1 [label="ocr"];
          input -> s1;
          s2 [label="summary\nsummarize · short\nif size(steps.ocr.text) > 10 && '\\\"<b>' != …"];
          s1 -> s2;
          s2f0 [label="summarize-lite"];
          s2 -> s2f0 [label="fallback", style=dashed];
          s2f1 [label="stub"];
          s2f0 -> s2f1 [label="fallback", style=dashed];
          subgraph cluster_0 { label="parallel-1 (any)";
            s4 [label="entities"];
            s2 -> s4;
            s6 [label="classify"];
            s2 -> s6;
          }
          output [label="output", shape=oval];
          s4 -> output;
          s6 -> output;
        }
    "#]]
    .assert_eq(&graph(&plan, Format::Dot));
}

/// A flow that has the given line at a certain place.
type Place = fn(&str) -> String;

/// Every table of keys, each with a flow that has the key in the right place.
fn places() -> Vec<(&'static [keys::Key], Place)> {
    fn agent(line: &str) -> String {
        let agent = if line.starts_with("agent:") {
            ""
        } else {
            "    agent: a\n"
        };
        format!("kennel: 1\nsequential:\n  - {}\n{agent}", line)
    }
    vec![
        (keys::FLOW, |line| {
            if line.starts_with("kennel") {
                format!("{line}\nagent: a")
            } else {
                format!("kennel: 1\n{line}\nagent: a")
            }
        }),
        (keys::COMMON, agent),
        (keys::AGENT, agent),
        (keys::POLICY, agent),
        (keys::SEQUENTIAL, |line| {
            format!("kennel: 1\nsequential:\n  - {line}")
        }),
        (keys::PARALLEL, |line| {
            if line.starts_with("parallel") {
                format!("kennel: 1\n{line}")
            } else {
                format!("kennel: 1\nparallel: [{{agent: a}}]\n{line}")
            }
        }),
        (keys::PIPELINE, |line| format!("kennel: 1\n{line}")),
        (keys::STAGE, |line| {
            let each = if line.starts_with("each") || line.starts_with("pages") {
                ""
            } else {
                "each: true, "
            };
            format!("kennel: 1\npipeline: [{{ agent: a, {each}{line} }}]")
        }),
        (keys::HIERARCHY, |line| {
            let master = if line.starts_with("master") {
                ""
            } else {
                "master: a, "
            };
            let workers = if line.starts_with("workers") {
                ""
            } else {
                "workers: {b: c}, "
            };
            format!("kennel: 1\nhierarchical: {{ {master}{workers}{line} }}")
        }),
        (keys::ROUTE, |line| format!("kennel: 1\n{line}")),
        (keys::ROUNDS, |line| {
            let body = if line.starts_with("do") {
                ""
            } else {
                "do: {agent: a}, "
            };
            let max = if line.starts_with("max") {
                ""
            } else {
                "max: 2, "
            };
            format!("kennel: 1\nrepeat: {{ {body}{max}{line} }}")
        }),
        (keys::EMIT, |line| format!("kennel: 1\n{line}")),
        (keys::APPROVE, |line| {
            let ask = if line.starts_with("approve") {
                ""
            } else {
                "approve: x\n"
            };
            format!("kennel: 1\n{ask}{line}")
        }),
        (keys::HANDLER, |line| {
            format!("kennel: 1\non: {{ e: {{ agent: a, {line} }} }}")
        }),
        (keys::RETRY, |line| {
            format!("kennel: 1\nagent: a\nretry: {{ {line} }}")
        }),
        (keys::CACHE, |line| {
            if line.starts_with("ttl") {
                format!("kennel: 1\nagent: a\ncache: {{ {line} }}")
            } else {
                format!("kennel: 1\nagent: a\ncache: {{ ttl: 1s, {line} }}")
            }
        }),
        (keys::LIMITS, |line| {
            format!("kennel: 1\nagent: a\nlimits: {{ {line} }}")
        }),
        (keys::BREAKER, |line| {
            format!("kennel: 1\nagent: a\ncircuit-breaker: {{ {line} }}")
        }),
        (keys::DEGRADE, |line| {
            if line.starts_with("to:") {
                format!("kennel: 1\nagent: a\ndegrade: {{ {line} }}")
            } else {
                format!("kennel: 1\nagent: a\ndegrade: {{ to: b, {line} }}")
            }
        }),
        (keys::BATCH, |line| {
            if line.starts_with("size:") {
                format!("kennel: 1\nagent: a\nbatch: {{ {line} }}")
            } else {
                format!("kennel: 1\nagent: a\nbatch: {{ size: 2, {line} }}")
            }
        }),
        (keys::BUDGET, |line| {
            format!("kennel: 1\nagent: a\nbudget: {{ {line} }}")
        }),
        (keys::FALLBACK, |line| {
            if line.starts_with("agent:") {
                format!("kennel: 1\nagent: a\nfallback: [{{ {line} }}]")
            } else {
                format!("kennel: 1\nagent: a\nfallback: [{{ agent: b, {line} }}]")
            }
        }),
    ]
}

#[test]
fn no_key_of_the_table_is_ignored() {
    for (table, flow) in places() {
        for key in table {
            // A bad expression: wrong for every key, whatever it wants.
            let source = flow(&format!("{}: '${{{{ nonsense( }}}}'", key.name));
            let wrong = parse(&source, "x").is_err_and(|problems| {
                problems
                    .iter()
                    .all(|problem| !problem.message.contains("key"))
            });
            let free_text = ["name", "description", "approve"].contains(&key.name);
            assert!(
                wrong || free_text,
                "`{}` can hold anything:\n{source}",
                key.name
            );
        }
    }
}

#[test]
fn the_schema_says_what_the_parser_says() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let fits = |source: &str| {
        let value: Value = serde_saphyr::from_str(source).expect("YAML");
        (validator.is_valid(&value), parse(source, "x").is_ok())
    };
    assert_eq!(fits(GOOD), (true, true));
    for (table, flow) in places() {
        for key in table {
            let good = match key.shape {
                keys::Shape::Version => "1",
                keys::Shape::Text | keys::Shape::Name | keys::Shape::Template => "x",
                keys::Shape::Span => "3s",
                keys::Shape::Bytes => "1MiB",
                keys::Shape::Fuel => "1G",
                keys::Shape::Bool | keys::Shape::Condition => "true",
                keys::Shape::Whole(..) | keys::Shape::Fraction(..) => "2",
                keys::Shape::Schema | keys::Shape::Policies => "{}",
                keys::Shape::Require => "any",
                keys::Shape::Kinds => "[deadline]",
                keys::Shape::Step => "{agent: b}",
                keys::Shape::Steps | keys::Shape::Stages => "[{agent: b}]",
                keys::Shape::OneOf(words) => words[0],
                keys::Shape::Arms => "[{if: true, agent: b}, {else: {agent: c}}]",
                keys::Shape::Callee => "b",
                keys::Shape::Workers => "{b: c}",
                keys::Shape::Handlers => continue, // it stands instead of a step, so not beside one
                keys::Shape::Fallbacks => "[b]",
                keys::Shape::Map(_) => "{ ttl: 1s }",
            };
            let table = matches!(key.shape, keys::Shape::Map(_)) && key.name != "cache";
            if table || key.name == "policy" {
                continue; // what stands there is tried key by key; a policy must exist
            }
            let source = flow(&format!("{}: {good}", key.name));
            assert_eq!(fits(&source), (true, true), "{source}");
            let source = flow(&format!("{}-x: {good}", key.name));
            let misspelt = (
                validator.is_valid(&serde_saphyr::from_str(&source).expect("YAML")),
                parse(&source, "x").is_ok(),
            );
            assert_eq!(misspelt, (false, false), "{source}");
        }
    }
}

#[test]
fn no_key_is_both_known_and_left_out() {
    let tables = [
        keys::FLOW,
        keys::COMMON,
        keys::AGENT,
        keys::POLICY,
        keys::SEQUENTIAL,
        keys::PARALLEL,
        keys::KIND_KEYS,
        keys::STAGE,
        keys::HIERARCHY,
        keys::ROUNDS,
        keys::APPROVE,
        keys::HANDLER,
    ];
    for key in tables.iter().flat_map(|table| table.iter()) {
        assert!(!keys::UNSUPPORTED.contains(&key.name), "{}", key.name);
    }
}

/// Texts that look like flows more often than random characters do.
fn flowish() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "kennel: 1\n",
        "agent: a\n",
        "sequential:\n",
        "parallel:\n",
        "  - ",
        "    ",
        "id: x\n",
        "with: ",
        "\"${{ steps.a.b }}\"\n",
        "if: ",
        "prev == 1\n",
        "retry: { attempts: 2 }\n",
        "fallback: [b]\n",
        "cache: { ttl: 1s }\n",
        "policies:\n",
        "policy: p\n",
        "input: { type: object }\n",
        "output: ",
        "require: 1\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\"",
        "'",
        "|",
        "é",
        "\t",
        "&a",
        "*a",
        "<<: ",
        "---\n",
        "# c\n",
        "!!str",
        "${{",
        "}}",
        "\u{0}",
        "\u{202e}",
        "- ",
        "? ",
        "1e999",
        "timeout: 5s\n",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn never_panics(source: &str) {
    match parse(source, "x") {
        Ok(plan) => {
            graph(&plan, Format::Mermaid);
            graph(&plan, Format::Dot);
            check(&plan, &catalogue());
            drop(check_input(&plan.name, plan.input.as_ref(), &Value::Null));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let text = problems.render("f\u{1b}", source, false);
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(source in flowish()) {
        never_panics(&source);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        never_panics(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damaged_flow_makes_the_parser_panic(at in 0..GOOD.len(), cut in 0..20_usize, put in ".{0,5}") {
        let end = (at + cut).min(GOOD.len());
        never_panics(&format!("{}{put}{}", &GOOD[..at], &GOOD[end..]));
    }
}

#[test]
fn the_parts_of_a_hierarchy_have_ids_that_no_other_step_has() {
    let source = "kennel: 1
parallel:
  - { id: h, hierarchical: { master: m, workers: { a: x } } }
  - { agent: y, id: h.plan }
";
    let problems = parse(source, "x").expect_err("two steps would have one path");
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("`h.plan`")),
        "{problems:?}"
    );
}

#[test]
fn a_named_policy_may_read_what_the_steps_that_take_it_may_read() {
    let source = |each: &str| {
        format!(
            "kennel: 1
policies: {{ p: {{ cache: {{ ttl: 5m, key: '${{{{ item.id }}}}' }} }} }}
pipeline: [{{ agent: a, policy: p{each} }}]
"
        )
    };
    assert!(parse(&source(", each: true"), "x").is_ok());
    let problems = parse(&source(""), "x").expect_err("there is no item");
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("no `item` here"))
    );
}
