//! Events: any text read as a CloudEvent.
//!
//! The oracle: nothing panics, what was read is written as a text that reads as the same event, and its key stays the same.

use std::sync::LazyLock;

use kennel::event::{CloudEvent, EventError, MAX_EVENT, MAX_HOPS};
use serde_json::Value;

use crate::harness::{Forest, Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "event",
    ending: "json",
    inputs: 4_000,
    seeds,
    words: include_str!("../words/event.txt"),
    make,
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let events = [
        r#"{"specversion":"1.0","id":"1","source":"/sensors/7","type":"tick"}"#,
        r#"{"specversion":"1.0","id":"é","source":"urn:a:b","type":"order.placed","subject":"o/1","time":"2026-01-31T12:00:00.5+01:00",
            "datacontenttype":"application/json","dataschema":"https://a.example/s","data":{"n":[1,2.5,null]},"sequence":3,"flag":true,"trace":"00-ab"}"#,
    ];
    events.map(|event| event.as_bytes().to_vec()).into()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    static TREES: LazyLock<Forest> = LazyLock::new(|| {
        Forest::of(seeds().iter().map(Vec::as_slice), |text| {
            serde_json::from_slice::<Value>(text).ok()
        })
    });
    match maker.chance(50) {
        true => maker.mutated(),
        false => TREES.changed(maker).to_string().into_bytes(),
    }
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match CloudEvent::parse(&text) {
        Err(error) => {
            let told = error.to_string();
            assert!(!told.chars().any(char::is_control), "{told:?}");
            match error {
                EventError::Attribute { reason, .. } => reason,
                EventError::TooLong(_) => "too long".to_owned(),
                EventError::NotJson(_) => "not JSON".to_owned(),
                EventError::TooDeep => unreachable!("hops are not read from a text"),
            }
        }
        Ok(event) => {
            assert_eq!(event.hops, 0, "the host alone counts");
            let written = event.to_text().expect("what was read can be written");
            assert!(written.len() <= MAX_EVENT);
            let again = CloudEvent::parse(&written).expect("what was written can be read");
            assert_eq!(again, event);
            assert_eq!(again.key(), event.key());
            let after = event
                .clone()
                .after(MAX_HOPS)
                .expect("so many may lead to it");
            assert_eq!(
                after.key(),
                event.key(),
                "who led to it does not make it another event"
            );
            let said = [
                event.subject.is_some(),
                event.time.is_some(),
                event.content_type.is_some(),
                event.schema.is_some(),
            ];
            format!("{said:?}, {} more", event.extensions.len())
        }
    }
}
