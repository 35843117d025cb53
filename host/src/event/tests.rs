//! What is an event and what is not.

use serde_json::json;

use super::*;

const FULL: &str = r#"{"specversion": "1.0", "id": "7", "source": "/sensors/1", "type": "price_change", "subject": "ACME",
    "time": "2026-01-31T12:00:00.5Z", "datacontenttype": "application/json", "dataschema": "https://a.example/s",
    "traceparent": "00-ab", "sampled": true, "rank": 3, "data": {"price": 1.5}}"#;

/// The smallest event, with these attributes instead or besides.
fn with(changes: Value) -> String {
    let mut event = json!({ "specversion": "1.0", "id": "7", "source": "/s", "type": "t" });
    let changes = changes.as_object().expect("attributes").clone();
    event.as_object_mut().expect("an object").extend(changes);
    event.to_string()
}

#[test]
fn an_event_reads_back_what_it_writes() {
    let event = CloudEvent::parse(FULL).expect("an event");
    assert_eq!(
        event.extensions.keys().collect::<Vec<_>>(),
        ["rank", "sampled", "traceparent"]
    );
    assert_eq!(CloudEvent::parse(&event.to_value().to_string()), Ok(event));
    let small = CloudEvent::parse(&with(json!({ "subject": null }))).expect("an event");
    assert_eq!(
        (small.data.clone(), small.subject.clone()),
        (Value::Null, None)
    );
    assert_eq!(CloudEvent::parse(&small.to_value().to_string()), Ok(small));
}

#[test]
fn source_and_id_make_the_event_and_nothing_else_does() {
    let key = |changes| CloudEvent::parse(&with(changes)).expect("an event").key();
    assert_eq!(
        key(json!({})),
        key(json!({ "data": 1, "type": "u", "subject": "x" }))
    );
    assert_ne!(key(json!({})), key(json!({ "id": "8" })));
    assert_ne!(
        key(json!({ "source": "/a", "id": "bc" })),
        key(json!({ "source": "/ab", "id": "c" }))
    );
}

#[test]
fn what_is_wrong_is_said_with_the_attribute() {
    let long = "x".repeat(MAX_TEXT + 1);
    for (changes, said) in [
        (
            json!({ "specversion": "0.3" }),
            "`specversion`: only version",
        ),
        (json!({ "id": "" }), "`id`: it is empty"),
        (json!({ "id": null }), "`id`: it is missing"),
        (json!({ "id": 7 }), "`id`: it must be text"),
        (json!({ "id": long }), "`id`: it is longer than 512 bytes"),
        (
            json!({ "id": "a\u{1b}[2J" }),
            "`id`: it has control characters",
        ),
        (json!({ "source": "a b" }), "`source`: it must be a URI"),
        (
            json!({ "type": "a/b" }),
            "`type`: `a/b` is not a valid event type",
        ),
        (json!({ "time": "yesterday" }), "`time`: it must be a time"),
        (
            json!({ "datacontenttype": "json" }),
            "`datacontenttype`: it must be a media type",
        ),
        (
            json!({ "data_base64": "aGk=" }),
            "`data_base64`: bytes are not taken",
        ),
        (
            json!({ "traceParent": "x" }),
            "`traceParent`: an extension attribute has a name",
        ),
        (
            json!({ "trace": { "a": 1 } }),
            "`trace`: an extension attribute is text",
        ),
        (
            json!({ "rank": 1e12 }),
            "`rank`: an extension attribute is text",
        ),
        (
            json!({ "data": deep(70) }),
            "`data`: it is nested more than 64 levels deep",
        ),
    ] {
        let error = CloudEvent::parse(&with(changes))
            .expect_err(said)
            .to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn what_is_no_object_or_too_long_is_refused() {
    for text in ["", "[]", "7", "{\"id\": ", "{} {}"] {
        assert!(
            matches!(
                CloudEvent::parse(text),
                Err(EventError::NotJson(_)) | Err(EventError::Attribute { .. })
            ),
            "{text}"
        );
    }
    let long = with(json!({ "data": "x".repeat(MAX_EVENT) }));
    assert_eq!(
        CloudEvent::parse(&long),
        Err(EventError::TooLong(long.len()))
    );
    let data = Value::String("x".repeat(MAX_EVENT));
    let made = CloudEvent::new("/s", "7", "t".parse().expect("a type"), data);
    assert!(made.is_err_and(|error| error.to_string().contains("put what is large into a blob")));
    let many = (0..=MAX_EXTENSIONS).map(|n| (format!("e{n}"), json!(n)));
    assert!(CloudEvent::parse(&with(Value::Object(many.collect()))).is_err());
}

#[test]
fn an_event_is_measured_as_the_text_that_it_becomes() {
    for value in [json!("a\u{1}\"\u{e9}"), json!([1, 1.5, null]), deep(9)] {
        assert_eq!(text_len(&value), value.to_string().len());
    }
    // Each of these becomes six bytes.
    let made = |size: usize| {
        let data = Value::String("\u{1}".repeat(size));
        CloudEvent::new("/s", "7", "t".parse().expect("a type"), data)
    };
    assert!(matches!(made(MAX_EVENT / 4), Err(EventError::TooLong(_))));
    let text = made(MAX_EVENT / 7).and_then(|event| event.to_text());
    assert!(CloudEvent::parse(&text.expect("it fits")).is_ok());
    // The data alone fits, and with its attributes it does not.
    let brim = made((MAX_EVENT - 2) / 6).expect("the data fits");
    assert!(matches!(brim.to_text(), Err(EventError::TooLong(_))));
}

#[test]
fn a_hostile_attribute_cannot_steer_a_terminal() {
    let error = CloudEvent::parse(&with(json!({ "a\u{1b}[2J": 1 })))
        .expect_err("refused")
        .to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
}

#[test]
fn nobody_outside_says_how_many_events_led_to_one() {
    let event = CloudEvent::parse(&with(json!({ "hops": 3 }))).expect("an event");
    assert_eq!(event.hops, 0, "an extension of that name means nothing");
    let last = event.after(MAX_HOPS).expect("it may be emitted");
    assert!(!last.to_value().to_string().contains(&format!("{MAX_HOPS}")));
    assert_eq!(last.after(MAX_HOPS + 1), Err(EventError::TooDeep));
}

#[test]
fn a_flow_of_any_name_is_a_source() {
    assert_eq!(flow_source("watch-prices"), "/flows/watch-prices");
    let odd = flow_source("a b/\u{e9}");
    assert_eq!(odd, "/flows/a%20b%2F%C3%A9");
    assert!(CloudEvent::new(odd, "1", "t".parse().expect("a type"), Value::Null).is_ok());
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}
