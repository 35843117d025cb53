//! Records: any text read as an entry of a journal.
//!
//! The oracle: nothing panics; and what was read is written as a text that reads as the same, so that a run which is resumed goes on
//! with the very values that it had.

use std::sync::LazyLock;

use kennel::record::{Event, Record};
use serde_json::Value;

use crate::harness::{Forest, Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "record",
    ending: "json",
    inputs: 3_000,
    seeds,
    words: include_str!("../words/record.txt"),
    make,
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let events = [
        r#"{"type":"step-started","step":"a","attempt":1}"#,
        r#"{"type":"step-succeeded","step":"a[0]/b","output":{"inline":{"x":[0.1,1e21,-3]}},"trail":{"attempts":[{"agent":"a","number":1,"usage":{"fuel":7},"answers":{"inline":"aGk="}}],"cached":1.5}}"#,
        r#"{"type":"step-failed","step":"a","failure":{"kind":"trapped","message":"m"},"trail":{}}"#,
        r#"{"type":"approval-asked","step":"a","message":"m","until":"2030-01-01T00:00:00Z"}"#,
        r#"{"type":"run-finished","outcome":{"outcome":"failed","step":"a","failure":{"kind":"deadline","message":""}}}"#,
        r#"{"type":"run-finished","outcome":{"outcome":"succeeded","output":{"blob":{"$blob":"sha256:0000000000000000000000000000000000000000000000000000000000000000","media-type":"application/json","size":1}}}}"#,
    ];
    let record = |event: &&str| {
        format!(r#"{{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","at":"2026-01-31T12:00:00.123456789Z","version":1,"event":{event}}}"#).into_bytes()
    };
    events.iter().map(record).collect()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    static TREES: LazyLock<Forest> = LazyLock::new(|| {
        Forest::of(seeds().iter().map(Vec::as_slice), |text| {
            serde_json::from_slice::<Value>(text).ok()
        })
    });
    match maker.below(3) {
        0 => {
            // One that a run has really written.
            let mut events = super::play::run(maker);
            let event = events.swap_remove(maker.below(events.len()));
            let text = serde_json::to_vec(&Record::now(event)).expect("a record has a text");
            match maker.chance(60) {
                true => maker.mutate(text),
                false => text,
            }
        }
        1 => TREES.changed(maker).to_string().into_bytes(),
        _ => maker.mutated(),
    }
}

fn check(input: &[u8]) -> String {
    // Times are told apart by what they are; errors by their words without what is quoted.
    match serde_json::from_slice::<Record>(input) {
        Err(error) => {
            let said = error.to_string();
            let words = said.split('`').step_by(2).collect::<Vec<_>>().join("`");
            words
                .split(" at line")
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|c| !c.is_ascii_digit())
                .take(80)
                .collect()
        }
        Ok(record) => {
            let text = serde_json::to_string(&record).expect("what was read can be written");
            let again: Record = serde_json::from_str(&text).expect("what was written can be read");
            assert_eq!(again, record, "{text}");
            kind(&record.event)
        }
    }
}

fn kind(event: &Event) -> String {
    let tree = serde_json::to_value(event).expect("it was written before");
    let keys: Vec<_> = tree
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    format!("{} {keys:?}", tree["type"])
}

/// A run that is resumed reads its values from text: it must go on with the very numbers that it had.
#[test]
fn a_number_is_read_as_it_was_written() {
    use rand::{RngExt as _, SeedableRng as _};
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    for _ in 0..200_000 {
        let number = f64::from_bits(rng.random());
        if number.is_finite() {
            let text = Value::from(number).to_string();
            let again: Value = serde_json::from_str(&text).expect("a number");
            assert_eq!(again.as_f64(), Some(number), "{text}");
        }
    }
}
