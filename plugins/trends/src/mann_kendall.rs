//! The trend test of Mann and Kendall, which asks only whether later values are larger more often than smaller, and Sen's slope that
//! goes with it. Neither minds outliers.
//!
//! Source: R. O. Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987), sections 16.4 and 16.5: the normal
//! approximation with the variance corrected for equal values, and the statistic moved one towards zero.

use crate::student::two_sided_normal;

/// What the test says of a series.
#[derive(Debug)]
pub(crate) struct Test {
    /// How many more pairs rise than fall.
    pub(crate) s: i64,
    /// The variance of `s` in a series without trend.
    pub(crate) variance: f64,
    pub(crate) z: f64,
    pub(crate) p_value: f64,
    /// The median slope of all pairs at different places.
    pub(crate) sen_slope: f64,
}

/// Tests points in the order of their places, no two at the same place.
pub(crate) fn test(points: &[(f64, f64)]) -> Test {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    let mut s: i64 = 0;
    for (place, (x, y)) in points.iter().enumerate() {
        for (earlier_x, earlier_y) in &points[..place] {
            s += match y.total_cmp(earlier_y) {
                _ if y == earlier_y => 0,
                std::cmp::Ordering::Less => -1,
                _ => 1,
            };
            slopes.push((y - earlier_y) / (x - earlier_x));
        }
    }
    let variance = variance(points);
    let z = match s {
        0 => 0.0,
        s => (s - s.signum()) as f64 / variance.sqrt(),
    };
    Test {
        s,
        variance,
        z,
        p_value: two_sided_normal(z),
        sen_slope: median(&mut slopes),
    }
}

fn variance(points: &[(f64, f64)]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|&(_, y)| y).collect();
    values.sort_by(f64::total_cmp);
    let ties: f64 = values
        .chunk_by(|a, b| a == b)
        .map(|equal| term(equal.len() as f64))
        .sum();
    (term(points.len() as f64) - ties) / 18.0
}

fn median(numbers: &mut [f64]) -> f64 {
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return 0.0;
    }
    let even = numbers.len().is_multiple_of(2);
    let (below, &mut upper, _) = numbers.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    lower + (upper - lower) / 2.0
}
