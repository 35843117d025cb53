//! What comes next: three simple methods, of which the one is taken that would have been nearest over the last periods. It says how
//! far off that was.
//!
//! Sources: C. C. Holt, "Forecasting seasonals and trends by exponentially weighted moving averages", ONR Memorandum 52 (1957); for the
//! intervals and the rolling origin, R. J. Hyndman and G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, sections
//! 5.2, 5.5, 5.10 and 8.7.

use schemars::JsonSchema;
use serde::Serialize;
use tabular::{Series, rounded, stats};

/// The smallest number of periods to forecast from.
const LEAST: usize = 6;

/// How many standard deviations hold four fifths of a normal distribution.
const Z80: f64 = 1.281_552;

/// The next periods.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Forecast {
    /// How it was made.
    pub(crate) method: Method,
    /// How far off the method was over the last periods, each forecast from those before it.
    pub(crate) error: ForecastError,
    /// The periods, next first.
    pub(crate) points: Vec<Next>,
}

/// How a forecast is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// The last value stays.
    Naive,
    /// The value of a season before comes again.
    SeasonalNaive,
    /// Level and trend, smoothed (Holt).
    Holt,
}

/// How far off forecasts were.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ForecastError {
    /// Over how many periods.
    pub(crate) periods: usize,
    /// On average, in units of the measure.
    pub(crate) mean_absolute: f64,
    /// On average, as a share of the true value; absent where one was 0.
    pub(crate) mean_share: Option<f64>,
    /// As a multiple of what the last value alone gets wrong; below 1 is better than that.
    pub(crate) against_naive: Option<f64>,
}

/// One forecast period.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Next {
    /// Its name.
    pub(crate) period: String,
    /// The forecast.
    pub(crate) value: f64,
    /// Four times in five the true value is above this.
    pub(crate) low: f64,
    /// And below this.
    pub(crate) high: f64,
}

/// Forecasts `horizon` periods; `None` for none, or when there are too few to learn from.
pub(crate) fn forecast(series: &Series, horizon: usize) -> Option<Forecast> {
    let values = series.values();
    if horizon == 0 || values.len() < LEAST {
        return None;
    }
    let season = series.grain.season();
    let tested = (values.len() / 4).clamp(2, 12);
    let naive = mean_absolute(&backtest(&values, tested, Model::naive(1)));
    let candidates = [
        Some((Method::Naive, Model::naive(1))),
        (season > 1 && values.len() > season + tested)
            .then(|| (Method::SeasonalNaive, Model::naive(season))),
        Some((
            Method::Holt,
            Model::fitted(&values[..values.len() - tested]),
        )),
    ];
    let (method, errors) = candidates
        .into_iter()
        .flatten()
        .map(|(method, model)| (method, backtest(&values, tested, model)))
        .min_by(|a, b| mean_absolute(&a.1).total_cmp(&mean_absolute(&b.1)))?;
    let model = match method {
        Method::Naive => Model::naive(1),
        Method::SeasonalNaive => Model::naive(season),
        Method::Holt => Model::fitted(&values),
    };
    let mean_absolute = mean_absolute(&errors);
    let truth = &values[values.len() - tested..];
    let share = |(error, truth): (&f64, &f64)| (*truth != 0.0).then(|| (error / truth).abs());
    let shares: Option<Vec<f64>> = errors.iter().zip(truth).map(share).collect();
    let (&(last, _), grain) = (series.points.last()?, series.grain);
    Some(Forecast {
        method,
        error: ForecastError {
            periods: tested,
            mean_absolute: rounded(mean_absolute, 2),
            mean_share: shares
                .and_then(|shares| stats::mean(&shares))
                .map(|share| rounded(share, 4)),
            against_naive: (naive > 0.0).then(|| rounded(mean_absolute / naive, 3)),
        },
        points: (1..=horizon)
            .map(|step| {
                let (value, spread) = model.ahead(&values, step);
                Next {
                    period: grain.label(grain.plus(last, step as i32)),
                    value: rounded(value, 2),
                    low: rounded(value - Z80 * spread, 2),
                    high: rounded(value + Z80 * spread, 2),
                }
            })
            .collect(),
    })
}

/// A method with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    /// The value of so many periods before.
    Naive(usize),
    /// The smoothing of the level and, within it, of the trend.
    Holt { alpha: f64, beta: f64 },
}

impl Model {
    fn naive(season: usize) -> Self {
        Self::Naive(season)
    }

    /// Holt's method with the parameters, in steps of a twentieth, whose one-step forecasts are nearest.
    fn fitted(values: &[f64]) -> Self {
        let steps = || (1..20).map(|n| f64::from(n) / 20.0);
        let pairs = steps().flat_map(|alpha| steps().map(move |beta| Self::Holt { alpha, beta }));
        let squares = |model: &Self| model.residuals(values).iter().map(|e| e * e).sum::<f64>();
        pairs
            .map(|model| (squares(&model), model))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(Self::Naive(1), |(_, model)| model)
    }

    /// What each value is off from its forecast out of those before it.
    fn residuals(self, values: &[f64]) -> Vec<f64> {
        match self {
            Self::Naive(season) => values
                .iter()
                .skip(season)
                .zip(values)
                .map(|(now, before)| now - before)
                .collect(),
            Self::Holt { alpha, beta } => {
                let mut state = Level::start(values);
                let next = |&value: &f64| state.update(value, alpha, beta);
                values.iter().skip(1).map(next).collect()
            }
        }
    }

