//! Small tables worked out by hand, the sample, and what cannot be aggregated.

use super::*;

const DATA: &str = "on,region,paid\n2026-01-05,North,10\n2026-01-06,North,30\n2026-02-05,South,5\n2026-02-06,East,5\n2026-02-07,East,n/a\n";

fn aggregate(rest: Value) -> Result<Value, Error> {
    let mut input = json!({ "data": DATA, "measure": "paid", "by": ["region"] });
    for (key, value) in rest.as_object().unwrap() {
        input[key] = value.clone();
    }
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

#[test]
fn sums_are_ordered_with_shares_and_equal_ones_by_name() {
    let output = aggregate(json!({})).unwrap();
    assert_eq!(
        output["tables"][0]["groups"],
        json!([
            { "group": "North", "rows": 2, "value": 40.0, "share": 0.8 },
            { "group": "East", "rows": 1, "value": 5.0, "share": 0.1 },
            { "group": "South", "rows": 1, "value": 5.0, "share": 0.1 },
        ])
    );
    assert_eq!(
        (&output["total"], &output["unusable"]),
        (&json!(50.0), &json!(1))
    );
    assert_eq!(
        output["findings"],
        json!([
            "By region, paid is highest for North at 40 (80 % of 50) and lowest for South at 5.",
            "1 of 3 values of region make 80 % of paid.",
            "1 rows have no usable number and are left out.",
        ])
    );
}

#[test]
fn means_have_no_shares() {
    let output = aggregate(json!({ "how": "mean", "top": 1 })).unwrap();
    let table = &output["tables"][0];
    assert_eq!(
        table["groups"],
        json!([{ "group": "North", "rows": 2, "value": 20.0, "share": null }])
    );
    assert_eq!(
        (&table["left-out"], &output["total"]),
        (&json!(2), &json!(12.5))
    );
}

#[test]
fn a_filter_limits_days_and_values() {
    let february = json!({ "from": "2026-02-01", "equals": { "region": "east" } });
    let output = aggregate(json!({ "date": "on", "filter": february })).unwrap();
    assert_eq!(output["findings"][0], "All rows have the region East.");
    assert_eq!(output["total"], 5.0);
}

#[test]
fn the_sample_adds_up_whichever_way_it_is_taken_apart() {
    let data = sample_data::sales::generate();
    let output = aggregate(
        json!({ "data": data, "measure": "revenue", "by": ["region", "product", "channel"] }),
    )
    .unwrap();
    for table in output["tables"].as_array().unwrap() {
        let sum: f64 = table["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| g["value"].as_f64().unwrap())
            .sum();
        assert!(
            (sum - output["total"].as_f64().unwrap()).abs() < 0.05,
            "{table}"
        );
    }
    assert_eq!(output["tables"][0]["groups"][0]["group"], "North");
}

#[test]
fn what_cannot_be_aggregated_is_refused() {
    assert!(
        aggregate(json!({ "by": [] }))
            .unwrap_err()
            .message()
            .contains("input.by")
    );
    assert!(
        aggregate(json!({ "measure": "cost" }))
            .unwrap_err()
            .message()
            .contains("no column `cost`")
    );
}
