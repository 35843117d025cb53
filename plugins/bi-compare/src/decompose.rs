//! A difference taken apart: what each segment adds to it. The parts of a column add up to the whole change, so their shares do to 1;
//! a segment that moved against it has a negative share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tabular::{Observation, Observations, rounded};

/// Both sides of a comparison.
pub(crate) struct Sides<'a> {
    pub(crate) before: &'a Observations,
    pub(crate) after: &'a Observations,
}

/// The change by the values of one column, or of two together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Decomposition {
    /// The columns.
    pub(crate) by: Vec<String>,
    /// The parts that make most of the change, first those that go with it.
    pub(crate) parts: Vec<Part>,
    /// How many parts are not listed.
    pub(crate) left_out: usize,
}

/// What one segment adds to the change.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Part {
    /// The values of the columns.
    pub(crate) segment: Vec<String>,
    /// The sum on the first side.
    pub(crate) before: f64,
    /// The sum on the second side.
    pub(crate) after: f64,
    /// The second minus the first.
    pub(crate) change: f64,
    /// Its part of the whole change; absent when there is none.
    pub(crate) share: Option<f64>,
}

impl Sides<'_> {
    pub(crate) fn totals(&self) -> (f64, f64) {
        let total = |seen: &Observations| seen.rows.iter().map(|row| row.value).sum();
        (total(self.before), total(self.after))
    }

    pub(crate) fn change(&self) -> f64 {
        let (before, after) = self.totals();
        after - before
    }

    fn by(&self, names: &[String], columns: &[usize], top: usize) -> Decomposition {
        let mut sums: BTreeMap<Vec<&str>, (f64, f64)> = BTreeMap::new();
        for row in &self.before.rows {
            sums.entry(segment(row, columns)).or_default().0 += row.value;
        }
        for row in &self.after.rows {
            sums.entry(segment(row, columns)).or_default().1 += row.value;
        }
        let (before, after) = self.totals();
        let change = after - before;
        // A change that is nothing but rounding has no parts worth a share.
        let is_change = change.abs() > 1e-9 * (before.abs() + after.abs());
        let mut parts: Vec<Part> = sums
            .into_iter()
            .map(|(segment, (before, after))| Part {
                segment: segment.into_iter().map(str::to_owned).collect(),
                before: rounded(before, 2),
                after: rounded(after, 2),
                change: rounded(after - before, 2),
                share: is_change.then(|| rounded((after - before) / change, 4)),
            })
            .collect();
        let sign = change.signum();
        parts.sort_by(|a, b| {
            let by_change = (sign * b.change).total_cmp(&(sign * a.change));
            by_change.then_with(|| a.segment.cmp(&b.segment))
        });
        let left_out = parts.len().saturating_sub(top);
        parts.truncate(top);
        Decomposition {
            by: columns
                .iter()
                .map(|&column| names[column].clone())
                .collect(),
            parts,
            left_out,
        }
    }
}

/// The parts by each column, most telling first, and by the two most telling ones together.
pub(crate) fn all(
    sides: &Sides<'_>,
    names: &[String],
    top: usize,
) -> (Vec<Decomposition>, Option<Decomposition>) {
    let mut each: Vec<(usize, Decomposition)> = (0..names.len())
        .map(|column| (column, sides.by(names, &[column], top)))
        .collect();
    // One value that stands out tells more than many that each add a little.
    let telling = |parts: &Decomposition| match parts.parts.as_slice() {
        [first, second, ..] => first.share.unwrap_or_default() - second.share.unwrap_or_default(),
        _ => f64::NEG_INFINITY,
    };
    each.sort_by(|a, b| telling(&b.1).total_cmp(&telling(&a.1)).then(a.0.cmp(&b.0)));
    let joint = match each.as_slice() {
        [(a, _), (b, second), ..] if second.parts.len() > 1 => {
            Some(sides.by(names, &[*a, *b], top))
        }
        _ => None,
    };
    (each.into_iter().map(|(_, parts)| parts).collect(), joint)
}

fn segment<'a>(row: &'a Observation, columns: &[usize]) -> Vec<&'a str> {
    columns
        .iter()
        .map(|&column| row.groups[column].as_str())
        .collect()
}
