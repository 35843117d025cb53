//! What describes a handful of numbers. Nothing here knows of prices.
//!
//! Sources: R. J. Hyndman, Y. Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996), for quantiles of
//! type 7; B. Iglewicz, D. C. Hoaglin, "How to Detect and Handle Outliers" (1993), for the modified z-score and its bound.

/// A modified z-score beyond which a number is an outlier.
pub(crate) const OUTLYING: f64 = 3.5;
/// Makes the median absolute deviation of a normal sample its standard deviation.
const MEDIAN_SCALE: f64 = 0.6745;
/// The same for the mean absolute deviation, which serves where more than half of the numbers are equal.
const MEAN_SCALE: f64 = 1.253_314;

/// Numbers in order, at least one.
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// `None` for no numbers.
    pub(crate) fn new(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The number below which the share `p` of the sample lies, between two numbers in proportion.
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        let place = p * (self.0.len() - 1) as f64;
        let (below, above) = (
            self.0[place.floor() as usize],
            self.0[place.ceil() as usize],
        );
        below + (above - below) * place.fract()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The median distance from the median.
    pub(crate) fn mad(&self) -> f64 {
        let median = self.median();
        let mut distances: Vec<f64> = self
            .0
            .iter()
            .map(|number| (number - median).abs())
            .collect();
        distances.sort_by(f64::total_cmp);
        Self(distances).median()
    }

    /// The standard deviation of the sample (n - 1) as a part of the mean; `None` for one number, and around 0.
    pub(crate) fn variation(&self) -> Option<f64> {
        let (mean, n) = (self.mean(), self.0.len() as f64);
        let squares: f64 = self.0.iter().map(|number| (number - mean).powi(2)).sum();
        (n > 1.0 && mean != 0.0).then(|| (squares / (n - 1.0)).sqrt() / mean)
    }

    /// How far a number lies from the median, in robust standard deviations; 0 when all are equal.
    pub(crate) fn modified_z(&self, number: f64) -> f64 {
        let (median, mad) = (self.median(), self.mad());
        let distance = number - median;
        if distance == 0.0 {
            return 0.0;
        }
        if mad > 0.0 {
            return MEDIAN_SCALE * distance / mad;
        }
        let sum: f64 = self.0.iter().map(|number| (number - median).abs()).sum();
        distance / (MEAN_SCALE * sum / self.0.len() as f64)
    }

    /// The part of the sample below a number, those equal to it by half.
    pub(crate) fn rank(&self, number: f64) -> f64 {
        let below = self.0.iter().filter(|&&other| other < number).count() as f64;
        let equal = self.0.iter().filter(|&&other| other == number).count() as f64;
        (below + equal / 2.0) / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(numbers: &[f64]) -> Sample {
        Sample::new(numbers.to_vec()).unwrap()
    }

    #[track_caller]
    fn close(given: f64, expected: f64) {
        assert!((given - expected).abs() < 1e-9, "{given} is not {expected}");
    }

    #[test]
    fn quantiles_and_spread_are_those_of_numpy() {
        // numpy 2.4.6: quantile(a, p), mean(a), std(a, ddof=1) / mean(a), median(abs(a - median(a)))
        let a = sample(&[349.99, 312.5, 330.0, 329.0, 401.25, 298.99]);
        close(a.quantile(0.0), 298.99);
        close(a.quantile(0.25), 316.625);
        close(a.quantile(0.5), 329.5);
        close(a.quantile(0.75), 344.9925);
        close(a.quantile(0.9), 375.62);
        close(a.quantile(1.0), 401.25);
        close(a.mean(), 336.955);
        close(a.variation().unwrap(), 0.10663125148031281);
        close(a.mad(), 18.745000000000005);
        let a = sample(&[12.0, 9.5, 10.25, 11.0, 10.75, 30.0, 9.99]);
        close(a.quantile(0.0), 9.5);
        close(a.quantile(0.25), 10.120000000000001);
        close(a.quantile(0.5), 10.75);
        close(a.quantile(0.75), 11.5);
        close(a.quantile(0.9), 19.200000000000006);
        close(a.quantile(1.0), 30.0);
        close(a.mean(), 13.355714285714285);
        close(a.variation().unwrap(), 0.5527947558865526);
        close(a.mad(), 0.7599999999999998);
    }

    #[test]
    fn outliers_are_judged_by_the_rest_of_the_sample() {
        // 0.6745 * (500 - 101) / 1
        close(
            sample(&[99.0, 100.0, 101.0, 102.0, 500.0]).modified_z(500.0),
            269.1255,
        );
        // Half of the sample is equal: (8 - 5) / (1.253314 * 3 / 4)
        close(
            sample(&[5.0, 5.0, 5.0, 8.0]).modified_z(8.0),
            3.191_538_592_930_264,
        );
        close(sample(&[5.0, 5.0]).modified_z(5.0), 0.0);
    }

    #[test]
    fn the_rank_of_a_number_counts_equal_ones_by_half() {
        let sample = sample(&[1.0, 2.0, 2.0, 4.0]);
        assert_eq!(
            [0.5, 1.0, 2.0, 3.0, 9.0].map(|n| sample.rank(n)),
            [0.0, 0.125, 0.5, 0.75, 1.0]
        );
    }

    #[test]
    fn one_number_has_no_spread() {
        let one = sample(&[7.0]);
        assert_eq!(
            (
                one.median(),
                one.mad(),
                one.variation(),
                one.modified_z(7.0)
            ),
            (7.0, 0.0, None, 0.0)
        );
        assert!(Sample::new(Vec::new()).is_none());
    }
}
