//! What a table has to offer: its measures, dimensions and days. It looks at every row once and keeps none but for the largest change.

use std::collections::BTreeSet;

use kennel_sdk::{Content, Error};
use tabular::{Date, Filter, Kind, Observations, Table, date, observe, usual_gap};

/// More dimensions than this are not taken apart.
const DIMENSIONS: usize = 4;

/// So many rows a group has on average, or nobody can say what is usual in it.
const ROWS_PER_GROUP: usize = 40;

/// What a table has to offer.
pub(crate) struct Profile {
    table: Table,
    /// The columns of numbers.
    pub(crate) measures: Vec<String>,
    /// The columns of categories with their values.
    pub(crate) dimensions: Vec<(String, BTreeSet<String>)>,
    /// The first column of dates, with the first and the last day.
    pub(crate) days: Option<Days>,
    /// How many rows were left out because of their length.
    pub(crate) ragged: usize,
}

/// A column of dates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Days {
    pub(crate) column: String,
    pub(crate) first: Date,
    pub(crate) last: Date,
    /// How many days lie between two of them as a rule.
    pub(crate) gap: i64,
}

impl Profile {
    /// Reads the table and looks at its columns. A table without a column of numbers is an invalid input.
    pub(crate) fn of(data: &Content) -> Result<Self, Error> {
        let table = Table::read(data)?;
        let (mut measures, mut dimensions, mut days) = (Vec::new(), Vec::new(), None);
        for (place, name) in table.header().iter().enumerate() {
            match table.kind(place) {
                Kind::Number => measures.push(name.clone()),
                Kind::Category => {
                    let values = table.values(place).filter(|value| !value.is_empty());
                    dimensions.push((name.clone(), values.map(str::to_owned).collect()));
                }
                Kind::Date if days.is_none() => {
                    let seen: BTreeSet<Date> =
                        table.values(place).filter_map(date::parse).collect();
                    let ends = seen.first().zip(seen.last());
                    days = ends.map(|(&first, &last)| Days {
                        column: name.clone(),
                        first,
                        last,
                        gap: usual_gap(seen.iter().copied()),
                    });
                }
                Kind::Date | Kind::Id | Kind::Text => {}
            }
        }
        if measures.is_empty() {
            return Err(Error::invalid_input(format_args!(
                "the data has no column of numbers to answer questions about, only: {}",
                table.header().join(", ")
            )));
        }
        Ok(Self {
            measures,
            dimensions,
            days,
            ragged: table.ragged(),
            table,
        })
    }

    /// The dimensions a difference is taken apart by: those that were asked for, else all that are not fixed by the filter.
    pub(crate) fn by(&self, asked: &[String], filter: &Filter) -> Vec<String> {
        let free = |name: &&String| !filter.equals.contains_key(*name);
        let all = || self.dimensions.iter().map(|(name, _)| name);
        let chosen: Vec<String> = match asked.iter().filter(free).count() {
            0 => all().filter(free).take(DIMENSIONS).cloned().collect(),
            _ => asked
                .iter()
                .filter(free)
                .take(DIMENSIONS)
                .cloned()
                .collect(),
        };
        chosen
    }

    /// As many of these dimensions as leave enough rows in a group.
    pub(crate) fn groups(&self, by: &[String]) -> Vec<String> {
        let mut groups = 1;
        let mut chosen = Vec::new();
        for name in by {
            let values = self.dimensions.iter().find(|(other, _)| other == name);
            let more = groups * values.map_or(1, |(_, values)| values.len().max(1));
            if more * ROWS_PER_GROUP <= self.table.rows().len() {
                groups = more;
                chosen.push(name.clone());
            }
        }
        chosen
    }

    /// The rows of a measure with their days.
    pub(crate) fn observe(
        &self,
        measure: &str,
        days: &Days,
        filter: &Filter,
    ) -> Result<Observations, Error> {
        observe(&self.table, measure, Some(&days.column), &[], filter)
    }

    /// What can be asked about.
    pub(crate) fn offer(&self) -> String {
        let dimensions: Vec<&str> = self
            .dimensions
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let mut offer = format!("numbers: {}", self.measures.join(", "));
        if !dimensions.is_empty() {
            offer.push_str(&format!("; categories: {}", dimensions.join(", ")));
        }
        if let Some(days) = &self.days {
            offer.push_str(&format!(
                "; days: {} from {} to {}",
                days.column, days.first, days.last
            ));
        }
        offer
    }
}
