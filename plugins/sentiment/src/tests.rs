//! The authors' package as reference, the aggregate worked out by hand, and the edges of the input.

use kennel_sdk::testing;
use proptest::prelude::{any, prop_assert, proptest};

use super::*;

/// Sentences with what the Python package vaderSentiment 3.3.2 scores them: compound, positive, neutral, negative.
const REFERENCE: &str = include_str!("reference.tsv");

fn score(input: Payload) -> Result<Value, Error> {
    AGENT
        .handle(Task::new("t"), input)
        .map(|output| output.decode().unwrap())
}

#[test]
fn every_sentence_scores_what_the_authors_package_scores() {
    assert!(REFERENCE.lines().count() >= 20);
    for line in REFERENCE.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let output = score(Payload::text(fields[4])).unwrap();
        let article = &output["articles"][0];
        let given = ["compound", "positive", "neutral", "negative"]
            .map(|name| article[name].as_f64().unwrap());
        let expected: Vec<f64> = fields[..4].iter().map(|f| f.parse().unwrap()).collect();
        assert_eq!(given.as_slice(), expected, "{}", fields[4]);
        assert_eq!(output["compound"], article["compound"]);
    }
}

#[test]
fn around_but_each_word_is_weighed_by_its_own_place() {
    // `nice` is 1.8 and `adequate` 0.9. The package halves the first to 0.9, finds that number first when it comes to the second,
    // and halves the first again: 0.45 + 0.9.
    let sum: f64 = 1.8 * 0.5 + 0.9 * 1.5;
    let expected = sum / (sum * sum + 15.0).sqrt();
    assert!((polarity("nice but adequate").compound - expected).abs() < 1e-12);
}

#[test]
fn articles_are_the_mean_of_their_sentences_and_the_answer_the_mean_of_the_articles() {
    let articles = json!([
        { "id": "a", "title": "The book was good.", "text": "Revenue rose by 4 percent in March. The book was good." },
        { "text": "Today SUX!" },
        { "id": "c", "text": "Revenue rose by 4 percent in March." },
    ]);
    let output = score(Payload::json(&json!({ "articles": articles }))).unwrap();
    let first = &output["articles"][0];
    // (0.4404 + 0 + 0.4404) / 3
    assert_eq!(
        (&first["compound"], &first["sentences"]),
        (&json!(0.2936), &json!(3))
    );
    assert_eq!(output["compound"], json!(-0.0842)); // (0.2936 - 0.5461 + 0) / 3
    assert_eq!(output["label"], "negative");
    assert_eq!(
        output["shares"],
        json!({ "positive": 0.3333, "neutral": 0.3333, "negative": 0.3333 })
    );
    assert_eq!(
        output["most-positive"],
        json!({ "id": "a", "compound": 0.2936 })
    );
    assert_eq!(
        output["most-negative"],
        json!({ "id": "#2", "compound": -0.5461 })
    );
}

#[test]
fn nothing_stands_out_among_neutral_articles() {
    let output = score(Payload::text("Revenue rose by 4 percent in March.")).unwrap();
    assert_eq!(
        (
            &output["label"],
            &output["most-positive"],
            &output["most-negative"]
        ),
        (&json!("neutral"), &Value::Null, &Value::Null)
    );
}

#[test]
fn the_sample_news_can_be_given_as_a_file() {
    let news = include_bytes!("../../samples/market/news.json");
    let digest = testing::add_blob("application/json", news);
    let input = json!({ "articles": { "$blob": digest, "media-type": "application/json" } });
    let output = score(Payload::json(&input)).unwrap();
    assert!(output["articles"].as_array().unwrap().len() >= 40);
    let compound = |which: &str| output[which]["compound"].as_f64().unwrap();
    assert!(
        compound("most-positive") > 0.3 && compound("most-negative") < -0.3,
        "{output}"
    );
}

#[test]
fn a_batch_scores_like_single_tasks() {
    let texts = ["The book was good.", "", "Today SUX!"];
    let tasks = texts.map(|text| (Task::new(text), Payload::text(text)));
    let batch = AGENT.handle_batch(tasks.to_vec());
    let single = tasks.map(|(task, input)| AGENT.handle(task, input));
    assert_eq!(batch, single);
    assert!(batch[0].is_ok() && batch[1].is_err() && batch[2].is_ok());
}

#[test]
fn what_cannot_be_scored_is_told_so() {
    for (input, part) in [
        (json!({}), "either input.articles or input.text"),
        (json!({ "text": "a", "articles": [] }), "either"),
        (json!({ "articles": [] }), "input.articles has no rows"),
        (
            json!({ "articles": [{ "text": "Good." }, { "text": " " }] }),
            "article #2 is empty",
        ),
        (
            json!({ "articles": [{ "title": "a" }] }),
            "missing field `text`",
        ),
        (json!({ "text": "\n" }), "empty"),
    ] {
        let error = score(Payload::json(&input)).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_has_a_score_between_the_ends(text in any::<String>(), words in "((no|not|so|never|GOOD|bad|but|least|kind of|the bomb|!|😀) ){0,12}") {
        for text in [text, words] {
            let p = polarity(&text);
            prop_assert!((-1.0..=1.0).contains(&p.compound), "{p:?}");
            let whole = p.positive + p.neutral + p.negative;
            prop_assert!(whole == 0.0 || (whole - 1.0).abs() < 1e-9, "{p:?}");
        }
    }
}
