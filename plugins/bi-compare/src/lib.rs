//! The agent `bi-compare`: which segments make the difference between two periods or two segments, and whether chance would make one
//! so large. It says where a change is, not what caused it.

mod decompose;
mod words;

use kennel_sdk::prelude::*;
use tabular::{Filter, Observations, Period, Table, observe, rounded, stats};

use crate::decompose::{Decomposition, Sides};

/// What to compare.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The table, CSV with a header; as a file or as text.
    data: Content,
    /// The column of numbers, which are added up.
    measure: String,
    /// The column of dates; needed to compare periods.
    #[serde(default)]
    date: Option<String>,
    /// Two periods. Give these or `segments`.
    #[serde(default)]
    periods: Option<Periods>,
    /// Two values of a column. Give these or `periods`.
    #[serde(default)]
    segments: Option<Segments>,
    /// The columns by whose values the difference is taken apart.
    #[serde(default)]
    by: Vec<String>,
    /// Which rows count.
    #[serde(default)]
    filter: Filter,
    /// How many parts of each column are listed.
    #[serde(default = "top")]
    top: usize,
}

/// Two periods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Periods {
    /// The earlier one, or what is compared with.
    before: Period,
    /// The later one.
    after: Period,
}

/// Two values of a column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segments {
    /// The column.
    column: String,
    /// What is compared with.
    before: String,
    /// What is compared.
    after: String,
}

/// The difference and its parts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// What stands out, as sentences.
    findings: Vec<String>,
    /// The first side.
    before: Side,
    /// The second side.
    after: Side,
    /// The second minus the first.
    change: f64,
    /// The change as a share of the first side; absent when that is not above 0.
    change_share: Option<f64>,
    /// The parts of the change by each column, the column with the most telling part first.
    parts: Vec<Decomposition>,
    /// The parts by the two most telling columns together.
    joint: Option<Decomposition>,
    /// Welch's test of the sums of single days, or of single rows where there are no dates.
    test: Option<Test>,
    /// How many rows lack a date or a number.
    unusable: usize,
}

/// One side of a comparison.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// What it is called.
    label: String,
    /// How many rows it has.
    rows: usize,
    /// The sum of the measure.
    total: f64,
}

/// Welch's t-test.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Test {
    /// What a sample is made of: `days` or `rows`.
    of: String,
    /// The difference of the means in standard errors.
    t: f64,
    /// The degrees of freedom.
    freedom: f64,
    /// How likely so large a difference is by chance; two-sided.
    p_value: f64,
}

fn top() -> usize {
    5
}

/// The skill `compare`.
pub struct Compare;

impl Agent for Compare {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "compare";
    const DESCRIPTION: &'static str =
        "Takes the difference of a measure between two periods or segments apart into its parts.";
    const TAGS: &'static [&'static str] = &["data", "comparison", "contribution", "t-test"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        let table = Table::read(&input.data)?;
        let [first, second] = sides(&input)?;
        let date = input.date.as_deref();
        let seen =
            |side: &(String, Filter)| observe(&table, &input.measure, date, &input.by, &side.1);
        let (before, after) = (seen(&first)?, seen(&second)?);
        let sides = Sides {
            before: &before,
            after: &after,
        };
        let change = sides.change();
        let (before_total, after_total) = sides.totals();
        let (parts, joint) = decompose::all(&sides, &input.by, input.top.max(1));
        let mut output = Output {
            findings: Vec::new(),
            before: side(first.0, &before, before_total),
            after: side(second.0, &after, after_total),
            change: rounded(change, 2),
            change_share: (before_total > 0.0).then(|| rounded(change / before_total, 4)),
            parts,
            joint,
            test: test(&before, &after),
            unusable: before.unusable.max(after.unusable),
        };
        output.findings = words::findings(&input.measure, &output);
        Ok(output)
    }
}

kennel_sdk::export!(Compare);

/// The name and the filter of either side.
fn sides(input: &Input) -> Result<[(String, Filter); 2], Error> {
    match (&input.periods, &input.segments) {
        (Some(periods), None) => {
            if input.date.is_none() {
                return Err(Error::invalid_input(
                    "to compare periods, name the column of dates in input.date",
                ));
            }
            let side = |period: &Period| {
                let filter = input.filter.between(&period.from, &period.to);
                (period.label.clone(), filter)
            };
            Ok([side(&periods.before), side(&periods.after)])
        }
        (None, Some(segments)) => {
            let side = |value: &str| {
                let mut filter = input.filter.clone();
                filter
                    .equals
                    .insert(segments.column.clone(), value.to_owned());
                (value.to_owned(), filter)
            };
            Ok([side(&segments.before), side(&segments.after)])
        }
        _ => Err(Error::invalid_input(
            "give two periods in input.periods or two values of a column in input.segments, and not both",
        )),
    }
}

fn side(label: String, seen: &Observations, total: f64) -> Side {
    Side {
        label,
        rows: seen.rows.len(),
        total: rounded(total, 2),
    }
}

fn test(before: &Observations, after: &Observations) -> Option<Test> {
    let welch = stats::welch(&sample(before), &sample(after))?;
    let has_days = before.rows.iter().any(|row| row.date.is_some());
    Some(Test {
        of: if has_days { "days" } else { "rows" }.to_owned(),
        t: rounded(welch.t, 3),
        freedom: rounded(welch.freedom, 2),
        p_value: rounded(welch.p_value, 6),
    })
}

/// The sum of each day that has rows; single values where rows have no day.
fn sample(seen: &Observations) -> Vec<f64> {
    let mut days = std::collections::BTreeMap::new();
    for row in &seen.rows {
        // Rows without a day stay apart by their number.
        let key = (row.date, if row.date.is_some() { 0 } else { row.row });
        *days.entry(key).or_insert(0.0) += row.value;
    }
    days.into_values().collect()
}

#[cfg(test)]
mod tests;
