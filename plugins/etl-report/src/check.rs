//! The checks: what must be true of the aggregates of a whole table. They count; they repair nothing.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use tabular::Partial;

/// One thing that must be true.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// What must be true.
    pub(crate) check: String,
    /// Whether it is.
    pub(crate) holds: bool,
    /// The numbers.
    pub(crate) numbers: String,
}

/// Checks the aggregates of all chunks, and the one that they were merged into.
pub(crate) fn all(partials: &[Partial], all: &Partial) -> Vec<Check> {
    let mut checks = vec![chunks(partials), rows(all), counted(all)];
    checks.extend(all.by.keys().map(|column| column_adds_up(all, column)));
    checks
}

fn chunks(partials: &[Partial]) -> Check {
    let indices: BTreeSet<u64> = partials.iter().map(|partial| partial.index).collect();
    let last = partials.iter().filter(|p| p.last).map(|p| p.index).max();
    let twice = partials.len() - indices.len();
    // Without the last chunk nobody knows how many there are; then those up to the highest are expected, and one more.
    let highest = indices.last().copied().unwrap_or_default();
    let expected = last.map_or(highest.saturating_add(2), |last| last.saturating_add(1));
    Check {
        check: "every chunk is there, once".to_owned(),
        holds: last == Some(highest) && indices.len() as u64 == expected && twice == 0,
        numbers: format!(
            "{} of {}{expected} chunks, {twice} of them twice",
            indices.len(),
            if last.is_some() { "" } else { "at least " },
        ),
    }
}

fn rows(all: &Partial) -> Check {
    let account = &all.account;
    Check {
        check: "every row is kept, a duplicate, or dropped for a reason".to_owned(),
        holds: account.is_balanced(),
        numbers: format!(
            "{} read, {} kept + {} duplicates + {} dropped",
            account.read,
            account.kept,
            account.duplicates,
            account.dropped_in_all()
        ),
    }
}

fn counted(all: &Partial) -> Check {
    Check {
        check: "every row that was kept was counted".to_owned(),
        holds: all.account.kept == all.total.rows,
        numbers: format!("{} kept, {} counted", all.account.kept, all.total.rows),
    }
}

fn column_adds_up(all: &Partial, column: &str) -> Check {
    let (mut rows, mut hundredths) = (0u64, 0i64);
    for tally in all
        .by
        .get(column)
        .into_iter()
        .flat_map(|values| values.values())
    {
        rows = rows.saturating_add(tally.rows);
        hundredths = hundredths.saturating_add(tally.hundredths);
    }
    Check {
        check: format!("the rows of each {column} add up to all"),
        holds: (rows, hundredths) == (all.total.rows, all.total.hundredths),
        numbers: format!(
            "{rows} rows and {hundredths} cents of {} and {}",
            all.total.rows, all.total.hundredths
        ),
    }
}
