//! Stories of one symbol, every signal against a computation over the entire series at once, and the edges of the input.

use kennel_sdk::testing;
use proptest::prelude::{prop, prop_assert_eq, proptest};

use super::*;

fn push(id: &str, input: Value) -> Result<Output, Error> {
    let output = AGENT.handle(Task::new(id), Payload::json(&input))?;
    Ok(output.decode().unwrap())
}

/// Feeds prices of the symbol `S`, one task each.
fn feed(prices: &[f64], short: usize, long: usize) -> Vec<Output> {
    let prices = prices.iter().enumerate();
    prices
        .map(|(place, price)| {
            let input = json!({ "symbol": "S", "price": price, "short": short, "long": long });
            push(&format!("fed {place}"), input).unwrap()
        })
        .collect()
}

fn signals(prices: &[f64], short: usize, long: usize) -> Vec<Signal> {
    let outputs = feed(prices, short, long);
    outputs.into_iter().map(|output| output.signal).collect()
}

use Signal::{Buy, Hold, Sell};

#[test]
fn the_averages_cross_where_they_do_by_hand() {
    // The price beside the average of the last three: 2 and 3, then 5 and 10/3, 6 and 13/3, 1 and 4.
    let prices = [4.0, 3.0, 2.0, 5.0, 6.0, 1.0];
    assert_eq!(signals(&prices, 1, 3), [Hold, Hold, Hold, Buy, Hold, Sell]);
}

#[test]
fn the_reasons_say_what_the_averages_do() {
    let outputs = feed(&[4.0, 3.0, 2.0, 5.0, 6.0], 1, 3);
    assert_eq!(
        outputs[0].reasons,
        ["2 more prices are needed for the average of 3"]
    );
    assert_eq!(
        outputs[2].reasons,
        ["the average of 1 stays below that of 3"]
    );
    assert_eq!(
        outputs[3].reasons,
        ["the average of 1 has crossed to above that of 3"]
    );
    assert_eq!(
        outputs[4].reasons,
        ["the average of 1 stays above that of 3"]
    );
    assert_eq!(
        (outputs[3].short_average, outputs[3].long_average),
        (Some(5.0), Some(3.333333333))
    );
}

#[test]
fn equal_averages_are_no_crossing_and_what_follows_may_be_one() {
    let flat = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
    assert!(signals(&flat, 2, 5).iter().all(|signal| *signal == Hold));
    testing::reset();
    // Below, equal, below: nothing. Below, equal, above: a crossing.
    assert_eq!(
        signals(&[3.0, 2.0, 2.0, 1.0], 1, 2),
        [Hold, Hold, Hold, Hold]
    );
    testing::reset();
    assert_eq!(
        signals(&[3.0, 2.0, 2.0, 4.0], 1, 2),
        [Hold, Hold, Hold, Buy]
    );
}

#[test]
fn a_crossing_by_a_leap_is_held_back() {
    let mut prices: Vec<f64> = (0..10)
        .map(|i| 100.0 - f64::from(i) * 0.5 + f64::from(i % 2) * 0.05)
        .collect();
    prices.push(120.0);
    let last = feed(&prices, 2, 8).pop().unwrap();
    assert_eq!(last.signal, Hold);
    assert!(last.z.unwrap() > 3.0 && last.reasons.len() == 2, "{last:?}");
    testing::reset();
    testing::set_config("stretched", "1e9");
    assert_eq!(feed(&prices, 2, 8).pop().unwrap().signal, Buy);
}

#[test]
fn a_task_delivered_twice_counts_once_and_gets_the_same_answer() {
    feed(&[4.0, 3.0, 2.0], 1, 3);
    let input = json!({ "symbol": "S", "price": 5, "short": 1, "long": 3, "id": "/exchange 4" });
    let first = push("a", input.clone()).unwrap();
    assert_eq!(first.signal, Buy);
    let before = state::get::<Value>("signal/S").unwrap();
    assert_eq!(push("b", input), Ok(first));
    assert_eq!(state::get::<Value>("signal/S").unwrap(), before);
}

#[test]
fn a_price_that_comes_late_changes_nothing() {
    let at = |id: &str, time: u32| push(id, json!({ "symbol": "S", "price": 1, "time": time }));
    at("a", 5).unwrap();
    assert_eq!(
        at("b", 4).unwrap().reasons,
        ["a later price had come before"]
    );
    assert_eq!(
        at("c", 5).unwrap().reasons,
        ["18 more prices are needed for the average of 20"]
    );
}

