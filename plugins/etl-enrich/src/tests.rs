//! Rows before and after, currencies that do not fit, and batches.

use super::*;

fn chunk(rows: &str) -> Value {
    let read = rows.lines().count();
    json!({
        "index": 4, "last": false, "first-row": 2001, "csv": rows,
        "header": ["order_id", "ordered", "customer", "country", "category", "product", "quantity", "unit_price", "written_currency"],
        "account": { "read": read + 3, "kept": read, "duplicates": 1, "dropped": { "bad-date": 2 }, "repaired": { "spaces": 5 } },
    })
}

fn enrich(rows: &str) -> (Vec<String>, Value) {
    let output = AGENT
        .handle(Task::new("t"), Payload::json(&chunk(rows)))
        .unwrap();
    let output: Value = output.decode().unwrap();
    let rows = output["csv"].as_str().unwrap().lines().map(str::to_owned);
    (rows.collect(), output["account"].clone())
}

#[test]
fn an_order_gets_its_region_amount_month_segment_and_band() {
    let (rows, account) = enrich(
        "O-1,2026-03-14,B-00042,Japan,Toys,Kite,3,1299.50,\nO-2,2025-12-01,C-1,Canada,Toys,Kite,1,100.00,$\nO-3,2025-12-01,E-1,France,Toys,Kite,10,50.00,EUR",
    );
    // 129 950 × 3 × 0.0061 = 2 378.085 cents; 10 000 × 0.68; 5 000 × 10.
    assert_eq!(
        rows,
        [
            "O-1,2026-03,B-00042,business,Japan,Asia,Toys,Kite,3,23.78,low",
            "O-2,2025-12,C-1,consumer,Canada,North America,Toys,Kite,1,68.00,medium",
            "O-3,2025-12,E-1,education,France,Western Europe,Toys,Kite,10,500.00,high",
        ]
    );
    assert_eq!(
        account,
        json!({ "read": 6, "kept": 3, "duplicates": 1, "dropped": { "bad-date": 2 }, "repaired": { "spaces": 5 } })
    );
}

#[test]
fn what_does_not_fit_the_table_is_dropped_and_the_account_still_balances() {
    let (rows, account) = enrich(
        "O-1,2026-03-14,B-1,Japan,Toys,Kite,3,10,EUR\nO-2,2026-03-14,B-1,Germany,Toys,Kite,1,1,$\nO-3,2026-03-14,B-1,Atlantis,Toys,Kite,1,1,\nO-4,2026-03-14,B-1,Japan,Toys,Kite,x,1,",
    );
    assert!(rows.is_empty());
    assert_eq!(
        account["dropped"],
        json!({ "bad-amount": 1, "bad-date": 2, "currency-mismatch": 2, "no-region": 1 })
    );
    let account: tabular::chunk::Account = Payload::json(&account).decode().unwrap();
    assert!(account.is_balanced());
}

#[test]
fn a_batch_answers_what_single_calls_answer_in_their_order() {
    let inputs = [
        Payload::json(&chunk("O-1,2026-03-14,B-1,Japan,Toys,Kite,3,10,")),
        Payload::text("no chunk"),
        Payload::json(&chunk("O-2,2026-03-14,C-1,Spain,Toys,Kite,1,1,")),
    ];
    let tasks = inputs.iter().map(|input| (Task::new("t"), input.clone()));
    let together = AGENT.handle_batch(tasks.collect());
    let alone: Vec<_> = inputs
        .into_iter()
        .map(|input| AGENT.handle(Task::new("t"), input))
        .collect();
    assert_eq!(together, alone);
    assert_eq!(together.iter().filter(|result| result.is_ok()).count(), 2);
}

#[test]
fn the_table_of_countries_is_sound() {
    let lookup = Lookup::load().unwrap();
    assert_eq!(lookup.len(), 16);
    let germany = lookup.country("Germany").unwrap();
    assert!(germany.euro == 1.0 && germany.may_be_paid_in("EUR") && !germany.may_be_paid_in("$"));
}
