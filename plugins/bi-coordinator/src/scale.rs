//! The numbers beside a chart's axes: round ones, in few letters. It draws nothing.

/// Round numbers from below the lowest value to above the highest; zero is among them unless all values are far from it.
pub(crate) fn ticks(lows: impl Iterator<Item = f64>, highs: impl Iterator<Item = f64>) -> Vec<f64> {
    let low = lows.map(drawable).fold(f64::INFINITY, f64::min);
    let high = highs.map(drawable).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return vec![0.0, 1.0];
    }
    // A line that starts at nought shows the size of a change; it does so only while the change can still be seen.
    let low = if low > 0.0 && high - low > 0.15 * high {
        0.0
    } else {
        low
    };
    let high = if high < 0.0 && high - low > -0.15 * low {
        0.0
    } else {
        high
    };
    let raw = ((high - low) / 5.0)
        .max(high.abs().max(low.abs()) * 1e-6)
        .max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= raw * 0.999)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let count = (last - first).clamp(1.0, 20.0) as usize;
    (0..=count).map(|n| (first + n as f64) * step).collect()
}

/// A number within bounds: beyond these even differences are no numbers any more.
pub(crate) fn drawable(value: f64) -> f64 {
    match value.is_nan() {
        true => 0.0,
        false => value.clamp(-1e300, 1e300),
    }
}

/// A number in few letters: `1.2M`.
pub(crate) fn short(value: f64) -> String {
    let (size, unit) = match value.abs() {
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let number = format!("{:.2}", value / size);
    let number = number.trim_end_matches('0').trim_end_matches('.');
    let number = if number == "-0" { "0" } else { number };
    format!("{}{unit}", number.replace('-', "−"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        let of = |values: &[f64]| ticks(values.iter().copied(), values.iter().copied());
        assert_eq!(of(&[3.0, 97.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(of(&[-4.0, 10.0]), [-5.0, 0.0, 5.0, 10.0]);
        assert_eq!(
            of(&[1000.0, 1010.0]),
            [1000.0, 1002.0, 1004.0, 1006.0, 1008.0, 1010.0]
        );
        assert_eq!(
            (short(1_250_000.0), short(-0.0), short(-2500.0)),
            ("1.25M".into(), "0".into(), "−2.5k".into())
        );
    }
}
