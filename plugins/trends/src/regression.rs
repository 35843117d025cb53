//! The straight line that fits points best, and how sure its slope is: ordinary least squares with one variable.
//!
//! Source: any textbook, such as D. C. Montgomery, E. A. Peck, G. G. Vining, "Introduction to Linear Regression Analysis", chapter 2.

use crate::student::{critical_t, two_sided_t};

/// A fitted line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
    /// The standard error of the slope.
    pub(crate) standard_error: f64,
    /// The part of the variance that the line explains; 1 for values that are all the same.
    pub(crate) r_squared: f64,
    /// The slope in standard errors.
    pub(crate) t: f64,
    /// The chance of such a slope when there is none.
    pub(crate) p_value: f64,
    /// Half the width of the slope's confidence interval.
    pub(crate) margin: f64,
}

/// Fits a line to three points or more at more than one place; `alpha` is one minus the confidence.
pub(crate) fn fit(points: &[(f64, f64)], alpha: f64) -> Line {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    // Sums of products of distances from the means: sums of squares would lose the digits of large values.
    let sum = |product: fn(f64, f64) -> f64| -> f64 {
        points
            .iter()
            .map(|(x, y)| product(x - mean_x, y - mean_y))
            .sum()
    };
    let (xx, xy, yy) = (sum(|x, _| x * x), sum(|x, y| x * y), sum(|_, y| y * y));
    let slope = xy / xx;
    let residuals: f64 = points
        .iter()
        .map(|(x, y)| y - mean_y - slope * (x - mean_x))
        .map(|residual| residual * residual)
        .sum();
    let freedom = n - 2.0;
    let standard_error = (residuals / freedom / xx).sqrt();
    let t = if slope == 0.0 {
        0.0
    } else {
        slope / standard_error
    };
    Line {
        slope,
        intercept: mean_y - slope * mean_x,
        standard_error,
        r_squared: if yy > 0.0 { 1.0 - residuals / yy } else { 1.0 },
        t,
        p_value: two_sided_t(t, freedom),
        margin: critical_t(alpha, freedom) * standard_error,
    }
}
