//! The agent `etl-analyze`: counts and sums one chunk of enriched orders into a small part that merges with others. It concludes
//! nothing; that is the report's part.

use kennel_sdk::prelude::*;
use tabular::Partial;
use tabular::chunk::Chunk;

/// The columns by whose values the rows are tallied.
const TALLIED: [&str; 5] = ["month", "region", "category", "segment", "price_band"];

/// The skill `aggregate-rows`.
pub struct AggregateRows;

impl Agent for AggregateRows {
    type Input = Chunk;
    type Output = Partial;
    const SKILL: &'static str = "aggregate-rows";
    const DESCRIPTION: &'static str =
        "Aggregates a chunk of enriched orders into a part that can be merged with others.";
    const TAGS: &'static [&'static str] = &["csv", "etl", "aggregation"];

    fn handle(chunk: Chunk, _: &Task) -> Result<Partial, Error> {
        let tallied = chunk.columns(TALLIED)?;
        let [amount, customer] = chunk.columns(["amount_eur", "customer"])?;
        let mut partial = Partial {
            index: chunk.index,
            last: chunk.last,
            account: chunk.account.clone(),
            ..Partial::default()
        };
        for (place, row) in chunk.rows()?.iter().enumerate() {
            let field = |column: usize| row.get(column).unwrap_or_default();
            let cents = hundredths(field(amount)).ok_or_else(|| {
                Error::invalid_input(format_args!(
                    "row {} of chunk {} has the amount `{}`: an enriched row has euros and two decimals",
                    place + 1,
                    chunk.index,
                    field(amount)
                ))
            })?;
            let values: [(&str, &str); 5] =
                std::array::from_fn(|i| (TALLIED[i], field(tallied[i])));
            partial.add(cents, &values);
            partial.see("customer", field(customer));
        }
        Ok(partial)
    }
}

kennel_sdk::export!(AggregateRows);

/// An amount with two decimals, exactly.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(rest) || rest.len() != 2 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(100)?.checked_add(rest.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyze(rows: &str) -> Result<Partial, Error> {
        let input = json!({
            "index": 7, "last": true, "first-row": 3501, "csv": rows,
            "header": ["customer", "month", "region", "category", "segment", "price_band", "amount_eur"],
            "account": { "read": 9, "kept": 3, "duplicates": 1, "dropped": { "bad-date": 5 }, "repaired": {} },
        });
        AGENT
            .handle(Task::new("t"), Payload::json(&input))
            .map(|output| output.decode().unwrap())
    }

    #[test]
    fn a_chunk_becomes_tallies_and_keeps_its_place_and_account() {
        let partial = analyze(
            "C-1,2026-03,Asia,Toys,consumer,low,0.10\nC-2,2026-03,Asia,Office,business,low,0.20\nC-1,2026-04,Asia,Toys,consumer,high,300.00",
        )
        .unwrap();
        assert_eq!(
            (partial.index, partial.last, partial.account.kept),
            (7, true, 3)
        );
        assert_eq!((partial.total.rows, partial.total.hundredths), (3, 30_030));
        assert_eq!(partial.range, Some((10, 30_000)));
        let tally = partial.by["month"]["2026-03"];
        assert_eq!((tally.rows, tally.hundredths), (2, 30));
        assert_eq!(
            partial.by.keys().collect::<Vec<_>>(),
            ["category", "month", "price_band", "region", "segment"]
        );
        assert_eq!(partial.distinct["customer"].estimate(), 2);
    }

    #[test]
    fn a_chunk_of_which_nothing_is_left_is_counted_too() {
        let partial = analyze("").unwrap();
        assert_eq!(
            (partial.total.rows, partial.range, partial.account.read),
            (0, None, 9)
        );
    }

    #[test]
    fn an_amount_that_is_not_exact_is_an_invalid_input() {
        for amount in ["1", "1.5", "-1.00", "x", "1.000", "99999999999999999999.00"] {
            let error =
                analyze(&format!("C-1,2026-03,Asia,Toys,consumer,low,{amount}")).unwrap_err();
            assert!(
                error.message().contains(&format!("the amount `{amount}`")),
                "{error}"
            );
        }
    }
}
