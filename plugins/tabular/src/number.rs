//! Numbers as people write them. It guesses only where one reading is likelier by far, and never for more than one value.

/// What stands around a number and says nothing about its size.
const MARKS: &[char] = &['€', '$', '£', '¥', '%', ' ', '\u{a0}', '\u{202f}', '\''];

/// Reads a number: currency signs or three-letter codes around it, thousands separators, either decimal sign, a leading sign or the
/// brackets of bookkeeping. Alone, a full stop is a decimal sign, and a comma is one unless three digits follow: `1.299` is one and a
/// bit, `1,299` is more than a thousand. `None` for everything else.
pub fn parse(text: &str) -> Option<f64> {
    let text = without_code(text.trim());
    let (text, negative) = match text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let text: String = text.chars().filter(|c| !MARKS.contains(c)).collect();
    let text = text.replace('\u{2212}', "-");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if unsigned.is_empty() || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = plain(unsigned)?.parse().ok()?;
    let negative = negative != text.starts_with('-');
    value
        .is_finite()
        .then_some(if negative { -value } else { value })
}

/// A number with thousands separators and, unless it is whole, `digits` decimals.
pub fn grouped(number: f64, digits: usize) -> String {
    let digits = if number.fract() == 0.0 { 0 } else { digits };
    let text = format!("{:.digits$}", number.abs());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let mut out = String::new();
    if number < 0.0 && text.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        out.push('−');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A number for a sentence: whole from a thousand on, else with two decimals.
pub fn readable(number: f64) -> String {
    match number.abs() >= 1000.0 {
        true => grouped(number.round(), 0),
        false => grouped((number * 100.0).round() / 100.0, 2),
    }
}

/// A share for a sentence, in per cent with one decimal.
pub fn percent(share: f64) -> String {
    let per_cent = (share * 1000.0).round() / 10.0;
    format!("{} %", grouped(per_cent, 1))
}

/// Drops a currency code such as `EUR` at either end, with or without a space.
fn without_code(text: &str) -> &str {
    let is_code = |code: &str| code.bytes().all(|b| b.is_ascii_uppercase());
    let text = match text.split_at_checked(3) {
        Some((code, rest)) if is_code(code) => rest.trim_start(),
        _ => text,
    };
    match text
        .len()
        .checked_sub(3)
        .and_then(|at| text.split_at_checked(at))
    {
        Some((rest, code)) if is_code(code) => rest.trim_end(),
        _ => text,
    }
}

/// The same number as Rust writes it, or nothing when the separators make no sense.
fn plain(text: &str) -> Option<String> {
    let last = text.rfind([',', '.']);
    let Some(last) = last else {
        return Some(text.to_owned());
    };
    let sign = text[last..].chars().next()?;
    let both = text.contains(',') && text.contains('.');
    let repeated = text.matches(sign).count() > 1;
    let thousands = |part: &str| {
        let mut groups = part.split([',', '.']);
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        let grouped = rest.iter().all(|group| group.len() == 3);
        let one_sign = !(part.contains(',') && part.contains('.'));
        (rest.is_empty() || (1..=3).contains(&first.len()) && first != "0") && grouped && one_sign
    };
    let digits = |part: &str| part.replace([',', '.'], "");
    if !both && (sign == ',' || repeated) && thousands(text) {
        return Some(digits(text));
    }
    let (whole, fraction) = (&text[..last], &text[last + 1..]);
    let decimal = !repeated && (!both || !whole.contains(sign)) && thousands(whole);
    decimal.then(|| format!("{}.{}", digits(whole), fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_people_mean_them() {
        for (text, number) in [
            ("12", 12.0),
            (" 1,299.00 € ", 1299.0),
            ("1.299,50", 1299.5),
            ("EUR 1 299,5", 1299.5),
            ("12.5USD", 12.5),
            ("1,299", 1299.0),
            ("1.299.000", 1_299_000.0),
            ("1.299", 1.299),
            ("1,5", 1.5),
            ("0.125", 0.125),
            ("0,125", 0.125),
            (".5", 0.5),
            ("(12)", -12.0),
            ("\u{2212}3", -3.0),
            ("-$4.20", -4.2),
            ("17 %", 17.0),
            ("1'299.00", 1299.0),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "",
            "-",
            "n/a",
            "12a",
            "1,2,3",
            "1.2.3",
            "1,299.0,0",
            "inf",
            "NaN",
            "2026-03-14",
            "1,29,300",
            "€",
            "()",
            "--1",
            "1e999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn grouping_is_read_back_and_small_numbers_lose_no_sign() {
        assert_eq!(grouped(-1_234_567.891, 2), "−1,234,567.89");
        assert_eq!(grouped(100.0, 2), "100");
        assert_eq!(grouped(-0.001, 2), "0.00");
    }

    proptest! {
        #[test]
        fn every_amount_survives_being_written(cents in -10_000_000_000i64..10_000_000_000) {
            let amount = cents as f64 / 100.0;
            prop_assert_eq!(parse(&grouped(amount, 2)), Some(amount));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
