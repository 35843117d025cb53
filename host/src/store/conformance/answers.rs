//! What all that keep earlier answers must do.

use std::sync::Arc;
use std::time::Duration;

use super::Rig;
use crate::id::Digest;
use crate::payload::{Blob, Payload};

/// What is kept under `key`. An answer is kept a moment later at the latest, so this looks again for a while.
async fn found(rig: &impl Rig, key: Digest, wanted: &Payload) -> Option<Duration> {
    let answers = rig.store().answers();
    for _ in 0..1_000 {
        if let Some((answer, age)) = answers.get(key).await
            && answer == *wanted
        {
            return Some(age);
        }
        tokio::task::yield_now().await;
    }
    None
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
        rig.store().answers().put(key, &Arc::new(answer.clone()));
        assert_eq!(found(&rig, key, &answer).await, Some(Duration::ZERO));
        rig.pass(Duration::from_secs(7)).await;
        assert_eq!(
            found(&rig, key, &answer).await,
            Some(Duration::from_secs(7))
        );
    }
}

pub(super) async fn a_newer_answer_takes_the_place_of_an_older_one(rig: impl Rig) {
    let key = Digest::of(b"question");
    let [old, new] = ["old", "new"].map(|text| Payload::Text(text.into()));
    rig.store().answers().put(key, &Arc::new(old.clone()));
    assert!(found(&rig, key, &old).await.is_some());
    rig.pass(Duration::from_secs(7)).await;
    rig.store().answers().put(key, &Arc::new(new.clone()));
    assert_eq!(found(&rig, key, &new).await, Some(Duration::ZERO));
}
