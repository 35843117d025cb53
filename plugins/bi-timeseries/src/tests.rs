//! Small series worked out by hand, the sample with its fall, and what is no series.

use super::*;

fn series(rest: Value) -> Result<Value, Error> {
    let mut input = json!({ "measure": "paid", "date": "on" });
    for (key, value) in rest.as_object().unwrap() {
        input[key] = value.clone();
    }
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

/// A row on the first and the last day of each month from January 2024 on, half of the value each.
fn monthly(values: &[f64]) -> String {
    let start = tabular::date::parse("2024-01-01").unwrap();
    let mut csv = "on,paid\n".to_owned();
    for (n, value) in values.iter().enumerate() {
        let month = Grain::Month.plus(start, n as i32);
        for day in [month, Grain::Month.end(month)] {
            csv.push_str(&format!("{day},{}\n", value / 2.0));
        }
    }
    csv
}

#[test]
fn growth_is_against_the_month_and_the_year_before() {
    let values: Vec<f64> = (0..13).map(|n| if n == 12 { 30.0 } else { 20.0 }).collect();
    let output =
        series(json!({ "data": monthly(&values), "grain": "month", "horizon": 0 })).unwrap();
    let last = &output["points"][12];
    assert_eq!(
        last,
        &json!({ "period": "2025-01", "from": "2025-01-01", "value": 30.0, "growth": 0.5, "year-growth": 0.5 })
    );
    assert_eq!(output["forecast"], Value::Null);
    assert_eq!(
        output["findings"][0],
        "The last complete month, 2025-01, has paid of 30 (+50 % on the month before, +50 % on a year before); the mean of 13 months is 20.77."
    );
}

#[test]
fn a_straight_trend_is_found_and_continued() {
    let values: Vec<f64> = (0..14).map(|n| 1000.0 + 50.0 * f64::from(n)).collect();
    let output = series(json!({ "data": monthly(&values), "horizon": 2 })).unwrap();
    assert_eq!(output["grain"], "month");
    assert_eq!(
        (&output["trend"]["slope"], &output["trend"]["p-value"]),
        (&json!(50.0), &json!(0.0))
    );
    assert_eq!(output["forecast"]["points"][1]["value"], 1750.0);
    let findings = output["findings"].to_string();
    assert!(
        findings
            .contains("As a straight line paid rises by 50 with each month (R² 1.00, p < 0.001)."),
        "{findings}"
    );
}

#[test]
fn the_sample_falls_most_in_the_second_quarter_of_2026() {
    let output = series(json!({
        "data": sample_data::sales::generate(), "measure": "revenue", "date": "date", "grain": "quarter",
    }))
    .unwrap();
    let points = output["points"].as_array().unwrap();
    assert_eq!(points.len(), 7);
    let lowest = points
        .iter()
        .min_by(|a, b| {
            a["growth"]
                .as_f64()
                .unwrap_or(0.0)
                .total_cmp(&b["growth"].as_f64().unwrap_or(0.0))
        })
        .unwrap();
    assert_eq!(lowest["period"], "2026-Q2");
    assert!(lowest["growth"].as_f64().unwrap() < -0.08, "{lowest}");
    assert!(!output["findings"].to_string().contains("days with data"));
    assert!(output["forecast"]["error"]["mean-share"].as_f64().unwrap() < 0.25);
}

#[test]
fn months_of_weekly_data_are_said_to_differ_by_their_mondays() {
    let ask = |grain: &str| {
        let input = json!({ "data": sample_data::sales::generate(), "measure": "revenue", "date": "date", "grain": grain });
        series(input).unwrap()["findings"].to_string()
    };
    let note = "A month has 4 to 5 days with data, which alone makes months differ by up to 20 %.";
    assert!(ask("month").contains(note), "{}", ask("month"));
    assert!(!ask("week").contains("days with data"));
}

#[test]
fn what_is_no_series_is_refused() {
    let data = monthly(&[1.0, 2.0]);
    let error = |rest| series(rest).unwrap_err().to_string();
    assert!(error(json!({ "data": data, "grain": "year" })).contains("no whole year"));
    assert!(error(json!({ "data": data, "horizon": 61 })).contains("at most 60"));
    assert!(error(json!({ "data": data, "date": "day" })).contains("no column `day`"));
}
