//! The agent `bi-anomalies`: values that are far from what is usual in their group, and when and where there are many. It knows no
//! season and no trend: in a group that grows steadily, both ends are far from the middle.

mod outliers;
mod words;

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use tabular::{Date, Filter, Grain, How, Observations, Table, observe, rounded};

use crate::outliers::Fences;

/// Which test a value has to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The distance from the median in median absolute deviations.
    #[default]
    RobustZ,
    /// The distance from the quartiles in interquartile ranges.
    Iqr,
}

/// Where to look for outliers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The table, CSV with a header; as a file or as text.
    data: Content,
    /// The column of numbers.
    measure: String,
    /// The columns whose values make a group together; none for one group of all rows.
    #[serde(default)]
    by: Vec<String>,
    /// The column of dates.
    #[serde(default)]
    date: Option<String>,
    /// Sums up each group by periods of this length first, and looks at those sums; needs dates.
    #[serde(default)]
    grain: Option<Grain>,
    /// Which rows count.
    #[serde(default)]
    filter: Filter,
    /// Which test a value has to fail.
    #[serde(default)]
    method: Method,
    /// Beyond which distance a value is an outlier: 3.5 by default for `robust-z`, 3 for `iqr`.
    #[serde(default)]
    threshold: Option<f64>,
    /// How many outliers are listed.
    #[serde(default = "top")]
    top: usize,
}

/// The outliers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// What stands out, as sentences.
    findings: Vec<String>,
    /// How many values were looked at.
    values: usize,
    /// How many groups were looked at.
    groups: usize,
    /// How many groups have too few values to say what is usual.
    small_groups: usize,
    /// How many outliers there are.
    found: usize,
    /// The outliers that are furthest off, furthest first.
    outliers: Vec<Outlier>,
    /// Runs of outliers on one side that follow each other in a group, longest first.
    runs: Vec<Run>,
    /// How many outliers each group has that has any.
    by_group: BTreeMap<String, usize>,
    /// How many rows lack a date or a number.
    unusable: usize,
}

/// One outlier.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Outlier {
    /// The group, its values joined by ` × `.
    group: String,
    /// The day or period, where there are dates.
    when: Option<String>,
    /// The row of the table, where single rows were looked at; the first below the header is 1.
    row: Option<usize>,
    /// The value.
    value: f64,
    /// The median of the group.
    usual: f64,
    /// The distance by the method that was asked for; negative below.
    distance: f64,
}

/// Outliers that follow each other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// The group.
    group: String,
    /// The first day or period.
    from: String,
    /// The last one.
    to: String,
    /// How many values.
    length: usize,
    /// Whether they are below what is usual.
    below: bool,
}

fn top() -> usize {
    10
}

/// The skill `find-anomalies`.
pub struct FindAnomalies;

impl Agent for FindAnomalies {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "find-anomalies";
    const DESCRIPTION: &'static str = "Finds values that are far from what is usual in their group, by robust z-scores or quartiles.";
    const TAGS: &'static [&'static str] = &["data", "outliers", "anomalies"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        let threshold = input.threshold.unwrap_or(match input.method {
            Method::RobustZ => 3.5,
            Method::Iqr => 3.0,
        });
        if threshold.is_nan() || threshold <= 0.0 {
            return Err(Error::invalid_input("input.threshold must be above 0"));
        }
        if input.grain.is_some() && input.date.is_none() {
            return Err(Error::invalid_input(
                "to look at periods, name the column of dates in input.date",
            ));
        }
        let table = Table::read(&input.data)?;
        let date = input.date.as_deref();
        let seen = observe(&table, &input.measure, date, &input.by, &input.filter)?;
        let groups = groups(&seen, input.grain);
        let mut output = Output {
            findings: Vec::new(),
            values: groups.values().map(Vec::len).sum(),
            groups: groups.len(),
            small_groups: 0,
            found: 0,
            outliers: Vec::new(),
            runs: Vec::new(),
            by_group: BTreeMap::new(),
            unusable: seen.unusable,
        };
        for (group, values) in groups {
            let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
            match Fences::of(&numbers, input.method) {
                Some(fences) => look(&mut output, &group, &values, &fences, threshold),
                None => output.small_groups += 1,
            }
        }
        let furthest = |a: &Outlier, b: &Outlier| b.distance.abs().total_cmp(&a.distance.abs());
        output.outliers.sort_by(furthest);
        output.runs.sort_by_key(|run| std::cmp::Reverse(run.length));
        output.findings = words::findings(&input.measure, &output);
        output.outliers.truncate(input.top);
        output.runs.truncate(input.top);
        Ok(output)
    }
}

kennel_sdk::export!(FindAnomalies);

/// A value to look at.
struct Looked {
    value: f64,
    when: Option<(Date, String)>,
    row: Option<usize>,
}

/// The values of each group, oldest first.
fn groups(seen: &Observations, grain: Option<Grain>) -> BTreeMap<String, Vec<Looked>> {
    let mut groups: BTreeMap<String, Vec<Looked>> = BTreeMap::new();
    for row in &seen.rows {
        let when = row.date.map(|date| match grain {
            Some(grain) => (grain.start(date), grain.label(grain.start(date))),
            None => (date, date.to_string()),
        });
        groups
            .entry(row.groups.join(" × "))
            .or_default()
            .push(Looked {
                value: row.value,
                when,
                row: Some(row.row),
            });
    }
    for values in groups.values_mut() {
        values.sort_by(|a, b| a.when.cmp(&b.when).then(a.row.cmp(&b.row)));
        if grain.is_some() {
            let periods = values.chunk_by(|a, b| a.when == b.when).map(summed);
            *values = periods.collect();
        }
    }
    groups
}

fn summed(values: &[Looked]) -> Looked {
    let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
    Looked {
        value: How::Sum.of(&numbers),
        when: values.first().and_then(|value| value.when.clone()),
        row: None,
    }
}

/// Adds the outliers of one group, and the runs they make.
fn look(output: &mut Output, group: &str, values: &[Looked], fences: &Fences, threshold: f64) {
    let distances: Vec<f64> = values
        .iter()
        .map(|value| fences.distance(value.value))
        .collect();
    let side = |at: usize| match distances[at] {
        distance if distance.abs() <= threshold => 0,
        distance if distance < 0.0 => -1,
        _ => 1,
    };
    let places: Vec<usize> = (0..values.len()).collect();
    for run in places.chunk_by(|&a, &b| side(a) == side(b)) {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else {
            continue;
        };
        if side(first) == 0 {
            continue;
        }
        output.found += run.len();
        *output.by_group.entry(group.to_owned()).or_default() += run.len();
        if let (true, Some((_, from)), Some((_, to))) =
            (run.len() > 1, &values[first].when, &values[last].when)
        {
            output.runs.push(Run {
                group: group.to_owned(),
                from: from.clone(),
                to: to.clone(),
                length: run.len(),
                below: side(first) < 0,
            });
        }
        output.outliers.extend(run.iter().map(|&at| Outlier {
            group: group.to_owned(),
            when: values[at].when.as_ref().map(|(_, name)| name.clone()),
            row: values[at].row,
            value: rounded(values[at].value, 2),
            usual: rounded(fences.median, 2),
            distance: rounded(distances[at], 2),
        }));
    }
}

#[cfg(test)]
mod tests;
