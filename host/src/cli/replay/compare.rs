//! What differs between what an attempt gave when it was recorded and what it gives now: the first differences, for people.

use serde_json::Value;

use crate::engine::replay::Expected;
use crate::failure::Failure;
use crate::payload::Payload;

/// Differences that are told.
const MOST: usize = 5;
/// Characters of a value that are told.
const SHORT: usize = 80;

/// The first differences; none when both are the same.
pub(super) fn outcomes(expected: &Expected, now: &Result<Payload, Failure>) -> Vec<String> {
    match (expected, now) {
        (Expected::Unkept, Ok(_)) => Vec::new(),
        (Expected::Unkept, Err(failure)) => vec![format!("an output → {failure}")],
        (Expected::Output(_), Err(failure)) => vec![format!("an output → {failure}")],
        (Expected::Failure(then), Ok(_)) => vec![format!("{then} → an output")],
        (Expected::Failure(then), Err(now)) if then == now => Vec::new(),
        (Expected::Failure(then), Err(now)) => vec![format!("{then} → {now}")],
        (Expected::Output(then), Ok(now)) => {
            let mut found = Vec::new();
            values("", then, &value(now), &mut found);
            found
        }
    }
}

/// An output as the journal holds it.
fn value(output: &Payload) -> Value {
    match output {
        Payload::Text(text) => Value::String(text.clone()),
        // The sandbox has checked that it is JSON.
        Payload::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        Payload::Blob(blob) => blob.reference().to_value(),
    }
}

fn values(path: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    if found.len() == MOST || then == now {
        return;
    }
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, value) in then {
                let path = format!("{path}/{key}");
                match now.get(key) {
                    Some(other) => values(&path, value, other, found),
                    None => tell(&path, &short(value), "nothing", found),
                }
            }
            for (key, value) in now.iter().filter(|(key, _)| !then.contains_key(*key)) {
                tell(&format!("{path}/{key}"), "nothing", &short(value), found);
            }
        }
        (Value::Array(then), Value::Array(now)) => {
            for (n, (one, other)) in then.iter().zip(now).enumerate() {
                values(&format!("{path}/{n}"), one, other, found);
            }
            if then.len() != now.len() {
                let count = |items: &Vec<Value>| format!("{} items", items.len());
                tell(path, &count(then), &count(now), found);
            }
        }
        (Value::String(then), Value::String(now)) => texts(path, then, now, found),
        _ => tell(path, &short(then), &short(now), found),
    }
}

/// Long texts are told from where they part.
fn texts(path: &str, then: &str, now: &str, found: &mut Vec<String>) {
    let same = then
        .chars()
        .zip(now.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let from = if same > SHORT / 2 {
        same - SHORT / 4
    } else {
        0
    };
    let rest = |text: &str| short(&Value::String(text.chars().skip(from).collect()));
    let place = match from {
        0 => path.to_owned(),
        from if path.is_empty() => format!("output from character {from}"),
        from => format!("{path} from character {from}"),
    };
    tell(&place, &rest(then), &rest(now), found);
}

fn tell(path: &str, then: &str, now: &str, found: &mut Vec<String>) {
    if found.len() < MOST {
        let path = if path.is_empty() { "output" } else { path };
        found.push(format!("{path}: {then} → {now}"));
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(SHORT).collect();
    match chars.next() {
        Some(_) => format!("{start}…"),
        None => start,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::failure::FailureKind;

    fn differences(then: Value, now: &Value) -> Vec<String> {
        let now = Payload::Json(now.to_string());
        outcomes(&Expected::Output(Arc::new(then)), &Ok(now))
    }

    #[test]
    fn the_first_differences_are_told_with_their_places() {
        let same = json!({ "a": [1, { "b": "x" }] });
        assert!(differences(same.clone(), &same).is_empty());
        let now = json!({ "a": [1, { "b": "y" }, 3], "c": null });
        assert_eq!(
            differences(same, &now),
            [
                "/a/1/b: \"x\" → \"y\"",
                "/a: 2 items → 3 items",
                "/c: nothing → null"
            ]
        );
        let many: Vec<_> = (0..9).collect();
        let other: Vec<_> = (1..10).collect();
        assert_eq!(differences(json!(many), &json!(other)).len(), MOST);
    }

    #[test]
    fn long_texts_are_told_from_where_they_part() {
        let text = |end: &str| Value::String(format!("{}{end}", "é".repeat(500)));
        let told = differences(text("one"), &text("two"));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("output from character 480: "),
            "{told:?}"
        );
        assert!(
            told[0].contains("éone\" → ") && told[0].ends_with("étwo\""),
            "{told:?}"
        );
    }

    #[test]
    fn a_failure_is_compared_with_its_message() {
        let failure = |message: &str| Failure::new(FailureKind::Fatal, message);
        let then = Expected::Failure(failure("a"));
        assert!(outcomes(&then, &Err(failure("a"))).is_empty());
        assert_eq!(outcomes(&then, &Err(failure("b"))).len(), 1);
        assert_eq!(outcomes(&then, &Ok(Payload::Text("x".into()))).len(), 1);
    }
}
