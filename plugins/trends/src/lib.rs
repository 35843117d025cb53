//! The agent `trends`: whether series of numbers rise or fall, and how sure that is. It describes what was and predicts nothing.

mod mann_kendall;
mod regression;
mod student;

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use market_data::{Table, Time, rounded, significant};

/// Points a series may have: the test compares all pairs, and their slopes have to fit into memory.
const MAX_POINTS: usize = 2_000;
/// Points a series needs: with two, a line fits always.
const MIN_POINTS: usize = 3;
const DEFAULT_CONFIDENCE: f64 = 0.95;
/// The name of a series that has none.
const UNNAMED: &str = "value";

/// Series, as one table.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The observations of one or several series, in any order.
    series: Table<Observation>,
    /// How sure a trend has to be, and how much the interval of the slope covers; 0.95 when left out.
    #[serde(default = "default_confidence")]
    #[schemars(range(min = 0.5, max = 0.9999))]
    confidence: f64,
}

/// One value at one time.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Observation {
    /// Which series it belongs to; may be left out when there is one.
    #[serde(default)]
    series: Option<String>,
    /// When; also called `date`. Moments count in days, numbers in themselves.
    #[serde(alias = "date")]
    time: Time,
    /// How much; also called `price`. An empty one is left out.
    #[serde(alias = "price")]
    value: Option<f64>,
}

fn default_confidence() -> f64 {
    DEFAULT_CONFIDENCE
}

/// The trends.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// One for each series, by name.
    trends: Vec<Trend>,
}

/// What one series does.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Trend {
    /// Its name.
    series: String,
    /// `up` or `down` when both tests find a trend the same way, else `flat`.
    direction: Direction,
    /// How many values it has.
    count: usize,
    /// The earliest time.
    from: Time,
    /// The latest time.
    to: Time,
    /// The mean of its values.
    mean: f64,
    /// How much it changes a day, or for each 1 of a time that is a number: the slope of the line that fits best.
    slope: f64,
    /// What the slope is per.
    slope_unit: &'static str,
    /// Where that line stands at the earliest time.
    intercept: f64,
    /// The standard error of the slope.
    standard_error: f64,
    /// The slope in standard errors; absent when the line fits without error.
    t: Option<f64>,
    /// The chance of such a slope without a trend.
    p_value: f64,
    /// Where the slope lies with the confidence that was asked for.
    interval: Interval,
    /// The part of the variance that the line explains.
    r_squared: f64,
    /// The trend test of Mann and Kendall.
    mann_kendall: MannKendall,
    /// The median slope of all pairs of values, which outliers hardly move.
    sen_slope: f64,
}

/// Which way a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It rises.
    Up,
    /// It falls.
    Down,
    /// No trend is sure enough.
    Flat,
}

/// The confidence interval of a slope.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Interval {
    confidence: f64,
    low: f64,
    high: f64,
}

/// The result of the test.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MannKendall {
    /// How many more pairs of values rise than fall.
    s: i64,
    /// The variance of `s` in a series without trend.
    variance: f64,
    /// `s` in standard deviations.
    z: f64,
    /// The chance of such a `z` without a trend.
    p_value: f64,
}

/// The skill `find-trends`.
pub struct FindTrends;

impl Agent for FindTrends {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "find-trends";
    const DESCRIPTION: &'static str = "Says whether series of numbers rise or fall, with the line that fits best and the Mann-Kendall test.";
    const TAGS: &'static [&'static str] = &["series", "trend", "statistics"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        if !(0.5..=0.9999).contains(&input.confidence) {
            return Err(Error::invalid_input(format_args!(
                "input.confidence is {}, outside 0.5 to 0.9999; leave it out for {DEFAULT_CONFIDENCE}",
                input.confidence
            )));
        }
        let mut series: BTreeMap<String, Vec<(Time, f64)>> = BTreeMap::new();
        for observation in input.series.rows("series")? {
            let name = observation.series.unwrap_or_else(|| UNNAMED.to_owned());
            let points = series.entry(name).or_default();
            points.extend(observation.value.map(|value| (observation.time, value)));
        }
        let trends = series
            .into_iter()
            .map(|(name, points)| trend(name, points, input.confidence))
            .collect::<Result<_, _>>()?;
        Ok(Output { trends })
    }
}

kennel_sdk::export!(FindTrends);

fn trend(series: String, mut points: Vec<(Time, f64)>, confidence: f64) -> Result<Trend, Error> {
    points.sort_by(|(a, _), (b, _)| a.position().total_cmp(&b.position()));
    check(&series, &points)?;
    // Counted from the first time, so that the intercept is a value one can look at.
    let start = points[0].0.position();
    let line: Vec<(f64, f64)> = points
        .iter()
        .map(|(time, value)| (time.position() - start, *value))
        .collect();
    let alpha = 1.0 - confidence;
    let fit = regression::fit(&line, alpha);
    let test = mann_kendall::test(&line);
    let is_sure = fit.p_value < alpha && test.p_value < alpha;
    let direction = if is_sure && fit.slope > 0.0 && test.z > 0.0 {
        Direction::Up
    } else if is_sure && fit.slope < 0.0 && test.z < 0.0 {
        Direction::Down
    } else {
        Direction::Flat
    };
    let last = points.len() - 1;
    Ok(Trend {
        series,
        direction,
        count: points.len(),
        mean: digits(line.iter().map(|(_, y)| y).sum::<f64>() / line.len() as f64),
        slope: digits(fit.slope),
        slope_unit: if points[0].0.is_moment() { "day" } else { "1" },
        intercept: digits(fit.intercept),
        standard_error: digits(fit.standard_error),
        t: fit.t.is_finite().then(|| digits(fit.t)),
        p_value: digits(fit.p_value),
        interval: Interval {
            confidence,
            low: digits(fit.slope - fit.margin),
            high: digits(fit.slope + fit.margin),
        },
        r_squared: rounded(fit.r_squared, 8),
        mann_kendall: MannKendall {
            s: test.s,
            variance: digits(test.variance),
            z: digits(test.z),
            p_value: digits(test.p_value),
        },
        sen_slope: digits(test.sen_slope),
        to: points.swap_remove(last).0,
        from: points.swap_remove(0).0,
    })
}

/// Refuses what no line can be drawn through. The points come sorted.
fn check(series: &str, points: &[(Time, f64)]) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::invalid_input(format!("series `{series}` {reason}")));
    if points.len() < MIN_POINTS {
        return refuse(format!(
            "has {} values; a trend needs {MIN_POINTS}",
            points.len()
        ));
    }
    if points.len() > MAX_POINTS {
        return refuse(format!(
            "has {} values, more than {MAX_POINTS}; give fewer, such as one a week",
            points.len()
        ));
    }
    if let Some((time, value)) = points.iter().find(|(_, value)| !value.is_finite()) {
        return refuse(format!("has the value {value} at {time}"));
    }
    for pair in points.windows(2) {
        let [(earlier, _), (later, _)] = pair else {
            continue;
        };
        if earlier.is_moment() != later.is_moment() {
            return refuse(format!(
                "mixes moments and numbers as times: {earlier} and {later}"
            ));
        }
        if earlier.position() == later.position() {
            return refuse(format!("has two values at {later}"));
        }
    }
    Ok(())
}

/// Ten digits: more than any series is good for, and the same however sums are ordered.
fn digits(number: f64) -> f64 {
    significant(number, 10)
}

#[cfg(test)]
mod tests;
