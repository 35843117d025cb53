//! The agent `bi-aggregate`: a measure by the values of columns, largest first, with shares. It explains nothing and knows no time.

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use tabular::number::{percent, readable};
use tabular::{Filter, How, Observations, Table, observe, rounded};

/// A group that is below this share of all is not worth a sentence of its own.
const WORTH_NAMING: f64 = 0.01;

/// What to aggregate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The table, CSV with a header; as a file or as text.
    data: Content,
    /// The column of numbers.
    measure: String,
    /// The columns by whose values the measure is taken apart, each for itself.
    #[schemars(length(min = 1))]
    by: Vec<String>,
    /// Whether values are added up or averaged.
    #[serde(default)]
    how: How,
    /// The column of dates, needed when the filter has days.
    #[serde(default)]
    date: Option<String>,
    /// Which rows count.
    #[serde(default)]
    filter: Filter,
    /// How many groups of a column are listed; the rest is summed up.
    #[serde(default = "top")]
    #[schemars(range(min = 1))]
    top: usize,
}

/// The measure by each column.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// What stands out, as sentences.
    findings: Vec<String>,
    /// The measure over all rows that count.
    total: f64,
    /// How many rows count.
    rows: usize,
    /// How many rows passed the filter and had no number.
    unusable: usize,
    /// One table for each column.
    tables: Vec<ByColumn>,
}

/// The measure by the values of one column.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ByColumn {
    /// The column.
    by: String,
    /// The groups, largest first.
    groups: Vec<Group>,
    /// How many smaller groups are not listed.
    left_out: usize,
}

/// The rows that share a value.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The value.
    group: String,
    /// How many rows have it.
    rows: usize,
    /// The measure.
    value: f64,
    /// Its part of all, from 0 to 1; absent for means and where some values are negative.
    share: Option<f64>,
}

fn top() -> usize {
    10
}

/// The skill `aggregate`.
pub struct Aggregate;

impl Agent for Aggregate {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "aggregate";
    const DESCRIPTION: &'static str =
        "Adds up or averages a measure by the values of columns, largest first.";
    const TAGS: &'static [&'static str] = &["data", "aggregation", "group-by"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        if input.by.is_empty() || input.top == 0 {
            return Err(Error::invalid_input(
                "name at least one column in input.by, and let input.top be 1 or more",
            ));
        }
        let table = Table::read(&input.data)?;
        let date = input.date.as_deref();
        let seen = observe(&table, &input.measure, date, &input.by, &input.filter)?;
        let values: Vec<f64> = seen.rows.iter().map(|row| row.value).collect();
        let total = input.how.of(&values);
        let tables: Vec<Vec<Group>> = (0..input.by.len())
            .map(|column| groups(&seen, column, input.how, total))
            .collect();
        let named = input.by.iter().zip(&tables);
        let mut findings: Vec<String> = named
            .flat_map(|(by, groups)| sentences(&input, by, groups, total))
            .collect();
        if seen.unusable > 0 {
            findings.push(format!(
                "{} rows have no usable number and are left out.",
                seen.unusable
            ));
        }
        Ok(Output {
            findings,
            total: rounded(total, 2),
            rows: seen.rows.len(),
            unusable: seen.unusable,
            tables: input
                .by
                .into_iter()
                .zip(tables)
                .map(|(by, groups)| listed(by, groups, input.top))
                .collect(),
        })
    }
}

kennel_sdk::export!(Aggregate);

fn groups(seen: &Observations, column: usize, how: How, total: f64) -> Vec<Group> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in &seen.rows {
        values
            .entry(&row.groups[column])
            .or_default()
            .push(row.value);
    }
    let has_shares = how == How::Sum && total > 0.0 && seen.rows.iter().all(|row| row.value >= 0.0);
    let mut groups: Vec<Group> = values
        .into_iter()
        .map(|(group, values)| Group {
            group: group.to_owned(),
            rows: values.len(),
            value: rounded(how.of(&values), 2),
            share: has_shares.then(|| rounded(how.of(&values) / total, 4)),
        })
        .collect();
    groups.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.group.cmp(&b.group)));
    groups
}

fn listed(by: String, mut groups: Vec<Group>, top: usize) -> ByColumn {
    let left_out = groups.len().saturating_sub(top);
    groups.truncate(top);
    ByColumn {
        by,
        groups,
        left_out,
    }
}

fn sentences(input: &Input, by: &str, groups: &[Group], total: f64) -> Vec<String> {
    let what = input.how.words(&input.measure);
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else {
        return Vec::new();
    };
    if groups.len() == 1 {
        return vec![format!("All rows have the {by} {}.", first.group)];
    }
    let share = |group: &Group| match group.share {
        Some(share) => format!(" ({} of {})", percent(share), readable(total)),
        None => format!(" ({} over all)", readable(total)),
    };
    let mut sentences = vec![format!(
        "By {by}, {what} is highest for {} at {}{} and lowest for {} at {}.",
        first.group,
        readable(first.value),
        share(first),
        last.group,
        readable(last.value)
    )];
    // How few of the groups make half of it.
    let shares: Option<Vec<f64>> = groups.iter().map(|group| group.share).collect();
    if let Some(shares) = shares.filter(|shares| shares.len() > 2) {
        let mut sum = 0.0;
        let half = shares.iter().position(|share| {
            sum += share;
            sum >= 0.5
        });
        if let Some(half) = half {
            let small = shares.iter().filter(|&&share| share < WORTH_NAMING).count();
            let tail = match small {
                0 => String::new(),
                n => format!("; {n} have less than {} each", percent(WORTH_NAMING)),
            };
            sentences.push(format!(
                "{} of {} values of {by} make {} of {what}{tail}.",
                half + 1,
                shares.len(),
                percent(sum)
            ));
        }
    }
    sentences
}

#[cfg(test)]
mod tests;
