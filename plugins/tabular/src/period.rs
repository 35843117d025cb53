//! Days, weeks, months, quarters and years: which one a date is in, and the next one. Weeks are ISO 8601's, from Monday.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a period is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grain {
    /// One day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// A quarter of a calendar year.
    Quarter,
    /// A calendar year.
    Year,
}

/// A period with its name, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// How a report calls it, such as `2026-Q2`.
    pub label: String,
    /// The first day, as ISO 8601.
    pub from: String,
    /// The last day, as ISO 8601.
    pub to: String,
}

impl Grain {
    /// The first day of the period that `date` is in.
    pub fn start(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => date
                .checked_sub(i64::from(date.weekday().since(Weekday::Monday)).days())
                .unwrap_or(date),
            Self::Month => date.first_of_month(),
            Self::Quarter => {
                let month = (date.month() - 1) / 3 * 3 + 1;
                Date::new(date.year(), month, 1).unwrap_or(date)
            }
            Self::Year => date.first_of_year(),
        }
    }

    /// The first day of the period that is `n` after the one that starts at `start`; the same day at the end of the calendar.
    pub fn plus(self, start: Date, n: i32) -> Date {
        let span = match self {
            Self::Day => n.days(),
            Self::Week => n.weeks(),
            Self::Month => n.months(),
            Self::Quarter => n.saturating_mul(3).months(),
            Self::Year => n.years(),
        };
        start.checked_add(span).unwrap_or(start)
    }

    /// The name of the period that starts at `start`: `2026-03-14`, `2026-W11`, `2026-03`, `2026-Q1`, `2026`.
    pub fn label(self, start: Date) -> String {
        match self {
            Self::Day => start.to_string(),
            Self::Week => {
                let week = start.iso_week_date();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => format!("{}-{:02}", start.year(), start.month()),
            Self::Quarter => format!("{}-Q{}", start.year(), (start.month() - 1) / 3 + 1),
            Self::Year => start.year().to_string(),
        }
    }

    /// The period that `date` is in.
    pub fn period(self, date: Date) -> Period {
        let start = self.start(date);
        Period {
            label: self.label(start),
            from: start.to_string(),
            to: self.end(start).to_string(),
        }
    }

    /// The last day of the period that starts at `start`.
    pub fn end(self, start: Date) -> Date {
        let next = self.plus(start, 1);
        next.yesterday().unwrap_or(next)
    }

    /// After how many periods a season comes round again; 0 where there is none.
    pub fn season(self) -> usize {
        match self {
            Self::Day => 7,
            Self::Week => 52,
            Self::Month => 12,
            Self::Quarter => 4,
            Self::Year => 0,
        }
    }

    /// The length that suits a stretch of days: the longest that it has at least `n` of.
    pub fn for_span(from: Date, to: Date, n: i32) -> Self {
        [Self::Year, Self::Quarter, Self::Month, Self::Week]
            .into_iter()
            .find(|grain| grain.plus(from, n) <= to)
            .unwrap_or(Self::Day)
    }

    /// The word for one of them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn each_grain_names_the_period_of_a_day_and_its_ends() {
        let day = date(2026, 5, 14);
        let period = |grain: Grain| {
            let period = grain.period(day);
            format!("{} {} {}", period.label, period.from, period.to)
        };
        assert_eq!(period(Grain::Day), "2026-05-14 2026-05-14 2026-05-14");
        assert_eq!(period(Grain::Week), "2026-W20 2026-05-11 2026-05-17");
        assert_eq!(period(Grain::Month), "2026-05 2026-05-01 2026-05-31");
        assert_eq!(period(Grain::Quarter), "2026-Q2 2026-04-01 2026-06-30");
        assert_eq!(period(Grain::Year), "2026 2026-01-01 2026-12-31");
    }

    #[test]
    fn a_week_belongs_to_the_year_of_its_thursday() {
        assert_eq!(Grain::Week.period(date(2027, 1, 2)).label, "2026-W53");
    }

    #[test]
    fn the_calendar_ends_without_a_panic() {
        let last = Date::MAX;
        for grain in [
            Grain::Day,
            Grain::Week,
            Grain::Month,
            Grain::Quarter,
            Grain::Year,
        ] {
            let _ = (grain.period(last), grain.period(Date::MIN));
        }
    }
}
