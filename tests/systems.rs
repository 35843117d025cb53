//! The systems that ship with Kennel, run as their users run them, on the samples of the repository.
//!
//! The first one, which reads a scanned page, is in `flows`.

use serde_json::{Value, json};

use crate::flows::shipped;
use crate::harness::{Kennel, repository, step};

fn sample(path: &str) -> String {
    let path = repository().join("plugins/samples").join(path);
    format!("@{}", path.display())
}

fn run(kennel: &Kennel, input: &Value) -> Value {
    let args = ["run", "flow.yaml", "--json", "--input", &input.to_string()];
    kennel.run(args).exits(0).json()
}

#[test]
fn market_intelligence_goes_on_without_a_source_that_fails() {
    let agents = ["sentiment", "trends", "pricing", "competitors"];
    let kennel = shipped("market-intelligence.yaml", &agents);
    let mut input = json!({
        "news": sample("market/news.json"),
        "prices": sample("market/prices.csv"),
        "series": sample("market/series.csv"),
        "competitors": sample("market/competitors.json"),
    });
    let output = run(&kennel, &input)["output"].clone();
    assert_eq!(output["sources"], json!(agents));
    let down =
        |trend: &Value| trend["series"] == "earbuds-mean-price" && trend["direction"] == "down";
    assert!(
        output["trends"]
            .as_array()
            .is_some_and(|trends| trends.iter().any(down)),
        "{output:#}"
    );

    input["prices"] = json!("no table");
    let report = run(&kennel, &input);
    assert_eq!(
        report["output"]["sources"],
        json!(["sentiment", "trends", "competitors"])
    );
    assert_eq!(report["output"]["prices"], Value::Null);
    assert_eq!(step(&report, "pricing")["failure"]["kind"], "invalid-input");
}

#[test]
fn business_intelligence_finds_what_the_table_hides_and_draws_it() {
    let agents = [
        "bi-coordinator",
        "bi-aggregate",
        "bi-timeseries",
        "bi-compare",
        "bi-anomalies",
    ];
    let input = json!({
        "question": "Why did revenue fall in the second quarter of 2026?",
        "data": sample("sales.csv"),
    });
    let output = run(&shipped("business-intelligence.yaml", &agents), &input)["output"].clone();
    let headline = output["headline"].as_str().unwrap_or_default();
    assert!(headline.contains("Heat pump × North"), "{headline}");
    let report = output["report"].as_str().unwrap_or_default();
    assert!(
        report.starts_with("# Why did revenue fall") && report.contains("<svg"),
        "{report}"
    );
}

#[test]
fn market_monitoring_handles_every_event_of_a_recorded_day() {
    let kennel = shipped(
        "market-monitoring.yaml",
        &["price-alert", "trading-signal", "sentiment", "competitors"],
    );
    let events = repository().join("plugins/samples/market/events.jsonl");
    let events = events.to_str().expect("a path of text");
    let args = [
        "run",
        "flow.yaml",
        "--events",
        events,
        "--parallel",
        "1",
        "--json",
    ];
    let stdout = kennel.run(args).exits(0).stdout;
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect();
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!(
        (&summary["events"], &summary["succeeded"]),
        (&json!(222), &json!(222)),
        "{summary:#}"
    );
    let told =
        |what: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| what(&line["output"])).count();
    assert_eq!(told(&|output| output["alert"]["alert"] == true), 1);
    assert_eq!(
        told(&|output| output["signal"]["signal"]
            .as_str()
            .is_some_and(|signal| signal != "hold")),
        7
    );
}

const ETL: [&str; 5] = [
    "etl-extract",
    "etl-clean",
    "etl-enrich",
    "etl-analyze",
    "etl-report",
];

#[test]
fn etl_accounts_for_every_row_of_a_dirty_table() {
    let report = run(
        &shipped("etl.yaml", &ETL),
        &json!({ "file": sample("orders.csv") }),
    );
    let output = &report["output"];
    assert_eq!(output["balanced"], true, "{output:#}");
    assert_eq!(output["totals"]["account"]["kept"], 469, "{output:#}");
    assert_eq!(step(&report, "etl-clean")["items"]["succeeded"], 1);
}

#[test]
fn etl_needs_no_more_memory_for_a_table_ten_times_as_long() {
    let kennel = shipped("etl.yaml", &ETL);
    let orders = std::fs::read(repository().join("plugins/samples/orders.csv")).expect("read");
    let orders = String::from_utf8_lossy(&orders);
    let (header, rows) = orders.split_once('\n').expect("a header");
    let peak = |times| {
        let file = kennel.root().join("orders.csv");
        std::fs::write(&file, format!("{header}\n{}", rows.repeat(times))).expect("written");
        let input = json!({ "file": format!("@{}", file.display()) }).to_string();
        let output = kennel.run(["run", "flow.yaml", "--json", "--input", &input]);
        let output = output.exits(0);
        let read = &output.json()["output"]["totals"]["account"]["read"];
        (read.as_u64().expect("a count"), output.peak_rss)
    };
    let ((few, short), (many, long)) = (peak(10), peak(100));
    println!("{short} bytes for {few} rows, {long} for {many}");
    assert_eq!(many, few * 10);
    // The file itself is read once, when the command takes it in.
    assert!(long < short + (24 << 20), "{short} bytes became {long}");
}
