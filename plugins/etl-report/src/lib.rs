//! The agent `etl-report`: merges the aggregates of all chunks, checks them against each other, and reports. It never smooths over a
//! check that fails: the report then says so first.

mod check;
mod report;

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use tabular::chunk::Account;
use tabular::{Partial, Tally, rounded};

use crate::check::Check;

/// What was made of the table.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// The report, as Markdown.
    report: String,
    /// Whether every check held.
    balanced: bool,
    /// What was checked.
    checks: Vec<Check>,
    /// The totals.
    totals: Totals,
}

/// The totals of all chunks.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// How many chunks there were.
    chunks: u64,
    /// What became of the rows.
    account: Account,
    /// The sum of all orders, in euro.
    amount_eur: f64,
    /// The smallest and the largest order, in euro.
    range_eur: Option<(f64, f64)>,
    /// How many customers there were, within 2.3 %.
    customers: u64,
    /// Rows and euro by column and value.
    by: BTreeMap<String, BTreeMap<String, Line>>,
}

/// The rows that share a value.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// The number of rows.
    rows: u64,
    /// The sum of their amounts, in euro.
    amount_eur: f64,
    /// Their part of the whole amount, from 0 to 1.
    share: f64,
}

/// The skill `report-etl`.
pub struct ReportEtl;

impl Agent for ReportEtl {
    type Input = Vec<Partial>;
    type Output = Output;
    const SKILL: &'static str = "report-etl";
    const DESCRIPTION: &'static str =
        "Merges the aggregates of all chunks, checks that no row is lost, and writes a report.";
    const TAGS: &'static [&'static str] = &["etl", "report", "markdown"];

    fn handle(partials: Vec<Partial>, _: &Task) -> Result<Output, Error> {
        if partials.is_empty() {
            return Err(Error::invalid_input(
                "the list is empty: give the aggregate of at least one chunk",
            ));
        }
        let mut all = Partial::default();
        for partial in &partials {
            all.merge(partial);
        }
        let checks = check::all(&partials, &all);
        let totals = Totals::of(partials.len() as u64, all);
        Ok(Output {
            report: report::write(&totals, &checks),
            balanced: checks.iter().all(|check| check.holds),
            checks,
            totals,
        })
    }
}

kennel_sdk::export!(ReportEtl);

impl Totals {
    fn of(chunks: u64, all: Partial) -> Self {
        let total = all.total;
        let lines = |values: BTreeMap<String, Tally>| {
            let line = |(value, tally)| (value, Line::of(tally, total));
            values.into_iter().map(line).collect()
        };
        Self {
            chunks,
            account: all.account,
            amount_eur: total.amount(),
            range_eur: all
                .range
                .map(|(low, high)| (low as f64 / 100.0, high as f64 / 100.0)),
            customers: all
                .distinct
                .get("customer")
                .map_or(0, |seen| seen.estimate()),
            by: all
                .by
                .into_iter()
                .map(|(column, values)| (column, lines(values)))
                .collect(),
        }
    }
}

impl Line {
    fn of(tally: Tally, total: Tally) -> Self {
        Self {
            rows: tally.rows,
            amount_eur: tally.amount(),
            share: rounded(tally.amount() / total.amount(), 4),
        }
    }
}

#[cfg(test)]
mod tests;