    /// The forecast `step` periods ahead and its standard deviation.
    fn ahead(self, values: &[f64], step: usize) -> (f64, f64) {
        let residuals = self.residuals(values);
        let sigma =
            (residuals.iter().map(|e| e * e).sum::<f64>() / residuals.len().max(1) as f64).sqrt();
        let h = step as f64;
        match self {
            Self::Naive(season) => {
                let value = values[values.len() - season + (step - 1) % season];
                (value, sigma * (((step - 1) / season + 1) as f64).sqrt())
            }
            Self::Holt { alpha, beta } => {
                let mut state = Level::start(values);
                for &value in &values[1..] {
                    state.update(value, alpha, beta);
                }
                let b = alpha * beta;
                let growth = alpha * alpha + alpha * b * h + b * b * h * (2.0 * h - 1.0) / 6.0;
                (
                    state.level + h * state.trend,
                    sigma * (1.0 + (h - 1.0) * growth).sqrt(),
                )
            }
        }
    }
}

/// The state of Holt's method.
struct Level {
    level: f64,
    trend: f64,
}

impl Level {
    fn start(values: &[f64]) -> Self {
        let level = values.first().copied().unwrap_or_default();
        let second = values.get(1).copied().unwrap_or(level);
        Self {
            level,
            trend: second - level,
        }
    }

    /// Takes in a value; gives what it was off.
    fn update(&mut self, value: f64, alpha: f64, beta: f64) -> f64 {
        let expected = self.level + self.trend;
        let level = alpha * value + (1.0 - alpha) * expected;
        self.trend = beta * (level - self.level) + (1.0 - beta) * self.trend;
        self.level = level;
        value - expected
    }
}

/// The errors of one-step forecasts of the last `tested` values.
fn backtest(values: &[f64], tested: usize, model: Model) -> Vec<f64> {
    let residuals = model.residuals(values);
    residuals[residuals.len().saturating_sub(tested)..].to_vec()
}

fn mean_absolute(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use tabular::Grain;

    fn series(values: &[f64]) -> Series {
        let start = Grain::Month.start(tabular::date::parse("2024-01-01").unwrap());
        let point = |(n, &value): (usize, &f64)| (Grain::Month.plus(start, n as i32), value);
        Series {
            grain: Grain::Month,
            points: values.iter().enumerate().map(point).collect(),
            incomplete: Vec::new(),
            empty: 0,
            days: (1, 1),
        }
    }

    #[test]
    fn holts_recurrences_give_the_numbers_worked_out_by_hand() {
        // Level 10 and trend 2 expect 12, which comes; then 14 is expected and 15 comes: level 14.5, trend (2.5 + 2) / 2.
        let model = Model::Holt {
            alpha: 0.5,
            beta: 0.5,
        };
        let values = [10.0, 12.0, 15.0];
        assert_eq!(model.residuals(&values), [0.0, 1.0]);
        assert_eq!(
            (model.ahead(&values, 1).0, model.ahead(&values, 2).0),
            (16.75, 19.0)
        );
        // σ² = 1/2; two steps ahead it is 1 + α² + 2αb + b² with b = αβ = 1/4.
        let spread = (0.5f64 * (1.0 + 0.25 + 0.25 + 0.0625)).sqrt();
        assert!((model.ahead(&values, 2).1 - spread).abs() < 1e-12);
    }

    #[test]
    fn a_straight_line_is_continued_by_holt_without_error() {
        let values: Vec<f64> = (0..24).map(|n| 100.0 + 3.0 * f64::from(n)).collect();
        let forecast = forecast(&series(&values), 2).unwrap();
        assert_eq!(
            (forecast.method, forecast.error.mean_absolute),
            (Method::Holt, 0.0)
        );
        assert_eq!(
            (forecast.points[1].value, forecast.points[1].period.as_str()),
            (175.0, "2026-02")
        );
    }

    #[test]
    fn a_season_is_repeated_from_a_year_before() {
        let values: Vec<f64> = (0..36)
            .map(|n| {
                if n % 12 == 11 {
                    90.0
                } else {
                    10.0 + f64::from(n % 12 % 3)
                }
            })
            .collect();
        let forecast = forecast(&series(&values), 12).unwrap();
        assert_eq!(forecast.method, Method::SeasonalNaive);
        assert_eq!(
            (forecast.points[11].value, forecast.points[0].value),
            (90.0, 10.0)
        );
    }

    #[test]
    fn values_without_a_pattern_keep_the_last_one_and_the_interval_widens() {
        // A random walk made of the digits of π.
        let steps = [3., 1., 4., 1., 5., 9., 2., 6., 5., 3., 5., 8.];
        let mut level = 100.0;
        let values: Vec<f64> = steps
            .iter()
            .map(|step| {
                level += step - 4.5;
                level
            })
            .collect();
        let forecast = forecast(&series(&values), 4).unwrap();
        let width = |at: usize| forecast.points[at].high - forecast.points[at].low;
        assert!(width(3) > width(0) && forecast.error.against_naive.unwrap() <= 1.0);
    }

    #[test]
    fn too_few_periods_are_not_forecast() {
        assert!(forecast(&series(&[1.0; 5]), 3).is_none());
        assert!(forecast(&series(&[1.0; 9]), 0).is_none());
        let flat = forecast(&series(&[1.0; 6]), 1).unwrap();
        assert_eq!(
            (flat.points[0].value, flat.error.against_naive),
            (1.0, None)
        );
    }
}
