//! Mistakes of authors: each is told with its place, all of them at once.

use super::*;

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
