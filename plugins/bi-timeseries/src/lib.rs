//! The agent `bi-timeseries`: a measure over time, its growth, trend and forecast. It explains nothing: which segments are behind a
//! change is another agent's question.

mod forecast;
mod words;

use kennel_sdk::prelude::*;
use tabular::{Filter, Grain, How, Series, Table, observe, rounded, stats};

use crate::forecast::Forecast;

/// So many periods a series has at least when nobody says how long they are.
const ENOUGH: i32 = 12;

/// What to follow over time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The table, CSV with a header; as a file or as text.
    data: Content,
    /// The column of numbers.
    measure: String,
    /// The column of dates.
    date: String,
    /// How long a period is; when left out, the longest of which the data has at least twelve.
    #[serde(default)]
    grain: Option<Grain>,
    /// Whether values are added up or averaged.
    #[serde(default)]
    how: How,
    /// Which rows count.
    #[serde(default)]
    filter: Filter,
    /// How many periods to forecast; 0 for none.
    #[serde(default = "horizon")]
    #[schemars(range(max = 60))]
    horizon: usize,
}

/// A measure over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// What stands out, as sentences.
    findings: Vec<String>,
    /// How long a period is.
    grain: Grain,
    /// The periods, oldest first.
    points: Vec<Point>,
    /// The straight line through them; absent below three periods.
    trend: Option<Trend>,
    /// What comes next; absent when there are too few periods to tell.
    forecast: Option<Forecast>,
    /// Periods at the ends of which the data has only a part, left out.
    incomplete: Vec<String>,
    /// How many periods have no row and count as 0.
    empty: usize,
    /// The fewest and the most days with rows that a period has.
    days: (usize, usize),
    /// How many rows have no date or no number.
    unusable: usize,
}

/// One period.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// Its name.
    period: String,
    /// Its first day, as ISO 8601.
    from: String,
    /// The measure.
    value: f64,
    /// By what share it is above the period before.
    growth: Option<f64>,
    /// By what share it is above the same period a year before.
    year_growth: Option<f64>,
}

/// A straight line by least squares.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Trend {
    /// By how much it rises with each period.
    slope: f64,
    /// Its value in the first period.
    start: f64,
    /// The share of the variance that it explains.
    r_squared: f64,
    /// How likely so steep a line is when there is no trend.
    p_value: f64,
}

fn horizon() -> usize {
    3
}

/// The skill `time-series`.
pub struct TimeSeries;

impl Agent for TimeSeries {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "time-series";
    const DESCRIPTION: &'static str =
        "Puts a measure into periods and gives growth, trend and forecast.";
    const TAGS: &'static [&'static str] = &["data", "time-series", "trend", "forecast"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        if input.horizon > 60 {
            return Err(Error::invalid_input(format_args!(
                "input.horizon is {}: at most 60 periods can be forecast",
                input.horizon
            )));
        }
        let table = Table::read(&input.data)?;
        let seen = observe(
            &table,
            &input.measure,
            Some(&input.date),
            &[],
            &input.filter,
        )?;
        let days = seen.rows.iter().filter_map(|row| row.date);
        let grain = match (input.grain, days.clone().min(), days.max()) {
            (Some(grain), ..) => grain,
            (None, Some(from), Some(to)) => Grain::for_span(from, to, ENOUGH),
            (None, ..) => Grain::Month,
        };
        let series = Series::of(&seen.rows, grain, input.how)?;
        let values = series.values();
        let forecast = forecast::forecast(&series, input.horizon);
        let trend = stats::line(&values).map(|line| Trend {
            slope: rounded(line.slope, 4),
            start: rounded(line.intercept, 2),
            r_squared: rounded(line.r_squared, 4),
            p_value: rounded(line.p_value, 6),
        });
        let mut output = Output {
            findings: Vec::new(),
            grain,
            points: points(&series),
            trend,
            forecast,
            incomplete: series.incomplete,
            empty: series.empty,
            days: series.days,
            unusable: seen.unusable,
        };
        output.findings = words::findings(
            &input.how.words(&input.measure),
            input.how == How::Sum,
            &output,
        );
        Ok(output)
    }
}

kennel_sdk::export!(TimeSeries);

fn points(series: &Series) -> Vec<Point> {
    let values = series.values();
    // Days and weeks have no period that is the same a year before; a quarter and a month have.
    let year = match series.grain {
        Grain::Month | Grain::Quarter => Some(series.grain.season()),
        Grain::Day | Grain::Week | Grain::Year => None,
    };
    let growth = |at: usize, back: usize| {
        let before = *values.get(at.checked_sub(back)?)?;
        (before > 0.0).then(|| rounded(values[at] / before - 1.0, 4))
    };
    let point = |(at, &(start, value)): (usize, &(tabular::Date, f64))| Point {
        period: series.grain.label(start),
        from: start.to_string(),
        value: rounded(value, 2),
        growth: growth(at, 1),
        year_growth: year.and_then(|year| growth(at, year)),
    };
    series.points.iter().enumerate().map(point).collect()
}

#[cfg(test)]
mod tests;
