//! Texts that are no flow: other versions, no YAML, bombs, too much of anything.

use super::*;

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
