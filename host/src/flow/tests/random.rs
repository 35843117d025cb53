//! No text makes the parser panic, or steer the terminal with what it says.

use proptest::prelude::*;

use super::*;

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
