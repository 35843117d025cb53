//! The whole pipeline by hand over thousands of dirty orders whose totals are known, and parts that do not fit together.

use kennel_sdk::Exported;
use sample_data::orders::{self, Orders};

use super::*;

/// Calls an agent as the host does.
fn call(agent: &Exported, input: &Value) -> Value {
    agent
        .handle(Task::new("t"), Payload::json(input))
        .unwrap()
        .decode()
        .unwrap()
}

/// Does what the flow does: pages, then each chunk through three stages, the second of them in batches of four.
fn partials(orders: &Orders) -> Vec<Value> {
    let mut input = json!({ "file": Blob::new("text/csv", orders.csv.as_bytes()), "rows-per-chunk": orders::BLOCK });
    let mut chunks = Vec::new();
    loop {
        let page = call(&etl_extract::AGENT, &input);
        chunks.extend(page["items"].as_array().unwrap().clone());
        if page["next"].is_null() {
            break;
        }
        input["cursor"] = page["next"].clone();
    }
    let clean: Vec<Payload> = chunks
        .iter()
        .map(|chunk| Payload::json(&call(&etl_clean::AGENT, chunk)))
        .collect();
    let batches = clean.chunks(4).flat_map(|batch| {
        let tasks = batch.iter().map(|chunk| (Task::new("t"), chunk.clone()));
        etl_enrich::AGENT.handle_batch(tasks.collect())
    });
    batches
        .map(|chunk| call(&etl_analyze::AGENT, &chunk.unwrap().decode().unwrap()))
        .collect()
}

fn report(partials: &[Value]) -> Value {
    call(&AGENT, &json!(partials))
}

fn failed(output: &Value) -> Vec<&str> {
    let checks = output["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["holds"] == false)
        .map(|check| check["check"].as_str().unwrap())
        .collect()
}

#[test]
fn the_pipeline_finds_exactly_what_the_generator_spoilt() {
    let orders = orders::generate(10_250);
    let expected = &orders.expected;
    let output = report(&partials(&orders));
    assert_eq!(
        (&output["balanced"], failed(&output)),
        (&json!(true), vec![])
    );
    let totals = &output["totals"];
    assert_eq!(totals["chunks"], 21);
    let account: Account = Payload::json(&totals["account"]).decode().unwrap();
    assert_eq!(
        (
            account.read,
            account.kept,
            account.duplicates,
            &account.dropped
        ),
        (
            expected.read,
            expected.kept,
            expected.duplicates,
            &expected.dropped
        )
    );
    assert_eq!(totals["amount-eur"], expected.cents as f64 / 100.0);
    let months = totals["by"]["month"].as_object().unwrap().iter();
    let months: BTreeMap<String, u64> = months
        .map(|(month, line)| (month.clone(), line["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(months, expected.by_month);
    let (seen, customers) = (
        totals["customers"].as_f64().unwrap(),
        expected.customers as f64,
    );
    assert!(
        (seen - customers).abs() < 0.08 * customers,
        "{seen} of {customers}"
    );
}

#[test]
fn the_report_says_what_became_of_every_row() {
    let output = report(&partials(&orders::generate(orders::BLOCK)));
    let report = output["report"].as_str().unwrap();
    for part in [
        "500 rows were read in 1 chunks; 469 (93.80 %) were kept.",
        "| duplicates | 3 | 0.60 % |",
        "| dropped: unknown-country | 7 | 1.40 % |",
        "## By price band",
        "- ✓ every row is kept, a duplicate, or dropped for a reason: 500 read, 469 kept + 3 duplicates + 28 dropped",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains("failed"));
}

#[test]
fn a_chunk_that_is_missing_or_there_twice_is_noticed() {
    let whole = partials(&orders::generate(4 * orders::BLOCK));
    let check = "every chunk is there, once";
    for (at, numbers) in [
        (1, "3 of 4 chunks, 0 of them twice"),
        (3, "3 of at least 4 chunks, 0 of them twice"),
    ] {
        let mut parts = whole.clone();
        parts.remove(at);
        let output = report(&parts);
        assert_eq!(
            (&output["balanced"], failed(&output)),
            (&json!(false), vec![check])
        );
        assert_eq!(output["checks"][0]["numbers"], numbers);
        assert!(
            output["report"]
                .as_str()
                .unwrap()
                .contains("**1 of 8 checks failed")
        );
    }
    let twice = [whole.clone(), vec![whole[0].clone()]].concat();
    assert_eq!(failed(&report(&twice)), [check]);
}

#[test]
fn rows_that_nobody_accounts_for_are_noticed() {
    let mut parts = partials(&orders::generate(2 * orders::BLOCK));
    parts[0]["account"]["read"] = json!(501);
    parts[1]["account"]["kept"] = json!(1);
    parts[1]["by"]["region"]["Asia"]["hundredths"] = json!(1);
    let output = report(&parts);
    assert_eq!(
        failed(&output),
        [
            "every row is kept, a duplicate, or dropped for a reason",
            "every row that was kept was counted",
            "the rows of each region add up to all",
        ]
    );
}

#[test]
fn no_chunk_at_all_is_an_invalid_input() {
    let error = AGENT
        .handle(Task::new("t"), Payload::json(&json!([])))
        .unwrap_err();
    assert_eq!(
        error,
        Error::invalid_input("the list is empty: give the aggregate of at least one chunk")
    );
}
