//! Each pattern as a story: a flow, what its calls answer, and what the run does.

use expect_test::expect;
use serde_json::json;

use super::*;

/// Plays `source` on `input`; returns what happened, without the run's own beginning.
fn story(
    source: &str,
    input: Value,
    answer: impl Fn(&str, &Value) -> Result<Value, FailureKind>,
) -> String {
    let events = play(&plan(&format!("kennel: 1\n{source}")), input, answer);
    told(&events[1..])
}

/// What a run of `source` gives.
fn gives(
    source: &str,
    input: Value,
    answer: impl Fn(&str, &Value) -> Result<Value, FailureKind>,
) -> String {
    let story = story(source, input, answer);
    story.lines().last().unwrap_or_default().to_owned()
}

/// Adds one to numbers, and has no use for 13.
fn plus_one(_: &str, asked: &Value) -> Result<Value, FailureKind> {
    match asked.as_i64() {
        Some(13) => Err(FailureKind::InvalidInput),
        Some(n) => Ok(json!(n + 1)),
        None => Ok(asked.clone()),
    }
}

#[test]
fn the_first_arm_that_fits_runs_and_none_hands_on_what_came() {
    let flow = "
route:
  - if: prev > 10
    agent: large
  - if: prev > 5
    agent: medium
";
    let told = |n: i64| gives(flow, json!(n), |step, _| Ok(json!(step)));
    assert_eq!(told(11), "run gave \"large\"");
    assert_eq!(told(6), "run gave \"medium\"");
    assert_eq!(told(1), "run gave 1");
    let with_else = format!("{flow}  - else: {{ agent: small }}\n");
    assert_eq!(
        gives(&with_else, json!(1), |step, _| Ok(json!(step))),
        "run gave \"small\""
    );
}

