//! Changes worked out by hand, the story of the sample, and what cannot be compared.

use super::*;

const DATA: &str = "on,region,product,paid\n\
    2026-01-05,North,Pump,100\n2026-01-06,North,Lamp,50\n2026-01-05,South,Pump,80\n2026-01-06,South,Lamp,70\n\
    2026-02-05,North,Pump,40\n2026-02-06,North,Lamp,50\n2026-02-05,South,Pump,90\n2026-02-06,South,Lamp,70\n";

fn compare(rest: Value) -> Result<Value, Error> {
    let mut input =
        json!({ "data": DATA, "measure": "paid", "date": "on", "by": ["product", "region"] });
    for (key, value) in rest.as_object().unwrap() {
        input[key] = value.clone();
    }
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

fn months() -> Value {
    json!({
        "before": { "label": "January", "from": "2026-01-01", "to": "2026-01-31" },
        "after": { "label": "February", "from": "2026-02-01", "to": "2026-02-28" },
    })
}

#[test]
fn a_change_is_the_sum_of_its_parts_and_the_most_telling_column_comes_first() {
    let output = compare(json!({ "periods": months() })).unwrap();
    assert_eq!(
        (&output["change"], &output["change-share"]),
        (&json!(-50.0), &json!(-0.1667))
    );
    // North lost 60 of 50, South won 10; pumps lost 50, lamps nothing.
    assert_eq!(
        output["parts"][0],
        json!({
            "by": ["region"], "left-out": 0,
            "parts": [
                { "segment": ["North"], "before": 150.0, "after": 90.0, "change": -60.0, "share": 1.2 },
                { "segment": ["South"], "before": 150.0, "after": 160.0, "change": 10.0, "share": -0.2 },
            ],
        })
    );
    assert_eq!(output["parts"][1]["parts"][0]["segment"], json!(["Pump"]));
    assert_eq!(output["joint"]["by"], json!(["region", "product"]));
    assert_eq!(output["joint"]["parts"][0]["share"], 1.2);
    assert_eq!(
        output["findings"].as_array().unwrap()[..2],
        [
            "paid is lower by 50 (−16.7 %) in February than in January: 250 against 300.",
            "North × Pump alone accounts for 120 % of the change, from 100 to 40; without it paid would have changed by 5 %.",
        ]
    );
}

#[test]
fn two_segments_are_compared_like_two_periods() {
    let segments = json!({ "column": "region", "before": "North", "after": "South" });
    let output = compare(json!({ "segments": segments, "by": ["product"] })).unwrap();
    assert_eq!(
        (&output["before"]["total"], &output["after"]["total"]),
        (&json!(240.0), &json!(310.0))
    );
    assert_eq!(
        (&output["joint"], &output["test"]["of"]),
        (&Value::Null, &json!("days"))
    );
}

#[test]
fn no_change_has_no_shares_and_no_parts_in_words() {
    let mut periods = months();
    periods["after"] = periods["before"].clone();
    let output = compare(json!({ "periods": periods })).unwrap();
    assert_eq!(
        output["findings"][0],
        "paid is no different in January than in January: 300 against 300."
    );
    assert_eq!(output["parts"][0]["parts"][0]["share"], Value::Null);
    assert_eq!(output["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn the_fall_in_the_sample_is_one_product_in_one_region_and_no_chance() {
    let output = compare(json!({
        "data": sample_data::sales::generate(), "measure": "revenue", "date": "date", "by": ["channel", "product", "region"],
        "periods": {
            "before": { "label": "2026-Q1", "from": "2026-01-01", "to": "2026-03-31" },
            "after": { "label": "2026-Q2", "from": "2026-04-01", "to": "2026-06-30" },
        },
    }))
    .unwrap();
    let top = &output["joint"]["parts"][0];
    let mut segment: Vec<&str> = top["segment"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    segment.sort_unstable();
    assert_eq!(segment, ["Heat pump", "North"]);
    assert!(top["share"].as_f64().unwrap() > 0.7, "{top}");
    assert!(output["change-share"].as_f64().unwrap() < -0.08);
    assert!(output["test"]["p-value"].as_f64().unwrap() < 0.001);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let error = |rest| compare(rest).unwrap_err().to_string();
    assert!(error(json!({})).contains("input.periods or"));
    assert!(error(json!({ "periods": months(), "date": null })).contains("input.date"));
    let nowhere = json!({ "column": "region", "before": "North", "after": "West" });
    assert!(error(json!({ "segments": nowhere })).contains("no row has a number"));
}
