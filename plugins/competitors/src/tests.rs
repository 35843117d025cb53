//! The sample news against labels made by reading it, and single sentences for what each rule claims.

use kennel_sdk::testing;

use super::*;

fn track(input: Value) -> Result<Value, Error> {
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

/// The moves in a text: competitor, kind, role, status.
fn moves(text: &str) -> Vec<[String; 4]> {
    let competitors = json!([{ "name": "Orrin", "aliases": ["Orrin Audio"] }, { "name": "Pell" }]);
    let input = json!({ "articles": [{ "text": text }], "competitors": competitors });
    let output = track(input).unwrap();
    let moves = output["moves"].as_array().unwrap().iter();
    moves
        .map(|m| {
            ["competitor", "kind", "role", "status"].map(|f| m[f].as_str().unwrap().to_owned())
        })
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[[&str; 4]]) {
    assert_eq!(moves(text), expected, "{text}");
}

#[test]
fn each_kind_of_move_is_known_by_its_words() {
    for (text, kind) in [
        ("Orrin launched a lamp.", "launch"),
        ("Orrin Audio is rolling out lamps.", "launch"),
        ("Orrin bought a mill.", "acquisition"),
        ("Orrin has taken over a mill.", "acquisition"),
        ("Orrin teams up with a mill.", "partnership"),
        ("Orrin announced a strategic alliance.", "partnership"),
        ("Orrin slashed the price of lamps.", "price-change"),
        ("Prices at Orrin rose.", "price-change"),
        ("Orrin raised $4 million.", "funding"),
        ("Orrin secured a loan.", "funding"),
        ("Orrin is hiring.", "hiring"),
        ("Orrin laid off ten people.", "layoff"),
        ("Orrin cut 45 jobs.", "layoff"),
        ("Orrin sued a mill.", "legal"),
    ] {
        check(text, &[["Orrin", kind, "actor", "reported"]]);
    }
}

#[test]
fn what_is_done_to_a_competitor_is_told_apart_from_what_it_does() {
    check(
        "A mill sued Orrin.",
        &[["Orrin", "legal", "target", "reported"]],
    );
    check(
        "Orrin was sued.",
        &[["Orrin", "legal", "target", "reported"]],
    );
    check(
        "The suit against Orrin ended.",
        &[["Orrin", "legal", "target", "reported"]],
    );
    check(
        "Orrin acquired Pell.",
        &[
            ["Orrin", "acquisition", "actor", "reported"],
            ["Pell", "acquisition", "target", "reported"],
        ],
    );
    check(
        "Orrin was acquired by Pell.",
        &[
            ["Orrin", "acquisition", "target", "reported"],
            ["Pell", "acquisition", "actor", "reported"],
        ],
    );
}

#[test]
fn plans_and_denials_are_no_facts() {
    check(
        "Orrin will launch a lamp.",
        &[["Orrin", "launch", "actor", "planned"]],
    );
    check(
        "Orrin plans to cut prices.",
        &[["Orrin", "price-change", "actor", "planned"]],
    );
    check(
        "Orrin did not sue anyone.",
        &[["Orrin", "legal", "actor", "denied"]],
    );
    check(
        "Orrin hasn't hired anyone.",
        &[["Orrin", "hiring", "actor", "denied"]],
    );
    check(
        "Orrin denied that it would acquire Pell.",
        &[
            ["Orrin", "acquisition", "actor", "denied"],
            ["Pell", "acquisition", "target", "denied"],
        ],
    );
}

#[test]
fn other_sentences_are_no_moves() {
    for text in [
        "Orrin said on Monday that it is happy.",
        "Orrin, they say, launched nothing.",
        "A rival of Pell called Orrin. It launched a lamp.",
        "They raised the price of orrin and launched Orrington.",
    ] {
        check(text, &[]);
    }
}

/// What a reader finds in the sample news, sentence by sentence.
const LABELS: &str = include_str!("labels.tsv");

#[test]
fn the_sample_news_are_read_as_a_reader_does() {
    let expected: Vec<&str> = LABELS.lines().collect();
    let output = sample();
    let found: Vec<String> = output["moves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            ["article", "competitor", "kind", "role", "status"]
                .map(|f| m[f].as_str().unwrap())
                .join("\t")
        })
        .collect();
    let missed: Vec<_> = expected
        .iter()
        .filter(|e| !found.iter().any(|f| f == *e))
        .collect();
    let wrong: Vec<_> = found
        .iter()
        .filter(|f| !expected.contains(&f.as_str()))
        .collect();
    assert!(
        expected.len() >= 30 && missed.len() <= 2 && wrong.len() <= 2,
        "missed {missed:#?}\nwrong {wrong:#?}"
    );
}

#[test]
fn the_sample_news_have_voices_dates_and_evidence_that_can_be_looked_up() {
    let output = sample();
    let voices = output["competitors"].as_array().unwrap();
    let share: f64 = voices
        .iter()
        .map(|voice| voice["share"].as_f64().unwrap())
        .sum();
    assert!((share - 1.0).abs() < 1e-3 && voices.len() == 4);
    assert!(voices.is_sorted_by_key(|voice| std::cmp::Reverse(voice["mentions"].as_u64())));
    let moves = output["moves"].as_array().unwrap();
    assert!(moves.is_sorted_by_key(|m| m["date"].as_str()));
    let news: Vec<Value> = Payload::Json(NEWS.to_owned()).decode().unwrap();
    for m in moves {
        let article = news
            .iter()
            .find(|article| article["id"] == m["article"])
            .unwrap();
        for evidence in m["evidence"].as_array().unwrap() {
            let text = article[evidence["in"].as_str().unwrap()].as_str().unwrap();
            let offset = |name: &str| evidence[name].as_u64().unwrap() as usize;
            let sliced: String = text
                .chars()
                .take(offset("end"))
                .skip(offset("start"))
                .collect();
            assert_eq!(evidence["sentence"], sliced);
        }
    }
}

#[test]
fn competitors_may_be_settings() {
    testing::set_config("competitor.Orrin", "Orrin Audio, OA");
    testing::set_config("unrelated", "x");
    let output = track(json!({ "articles": [{ "text": "OA and Orrin." }] })).unwrap();
    let expected = json!([{ "name": "Orrin", "mentions": 2, "articles": 1, "share": 1.0 }]);
    assert_eq!(
        (&output["competitors"], &output["moves"]),
        (&expected, &json!([]))
    );
}

#[test]
fn what_cannot_be_tracked_is_told_so() {
    let articles = json!([{ "text": "x" }]);
    for (input, part) in [
        (
            json!({ "articles": articles }),
            "no competitors to look for",
        ),
        (
            json!({ "articles": articles, "competitors": [{ "name": "" }] }),
            "a name of competitor #1 is empty",
        ),
        (
            json!({ "articles": [], "competitors": [{ "name": "A" }] }),
            "input.articles has no rows",
        ),
        (
            json!({ "competitors": [{ "name": "A" }] }),
            "missing field `articles`",
        ),
    ] {
        let error = track(input).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{part}: {error}"
        );
    }
}

const COMPETITORS: &str = include_str!("../../samples/market/competitors.json");
const NEWS: &str = include_str!("../../samples/market/news.json");

fn sample() -> Value {
    let blob = json!({ "$blob": testing::add_blob("application/json", NEWS.as_bytes()), "media-type": "application/json" });
    track(json!({ "articles": blob, "competitors": COMPETITORS })).unwrap()
}
