//! Student's t distribution and the normal one: how likely a number so far from the middle is by chance.
//!
//! Source: the regularised incomplete beta function by its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22),
//! evaluated from front to back by Lentz's method as modified by Thompson and Barnett (J. Comput. Phys. 64, 1986).

/// How far the fraction is followed; it converges after about the square root of the larger parameter.
const MAX_TERMS: u32 = 10_000;

/// The chance that |T| is at least |t|, for T of `df` degrees of freedom.
pub(crate) fn two_sided_t(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(df / 2.0, 0.5, df / (df + t * t))
}

/// The t with a chance of `alpha` that |T| is at least t: what `two_sided_t` answers `alpha` for.
pub(crate) fn critical_t(alpha: f64, df: f64) -> f64 {
    // The chance falls from 1 to 0, so halving finds the place to the last digit.
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided_t(high, df) > alpha {
        low = high;
        high *= 2.0;
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        if two_sided_t(middle, df) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The chance that |Z| is at least |z|, for Z normal.
pub(crate) fn two_sided_normal(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// I_x(a, b), for positive a and b and x from 0 to 1.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges fast on one side only; the other is its mirror image.
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * fraction(a, b, x) / a
    } else {
        1.0 - front.exp() * fraction(b, a, 1.0 - x) / b
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |number: f64| {
        if number.abs() < 1e-300 {
            1e-300
        } else {
            number
        }
    };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=MAX_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            step = c * d;
            value *= step;
        }
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(given: f64, expected: f64) {
        let error = (given / expected - 1.0).abs();
        assert!(error < 1e-10, "{given} is not {expected}, off by {error:e}");
    }

    #[test]
    fn chances_are_those_of_scipy() {
        // 2 * scipy.stats.t.sf(t, df), scipy 1.17.1
        close(two_sided_t(0.5, 1.0), 0.7048327646991335);
        close(two_sided_t(2.0, 3.0), 0.13932596855884305);
        close(two_sided_t(-2.5, 10.0), 0.03144684423660882);
        close(two_sided_t(1.96, 118.0), 0.052353081714424377);
        close(two_sided_t(12.0, 40.0), 7.82417130425598e-15);
        close(two_sided_t(30.0, 498.0), 1.0643416689578344e-113);
        close(two_sided_t(0.01, 4998.0), 0.9920216864826265);
        // 2 * scipy.stats.norm.sf(z)
        close(two_sided_normal(0.3), 0.7641771556220948);
        close(two_sided_normal(-1.96), 0.04999579029644087);
        close(two_sided_normal(8.5), 1.89590696444065e-17);
    }

    #[test]
    fn critical_values_are_those_of_scipy() {
        // scipy.stats.t.ppf(1 - alpha / 2, df)
        close(critical_t(0.05, 1.0), 12.706204736174694);
        close(critical_t(0.05, 5.0), 2.5705818356363146);
        close(critical_t(0.01, 28.0), 2.763262455461444);
        close(critical_t(0.1, 118.0), 1.6578695221106903);
        close(critical_t(0.05, 4998.0), 1.9604387416545477);
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(two_sided_t(0.0, 5.0), 1.0);
        assert_eq!(two_sided_t(f64::INFINITY, 5.0), 0.0);
        assert_eq!(two_sided_normal(0.0), 1.0);
    }
}
