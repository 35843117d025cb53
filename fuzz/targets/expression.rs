//! Expressions: any text read, and evaluated on any values.
//!
//! An input is an expression on the first line and the values that it sees, as JSON, below it. The oracle: nothing panics; nothing
//! takes long, whatever the loops multiply; the same values give the same answer; and what is computed stays within its bounds.

use kennel::expr::{Expr, ExprError, Locals, MAX_DEPTH, MAX_RESULT, MAX_SOURCE, Scope, Template};
use kennel::id::RunId;
use serde_json::{Map, Value, json};

use crate::harness::{Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "expression",
    ending: "txt",
    inputs: 500,
    seeds,
    words: include_str!("../words/expression.txt"),
    make,
    check,
};

/// What expressions see in most inputs.
fn values() -> Value {
    json!({
        "input": {"list": [3, 1, 2.5, "é", null, [1, [2]], {"k": true}], "map": {"b": 1, "a": {"c": [1, 2]}, "": 0}, "text": "Ärger 😀\n", "n": -7},
        "prev": [1, 2, 3, 4, 5, 6, 7, 8],
        "steps": {"a": {"text": "hello", "score": 0.5}, "b c": "odd", "empty": {}},
        "item": {"id": 1}, "index": 4, "error": {"kind": "trapped"}, "event": {"type": "tick"},
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let expressions = [
        "steps.a.text",
        "input.list.map(x, [x, x])",
        "input.list.filter(x, type(x) == int).size() > 2 ? prev : input.map",
        "{'a': prev, 'b': [input.n * 2, input.n / 2.0, input.n % 3]}",
        "has(input.map.a) && input.text.matches('[a-zA-Z]+') || index in prev",
        "prev.exists(x, prev.all(y, x >= y)) ? string(item.id) + input.text : 'none'",
        "size(input.list) + size(input.map) + int('12') - int(2.9)",
        "prev.map(x, prev.map(y, prev.map(z, x * y + z)))",
        "error == null ? prev : {'kind': error.kind, 'run': run.id}",
    ];
    let input = |expression: &&str| format!("{expression}\n{}", values()).into_bytes();
    expressions.iter().map(input).collect()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    match maker.below(100) {
        0 => loops(maker),
        1..25 => maker.mutated(),
        25..50 => {
            let known = maker.known().to_vec();
            let (expression, values) = split(&known);
            let changed = maker.mutate(expression.to_vec());
            [&changed, b"\n".as_slice(), values].concat()
        }
        _ => {
            let depth = 1 + maker.below(6);
            let values = match maker.chance(30) {
                true => {
                    json!({"input": value(maker, 4), "prev": value(maker, 4), "steps": {"a": value(maker, 3)}, "item": value(maker, 2)})
                }
                false => values(),
            };
            format!("{}\n{values}", expression(maker, depth)).into_bytes()
        }
    }
}

/// Any expression that is likely to be one.
fn expression(maker: &mut Maker<'_>, depth: usize) -> String {
    if depth == 0 {
        return match maker.below(3) {
            0 => maker.edge().to_string(),
            1 => maker
                .one_of(&[
                    "x",
                    "prev",
                    "input",
                    "input.list",
                    "input.map",
                    "steps.a",
                    "index",
                    "x.k",
                ])
                .to_owned(),
            _ => maker
                .one_of(&[
                    "1",
                    "2.5",
                    "'a'",
                    "true",
                    "null",
                    "[]",
                    "{}",
                    "-3",
                    "'é'",
                    "input.text",
                    "input.n",
                ])
                .to_owned(),
        };
    }
    let mut part = || expression(maker, depth - 1);
    let (one, two, three) = (part(), part(), part());
    match maker.below(9) {
        0 => format!("({one} {} {two})", maker.one_of(&["+", "-", "*", "/", "%"])),
        1 => format!(
            "({one} {} {two})",
            maker.one_of(&["==", "!=", "<", ">=", "in", "&&", "||"])
        ),
        2 => format!("({one} ? {two} : {three})"),
        3 => format!(
            "{one}{}(x, {two})",
            maker.one_of(&[".map", ".filter", ".all", ".exists", ".exists_one"])
        ),
        4 => format!("[{one}, {two}, {three}]"),
        5 => format!("{{'k': {one}, 'l': {two}}}"),
        6 => format!(
            "{}({one})",
            maker.one_of(&[
                "size", "string", "int", "double", "type", "!", "-", "bool", "uint", "bytes", "dyn"
            ])
        ),
        7 => format!("{one}[{two}]"),
        _ => format!(
            "{one}{}({two})",
            maker.one_of(&[".contains", ".startsWith", ".matches", ".endsWith", ".size"])
        ),
    }
}

/// Loops inside each other over a long list: without a bound on the work, no machine would come to the end of them.
fn loops(maker: &mut Maker<'_>) -> Vec<u8> {
    let mut body = match maker.chance(50) {
        true => maker.one_of(&["true", "1", "'a'", "[x]"]).to_owned(),
        false => expression(maker, 2),
    };
    for _ in 0..2 + maker.below(4) {
        let walk = maker.one_of(&[".map", ".filter", ".all", ".exists", ".exists_one"]);
        body = format!("prev{walk}(x, {body})");
    }
    let items = vec![value(maker, 0); 100 + maker.below(2_000)];
    format!(
        "{body}\n{}",
        json!({"prev": items, "input": values()["input"]})
    )
    .into_bytes()
}

/// Any value.
fn value(maker: &mut Maker<'_>, depth: usize) -> Value {
    match maker.below(if depth == 0 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => maker.chance(50).into(),
        2 => maker.edge().into(),
        3 => (maker.edge() as i64).into(),
        4 => json!(f64::from_bits(maker.number())),
        5 => maker.word().repeat(1 + maker.below(3)).into(),
        6 => (0..maker.below(5))
            .map(|_| value(maker, depth - 1))
            .collect(),
        7 => vec![value(maker, 0); maker.below(1_000)].into(),
        _ => {
            let entry = |_| (maker.word().to_owned(), value(maker, depth - 1));
            (0..3).map(entry).collect::<Map<_, _>>().into()
        }
    }
}

/// The expression and the JSON below it. A text of several lines has its values on the last.
fn split(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input
        .iter()
        .rposition(|&b| b == b'\n')
        .unwrap_or(input.len());
    (&input[..at], input.get(at + 1..).unwrap_or_default())
}

fn check(input: &[u8]) -> String {
    let (source, values) = split(input);
    let source = String::from_utf8_lossy(source);
    let values = serde_json::from_slice(values).unwrap_or_else(|_| self::values());
    let all = Value::Object(Map::new());
    let of = |name: &str| values.get(name);
    let steps = |id: &str| of("steps")?.get(id);
    let scope = Scope {
        input: of("input").unwrap_or(&all),
        prev: of("prev").unwrap_or(&Value::Null),
        steps: &steps,
        run: RunId::generate(),
        local: Locals {
            item: of("item"),
            index: of("index"),
            error: of("error"),
            event: of("event"),
        },
    };
    // In a text, several expressions may stand: each is cut out of it first.
    let inside = format!("before ${{{{ {source} }}}} after {source}");
    if let Ok(template) = Template::parse(&json!([source, inside]))
        && let Err(error) = template.eval(scope)
    {
        placed(&error);
    }
    match Expr::parse(&source) {
        Err(error) => {
            placed(&error);
            format!("refused: {}", bare(&error.reason))
        }
        Ok(expr) => {
            assert_eq!(expr.source(), source.trim());
            for (step, at) in &expr.references().steps {
                assert!(
                    expr.source().get(at.clone()).is_some(),
                    "`{step}` is nowhere: {at:?}"
                );
            }
            evaluated(&expr, scope)
        }
    }
}

fn evaluated(expr: &Expr, scope: Scope<'_>) -> String {
    let (first, second) = (expr.eval(scope), expr.eval(scope));
    assert_eq!(first, second, "the same values give another answer");
    match first {
        Err(error) => {
            placed(&error);
            format!("failed: {}", bare(&error.reason))
        }
        Ok(value) => {
            assert!(
                depth(&value) <= MAX_DEPTH,
                "it nests {} levels deep",
                depth(&value)
            );
            // A plain reference hands on a value of any size, and the bound is on each computed part: what is put together of
            // references and parts is no larger than the text has places for.
            let scope = [scope.input, scope.prev].map(|value| value.to_string().len());
            let most = (MAX_RESULT + scope.iter().sum::<usize>()) * expr.source().len().max(1);
            assert!(
                value.to_string().len() <= most,
                "the result has {} bytes",
                value.to_string().len()
            );
            format!("gave {}", name(&value))
        }
    }
}

/// An error says why, without repeating a text of any length, and points inside the expression.
fn placed(error: &ExprError) {
    super::no_engine_fault(&error.reason);
    assert!(!error.reason.is_empty());
    assert!(
        error.source_text.len() <= 4 * MAX_SOURCE,
        "it repeats {} bytes",
        error.source_text.len()
    );
    assert!(
        error.reason.len() <= 16 << 10,
        "the reason has {} bytes",
        error.reason.len()
    );
    if let Some(span) = &error.span {
        let span = span.clone();
        assert!(
            error.source_text.get(span.clone()).is_some(),
            "{span:?} is outside of {error:?}"
        );
    }
}

fn bare(reason: &str) -> String {
    let words = reason.split('`').step_by(2).collect::<Vec<_>>().join("`");
    words
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(60)
        .collect()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
