//! A table of expressions and their values, the bounds, and random texts.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Evaluates `source` where every kind of value is at hand.
fn eval(source: &str) -> Result<Value, ExprError> {
    let input = json!({
        "n": 2, "price": 9.5, "big": u64::MAX, "text": "héllo", "yes": true, "none": null,
        "list": [1, 2, 3], "map": {"z": 1, "a": {"b": [10, 20]}}, "input": "shadow"
    });
    eval_with(source, &input)
}

fn eval_with(source: &str, input: &Value) -> Result<Value, ExprError> {
    let prev = json!("before");
    let ocr = json!({"text": "a page", "pages": 2});
    let count = json!({"words": 3});
    let scope = Scope {
        input,
        prev: &prev,
        steps: &|id| match id {
            "ocr" => Some(&ocr),
            "word-count" => Some(&count),
            "skipped" => Some(&Value::Null),
            _ => None,
        },
        run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("a ULID"),
        local: Locals::default(),
    };
    Expr::parse(source)?.eval(scope)
}

fn table(sources: &[&str], expected: Expect) {
    let mut text = String::new();
    for source in sources {
        match eval(source) {
            Ok(value) => writeln!(text, "{source}  =>  {value}"),
            Err(error) => {
                let span = error.span.map_or(String::new(), |span| {
                    format!(" at `{}`", error.source_text[span].escape_debug())
                });
                writeln!(text, "{source}  =>  error: {}{span}", error.reason)
            }
        }
        .expect("writing to a string");
    }
    expected.assert_eq(&text);
}

