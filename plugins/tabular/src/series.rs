//! A measure over time: one value for each period, without gaps, and without the periods at both ends that the data covers only in
//! part.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use kennel_sdk::Error;

use crate::{Grain, How, Observation, stats};

/// More periods than anyone looks at.
const MOST: usize = 5000;

/// One value for each period.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// How long a period is.
    pub grain: Grain,
    /// The first day of each period and its value; a period without rows is 0.
    pub points: Vec<(Date, f64)>,
    /// The periods that were left out because the data covers only a part of them.
    pub incomplete: Vec<String>,
    /// How many of the periods have no row.
    pub empty: usize,
    /// Of the periods that have rows, the fewest and the most days with rows that one has.
    pub days: (usize, usize),
}

impl Series {
    /// Puts rows into periods. A period at an end is left out when the days that it lacks are more than lie between two days of the
    /// data as a rule.
    pub fn of(rows: &[Observation], grain: Grain, how: How) -> Result<Self, Error> {
        let mut values: BTreeMap<Date, Vec<f64>> = BTreeMap::new();
        let mut days = BTreeSet::new();
        for row in rows {
            if let Some(date) = row.date {
                values.entry(grain.start(date)).or_default().push(row.value);
                days.insert(date);
            }
        }
        let mut incomplete = Vec::new();
        let gap = usual_gap(days.iter().copied());
        if let (Some(&first), Some((&start, _))) = (days.first(), values.first_key_value())
            && days_between(start, first) >= gap
        {
            values.pop_first();
            incomplete.push(grain.label(start));
        }
        if let (Some(&last), Some((&start, _))) = (days.last(), values.last_key_value())
            && days_between(last, grain.end(start)) >= gap
        {
            values.pop_last();
            incomplete.push(grain.label(start));
        }
        let (Some((&from, _)), Some((&to, _))) =
            (values.first_key_value(), values.last_key_value())
        else {
            return Err(Error::invalid_input(format_args!(
                "the data covers no whole {}: ask for shorter periods",
                grain.name()
            )));
        };
        let (mut points, mut empty, mut start) = (Vec::new(), 0, from);
        let (mut fewest, mut most) = (usize::MAX, 0);
        while start <= to {
            let found = values.get(&start);
            empty += usize::from(found.is_none());
            if found.is_some() {
                let of_period = days.range(start..=grain.end(start)).count();
                fewest = fewest.min(of_period);
                most = most.max(of_period);
            }
            points.push((start, found.map_or(0.0, |values| how.of(values))));
            let next = grain.plus(start, 1);
            if points.len() > MOST || next <= start {
                return Err(Error::invalid_input(format_args!(
                    "the data spans more than {MOST} periods of one {}: ask for longer ones",
                    grain.name()
                )));
            }
            start = next;
        }
        Ok(Self {
            grain,
            points,
            incomplete,
            empty,
            days: (fewest, most),
        })
    }

    /// The values alone.
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|&(_, value)| value).collect()
    }
}

/// How many days lie between two days of the data as a rule; at least 1. The days must be in order and different.
pub fn usual_gap(days: impl Iterator<Item = Date> + Clone) -> i64 {
    let gaps: Vec<f64> = days
        .clone()
        .zip(days.skip(1))
        .map(|(a, b)| days_between(a, b) as f64)
        .collect();
    stats::median(&gaps).map_or(1, |gap| gap.round().max(1.0) as i64)
}

fn days_between(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date;

    fn series(days: &[&str], grain: Grain) -> Result<Series, Error> {
        let rows: Vec<Observation> = days
            .iter()
            .map(|day| Observation {
                value: 2.0,
                date: date::parse(day),
                groups: Vec::new(),
                row: 1,
            })
            .collect();
        Series::of(&rows, grain, How::Sum)
    }

    #[test]
    fn weekly_data_covers_its_months_and_a_gap_is_zero() {
        let days = [
            "2026-01-05",
            "2026-01-12",
            "2026-01-19",
            "2026-01-26",
            "2026-03-23",
            "2026-03-30",
        ];
        let series = series(&days, Grain::Month).unwrap();
        assert_eq!(series.values(), [8.0, 0.0, 4.0]);
        assert_eq!((series.empty, series.incomplete.len()), (1, 0));
        assert_eq!(series.days, (2, 4));
    }

    #[test]
    fn months_that_are_covered_in_part_are_left_out_by_name() {
        let days: Vec<String> = (0..60)
            .map(|n| {
                Grain::Day
                    .plus(jiff::civil::date(2026, 1, 20), n)
                    .to_string()
            })
            .collect();
        let days: Vec<&str> = days.iter().map(String::as_str).collect();
        let series = series(&days, Grain::Month).unwrap();
        assert_eq!(series.values(), [56.0]);
        assert_eq!(series.incomplete, ["2026-01", "2026-03"]);
    }

    #[test]
    fn a_span_without_a_whole_period_or_with_far_too_many_is_refused() {
        assert!(
            series(&["2026-01-20", "2026-01-21"], Grain::Year)
                .unwrap_err()
                .message()
                .contains("no whole year")
        );
        assert!(
            series(&["1900-01-01", "2026-01-01"], Grain::Day)
                .unwrap_err()
                .message()
                .contains("more than 5000 periods")
        );
    }
}
