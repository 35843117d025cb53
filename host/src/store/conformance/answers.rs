//! What all that keep earlier answers must do.

use std::sync::Arc;
use std::time::Duration;

use super::Rig;
use crate::id::{Digest, RunId};
use crate::payload::{Blob, Payload};

/// Keeps an answer, and waits for a change that was handed in after it.
async fn put(rig: &impl Rig, key: Digest, answer: &Payload) {
    let store = rig.store();
    store.answers().put(key, &Arc::new(answer.clone()));
    let later = RunId::generate().to_string();
    store.blobs().put(later.into()).await.unwrap();
}

/// The age of the answer under `key`, which must be `wanted`.
async fn age(rig: &impl Rig, key: Digest, wanted: &Payload) -> Duration {
    let (answer, age) = rig.store().answers().get(key).await.expect("it is kept");
    assert_eq!(answer, *wanted);
    age
}

pub(super) async fn an_answer_of_any_form_comes_back_with_its_age(rig: impl Rig) {
    let blob = Blob {
        media_type: "image/png".into(),
        bytes: vec![0, 159, 146, 150].into(),
    };
    let forms = [
        Payload::Text("größer".into()),
        Payload::json("{\"a\": 1.0}".to_owned()).unwrap(),
        Payload::Blob(blob),
    ];
    for answer in forms {
        let key = Digest::of(format!("{answer:?}").as_bytes());
        assert_eq!(rig.store().answers().get(key).await, None);
        put(&rig, key, &answer).await;
        assert_eq!(age(&rig, key, &answer).await, Duration::ZERO);
        rig.pass(Duration::from_secs(7)).await;
        assert_eq!(age(&rig, key, &answer).await, Duration::from_secs(7));
    }
}

pub(super) async fn a_newer_answer_takes_the_place_of_an_older_one(rig: impl Rig) {
    let key = Digest::of(b"question");
    let [old, new] = ["old", "new"].map(|text| Payload::Text(text.into()));
    put(&rig, key, &old).await;
    rig.pass(Duration::from_secs(7)).await;
    put(&rig, key, &new).await;
    assert_eq!(age(&rig, key, &new).await, Duration::ZERO);
}
