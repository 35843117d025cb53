//! The whole flow by hand over the sample: plan, workers, report; and reports of workers that failed or answer nonsense.

use kennel_sdk::Exported;

use super::*;

const SALES: &str = include_str!("../../samples/sales.csv");
const QUESTION: &str = "Why did revenue fall in the second quarter of 2026?";

fn call(agent: &Exported, skill: &str, input: &Value) -> Result<Value, Error> {
    agent
        .handle(Task::new("t").for_skill(skill), Payload::json(input))
        .map(|output| output.decode().unwrap())
}

fn plan(question: &str) -> Vec<Value> {
    let output = call(
        &AGENT,
        "plan",
        &json!({ "question": question, "data": SALES }),
    )
    .unwrap();
    output["subtasks"].as_array().unwrap().clone()
}

fn worker(kind: &str) -> Exported {
    match kind {
        "compare" => bi_compare::AGENT,
        "timeseries" => bi_timeseries::AGENT,
        "aggregate" => bi_aggregate::AGENT,
        "anomalies" => bi_anomalies::AGENT,
        other => panic!("no worker {other}"),
    }
}

/// Does what the host does; a worker of the kind `broken` traps.
fn answer(question: &str, broken: &str) -> Result<Value, Error> {
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    for (index, subtask) in plan(question).into_iter().enumerate() {
        let kind = subtask["agent-type"].as_str().unwrap();
        let input = &subtask["input"];
        match kind == broken {
            true => failures.push(json!({ "index": index, "agent-type": kind, "input": input, "kind": "trapped", "message": "a <trap>" })),
            false => {
                let output = call(&worker(kind), "", input).unwrap();
                results.push(json!({ "index": index, "agent-type": kind, "input": input, "output": output }));
            }
        }
    }
    let input = json!({ "question": question, "data": SALES });
    call(
        &AGENT,
        "synthesize",
        &json!({ "input": input, "results": results, "failures": failures }),
    )
}

