//! Points in time as files write them: a date, a date with a time of day, or a bare number. No time zones but offsets.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

const SECONDS_A_DAY: f64 = 86_400.0;

/// A point in time, or a number that stands for one.
#[derive(Clone, Debug, PartialEq)]
pub enum Time {
    /// A number of whatever the series counts in.
    Number(f64),
    /// A moment, as it was written and in seconds since 1970 in UTC.
    Moment {
        /// As it was written.
        text: String,
        /// When that is.
        seconds: f64,
    },
}

impl Time {
    /// Reads `2026-03-02`, `2026-03-02T09:00`, `2026-03-02T09:00:00Z` or a number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let moment = |seconds: f64| Self::Moment {
            text: text.to_owned(),
            seconds,
        };
        if let Ok(number) = text.parse::<f64>() {
            return if number.is_finite() {
                Ok(Self::Number(number))
            } else {
                Err(format!("`{text}` is no point in time"))
            };
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(moment(timestamp.as_millisecond() as f64 / 1e3));
        }
        let civil = text
            .parse::<DateTime>()
            .or_else(|_| text.parse::<Date>().map(DateTime::from))
            .map_err(|_| {
                format!(
                    "`{text}` is neither a date such as 2026-03-02, nor a time such as 2026-03-02T09:00:00Z, nor a number"
                )
            })?;
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let seconds = civil.duration_since(epoch).as_secs_f64();
        Ok(moment(seconds))
    }

    /// Where it lies on a line: days since 1970 for a moment, the number itself for a number.
    pub fn position(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Moment { seconds, .. } => seconds / SECONDS_A_DAY,
        }
    }

    /// Whether it is a moment.
    pub fn is_moment(&self) -> bool {
        matches!(self, Self::Moment { .. })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Moment { text, .. } => f.write_str(text),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Moment { text, .. } => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date, a time or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        Time::parse(text).map_err(de::Error::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Time, E> {
        Ok(Time::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Time, E> {
        Ok(Time::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Time, E> {
        Ok(Time::Number(number as f64))
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A date such as 2026-03-02, a time such as 2026-03-02T09:00:00Z, or a number.",
            "type": ["string", "number"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_numbers_lie_on_a_line() {
        let position = |text| Time::parse(text).unwrap().position();
        assert_eq!(position("1970-01-02"), 1.0);
        assert_eq!(position("1970-01-02T12:00"), 1.5);
        assert_eq!(position("1970-01-02T13:00:00+01:00"), 1.5);
        assert_eq!(position("2026-03-02") - position("2026-02-28"), 2.0);
        assert_eq!(position("17.5"), 17.5);
        assert_eq!(Time::parse("2026-03-02").unwrap().to_string(), "2026-03-02");
    }

    #[test]
    fn what_is_no_time_is_told_so() {
        for text in ["", "soon", "2026-02-30", "NaN", "03/02/2026"] {
            assert!(Time::parse(text).is_err(), "{text}");
        }
    }
}
