//! Stories of one symbol, the weighted mean and variance against their definition, and the edges of the input.

use std::collections::BTreeMap;

use kennel_sdk::testing;
use proptest::prelude::{prop, prop_assert, proptest};

use super::*;

fn check(id: &str, input: Value) -> Result<Output, Error> {
    let output = AGENT.handle(Task::new(id), Payload::json(&input))?;
    Ok(output.decode().unwrap())
}

/// Feeds prices of the symbol `S`, one task each, and gives the last answer.
fn feed(prices: &[f64]) -> Output {
    let mut last = None;
    for (place, price) in prices.iter().enumerate() {
        last = Some(
            check(
                &format!("fed {place}"),
                json!({ "symbol": "S", "price": price }),
            )
            .unwrap(),
        );
    }
    last.unwrap()
}

fn watch() -> Watch {
    let entry = state::get::<Value>("price/S").unwrap().unwrap();
    Payload::json(&entry.value["state"]).decode().unwrap()
}

#[test]
fn the_first_price_has_nothing_to_be_compared_with() {
    let output = feed(&[100.0]);
    assert_eq!(
        (output.alert, output.reference, output.change, output.z),
        (false, None, None, None)
    );
}

#[test]
fn a_change_of_the_threshold_is_an_alert_and_one_below_is_not() {
    assert!(!feed(&[100.0, 104.9]).alert);
    testing::reset();
    let output = feed(&[100.0, 95.0]);
    assert!(output.alert);
    assert_eq!(
        output.reasons,
        ["-5.00 % from the last price of 100, 5 % or more"]
    );
    testing::reset();
    testing::set_config("change", "50");
    testing::set_config("change.S", "1");
    assert!(feed(&[100.0, 101.5]).alert);
    testing::set_config("change.S", "50");
    assert!(
        !check("own", json!({ "symbol": "S", "price": 110 }))
            .unwrap()
            .alert
    );
    assert!(
        check("own 2", json!({ "symbol": "S", "price": 121, "change": 9 }))
            .unwrap()
            .alert
    );
}

#[test]
fn a_fixed_reference_finds_a_slow_drift() {
    testing::set_config("reference.S", "100");
    let output = feed(&[101.0, 102.0, 103.0, 104.0, 105.0]);
    assert_eq!(
        output.reasons,
        ["+5.00 % from the reference of 100, 5 % or more"]
    );
    let output = check(
        "x",
        json!({ "symbol": "S", "price": 105, "reference": 104 }),
    )
    .unwrap();
    assert!(!output.alert);
}

#[test]
fn an_unusual_change_is_an_alert_however_small_once_enough_is_known() {
    let calm: Vec<f64> = (0..12).map(|i| 100.0 + f64::from(i % 2) * 0.1).collect();
    let before = feed(&calm[..5]);
    assert_eq!(before.z, None);
    testing::reset();
    assert!(!feed(&calm).alert);
    let output = check("jump", json!({ "symbol": "S", "price": 101 })).unwrap();
    assert!(output.alert && output.z.unwrap() > 4.0, "{output:?}");
    assert!(
        output.reasons[0].ends_with("standard deviations, 4 or more"),
        "{output:?}"
    );
    // The jump is a part of what is usual now.
    assert!(watch().variance > 1e-7);
}

#[test]
fn a_task_delivered_twice_counts_once_and_gets_the_same_answer() {
    feed(&[100.0, 101.0]);
    let input = json!({ "symbol": "S", "price": 110 });
    let first = check("a", input.clone()).unwrap();
    let after = watch();
    assert_eq!(check("a", input.clone()), Ok(first.clone()));
    assert_eq!(watch(), after);
    // An event that comes again in another task is known by its own id.
    let with_id = json!({ "symbol": "S", "price": 120, "id": "/exchange 7" });
    let second = check("b", with_id.clone()).unwrap();
    let after = watch();
    assert_eq!(check("c", with_id), Ok(second));
    assert_eq!(watch(), after);
    assert!(first.alert);
}

