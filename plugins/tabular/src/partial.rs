//! What is known of some rows of a table, made to be merged: sums are whole hundredths, so the order of merging never shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Distinct;
use crate::chunk::Account;

/// The aggregate of one chunk, or of several merged ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Partial {
    /// The chunk's place among all chunks, from 0.
    pub index: u64,
    /// Whether it is the last chunk.
    pub last: bool,
    /// What became of the rows that were read.
    pub account: Account,
    /// All rows together.
    pub total: Tally,
    /// The smallest and the largest amount, in hundredths.
    pub range: Option<(i64, i64)>,
    /// The rows of each value of a column: column → value → tally.
    pub by: BTreeMap<String, BTreeMap<String, Tally>>,
    /// How many different values a column has, about.
    pub distinct: BTreeMap<String, Distinct>,
}

/// How many rows there are and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// The number of rows.
    pub rows: u64,
    /// The sum of their amounts, in hundredths.
    pub hundredths: i64,
}

impl Partial {
    /// Counts one row: its amount, and its value in each column that is tallied.
    pub fn add(&mut self, hundredths: i64, values: &[(&str, &str)]) {
        self.total.add(1, hundredths);
        self.widen(hundredths, hundredths);
        for &(column, value) in values {
            entry(entry(&mut self.by, column), value).add(1, hundredths);
        }
    }

    /// Counts a value of a column whose different values are estimated.
    pub fn see(&mut self, column: &str, value: &str) {
        entry(&mut self.distinct, column).add(value);
    }

    /// As if this one had also counted the rows of `other`; the place is left as it is.
    pub fn merge(&mut self, other: &Self) {
        self.account.add(&other.account);
        self.total.add(other.total.rows, other.total.hundredths);
        if let Some((low, high)) = other.range {
            self.widen(low, high);
        }
        for (column, values) in &other.by {
            let mine = entry(&mut self.by, column);
            for (value, tally) in values {
                entry(mine, value).add(tally.rows, tally.hundredths);
            }
        }
        for (column, distinct) in &other.distinct {
            entry(&mut self.distinct, column).merge(distinct);
        }
    }

    fn widen(&mut self, low: i64, high: i64) {
        let (min, max) = self.range.unwrap_or((low, high));
        self.range = Some((min.min(low), max.max(high)));
    }
}

impl Tally {
    /// What the rows come to, in whole units.
    pub fn amount(self) -> f64 {
        self.hundredths as f64 / 100.0
    }

    fn add(&mut self, rows: u64, hundredths: i64) {
        self.rows = self.rows.saturating_add(rows);
        self.hundredths = self.hundredths.saturating_add(hundredths);
    }
}

/// The entry of `key`, made when it is missing.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, key: &str) -> &'a mut T {
    map.entry(key.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_parts_in_any_order_is_counting_everything_at_once() {
        let count = |rows: std::ops::Range<i64>| {
            let mut partial = Partial::default();
            for row in rows {
                let region = if row % 3 == 0 { "a" } else { "b" };
                partial.add(row * 7 - 50, &[("region", region)]);
                partial.see("customer", &(row % 20).to_string());
            }
            partial
        };
        let merged = |parts: [std::ops::Range<i64>; 3]| {
            parts
                .map(count)
                .iter()
                .fold(Partial::default(), |mut all, part| {
                    all.merge(part);
                    all
                })
        };
        assert_eq!(merged([0..30, 30..31, 31..100]), count(0..100));
        assert_eq!(merged([31..100, 0..30, 30..31]), count(0..100));
        assert_eq!(count(0..100).range, Some((-50, 643)));
    }
}