#[test]
fn the_story_of_the_sample_is_told() {
    let output = answer(QUESTION, "").unwrap();
    let headline = output["headline"].as_str().unwrap();
    assert!(
        headline.starts_with("Revenue is lower by ")
            && headline.contains("in 2026-Q2 than in 2026-Q1"),
        "{headline}"
    );
    assert!(
        headline.contains("North")
            && headline.contains("Heat pump")
            && headline.contains("alone accounts for"),
        "{headline}"
    );
    let report = output["report"].as_str().unwrap();
    for part in [
        "## What makes the difference",
        "## Over time",
        "## By group",
        "## What is unusual",
        "North × Heat pump lies below",
        "not what caused it",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let chart = output["chart"].as_str().unwrap();
    assert!(report.contains(chart));
    let chart = roxmltree::Document::parse(chart).unwrap();
    let marked: Vec<f64> = chart
        .descendants()
        .filter(|node| node.attribute("fill") == Some("#f6d8a8"))
        .map(|node| node.attribute("width").unwrap().parse().unwrap())
        .collect();
    // The table is weekly, so the chart is: 13 of 91 weeks of a frame that is 640 wide.
    assert!(
        marked.len() == 1 && (marked[0] - 640.0 * 13.0 / 91.0).abs() < 0.1,
        "{marked:?}"
    );
}

#[test]
fn each_kind_of_question_gets_its_workers_an_answer_and_a_chart() {
    for (question, workers, headline) in [
        (
            "Which region has the highest revenue?",
            "aggregate",
            "By region, revenue is highest for North at",
        ),
        (
            "What is the trend of units?",
            "timeseries anomalies",
            "Over 21 months units",
        ),
        (
            "Forecast revenue for the next 3 months",
            "timeseries anomalies",
            "Revenue is forecast to be",
        ),
        (
            "Compare North and South",
            "compare aggregate",
            "Revenue is lower by",
        ),
        (
            "Are there outliers in revenue?",
            "anomalies timeseries",
            "values of revenue are outliers",
        ),
        (
            "Revenue by channel",
            "aggregate timeseries",
            "By channel, revenue is highest for",
        ),
    ] {
        let kinds: Vec<String> = plan(question)
            .iter()
            .map(|task| task["agent-type"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds.join(" "), workers, "{question}");
        let output = answer(question, "").unwrap();
        assert!(
            output["headline"].as_str().unwrap().contains(headline),
            "{question}: {}",
            output["headline"]
        );
        roxmltree::Document::parse(output["chart"].as_str().unwrap()).unwrap();
    }
}

#[test]
fn workers_share_one_blob_and_get_exact_columns_and_days() {
    let tasks = plan(QUESTION);
    let blobs: std::collections::BTreeSet<String> = tasks
        .iter()
        .map(|task| task["input"]["data"].to_string())
        .collect();
    assert_eq!((tasks.len(), blobs.len()), (4, 1));
    assert!(
        json!(tasks).to_string().len() < 4000,
        "no task carries the table"
    );
    let mut compare = tasks[0]["input"].clone();
    compare["data"] = Value::Null;
    assert_eq!(
        compare,
        json!({
            "data": null, "measure": "revenue", "date": "date", "by": ["region", "product", "channel"], "filter": {},
            "periods": {
                "before": { "label": "2026-Q1", "from": "2026-01-01", "to": "2026-03-31" },
                "after": { "label": "2026-Q2", "from": "2026-04-01", "to": "2026-06-30" },
            },
        })
    );
}

#[test]
fn a_worker_that_failed_is_named_and_the_rest_is_reported() {
    let output = answer(QUESTION, "compare").unwrap();
    let report = output["report"].as_str().unwrap();
    assert!(
        output["headline"]
            .as_str()
            .unwrap()
            .starts_with("The question itself is not answered, but: ")
    );
    assert!(report.contains("The part What makes the difference is missing: its worker failed (trapped: a &lt;trap&gt;)."), "{report}");
    assert!(report.contains("## Over time") && !report.contains("## What makes the difference"));
    let chartless = answer("Which region has the highest revenue?", "aggregate").unwrap_err();
    assert_eq!(
        chartless,
        Error::fatal("no worker answered; aggregate: a <trap> (trapped)")
    );
}

#[test]
fn an_output_that_makes_no_sense_costs_only_its_own_part() {
    let hostile = json!({ "findings": ["# <script>x</script>\n\n| `a`"], "points": "none" });
    let results = json!([
        { "index": 0, "agent-type": "timeseries", "input": {}, "output": hostile },
        { "index": 1, "agent-type": "<b>\n# x", "input": {}, "output": 7 },
    ]);
    let input = json!({ "input": { "question": QUESTION, "data": SALES }, "results": results, "failures": [] });
    let output = call(&AGENT, "synthesize", &input).unwrap();
    let report = output["report"].as_str().unwrap();
    assert!(
        report.contains("- \\# &lt;script&gt;x&lt;/script&gt;  \\| \\`a\\`\n"),
        "{report}"
    );
    assert!(
        report.contains("## &lt;b&gt; \\# x\n\nNothing was found.") && output["chart"] == "",
        "{report}"
    );
}

#[test]
fn a_question_about_nothing_in_the_data_is_an_invalid_input() {
    let error = call(
        &AGENT,
        "plan",
        &json!({ "question": "Who are you?", "data": "a,b\nx,y\n" }),
    )
    .unwrap_err();
    assert!(
        matches!(&error, Error::InvalidInput(message) if message.contains("no column of numbers")),
        "{error}"
    );
    let error = call(
        &AGENT,
        "plan",
        &json!({ "question": "Hello", "data": SALES }),
    )
    .unwrap_err();
    assert!(
        matches!(&error, Error::InvalidInput(message) if message.contains("numbers: units, revenue")),
        "{error}"
    );
}