#[test]
fn a_repeat_hands_each_round_the_last_output_and_ends_when_it_should() {
    expect![[r#"
        more[0] started (1)
        more[0] gave 2
        more[1] started (1)
        more[1] gave 3
        more[2] started (1)
        more[2] gave 4
        run gave 4
    "#]]
    .assert_eq(&story(
        "repeat: { do: { agent: more }, until: prev >= 4 && index == 2, max: 9 }",
        json!(1),
        plus_one,
    ));
    let never = "repeat: { do: { agent: more }, max: 3 }";
    assert_eq!(gives(never, json!(1), plus_one), "run gave 4");
    assert_eq!(
        gives(never, json!(12), plus_one),
        "run failed at more[1]: invalid-input: it did not work"
    );
}

#[test]
fn a_failure_that_is_excused_gives_what_the_output_makes_of_it() {
    let flow = "
sequential:
  - agent: bad
    on-error: continue
    output: \"${{ error == null ? prev : error.kind + ' at ' + error.step }}\"
  - agent: next
";
    expect![[r#"
        bad started (1)
        bad failed: fatal: it did not work
        next started (1)
        next gave {"next":"fatal at bad"}
        run gave {"next":"fatal at bad"}
    "#]]
    .assert_eq(&story(flow, json!(1), echo));
    let group = "
sequential:
  - parallel: [{ agent: good }, { agent: bad }]
    on-error: continue
  - agent: next
";
    assert!(gives(group, json!(1), echo).starts_with(r#"run gave {"next":null}"#));
}

#[test]
fn items_stream_through_stages_and_keep_their_order() {
    let flow = "
pipeline:
  - { agent: a, each: true, concurrency: 1 }
  - { agent: b, each: true, concurrency: 1, with: \"${{ [index, item, steps.a] }}\" }
  - { agent: all }
";
    let story = story(flow, json!([1, 2, 3]), plus_one);
    expect![[r#"
        a[0] started (1)
        a[0] gave 2
        b[0] started (1)
        b[0] gave [0,2,2]
        a[1] started (1)
        a[1] gave 3
        b[1] started (1)
        b[1] gave [1,3,3]
        a[2] started (1)
        a[2] gave 4
        b[2] started (1)
        b[2] gave [2,4,4]
        all started (1)
        all gave [[0,2,2],[1,3,3],[2,4,4]]
        run gave [[0,2,2],[1,3,3],[2,4,4]]
    "#]]
    .assert_eq(&story);
}

#[test]
fn an_item_that_fails_is_dropped_or_fails_the_pipeline_after_those_under_way() {
    let flow = |on_item_error: &str| {
        format!("pipeline: [{{ agent: a, each: true, on-item-error: {on_item_error} }}]")
    };
    let input = || json!([1, 13, 3]);
    assert_eq!(gives(&flow("drop"), input(), plus_one), "run gave [2,4]");
    assert_eq!(
        gives(&flow("fail"), input(), plus_one),
        "run failed at a[1]: invalid-input: it did not work"
    );
    assert_eq!(
        gives(&flow("drop"), json!({"no": "list"}), plus_one),
        "run failed at pipeline-1: invalid-input: stage `a` has `each`, but what it gets is not a list"
    );
    assert_eq!(gives(&flow("fail"), json!([]), plus_one), "run gave []");
}

#[test]
fn pages_are_asked_for_as_long_as_there_is_a_next_one() {
    let flow = "
pipeline:
  - { agent: read, pages: true }
  - { agent: a, each: true }
";
    let pages = |step: &str, asked: &Value| match (step, asked.get("cursor")) {
        ("read[0]", None) => Ok(json!({ "items": [1, 2], "next": "b" })),
        ("read[1]", Some(cursor)) if cursor == "b" => Ok(json!({ "items": [3], "next": null })),
        _ => plus_one(step, asked),
    };
    assert_eq!(
        gives(flow, json!({ "file": "f" }), pages),
        "run gave [2,3,4]"
    );
    let same = |_: &str, _: &Value| Ok(json!({ "items": [], "next": 1 }));
    assert!(gives(flow, json!({}), same).contains("it would never end"));
    let none = |_: &str, _: &Value| Ok(json!([1]));
    assert!(gives(flow, json!({}), none).contains("abi-violation: a stage with `pages`"));
}

#[test]
fn items_that_have_ended_do_not_sit_in_the_state_however_many_there_are() {
    let plan = plan(
        "kennel: 1\npipeline: [{ agent: read, pages: true }, { agent: a, each: true, concurrency: 4, output: null }]",
    );
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let mut events = Vec::new();
    happen(&mut state, &mut events, begin(&plan, json!({})));
    let (mut most, mut done) = (0, 0);
    while state.conclusion().is_none() {
        for (step, _) in state.ready() {
            let started = Event::StepStarted {
                step: step.clone(),
                attempt: 1,
            };
            happen(&mut state, &mut events, started);
            let output = match step.as_str().strip_prefix("read[") {
                None => json!("an output of some length, to be forgotten"),
                Some(page) => {
                    let page: usize = page.trim_end_matches(']').parse().expect("a number");
                    let next = (page < 99).then_some(page + 1);
                    json!({ "items": vec![page; 100], "next": next })
                }
            };
            done += usize::from(step.as_str().starts_with('a'));
            happen(&mut state, &mut events, ended(step, Ok(output)));
            most = most.max(state.steps.len() + state.frames.len());
            events.clear();
        }
    }
    assert_eq!(done, 10_000);
    assert!(most < 40, "{most} steps and frames at once");
}

#[test]
fn a_master_plans_workers_work_and_the_master_puts_together() {
    let flow = "
hierarchical:
  master: boss
  workers: { add: adder, fail: bad-worker }
";
    let work = |step: &str, asked: &Value| match step {
        "hierarchical-1.plan" => Ok(json!({ "subtasks": [
            { "agent-type": "add", "input": 1 },
            { "agent-type": "fail", "input": 2 },
            { "agent-type": "add", "input": 3 },
        ] })),
        "hierarchical-1.fail[1]" => Err(FailureKind::Trapped),
        _ => plus_one(step, asked),
    };
    expect![[r#"
        hierarchical-1.plan started (1)
        hierarchical-1.plan gave {"subtasks":[{"agent-type":"add","input":1},{"agent-type":"fail","input":2},{"agent-type":"add","input":3}]}
        hierarchical-1.add[0] started (1)
        hierarchical-1.add[0] gave 2
        hierarchical-1.fail[1] started (1)
        hierarchical-1.fail[1] failed: trapped: it did not work
        hierarchical-1.add[2] started (1)
        hierarchical-1.add[2] gave 4
        hierarchical-1.synthesize started (1)
        hierarchical-1.synthesize gave {"input":"q","results":[{"index":0,"agent-type":"add","input":1,"output":2},{"index":2,"agent-type":"add","input":3,"output":4}],"failures":[{"index":1,"agent-type":"fail","input":2,"kind":"trapped","message":"it did not work"}]}
        run gave {"input":"q","results":[{"index":0,"agent-type":"add","input":1,"output":2},{"index":2,"agent-type":"add","input":3,"output":4}],"failures":[{"index":1,"agent-type":"fail","input":2,"kind":"trapped","message":"it did not work"}]}
    "#]]
    .assert_eq(&story(flow, json!("q"), work));
}

#[test]
fn a_plan_that_is_empty_malformed_unknown_or_too_long_says_so() {
    let flow = "hierarchical: { master: boss, workers: { add: adder }, max-subtasks: 1 }";
    for (plan, says) in [
        (
            json!({ "subtasks": [] }),
            "abi-violation: the master's plan is empty",
        ),
        (json!([1]), "abi-violation: the master's plan is malformed"),
        (
            json!({ "subtasks": [{ "input": 1 }] }),
            "subtask 0 of the master's plan is malformed",
        ),
        (
            json!({ "subtasks": [{ "agent-type": "sub", "input": 1 }] }),
            "names the unknown agent type `sub`; the flow has `add`",
        ),
        (
            json!({ "subtasks": [{ "agent-type": "add" }, { "agent-type": "add" }] }),
            "fan-out: the master planned 2 subtasks; `max-subtasks` allows 1",
        ),
    ] {
        let told = gives(flow, json!("q"), |_, _| Ok(plan.clone()));
        assert!(told.contains(says), "{told}");
        assert!(told.contains("at hierarchical-1.plan"), "{told}");
    }
}

#[test]
fn workers_by_skill_are_asked_for_the_skill_that_the_master_names() {
    let plan = plan("kennel: 1\nhierarchical: { master: boss, workers: by-skill }");
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let mut events = Vec::new();
    happen(&mut state, &mut events, begin(&plan, json!("q")));
    let planned = state.ready()[0].0.clone();
    let started = Event::StepStarted {
        step: planned.clone(),
        attempt: 1,
    };
    happen(&mut state, &mut events, started);
    let subtasks = json!({ "subtasks": [{ "skill": "translate", "input": 1 }] });
    happen(&mut state, &mut events, ended(planned, Ok(subtasks)));
    let worker = state.ready()[0].0.clone();
    assert_eq!(worker.as_str(), "hierarchical-1.worker[0]");
    let skill = state.step(&worker).and_then(|worker| worker.skill.clone());
    assert_eq!(skill.map(String::from).as_deref(), Some("translate"));
}

#[test]
fn a_flow_inside_a_flow_sees_its_own_input_and_steps_only() {
    let inner = "
kennel: 1
name: inner
input: { type: object, required: [n] }
sequential:
  - agent: a
    with: \"${{ input.n }}\"
output: { got: \"${{ steps.a }}\" }
";
    let outer = "
kennel: 1
sequential:
  - { agent: a }
  - { flow: inner, id: sub, with: { n: \"${{ steps.a }}\" } }
  - { agent: b, with: \"${{ steps.sub.got }}\" }
";
    let sources = std::collections::BTreeMap::from([("inner.yaml".to_owned(), inner.to_owned())]);
    let plan = Arc::new(flow::parse_with(outer, "outer", &sources).expect("both are good"));
    expect![[r#"
        a started (1)
        a gave 2
        sub/a started (1)
        sub/a gave 3
        b started (1)
        b gave 4
        run gave 4
    "#]]
    .assert_eq(&told(&play(&plan, json!(1), plus_one)[1..]));

    let bad = outer.replace("{ n: ", "{ m: ");
    let plan =
        Arc::new(flow::parse_with(&bad, "outer", &sources).expect("it is checked when it runs"));
    let told = told(&play(&plan, json!(1), plus_one));
    assert!(
        told.contains("run failed at sub: invalid-input: the input does not fit the flow `inner`"),
        "{told}"
    );
}

#[test]
fn a_question_to_a_person_parks_the_run_until_it_is_answered() {
    let plan = plan("kennel: 1\nsequential: [{ approve: 'pay ${{ input }}?' }, { agent: pay }]");
    let asked = |answer: Option<bool>| {
        let mut state = RunState::new(plan.clone(), RunId::generate());
        let mut events = Vec::new();
        happen(&mut state, &mut events, begin(&plan, json!(5)));
        let step = state.ready()[0].0.clone();
        let message = "pay 5?".to_owned();
        happen(
            &mut state,
            &mut events,
            Event::ApprovalAsked {
                step: step.clone(),
                message,
                until: None,
            },
        );
        assert!(state.ready().is_empty() && state.conclusion().is_none());
        let by = "ann".to_owned();
        happen(
            &mut state,
            &mut events,
            Event::ApprovalAnswered {
                step,
                approved: answer,
                by,
                note: None,
            },
        );
        match state.conclusion() {
            None => format!("goes on with {}", state.ready()[0].0),
            Some(Outcome::Failed { failure, .. }) => failure.to_string(),
            Some(other) => format!("{other:?}"),
        }
    };
    assert_eq!(asked(Some(true)), "goes on with pay");
    assert_eq!(asked(Some(false)), "denied: ann did not approve");
    assert!(asked(None).starts_with("deadline: nobody has answered in time"));
}

#[test]
fn patterns_nest_in_each_other() {
    let flow = "
pipeline:
  - each: true
    repeat:
      do:
        route:
          - { if: prev > 2, sequential: [{ agent: a }, { parallel: [{ agent: b }, { agent: c }], output: \"${{ prev.b }}\" }] }
      until: index == 1
      max: 5
";
    assert_eq!(gives(flow, json!([1, 2, 3]), plus_one), "run gave [1,2,7]");
}

#[test]
fn loops_in_loops_that_do_nothing_end_with_a_failure() {
    let idle = "route: [{ if: 'false', agent: a }]";
    let loops = (0..3).fold(idle.to_owned(), |inner, _| {
        format!("repeat: {{ max: 1000, do: {{ {inner} }} }}")
    });
    let told = gives(&loops, json!(1), plus_one);
    assert!(told.contains("fan-out: 10000 rounds went by"), "{told}");
}

#[test]
fn what_groups_build_is_never_too_deep_to_be_kept() {
    let flow = "repeat: { max: 130, do: { parallel: [{ route: [{ if: 'false', agent: a }] }] } }";
    let told = gives(flow, json!(1), plus_one);
    assert!(
        told.contains("output-too-large: the output is nested more than 64"),
        "{told}"
    );
}

#[test]
fn the_last_round_can_be_told_by_what_failed_in_it() {
    let flow = "repeat: { do: { agent: bad, on-error: continue }, until: error == null, max: 3 }";
    let plan = flow::parse(&format!("kennel: 1\n{flow}"), "test");
    assert!(plan.is_ok());
    assert_eq!(gives(flow, json!(1), echo), "run gave null");
}

#[test]
fn calls_under_way_are_counted_from_their_beginning_to_their_end() {
    let plan = plan("kennel: 1\nparallel: [{ agent: a }, { agent: b }, { approve: x }]");
    let mut state = RunState::new(plan.clone(), RunId::generate());
    let mut events = Vec::new();
    happen(&mut state, &mut events, begin(&plan, json!(1)));
    let step = |id: &str| StepPath::named(id);
    for (attempt, expected) in [(1, 1), (2, 1)] {
        let started = Event::StepStarted {
            step: step("a"),
            attempt,
        };
        happen(&mut state, &mut events, started);
        assert_eq!(state.calls_under_way(), expected);
    }
    let asked = Event::ApprovalAsked {
        step: step("approve-1"),
        message: "x".into(),
        until: None,
    };
    happen(&mut state, &mut events, asked);
    assert_eq!(state.calls_under_way(), 1);
    happen(&mut state, &mut events, ended(step("a"), Ok(json!(1))));
    assert_eq!(state.calls_under_way(), 0);
}
