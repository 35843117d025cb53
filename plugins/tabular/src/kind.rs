//! What the values of a column are. It looks at values first and at the column's name only to tell identifiers from measures.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{date, number};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Amounts that can be added up or averaged.
    Number,
    /// Days.
    Date,
    /// One of a few values.
    Category,
    /// Names each row, or something outside the table.
    Id,
    /// Anything else.
    Text,
}

/// So many values are looked at, spread over the whole column.
const SAMPLE: usize = 1000;

/// A kind is a column's when it is that of so many values.
const MOST: f64 = 0.95;

/// A column of categories has at most so many.
const CATEGORIES: usize = 50;

/// The kind of a column; one without values is text.
pub(crate) fn infer<'a>(name: &str, values: impl Iterator<Item = &'a str> + Clone) -> Kind {
    let values = values.filter(|value| !value.is_empty());
    let step = values.clone().count().div_ceil(SAMPLE).max(1);
    let sample: Vec<&str> = values.step_by(step).collect();
    if sample.is_empty() {
        return Kind::Text;
    }
    let n = sample.len() as f64;
    let share = |is: fn(&str) -> bool| sample.iter().filter(|value| is(value)).count() as f64 / n;
    let distinct = sample.iter().collect::<BTreeSet<_>>().len();
    let (identifies, period) = named(name);
    if share(|value| date::parse(value).is_some()) >= MOST && !identifies {
        return Kind::Date;
    }
    if share(|value| number::parse(value).is_some()) >= MOST {
        return match (identifies, period) {
            (true, _) => Kind::Id,
            (_, true) if distinct <= CATEGORIES => Kind::Category,
            _ => Kind::Number,
        };
    }
    let one_word = share(|value| !value.contains(char::is_whitespace)) >= MOST;
    let unique = distinct as f64 >= MOST * n && sample.len() >= 20;
    match distinct {
        _ if identifies || unique && one_word => Kind::Id,
        few if few <= CATEGORIES && !unique => Kind::Category,
        _ => Kind::Text,
    }
}

/// Whether a name says that the column identifies something, and whether it is a part of a date.
fn named(name: &str) -> (bool, bool) {
    let name = name.to_lowercase();
    let last = name
        .split(|c: char| !c.is_alphanumeric())
        .rfind(|word| !word.is_empty())
        .unwrap_or_default();
    (
        matches!(
            last,
            "id" | "no" | "nr" | "key" | "code" | "uuid" | "zip" | "sku"
        ),
        matches!(last, "year" | "quarter" | "month" | "week" | "weekday"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, value: impl Fn(usize) -> String) -> Kind {
        let values: Vec<String> = (0..200).map(value).collect();
        infer(name, values.iter().map(String::as_str))
    }

    #[test]
    fn kinds_follow_from_the_values() {
        assert_eq!(kind("paid", |i| format!("€{i},000.50")), Kind::Number);
        assert_eq!(
            kind("on", |i| format!("{}.03.2026", i % 31 + 1)),
            Kind::Date
        );
        assert_eq!(
            kind("where", |i| ["North", "South"][i % 2].into()),
            Kind::Category
        );
        assert_eq!(kind("ref", |i| format!("S{i:05}")), Kind::Id);
        assert_eq!(kind("note", |i| format!("called on day {i}")), Kind::Text);
        assert_eq!(kind("empty", |_| String::new()), Kind::Text);
    }

    #[test]
    fn a_few_wrong_or_missing_values_change_nothing() {
        let value = |i: usize| match i % 40 {
            0 => "n/a".to_owned(),
            1 => String::new(),
            _ => i.to_string(),
        };
        assert_eq!(kind("units", value), Kind::Number);
    }

    #[test]
    fn numbers_that_name_things_are_no_measures() {
        assert_eq!(kind("customer_id", |i| (1000 + i).to_string()), Kind::Id);
        assert_eq!(kind("year", |i| (2020 + i % 5).to_string()), Kind::Category);
        assert_eq!(kind("paid", |i| (2020 + i % 5).to_string()), Kind::Number);
    }
}
