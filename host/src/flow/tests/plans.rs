//! Good flows: their plans, how they are checked against what is loaded, how they are drawn.

use std::time::Duration;

use super::*;
use crate::failure::FailureKind;
use crate::plan::{Kind, Require};

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
        ocr line 11: call ocr Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: Some(2000000000), memory: Some(16777216), calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when None, with Some(["input.document"]), output false
        summary line 14: call summarize · short Policy { timeout: Some(3s), retry: Some(Retry { attempts: 5, backoff: 100ms, factor: 2.0, max_backoff: 30s, jitter: true, on: Some([Trapped]) }), fallback: [Fallback { call: CallStep { callee: Agent(AgentName("summarize-lite")), skill: None, policy: Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None, calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None } }, with: None }, Fallback { call: CallStep { callee: Agent(AgentName("stub")), skill: None, policy: Policy { timeout: None, retry: Some(Retry { attempts: 2, backoff: 100ms, factor: 2.0, max_backoff: 30s, jitter: true, on: None }), fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None, calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None } }, with: Some(Value(String("none"))) }], cache: Some(Cache { ttl: 3600s, key: None }), bounds: Bounds { fuel: None, memory: None, calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when Some("size(steps.ocr.text) > 10"), with None, output true
        parallel-1 line 22: Parallel { branches: [StepRef(4), StepRef(5)], require: Any, concurrency: None }
           when None, with None, output true
        entities line 23: call entities Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None, calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
           when None, with Some(["steps.ocr.text"]), output false
        sequential-2 line 25: Sequential([StepRef(6)])
           when None, with None, output false
        classify line 26: call classify Policy { timeout: None, retry: None, fallback: [], cache: None, bounds: Bounds { fuel: None, memory: None, calls: None }, deadline: None, circuit_breaker: None, degrade: None, batch: None, priority: None }
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