#[test]
fn references_hand_on_values_as_they_are() {
    table(
        &[
            "input.map",
            "input.map.a.b[1]",
            "input['map']['a']",
            "input.big",
            "input.price",
            "input.none",
            "prev",
            "steps.ocr.text",
            "steps['word-count'].words",
            "steps.skipped",
            "run.id",
            "run",
            "{'z': steps.ocr.pages, 'a': [prev, {'n': input.n}], 'm': input.map}",
            "input.yes ? input.map : prev",
        ],
        expect![[r#"
            input.map  =>  {"z":1,"a":{"b":[10,20]}}
            input.map.a.b[1]  =>  20
            input['map']['a']  =>  {"b":[10,20]}
            input.big  =>  18446744073709551615
            input.price  =>  9.5
            input.none  =>  null
            prev  =>  "before"
            steps.ocr.text  =>  "a page"
            steps['word-count'].words  =>  3
            steps.skipped  =>  null
            run.id  =>  "01ARZ3NDEKTSV4RRFFQ69G5FAV"
            run  =>  {"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}
            {'z': steps.ocr.pages, 'a': [prev, {'n': input.n}], 'm': input.map}  =>  {"z":2,"a":["before",{"n":2}],"m":{"z":1,"a":{"b":[10,20]}}}
            input.yes ? input.map : prev  =>  {"z":1,"a":{"b":[10,20]}}
        "#]],
    );
}

#[test]
fn computations_treat_numbers_as_people_expect() {
    table(
        &[
            "input.n + 1",
            "input.n * input.price",
            "input.price - 1",
            "7 / 2",
            "7 / 2.0",
            "7 % 4",
            "-input.n",
            "1 == 1.0",
            "input.n == 2.0",
            "input.n < input.price",
            "input.big > input.n",
            "input.big - uint(1)",
            "uint(3) + 1",
            "9223372036854775807 + 1",
            "1 / 0",
            "1.0 / 0.0",
            "int(input.price)",
            "string(input.n) + '!'",
            "'a' + 1",
        ],
        expect![[r#"
            input.n + 1  =>  3
            input.n * input.price  =>  19.0
            input.price - 1  =>  8.5
            7 / 2  =>  3
            7 / 2.0  =>  3.5
            7 % 4  =>  3
            -input.n  =>  -2
            1 == 1.0  =>  true
            input.n == 2.0  =>  true
            input.n < input.price  =>  true
            input.big > input.n  =>  true
            input.big - uint(1)  =>  18446744073709551614
            uint(3) + 1  =>  4
            9223372036854775807 + 1  =>  error: the number is too large
            1 / 0  =>  error: division by zero
            1.0 / 0.0  =>  error: the result is a double, which JSON cannot hold
            int(input.price)  =>  9
            string(input.n) + '!'  =>  "2!"
            'a' + 1  =>  error: `+` cannot be applied to string and int
        "#]],
    );
}

#[test]
fn the_standard_functions_and_macros_are_there() {
    table(
        &[
            "size(input.text)",
            "input.text.size()",
            "input.text.startsWith('hé') && input.text.endsWith('o')",
            "input.text.contains('ll')",
            "input.text.matches('^h.*o$')",
            "input.list.map(x, x * 2)",
            "input.list.map(x, x > 1, x * 2)",
            "input.list.filter(x, x > 1)",
            "input.list.exists(x, x == 2)",
            "input.list.all(x, x < 3)",
            "input.list.exists_one(x, x > 2)",
            "input.map.map(k, k)",
            "has(input.map.a) && !has(input.map.b)",
            "has(steps.ocr.text)",
            "2 in input.list",
            "'z' in input.map",
            "type(input.n) == int",
            "input.list + [4]",
            "[[1, 2], [3]].map(l, l.map(x, x + size(l)))",
            "{1: 'one', true: 'yes'}",
            "dyn(input.n)",
        ],
        expect![[r#"
            size(input.text)  =>  5
            input.text.size()  =>  5
            input.text.startsWith('hé') && input.text.endsWith('o')  =>  true
            input.text.contains('ll')  =>  true
            input.text.matches('^h.*o$')  =>  true
            input.list.map(x, x * 2)  =>  [2,4,6]
            input.list.map(x, x > 1, x * 2)  =>  [4,6]
            input.list.filter(x, x > 1)  =>  [2,3]
            input.list.exists(x, x == 2)  =>  true
            input.list.all(x, x < 3)  =>  false
            input.list.exists_one(x, x > 2)  =>  true
            input.map.map(k, k)  =>  ["a","z"]
            has(input.map.a) && !has(input.map.b)  =>  true
            has(steps.ocr.text)  =>  true
            2 in input.list  =>  true
            'z' in input.map  =>  true
            type(input.n) == int  =>  true
            input.list + [4]  =>  [1,2,3,4]
            [[1, 2], [3]].map(l, l.map(x, x + size(l)))  =>  [[3,4],[4]]
            {1: 'one', true: 'yes'}  =>  {"1":"one","true":"yes"}
            dyn(input.n)  =>  2
        "#]],
    );
}

#[test]
fn what_cannot_be_evaluated_says_why_and_where() {
    table(
        &[
            "",
            "1 +",
            "(1",
            "1 2",
            "a b",
            "'open",
            "inptu.n",
            "steps.word-count",
            "steps",
            "steps[input.text]",
            "steps.later",
            "now()",
            "input.text.startswith('h')",
            "optional.of(1)",
            "input.?n",
            "b'bytes'",
            "Type{a: 1}",
            "type(1)",
            "input.list.map(input, input)",
            "input.text.matches(prev)",
            "input.text.matches('(')",
            "input.gone",
            "input.gone + 1",
            "input.text.gone",
            "input.list[7]",
            "input.list[7] + 1",
            "input.n ? 1 : 2",
            "!input.n",
            "input.n && true",
            "{'a': 1, 'a': 2}",
            "size(1)",
            "'é' + inptu.n",
        ],
        expect![[r#"
              =>  error: it is empty
            1 +  =>  error: it ends too early: a bracket or an operand is missing at ``
            (1  =>  error: it ends too early: a bracket or an operand is missing at ``
            1 2  =>  error: unexpected `2` at `2`
            a b  =>  error: unexpected `b` at `b`
            'open  =>  error: this character, or a quote that is never closed, does not belong here at `\'`
            inptu.n  =>  error: unknown name `inptu`; `input`, `prev`, `steps.ID` and `run.id` are known at `inptu`
            steps.word-count  =>  error: unknown name `count`; `input`, `prev`, `steps.ID` and `run.id` are known at `count`
            steps  =>  error: name the step: `steps.ID`, or `steps['some-id']` at `steps`
            steps[input.text]  =>  error: the id of a step must be written out: `steps['some-id']` at `input.`
            steps.later  =>  error: step `later` has no output (yet)
            now()  =>  error: unknown function `now`; known are `bool`, `contains`, `double`, `dyn`, `endsWith`, `int`, `matches`, `size`, `startsWith`, `string`, `type`, `uint` at `now`
            input.text.startswith('h')  =>  error: unknown function `startswith`; did you mean `startsWith`? at `startswith`
            optional.of(1)  =>  error: unknown function `of`; known are `bool`, `contains`, `double`, `dyn`, `endsWith`, `int`, `matches`, `size`, `startsWith`, `string`, `type`, `uint` at `of`
            input.?n  =>  error: unsupported syntax '.?' at `.`
            b'bytes'  =>  error: bytes are not supported: JSON cannot hold them at `b\'bytes\'`
            Type{a: 1}  =>  error: messages are not supported; a map is `{'key': value}` at `{`
            type(1)  =>  error: the result is a type, which JSON cannot hold
            input.list.map(input, input)  =>  error: `input` means something already; name the loop's variable otherwise at `(`
            input.text.matches(prev)  =>  error: the pattern of `matches` must be written out as a text at `prev`
            input.text.matches('(')  =>  error: the pattern is not a regular expression, or is too large at `\'(\'`
            input.gone  =>  error: there is no key `gone`: it has `n`, `price`, `big`, `text`, `yes`, `none`, `list`, `map`
            input.gone + 1  =>  error: there is no key `gone`
            input.text.gone  =>  error: `gone` is asked of a text, not of a map
            input.list[7]  =>  error: there is no item 7: the list has 3
            input.list[7] + 1  =>  error: there is no item at that place of the list
            input.n ? 1 : 2  =>  error: the condition before `?` must be true or false, but is a number
            !input.n  =>  error: `!` cannot be applied to int
            input.n && true  =>  error: `&&` cannot be applied to int and bool
            {'a': 1, 'a': 2}  =>  error: the map has a key twice
            size(1)  =>  error: `size` cannot be applied to int
            'é' + inptu.n  =>  error: unknown name `inptu`; `input`, `prev`, `steps.ID` and `run.id` are known at `inptu`
        "#]],
    );
}

#[test]
fn a_guard_must_be_true_or_false() {
    let scope = |f: &dyn Fn(Scope<'_>)| {
        let input = json!({"n": 1});
        f(Scope {
            input: &input,
            prev: &Value::Null,
            steps: &|_| None,
            run: RunId::generate(),
            local: Locals::default(),
        });
    };
    scope(&|scope| {
        assert_eq!(Expr::parse("input.n == 1").unwrap().holds(scope), Ok(true));
        let error = Expr::parse("input.n").unwrap().holds(scope).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expression `input.n`: must be true or false, but is a number"
        );
    });
}

#[test]
fn references_are_known_before_evaluation() {
    let expr = Expr::parse(
        "steps.ocr.text + steps['a-b'] + string(steps.ocr.n) + input.list.map(x, x)[0]",
    )
    .unwrap();
    assert_eq!(expr.roots().collect::<Vec<_>>(), ["input", "steps"]);
    assert_eq!(expr.steps().collect::<Vec<_>>(), ["ocr", "a-b"]);
    let (id, span) = expr.references().steps[1].clone();
    assert_eq!(expr.source()[span], id);
}

#[test]
fn the_bounds_hold() {
    assert!(Expr::parse(&format!("'{}'", "x".repeat(MAX_SOURCE - 2))).is_ok());
    let error = Expr::parse(&"x".repeat(MAX_SOURCE + 1)).unwrap_err();
    assert_eq!(error.reason, "it is longer than 4096 bytes");
    for deep in [
        "(".repeat(2000) + "1" + &")".repeat(2000),
        "1".to_owned() + &"+1".repeat(100),
        "[".repeat(40) + &"]".repeat(40),
    ] {
        assert!(
            Expr::parse(&deep).unwrap_err().reason.contains("nests"),
            "{deep}"
        );
    }

    let large = json!({ "text": "x".repeat(MAX_RESULT), "list": vec![7; 5000] });
    assert!(
        eval_with("input.text", &large).is_ok(),
        "a reference computes nothing"
    );
    let reason = |source: &str| eval_with(source, &large).unwrap_err().reason;
    assert!(reason("input.text + input.text").contains("262144 are allowed"));
    let wrapped = "[".repeat(30) + "input" + &"]".repeat(30);
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    assert!(
        eval_with(&wrapped, &deep)
            .unwrap_err()
            .reason
            .contains("nests deeper")
    );
}

#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let on_a_small_stack = || {
        let loops: String = (0..10).map(|n| format!("[1].map(x{n}, ")).collect();
        for deepest in [
            "1".to_owned() + &"+1".repeat(31),
            "[1]".to_owned() + &".map(x, x)".repeat(30),
            "[".repeat(30) + &"]".repeat(30) + " == 1",
            loops + "1" + &")".repeat(10),
            "true && ".repeat(500) + "true",
            "string(".repeat(31) + "1" + &")".repeat(31),
        ] {
            if let Err(error) = eval(&deepest) {
                panic!("{error}");
            }
        }
        assert!(Expr::parse(&("1".to_owned() + &"+1".repeat(2000))).is_err());
    };
    let thread = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(on_a_small_stack);
    thread.expect("a thread").join().expect("no overflow");
}

#[test]
fn no_expression_runs_away() {
    let large = json!({ "text": "x".repeat(1 << 20), "list": (0..5000).collect::<Vec<_>>(), "texts": vec!["y".repeat(1000); 1000] });
    let doubling = format!("[1]{}", ".map(x,[x,x])".repeat(25));
    for source in [
        "input.list.map(a, input.list.map(b, input.list.map(c, a + b + c)))",
        "input.list.all(a, input.list.all(b, input.list.all(c, a + b + c >= 0)))",
        "input.list.exists(a, input.list.exists(b, a + b < 0))",
        "input.list.filter(a, input.list.filter(b, a == b) == [])",
        "input.list.exists_one(a, input.list.exists_one(b, false))",
        "input.list.all(a, input.text == input.text)",
        "input.texts.all(a, input.texts.all(b, a == b))",
        "input.list.map(a, input.text)",
        "input.list.map(a, input.text.matches('z$'))",
        "[input.text].map(t, t+t+t+t).map(t, t+t+t+t).map(t, t+t+t+t).map(t, t+t+t+t)",
        &doubling,
    ] {
        let began = std::time::Instant::now();
        let reason = eval_with(source, &large).unwrap_err().reason;
        assert!(reason.contains("too much work"), "{source}: {reason}");
        // Two orders of magnitude above what it takes, far below what it would take without the meter.
        assert!(
            began.elapsed().as_secs() < 20,
            "{source}: {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn the_same_scope_gives_the_same_value() {
    let map: serde_json::Map<_, _> = (0..50)
        .map(|n| (format!("k{}", n * 37 % 50), json!(n)))
        .collect();
    let input = json!({ "map": map });
    let first = eval_with("input.map.map(k, k)", &input).unwrap();
    for _ in 0..20 {
        assert_eq!(eval_with("input.map.map(k, k)", &input).unwrap(), first);
        assert_eq!(
            eval_with("[input.map].map(m, m)[0]", &input)
                .unwrap()
                .to_string(),
            {
                let sorted: std::collections::BTreeMap<_, _> = map.iter().collect();
                serde_json::to_string(&sorted).unwrap()
            }
        );
    }
}

fn template(template: &Value) -> Result<Value, ExprError> {
    let input = json!({"n": 2, "name": "${{ prev }}", "map": {"b": 1, "a": 2}});
    let scope = Scope {
        input: &input,
        prev: &json!("secret"),
        steps: &|_| None,
        run: RunId::generate(),
        local: Locals::default(),
    };
    Template::parse(template)?.eval(scope)
}

#[test]
fn a_single_expression_keeps_its_type_and_text_takes_text() {
    for (source, value) in [
        (json!("${{ input.n }}"), json!(2)),
        (json!("${{input.map}}"), json!({"b": 1, "a": 2})),
        (
            json!("n=${{ input.n }}, map=${{ input.map }}"),
            json!("n=2, map={\"b\":1,\"a\":2}"),
        ),
        (json!(" ${{ input.n }}"), json!(" 2")),
        (json!("${{ {'a': {'b': 1}}.a }}"), json!({"b": 1})),
        (json!("${{ {'a': {'b': 1}}}}"), json!({"a": {"b": 1}})),
        (json!("${{ '}}' + \"}}\" }}"), json!("}}}}")),
        (json!("${{ r'\\' }}"), json!("\\")),
        (json!("${{ '${{' }}"), json!("${{")),
        (
            json!(["${{ input.n }}", {"k": "${{ prev }}"}, 1, "plain $ { }}"]),
            json!([2, {"k": "secret"}, 1, "plain $ { }}"]),
        ),
        (json!(""), json!("")),
    ] {
        assert_eq!(template(&source), Ok(value), "{source}");
    }
}

#[test]
fn what_was_put_in_is_never_read_again() {
    assert_eq!(
        template(&json!("${{ input.name }}")),
        Ok(json!("${{ prev }}"))
    );
    assert_eq!(
        template(&json!("hello ${{ input.name }}")),
        Ok(json!("hello ${{ prev }}"))
    );
}

#[test]
fn every_bad_expression_of_a_text_is_told() {
    let pieces = pieces("${{ a }} and ${{ prev }} and ${{ 1 + }} and ${{ open");
    let reasons: Vec<_> = pieces
        .iter()
        .filter_map(|piece| piece.as_ref().err())
        .map(|error| error.reason.as_str())
        .collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(reasons[2], "`${{` is never closed by `}}`");
}

#[test]
fn a_template_lists_its_expressions() {
    let template =
        Template::parse(&json!({"a": "${{ prev }}", "b": ["x ${{ input.n }}"]})).unwrap();
    let sources: Vec<_> = template.expressions().map(Expr::source).collect();
    assert_eq!(sources, ["prev", "input.n"]);
    assert!(
        Template::parse(&json!({"a": [1, "b"]}))
            .unwrap()
            .constant()
            .is_some()
    );
}

/// Texts that look like expressions more often than random characters do.
fn expression() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "input",
        "prev",
        "steps",
        ".",
        "a",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'x'",
        "\"",
        "'",
        "1",
        "2.5",
        "1u",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "<",
        "in",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ",",
        "map",
        "filter",
        "all",
        "has",
        "x",
        "size",
        "matches",
        "true",
        "null",
        " ",
        "\n",
        "é",
        "\\",
        "b",
        "r",
        "0x",
        "e9",
        "//",
        "..",
        "@result",
        "`",
        "as",
        "9999999999999999999",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_an_expression_panic(source in expression()) {
        if let Err(error) = eval(&source)
            && let Some(span) = error.span
        {
            prop_assert!(error.source_text.get(span.clone()).is_some(), "{:?} in {:?}", span, error.source_text);
        }
    }

    #[test]
    fn no_text_makes_a_template_panic(source in ".{0,60}", inner in expression()) {
        drop(template(&json!(format!("{source}${{{{ {inner} }}}}{source}"))));
    }

    #[test]
    fn values_come_back_from_cel_as_they_went_in(value in value()) {
        let back = eval_with("[input].map(x, x)[0]", &value).unwrap();
        prop_assert_eq!(&back, &value);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
