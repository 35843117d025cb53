//! The part of a table that a question is about: one measure, the day and the groups of each row, under a filter. Rows that cannot
//! be used are counted, so that a finding can say how many it is not based on.

use std::collections::BTreeMap;

use csv::StringRecord;
use jiff::civil::Date;
use kennel_sdk::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Table, date, number};

/// Which rows count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Filter {
    /// The first day, as ISO 8601; needs a date column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day, as ISO 8601; needs a date column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The value that a column must have, in any case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub equals: BTreeMap<String, String>,
}

/// One row that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The measure.
    pub value: f64,
    /// The day, when a date column was asked for.
    pub date: Option<Date>,
    /// The value of each column that was asked for, `(none)` where it is empty.
    pub groups: Vec<String>,
    /// The row's number in the data; the first below the header is 1.
    pub row: usize,
}

/// The rows that count, and how many could not be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// The rows in the order of the data.
    pub rows: Vec<Observation>,
    /// How many rows passed the filter but lack a number or a date.
    pub unusable: usize,
}

impl Filter {
    /// Only the days of a period, both ends included.
    pub fn between(&self, from: &str, to: &str) -> Self {
        Self {
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            equals: self.equals.clone(),
        }
    }
}

/// Picks the measure, the day and the groups of every row that passes the filter. No usable row at all is an invalid input.
pub fn observe(
    table: &Table,
    measure: &str,
    date_column: Option<&str>,
    by: &[String],
    filter: &Filter,
) -> Result<Observations, Error> {
    let measure = table.column(measure)?;
    let day = date_column.map(|name| table.column(name)).transpose()?;
    let by = by
        .iter()
        .map(|name| table.column(name))
        .collect::<Result<Vec<_>, _>>()?;
    let filter = Rows::new(table, day.is_some(), filter)?;
    let (mut rows, mut unusable) = (Vec::new(), 0);
    for (index, record) in table.rows().iter().enumerate() {
        if !filter.has_values(record) {
            continue;
        }
        let date = day.map(|column| date::parse(field(record, column)));
        if let Some(Some(date)) = date
            && !filter.has_day(date)
        {
            continue;
        }
        match (number::parse(field(record, measure)), date) {
            (None, _) | (_, Some(None)) => unusable += 1,
            (Some(value), date) => rows.push(Observation {
                value,
                date: date.flatten(),
                groups: by.iter().map(|&column| group(record, column)).collect(),
                row: index + 1,
            }),
        }
    }
    if rows.is_empty() {
        return Err(Error::invalid_input(format_args!(
            "no row has a number in `{}` and passes the filter ({unusable} rows pass it without one): check the column, the days and the values",
            table.header()[measure]
        )));
    }
    Ok(Observations { rows, unusable })
}

/// A filter whose columns and days have been looked up.
struct Rows<'a> {
    from: Option<Date>,
    to: Option<Date>,
    equals: Vec<(usize, &'a str)>,
}

impl<'a> Rows<'a> {
    fn new(table: &Table, has_day: bool, filter: &'a Filter) -> Result<Self, Error> {
        let day = |text: &Option<String>, name: &str| {
            let parsed = text.as_deref().map(|text| {
                date::parse(text).ok_or_else(|| {
                    Error::invalid_input(format_args!(
                        "filter.{name} is `{text}`: give a day such as 2026-03-14"
                    ))
                })
            });
            parsed.transpose()
        };
        let (from, to) = (day(&filter.from, "from")?, day(&filter.to, "to")?);
        if (from.is_some() || to.is_some()) && !has_day {
            return Err(Error::invalid_input(
                "the filter has days, so name the column of dates in `date`",
            ));
        }
        let equals = filter
            .equals
            .iter()
            .map(|(name, value)| Ok((table.column(name)?, value.trim())))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { from, to, equals })
    }

    fn has_values(&self, record: &StringRecord) -> bool {
        self.equals
            .iter()
            .all(|&(column, value)| field(record, column).to_lowercase() == value.to_lowercase())
    }

    fn has_day(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

fn field(record: &StringRecord, column: usize) -> &str {
    record.get(column).unwrap_or_default().trim()
}

fn group(record: &StringRecord, column: usize) -> String {
    match field(record, column) {
        "" => "(none)".to_owned(),
        value => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &[u8] = b"on,region,paid\n2026-01-05,North,10\n2026-02-05,South,20\n2026-02-28, ,x\n2026-03-01,north,30\nsoon,North,40\n";

    fn values(filter: &Filter, date: Option<&str>) -> Result<(Vec<f64>, usize), Error> {
        let table = Table::parse(DATA)?;
        let seen = observe(&table, "paid", date, &["region".to_owned()], filter)?;
        Ok((
            seen.rows.iter().map(|row| row.value).collect(),
            seen.unusable,
        ))
    }

    #[test]
    fn a_filter_takes_days_and_values_and_counts_what_it_cannot_use() {
        let all = Filter::default();
        assert_eq!(values(&all, None), Ok((vec![10.0, 20.0, 30.0, 40.0], 1)));
        assert_eq!(values(&all, Some("on")), Ok((vec![10.0, 20.0, 30.0], 2)));
        let february = all.between("2026-02-01", "2026-02-28");
        assert_eq!(values(&february, Some("on")), Ok((vec![20.0], 2)));
        let north = Filter {
            equals: [("Region".to_owned(), "NORTH".to_owned())].into(),
            ..all
        };
        assert_eq!(values(&north, Some("on")), Ok((vec![10.0, 30.0], 1)));
    }

    #[test]
    fn a_filter_that_cannot_be_meant_is_refused() {
        let bad = |filter: Filter| values(&filter, None).unwrap_err().to_string();
        let days = Filter::default().between("2026-02-01", "2026-02-28");
        assert!(bad(days).contains("name the column of dates"));
        assert!(
            bad(Filter {
                from: Some("spring".into()),
                ..Filter::default()
            })
            .contains("filter.from is `spring`")
        );
        let nobody = Filter {
            equals: [("region".into(), "West".into())].into(),
            ..Filter::default()
        };
        assert!(bad(nobody).contains("no row has a number in `paid`"));
    }
}
