//! Statistics of samples. Everything takes finite numbers and answers `None` where a sample is too small for the question.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A straight line through points by least squares, with the two-sided t-test of its slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// The value where x is 0.
    pub intercept: f64,
    /// By how much the value rises with each step of x.
    pub slope: f64,
    /// The share of the variance that the line explains.
    pub r_squared: f64,
    /// How likely so steep a slope is when there is none.
    pub p_value: f64,
}

/// Welch's t-test of two samples whose variances may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference of the means in standard errors, second minus first.
    pub t: f64,
    /// The degrees of freedom by Welch and Satterthwaite.
    pub freedom: f64,
    /// How likely so large a difference is when there is none; two-sided.
    pub p_value: f64,
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The variance of a sample, with n − 1.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| squares / (values.len() - 1) as f64)
}

/// The quantile by linear interpolation, type 7 of Hyndman and Fan (1996), which R and NumPy use.
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, p)
}

/// The median.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The median of the distances from the median, unscaled.
pub fn median_deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&distances)
}

/// The line through `values` at x = 0, 1, 2, …; needs three of them.
pub fn line(values: &[f64]) -> Option<Line> {
    let n = values.len() as f64;
    if values.len() < 3 {
        return None;
    }
    let (mean_x, mean_y) = ((n - 1.0) / 2.0, mean(values)?);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in values.iter().enumerate() {
        let (dx, dy) = (x as f64 - mean_x, y - mean_y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    let slope = xy / xx;
    let r_squared = if yy == 0.0 {
        0.0
    } else {
        (xy * xy / (xx * yy)).min(1.0)
    };
    let freedom = n - 2.0;
    let p_value = match (r_squared, 1.0 - r_squared) {
        (0.0, _) => 1.0,
        (_, rest) if rest <= f64::EPSILON => 0.0,
        (explained, rest) => two_sided((explained * freedom / rest).sqrt(), freedom)?,
    };
    Some(Line {
        intercept: mean_y - slope * mean_x,
        slope,
        r_squared,
        p_value,
    })
}

/// Whether two samples differ in their means; needs two values in each and some variance.
pub fn welch(first: &[f64], second: &[f64]) -> Option<Welch> {
    let (a, b) = (
        variance(first)? / first.len() as f64,
        variance(second)? / second.len() as f64,
    );
    if a + b <= 0.0 {
        return None;
    }
    let t = (mean(second)? - mean(first)?) / (a + b).sqrt();
    let part = |error: f64, n: usize| error * error / (n as f64 - 1.0);
    let freedom = (a + b).powi(2) / (part(a, first.len()) + part(b, second.len()));
    Some(Welch {
        t,
        freedom,
        p_value: two_sided(t.abs(), freedom)?,
    })
}

/// The quantile of values that are in order already.
pub fn quantile_of_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    let at = p.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    Some(below + (above - below) * at.fract())
}

fn two_sided(t: f64, freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some((2.0 * distribution.sf(t)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!(
            (left - right).abs() < 1e-6 * right.abs().max(1.0),
            "{left} is not {right}"
        );
    }

    #[test]
    fn quantiles_are_those_of_type_seven() {
        // By the definition: h = (n − 1) p, so 0.25 of 1, 2, 4, 8 lies three quarters of the way from 1 to 2.
        close(quantile(&[8.0, 1.0, 4.0, 2.0], 0.25).unwrap(), 1.75);
        close(median(&[1.0, 2.0, 4.0, 8.0]).unwrap(), 3.0);
        close(
            median_deviation(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).unwrap(),
            1.0,
        );
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_line_is_the_one_of_anscombes_first_set() {
        // F. J. Anscombe, "Graphs in Statistical Analysis", The American Statistician 27 (1973): intercept 3.00, slope 0.500 and
        // r² 0.67 for x = 4…14, here in the order of x and from 0.
        let y = [
            4.26, 5.68, 7.24, 4.82, 6.95, 8.81, 8.04, 8.33, 10.84, 7.58, 9.96,
        ];
        let line = line(&y).unwrap();
        assert!((line.slope - 0.5001).abs() < 5e-5, "{line:?}");
        assert!(
            (line.intercept - 4.0 * line.slope - 3.0001).abs() < 5e-5,
            "{line:?}"
        );
        assert!((line.r_squared - 0.6665).abs() < 5e-5, "{line:?}");
        assert!((line.p_value - 0.00217).abs() < 5e-6, "{line:?}");
    }

    #[test]
    fn a_flat_or_perfect_line_is_no_division_by_zero() {
        assert_eq!(
            line(&[2.0; 5]).map(|line| (line.slope, line.p_value)),
            Some((0.0, 1.0))
        );
        let perfect = line(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((perfect.slope, perfect.p_value), (1.0, 0.0));
        assert_eq!(line(&[1.0, 2.0]), None);
    }

    #[test]
    fn welchs_test_agrees_with_the_formula_worked_out_by_hand() {
        // Variances 2.5 and 10 of five values each: t = 4 / √2.5, freedom = 2.5² / (0.5²/4 + 2²/4).
        let welch = welch(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 5.0, 7.0, 9.0, 11.0]).unwrap();
        close(welch.t, 4.0 / 2.5f64.sqrt());
        close(welch.freedom, 6.25 / 1.0625);
        // Between the tabulated critical values for 5.88 degrees of freedom: 2.46 at 0.05 and 3.16 at 0.02.
        assert!((0.02..0.05).contains(&welch.p_value), "{welch:?}");
    }

    #[test]
    fn the_t_distribution_meets_its_tabulated_critical_values() {
        // Student's table, two-sided 0.05: 2.228 for 10 degrees of freedom, 12.706 for 1.
        assert!((two_sided(2.228_139, 10.0).unwrap() - 0.05).abs() < 1e-6);
        assert!((two_sided(12.706_2, 1.0).unwrap() - 0.05).abs() < 1e-6);
    }

    #[test]
    fn samples_without_variance_have_no_test() {
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
    }
}