#[test]
fn a_window_that_has_grown_warms_up_again_without_a_false_crossing() {
    feed(&[4.0, 3.0, 2.0], 1, 3);
    let next = push(
        "x",
        json!({ "symbol": "S", "price": 9, "short": 1, "long": 5 }),
    )
    .unwrap();
    assert_eq!(
        next.reasons,
        ["1 more prices are needed for the average of 5"]
    );
    let next = push(
        "y",
        json!({ "symbol": "S", "price": 9, "short": 1, "long": 5 }),
    )
    .unwrap();
    assert_eq!(next.signal, Hold);
}

#[test]
fn what_gives_no_signal_is_told_so() {
    for (input, part) in [
        (json!({ "symbol": "S", "price": -1 }), "input.price is -1"),
        (
            json!({ "symbol": "a b", "price": 1 }),
            "input.symbol is \"a b\"",
        ),
        (
            json!({ "symbol": "S", "price": 1, "short": 20 }),
            "the windows are 20 and 20",
        ),
        (
            json!({ "symbol": "S", "price": 1, "short": 0 }),
            "the windows are 0 and 20",
        ),
        (
            json!({ "symbol": "S", "price": 1, "long": 501 }),
            "at most 500",
        ),
    ] {
        let error = push("t", input).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{part}: {error}"
        );
    }
    testing::set_config("long", "3");
    let error = push("t", json!({ "symbol": "S", "price": 1 })).unwrap_err();
    assert!(matches!(error, Error::Fatal(_)), "{error}");
}

#[test]
fn the_recorded_day_has_crossings_both_ways() {
    const EVENTS: &str = include_str!("../../samples/market/events.jsonl");
    let mut given = Vec::new();
    for line in EVENTS.lines() {
        let event: Value = Payload::Json(line.to_owned()).decode().unwrap();
        if event["type"] == "price_change" {
            let output = push(event["id"].as_str().unwrap(), event["data"].clone()).unwrap();
            given.push(output.signal);
        }
    }
    let count = |signal| given.iter().filter(|given| **given == signal).count();
    assert!(
        given.len() >= 200 && count(Buy) >= 3 && count(Sell) >= 3,
        "{given:?}"
    );
}

/// All signals of a series at once: averages from running sums of the whole series, returns from the whole series.
fn batch(prices: &[f64], short: usize, long: usize) -> Vec<Signal> {
    let mut sums = vec![0.0];
    for price in prices {
        sums.push(sums[sums.len() - 1] + price);
    }
    let average = |end: usize, window: usize| (sums[end] - sums[end - window]) / window as f64;
    let returns: Vec<f64> = prices
        .windows(2)
        .map(|pair| (pair[1] / pair[0]).ln())
        .collect();
    let mut above = None;
    let mut signals = vec![Hold; prices.len().min(long - 1)];
    for end in long..=prices.len() {
        let difference = average(end, short) - average(end, long);
        let now = if difference.abs() < 1e-9 {
            above
        } else {
            Some(difference > 0.0)
        };
        let before = &returns[end - long..end - 2];
        let middle = before.iter().sum::<f64>() / before.len() as f64;
        let squares: f64 = before.iter().map(|r| (r - middle).powi(2)).sum();
        let deviation = (squares / (before.len() as f64 - 1.0)).sqrt();
        let z = (returns[end - 2] - middle) / deviation;
        let known = before.len() >= 3 && deviation > 1e-12;
        signals.push(match (above, now) {
            (Some(false), Some(true)) if !(known && z > 3.0) => Buy,
            (Some(true), Some(false)) if !(known && z < -3.0) => Sell,
            _ => Hold,
        });
        above = now;
    }
    signals
}

proptest! {
    /// Whole cents, so that averages are either equal or clearly apart.
    #[test]
    fn one_price_at_a_time_gives_the_signals_of_the_whole_series(
        cents in prop::collection::vec(900..1100_u32, 3..80), short in 1..4_usize, more in 1..9_usize,
    ) {
        testing::reset();
        let prices: Vec<f64> = cents.iter().map(|cents| f64::from(*cents) / 100.0).collect();
        let long = short + more.max(2);
        prop_assert_eq!(signals(&prices, short, long), batch(&prices, short, long));
    }
}
