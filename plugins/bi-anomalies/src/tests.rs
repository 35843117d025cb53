//! Planted outliers and runs, the ones of the sample, and what cannot be looked at.

use super::*;

fn anomalies(rest: Value) -> Result<Value, Error> {
    let mut input = json!({ "measure": "paid" });
    for (key, value) in rest.as_object().unwrap() {
        input[key] = value.clone();
    }
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

/// Ten days in two regions, around 10 and around 1000.
fn two_regions(change: impl Fn(usize, &str, f64) -> f64) -> String {
    let mut csv = "on,region,paid\n".to_owned();
    for day in 0..20 {
        for (region, usual) in [("North", 10.0), ("South", 1000.0)] {
            let value = usual * (1.0 + 0.01 * (day % 5) as f64);
            csv.push_str(&format!(
                "2026-03-{:02},{region},{}\n",
                day + 1,
                change(day, region, value)
            ));
        }
    }
    csv
}

#[test]
fn a_value_is_judged_within_its_group_and_named_with_row_and_day() {
    let data = two_regions(|day, region, value| {
        if (day, region) == (6, "North") {
            500.0
        } else {
            value
        }
    });
    let output = anomalies(json!({ "data": data, "by": ["region"], "date": "on" })).unwrap();
    assert_eq!(
        (&output["found"], &output["by-group"]),
        (&json!(1), &json!({ "North": 1 }))
    );
    let outlier = &output["outliers"][0];
    assert_eq!(
        (&outlier["row"], &outlier["when"], &outlier["value"]),
        (&json!(13), &json!("2026-03-07"), &json!(500.0))
    );
    assert_eq!(
        output["findings"][1],
        "North on 2026-03-07 (row 13) has 500, where 10.20 is usual."
    );
    // Among all rows together 500 is nothing unusual.
    assert_eq!(anomalies(json!({ "data": data })).unwrap()["found"], 0);
}

#[test]
fn outliers_in_a_row_are_one_run() {
    let data = two_regions(|day, region, value| {
        if region == "South" && (8..12).contains(&day) {
            100.0
        } else {
            value
        }
    });
    let output =
        anomalies(json!({ "data": data, "by": ["region"], "date": "on", "method": "iqr" }))
            .unwrap();
    assert_eq!(
        output["runs"],
        json!([{ "group": "South", "from": "2026-03-09", "to": "2026-03-12", "length": 4, "below": true }])
    );
    assert_eq!(
        output["findings"],
        json!([
            "4 of 40 values of paid are outliers, in 1 of 2 groups.",
            "South lies below what is usual there 4 times in a row, from 2026-03-09 to 2026-03-12.",
        ])
    );
}

#[test]
fn periods_are_summed_before_they_are_judged() {
    let mut data = "on,paid\n".to_owned();
    for week in 0..12 {
        for day in 0..7 {
            let start =
                Grain::Day.plus(tabular::date::parse("2026-01-05").unwrap(), week * 7 + day);
            // Each day of the ninth week is a little higher, which only the sum shows.
            let value = f64::from(day)
                + if week == 8 {
                    3.0
                } else {
                    f64::from(week % 3) * 0.1
                };
            data.push_str(&format!("{start},{value}\n"));
        }
    }
    let ask =
        |grain: Value| anomalies(json!({ "data": data, "date": "on", "grain": grain })).unwrap();
    assert_eq!(ask(Value::Null)["found"], 0);
    let weekly = ask(json!("week"));
    assert_eq!(
        (
            &weekly["found"],
            &weekly["outliers"][0]["when"],
            &weekly["outliers"][0]["row"]
        ),
        (&json!(1), &json!("2026-W10"), &Value::Null)
    );
}

#[test]
fn the_sample_gives_up_its_three_typing_errors_and_the_missing_heat_pumps() {
    let output = anomalies(json!({
        "data": sample_data::sales::generate(), "measure": "revenue", "date": "date", "by": ["region", "product"], "top": 3,
    }))
    .unwrap();
    let groups: Vec<&str> = output["outliers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["group"].as_str().unwrap())
        .collect();
    assert!(
        groups
            .iter()
            .all(|group| ["East × Battery", "South × Wall box", "West × Inverter"].contains(group)),
        "{groups:?}"
    );
    let run = &output["runs"][0];
    assert_eq!(
        (&run["group"], &run["below"]),
        (&json!("North × Heat pump"), &json!(true))
    );
    assert!(
        run["from"].as_str().unwrap().starts_with("2026-04")
            && run["to"].as_str().unwrap().starts_with("2026-06"),
        "{run}"
    );
    assert!(output["found"].as_u64().unwrap() < 40, "{output}");
}

#[test]
fn what_cannot_be_looked_at_is_refused_or_said() {
    let error = |rest| anomalies(rest).unwrap_err().to_string();
    assert!(error(json!({ "data": "paid\n1\n", "threshold": 0 })).contains("above 0"));
    assert!(error(json!({ "data": "paid\n1\n", "grain": "week" })).contains("input.date"));
    let small = anomalies(json!({ "data": "paid\n1\n99\n" })).unwrap();
    assert_eq!(
        (&small["found"], &small["small-groups"]),
        (&json!(0), &json!(1))
    );
}
