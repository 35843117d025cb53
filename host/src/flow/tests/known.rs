//! The table of keys, the parser and the schema say the same.

use super::*;

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
