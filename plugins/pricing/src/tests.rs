//! A product worked out by hand, the sample file against numpy, and the edges of the input.

use kennel_sdk::testing;

use super::*;

fn analyze(input: Value) -> Result<Value, Error> {
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

const PRICES: &str = "\
product,seller,price,date
lamp,Own,100,2026-01-01
lamp,Own,110,2026-02-01
lamp,A,90,2026-01-01
lamp,B,100,2026-01-01
lamp,C,110,2026-01-01
lamp,D,120,2026-02-01
lamp,D,10,2026-01-01
lamp,E,1100,2026-01-01
desk,A,500,2026-01-01
shelf,Own,70,2026-01-01
";

#[test]
fn a_product_is_compared_as_by_hand() {
    let output = analyze(json!({ "prices": PRICES, "own": "Own" })).unwrap();
    let lamp = &output["products"][1];
    assert_eq!(lamp["product"], "lamp");
    // Of 90, 100, 110, 120, 1100: two below 110, one equal to it.
    assert_eq!(
        lamp["own"],
        json!({ "price": 110.0, "index": 100.0, "position": 0.5 })
    );
    let market = json!({
        "min": 90.0, "lower-quartile": 100.0, "median": 110.0, "upper-quartile": 120.0, "max": 1100.0,
        "mean": 304.0, "mad": 10.0, "variation": lamp["market"]["variation"],
    });
    assert_eq!(lamp["market"], market);
    // 0.6745 * 990 / 10
    assert_eq!(
        lamp["outliers"],
        json!([{ "seller": "E", "price": 1100.0, "modified-z": 66.7755 }])
    );
    assert_eq!(output["index"], 100.0);
    let undercut = json!([
        { "product": "lamp", "seller": "A", "price": 90.0, "own": 110.0, "percent": 18.18, "outlier": false },
        { "product": "lamp", "seller": "B", "price": 100.0, "own": 110.0, "percent": 9.09, "outlier": false },
    ]);
    assert_eq!(output["undercut"], undercut);
}

#[test]
fn what_only_one_side_sells_is_described_and_not_compared() {
    let output = analyze(json!({ "prices": PRICES, "own": "Own" })).unwrap();
    let [desk, _, shelf] = output["products"].as_array().unwrap().as_slice() else {
        panic!("{output}");
    };
    assert_eq!(
        (&desk["market"]["median"], &desk["own"]),
        (&json!(500.0), &Value::Null)
    );
    assert_eq!(
        (&shelf["count"], &shelf["market"], &shelf["own"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
    let without_own = analyze(json!({ "prices": PRICES })).unwrap();
    assert_eq!(
        (&without_own["index"], &without_own["undercut"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(without_own["products"][1]["count"], 6);
}

#[test]
fn the_sample_file_has_the_numbers_of_numpy() {
    let csv = include_bytes!("../../samples/market/prices.csv");
    let blob = json!({ "$blob": testing::add_blob("text/csv", csv), "media-type": "text/csv" });
    let output = analyze(json!({ "prices": blob, "own": "Fernhill Audio" })).unwrap();
    // numpy 2.4.6 on the rows of 2026-01-26, without the own ones.
    let expected = [
        (
            "dj-mixer",
            [
                402.9900, 429.4900, 436.4900, 418.9900, 10.0000, 0.059409, 100.12,
            ],
        ),
        (
            "earbuds",
            [
                114.9900, 121.9900, 124.4900, 117.8233, 3.0000, 0.083230, 101.64,
            ],
        ),
        (
            "over-ear-headphones",
            [
                279.9900, 295.4900, 301.9900, 292.3233, 12.5000, 0.055315, 102.88,
            ],
        ),
        (
            "portable-speaker",
            [
                95.9900, 101.4900, 104.7400, 99.1567, 5.0000, 0.093833, 104.43,
            ],
        ),
        (
            "soundbar",
            [
                335.4900, 355.9900, 364.4900, 351.9900, 16.5000, 0.061038, 103.65,
            ],
        ),
        (
            "studio-monitor",
            [
                255.4900, 271.4900, 275.4900, 264.9900, 8.5000, 0.067843, 100.55,
            ],
        ),
        (
            "turntable",
            [
                219.9900, 234.9900, 247.7400, 593.9000, 16.5000, 1.498608, 102.13,
            ],
        ),
        (
            "usb-microphone",
            [
                144.2400, 154.4900, 156.4900, 150.8233, 3.0000, 0.053933, 103.56,
            ],
        ),
    ];
    let figures = [
        "lower-quartile",
        "median",
        "upper-quartile",
        "mean",
        "mad",
        "variation",
    ];
    for (product, (name, expected)) in output["products"].as_array().unwrap().iter().zip(expected) {
        let mut given: Vec<f64> = figures
            .iter()
            .map(|figure| product["market"][figure].as_f64().unwrap())
            .collect();
        given.push(product["own"]["index"].as_f64().unwrap());
        assert_eq!(
            (product["product"].as_str(), given.as_slice()),
            (Some(name), expected.as_slice())
        );
    }
    assert_eq!(output["index"], 102.37);
}

#[test]
fn a_price_far_too_low_is_an_undercut_that_says_so() {
    let csv = "product,seller,price\na,Own,100\na,A,99\na,B,101\na,C,102\na,D,1\n";
    let output = analyze(json!({ "prices": csv, "own": "Own" })).unwrap();
    assert_eq!(output["products"][0]["outliers"][0]["seller"], "D");
    let undercut = output["undercut"].as_array().unwrap().iter();
    let sellers: Vec<_> = undercut
        .map(|u| (u["seller"].as_str().unwrap(), u["outlier"] == true))
        .collect();
    assert_eq!(sellers, [("D", true), ("A", false)]);
}

#[test]
fn what_cannot_be_compared_is_told_so() {
    for (input, part) in [
        (
            json!({ "prices": "product,seller,price\na,A,0\n" }),
            "the price of `a` at `A` is 0; it must be above 0",
        ),
        (
            json!({ "prices": "product,seller,price\na,A,NaN\n" }),
            "is NaN",
        ),
        (
            json!({ "prices": "product,seller,price\na,A,1\na,A,2\n" }),
            "give each a date",
        ),
        (
            json!({ "prices": "product,seller,price,date\na,A,1,2026-01-01\na,A,2,2026-01-01\n" }),
            "neither of",
        ),
        (
            json!({ "prices": "product,seller,price,currency\na,A,1,EUR\na,B,2,USD\n" }),
            "are in EUR and in USD",
        ),
        (
            json!({ "prices": PRICES, "own": "Nobody" }),
            "input.own is `Nobody`",
        ),
        (
            json!({ "prices": "product,price\na,1\n" }),
            "missing field `seller`",
        ),
        (json!({ "prices": [] }), "no rows"),
    ] {
        let error = analyze(input).unwrap_err();
        assert!(
            matches!(error, Error::InvalidInput(_)) && error.message().contains(part),
            "{part}: {error}"
        );
    }
}