#[test]
fn a_price_that_comes_late_changes_nothing() {
    let at = |time: &str, price: f64| json!({ "symbol": "S", "price": price, "time": time });
    check("a", at("2026-03-02T09:00:00Z", 100.0)).unwrap();
    check("b", at("2026-03-02T09:05:00Z", 101.0)).unwrap();
    let before = watch();
    let late = check("c", at("2026-03-02T09:01:00Z", 10.0)).unwrap();
    assert!(late.late && !late.alert);
    assert_eq!(watch(), before);
    assert!(
        !check("d", at("2026-03-02T10:05:00+01:00", 101.0))
            .unwrap()
            .late
    );
}

#[test]
fn symbols_do_not_know_of_each_other() {
    feed(&[100.0]);
    let other = check("x", json!({ "symbol": "T", "price": 5 })).unwrap();
    assert_eq!(other.reference, None);
}

#[test]
fn the_recorded_day_has_one_alert_for_the_price_that_fell() {
    const EVENTS: &str = include_str!("../../samples/market/events.jsonl");
    let (mut alerts, mut types) = (Vec::new(), BTreeMap::<String, u32>::new());
    for line in EVENTS.lines() {
        let event: Value = Payload::Json(line.to_owned()).decode().unwrap();
        let text = |name: &str| event[name].as_str().unwrap();
        assert_eq!(text("specversion"), "1.0");
        *types.entry(text("type").to_owned()).or_default() += 1;
        if text("type") == "price_change" {
            let mut data = event["data"].clone();
            data["time"] = event["time"].clone();
            alerts.push(check(text("id"), data).unwrap());
        }
    }
    alerts.retain(|output| output.alert);
    assert!(
        types["price_change"] >= 200 && types["news_article"] >= 5 && types["competitor_move"] >= 5
    );
    assert!(!alerts.is_empty() && alerts.len() < 10, "{alerts:#?}");
    let fall = alerts
        .iter()
        .find(|alert| alert.change.is_some_and(|change| change < -5.0))
        .unwrap();
    assert_eq!((fall.symbol.as_str(), fall.reasons.len()), ("TLMR", 2));
}

#[test]
fn what_cannot_be_checked_is_told_so() {
    for (input, part) in [
        (
            json!({ "symbol": "S", "price": 0 }),
            "input.price is 0; it must be above 0",
        ),
        (json!({ "symbol": "", "price": 1 }), "input.symbol is \"\""),
        (
            json!({ "symbol": "S", "price": 1, "reference": -1 }),
            "input.reference is -1",
        ),
        (
            json!({ "symbol": "S", "price": 1, "sigma": 0 }),
            "input.sigma is 0",
        ),
        (json!({ "symbol": "S" }), "missing field `price`"),
    ] {
        let error = check("t", input).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{part}: {error}"
        );
    }
    for (key, value) in [
        ("change", "-1"),
        ("decay", "1"),
        ("reference.S", "0"),
        ("warm-up", "soon"),
    ] {
        testing::reset();
        testing::set_config(key, value);
        let error = check("t", json!({ "symbol": "S", "price": 1 })).unwrap_err();
        assert!(
            matches!(error, Error::Fatal(_)) && error.message().contains(key),
            "{error}"
        );
    }
}

proptest! {
    /// By the definition: each change weighs `decay` times what the next one does, the first as much as all before it would.
    #[test]
    fn mean_and_variance_are_those_of_all_changes_at_once(prices in prop::collection::vec(1.0..1000.0_f64, 3..40)) {
        testing::reset();
        feed(&prices);
        let steps: Vec<f64> = prices.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
        let decay: f64 = 0.94;
        let weight = |place: usize| {
            let age = (steps.len() - 1 - place) as i32;
            if place == 0 { decay.powi(age) } else { (1.0 - decay) * decay.powi(age) }
        };
        let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
            steps.iter().enumerate().map(|(place, step)| weight(place) * of(*step)).sum()
        };
        let mean = weighted(&|step| step);
        let variance = weighted(&|step| (step - mean).powi(2));
        let watch = watch();
        prop_assert!((watch.mean - mean).abs() < 1e-9, "{} {mean}", watch.mean);
        prop_assert!((watch.variance - variance).abs() < 1e-9, "{} {variance}", watch.variance);
        prop_assert!(watch.known == steps.len() as u64);
    }
}
