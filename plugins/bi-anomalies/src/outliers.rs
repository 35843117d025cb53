//! What is usual in a group, and how far a value is from it.
//!
//! Sources: B. Iglewicz and D. C. Hoaglin, "How to Detect and Handle Outliers", ASQC Quality Press 1993, for the modified z-score, its
//! threshold of 3.5, and the mean absolute deviation where the median one is 0; J. W. Tukey, "Exploratory Data Analysis", 1977, for the
//! fences at 1.5 and 3 interquartile ranges beyond the quartiles.

use tabular::stats;

use crate::Method;

/// Fewer values say nothing about what is usual.
const LEAST: usize = 8;

/// 0.75 quantile of the normal distribution: by it a median absolute deviation is compared with a standard deviation.
const Z75: f64 = 0.674_49;

/// √(π / 2): the same for a mean absolute deviation.
const MEAN_SCALE: f64 = 1.253_314;

/// What is usual in a group.
pub(crate) struct Fences {
    pub(crate) median: f64,
    /// Between these the distance is 0.
    inner: (f64, f64),
    /// One step of distance.
    unit: f64,
}

impl Fences {
    /// Of a group; `None` when it is too small or does not vary at all.
    pub(crate) fn of(values: &[f64], method: Method) -> Option<Self> {
        let median = stats::median(values)?;
        if values.len() < LEAST {
            return None;
        }
        let (inner, unit) = match method {
            Method::RobustZ => ((median, median), robust_unit(values, median)?),
            Method::Iqr => {
                let quartiles = (
                    stats::quantile(values, 0.25)?,
                    stats::quantile(values, 0.75)?,
                );
                (quartiles, quartiles.1 - quartiles.0)
            }
        };
        (unit > 0.0).then_some(Self {
            median,
            inner,
            unit,
        })
    }

    /// How many units a value lies outside; negative below.
    pub(crate) fn distance(&self, value: f64) -> f64 {
        let (low, high) = self.inner;
        match value {
            value if value < low => (value - low) / self.unit,
            value if value > high => (value - high) / self.unit,
            _ => 0.0,
        }
    }
}

fn robust_unit(values: &[f64], median: f64) -> Option<f64> {
    let middle = stats::median_deviation(values)? / Z75;
    if middle > 0.0 {
        return Some(middle);
    }
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    Some(stats::mean(&distances)? * MEAN_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distances(values: &[f64], method: Method) -> Vec<f64> {
        let fences = Fences::of(values, method).unwrap();
        values.iter().map(|&value| fences.distance(value)).collect()
    }

    #[test]
    fn the_modified_z_score_is_the_one_worked_out_by_hand() {
        // Median 3.2, deviations 1.1 0.6 0.1 0.1 0 0.1 0.3 0.8 6.2 with the median 0.3: 0.6745 · 6.2 / 0.3 = 13.94.
        let values = [2.1, 2.6, 3.1, 3.1, 3.2, 3.3, 3.5, 4.0, 9.4];
        let found = distances(&values, Method::RobustZ);
        assert!(
            (found[8] - 0.674_49 * 6.2 / 0.3).abs() < 1e-9
                && (found[0] + 0.674_49 * 1.1 / 0.3).abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn where_most_values_are_equal_the_mean_deviation_is_the_measure() {
        let values = [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 13.0];
        // The mean deviation is 1.
        assert!((distances(&values, Method::RobustZ)[7] - 8.0 / 1.253_314).abs() < 1e-9);
        assert!(
            Fences::of(&[5.0; 9], Method::RobustZ).is_none()
                && Fences::of(&values, Method::Iqr).is_none()
        );
    }

    #[test]
    fn fences_are_measured_from_the_quartiles() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 29.0];
        // Quartiles 3 and 7.
        assert_eq!(distances(&values, Method::Iqr)[8], 5.5);
        assert_eq!(distances(&values, Method::Iqr)[3], 0.0);
        assert!(Fences::of(&values[..7], Method::Iqr).is_none());
    }
}
