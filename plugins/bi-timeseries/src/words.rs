//! What stands out in a series, as sentences. It words numbers that are there; it computes none but the mean.

use tabular::number::{percent, readable};
use tabular::stats;

use crate::forecast::{Forecast, Method};
use crate::{Output, Point, Trend};

/// A trend that chance makes more often than this is called none.
const SIGNIFICANT: f64 = 0.05;

/// Periods whose numbers of days differ by more are not alike; months of daily data differ by less.
const UNEVEN: f64 = 0.12;

pub(crate) fn findings(what: &str, added_up: bool, output: &Output) -> Vec<String> {
    let mut findings = Vec::new();
    let period = output.grain.name();
    let values: Vec<f64> = output.points.iter().map(|point| point.value).collect();
    let Some(last) = output.points.last() else {
        return findings;
    };
    findings.push(format!(
        "The last complete {period}, {}, has {what} of {}{}; the mean of {} {period}s is {}.",
        last.period,
        readable(last.value),
        growths(last, period),
        values.len(),
        readable(stats::mean(&values).unwrap_or_default())
    ));
    findings.extend(extremes(output, period));
    findings.extend(
        output
            .trend
            .as_ref()
            .map(|trend| trend_sentence(what, trend, period)),
    );
    findings.extend(
        output
            .forecast
            .as_ref()
            .map(|forecast| next(what, forecast, period)),
    );
    if !output.incomplete.is_empty() {
        findings.push(format!(
            "The data covers only a part of {}, which is left out.",
            output.incomplete.join(" and ")
        ));
    }
    let (fewest, most) = output.days;
    let uneven = 1.0 - fewest as f64 / most.max(1) as f64;
    if uneven > UNEVEN && added_up {
        findings.push(format!(
            "A {period} has {fewest} to {most} days with data, which alone makes {period}s differ by up to {}.",
            percent(uneven)
        ));
    }
    if output.empty > 0 {
        findings.push(format!(
            "{} {period}s have no row and count as 0.",
            output.empty
        ));
    }
    if output.unusable > 0 {
        findings.push(format!(
            "{} rows have no date or no number and are left out.",
            output.unusable
        ));
    }
    findings
}

fn growths(point: &Point, period: &str) -> String {
    let parts: Vec<String> = [
        point
            .growth
            .map(|growth| format!("{} on the {period} before", signed(growth))),
        point
            .year_growth
            .map(|growth| format!("{} on a year before", signed(growth))),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!(" ({})", parts.join(", ")),
    }
}

fn extremes(output: &Output, period: &str) -> Option<String> {
    let grown = || {
        let points = output.points.iter();
        points.filter_map(|point| Some((point.growth?, point)))
    };
    let (low, fall) = grown().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let (high, rise) = grown().max_by(|a, b| a.0.total_cmp(&b.0))?;
    if low >= 0.0 || high <= 0.0 {
        return None;
    }
    Some(format!(
        "From one {period} to the next the largest fall is {} in {}, the largest rise {} in {}.",
        signed(low),
        fall.period,
        signed(high),
        rise.period
    ))
}

fn trend_sentence(what: &str, trend: &Trend, period: &str) -> String {
    let test = format!("R² {:.2}, p {}", trend.r_squared, p_value(trend.p_value));
    if trend.p_value > SIGNIFICANT {
        return format!("There is no clear straight trend in {what} ({test}).");
    }
    let direction = if trend.slope < 0.0 { "falls" } else { "rises" };
    format!(
        "As a straight line {what} {direction} by {} with each {period} ({test}).",
        readable(trend.slope.abs())
    )
}

fn next(what: &str, forecast: &Forecast, period: &str) -> String {
    let method = match forecast.method {
        Method::Naive => "the last value",
        Method::SeasonalNaive => "the value of a season before",
        Method::Holt => "Holt's smoothing",
    };
    let points = forecast.points.iter().take(4).map(|next| {
        format!(
            "{} in {} ({} to {})",
            readable(next.value),
            next.period,
            readable(next.low),
            readable(next.high)
        )
    });
    let off = match forecast.error.mean_share {
        Some(share) => percent(share),
        None => readable(forecast.error.mean_absolute),
    };
    format!(
        "Forecast of {what}, with intervals for four cases in five: {}. It is made by {method}, which was off by {off} on average over the last {} {period}s.",
        points.collect::<Vec<_>>().join(", "),
        forecast.error.periods
    )
}

fn signed(share: f64) -> String {
    let sign = if share > 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(share))
}

fn p_value(p: f64) -> String {
    match p < 0.001 {
        true => "< 0.001".to_owned(),
        false => format!("{p:.3}"),
    }
}
