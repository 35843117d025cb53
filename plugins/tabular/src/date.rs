//! Dates as people write them. No times of day, no time zones: a time behind a date is dropped.

use jiff::civil::Date;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads `2026-03-14`, `2026/3/14`, `14.03.2026`, `14/03/2026`, `14 Mar 2026`, `March 14, 2026`, `20260314`, each with or without a
/// time behind it. With slashes the day comes first unless only the other order is a date. Two-digit years are none.
pub fn parse(text: &str) -> Option<Date> {
    let text = text.trim();
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        let part = |range: std::ops::Range<usize>| text.get(range)?.parse().ok();
        return date(part(0..4)?, part(4..6)?, part(6..8)?);
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.len() > 40 {
        return None;
    }
    let separator = text.chars().find(|c| !c.is_ascii_alphanumeric())?;
    match separator {
        '-' | '/' | '.' => {
            let day = text.split(['T', ' ']).next()?;
            numeric(day, separator).or_else(|| worded(text))
        }
        ' ' => worded(text),
        _ => None,
    }
}

/// The number of a month from its English name or the first three letters of it.
pub fn month(word: &str) -> Option<i8> {
    let word = word.trim_end_matches('.').to_ascii_lowercase();
    let found = MONTHS.iter().position(|name| {
        *name == word
            || word.len() == 3 && name.starts_with(&word)
            || word == "sept" && *name == "september"
    })?;
    i8::try_from(found + 1).ok()
}

fn numeric(text: &str, separator: char) -> Option<Date> {
    let parts: Vec<&str> = text.split(separator).collect();
    let &[a, b, c] = parts.as_slice() else {
        return None;
    };
    let numbers = [number(a)?, number(b)?, number(c)?];
    match (a.len(), c.len(), separator) {
        (4, 1..=2, _) => date(numbers[0], numbers[1], numbers[2]),
        (1..=2, 4, '/') => date(numbers[2], numbers[1], numbers[0])
            .or_else(|| date(numbers[2], numbers[0], numbers[1])),
        (1..=2, 4, _) => date(numbers[2], numbers[1], numbers[0]),
        _ => None,
    }
}

fn worded(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text
        .split([' ', ',', '-', '.'])
        .filter(|part| !part.is_empty())
        .take(3)
        .collect();
    let &[a, b, c] = parts.as_slice() else {
        return None;
    };
    let ordinal = |text: &str| number(text.trim_end_matches(|c: char| c.is_ascii_lowercase()));
    if c.len() != 4 {
        return None;
    }
    match month(a) {
        Some(month) => date(number(c)?, i32::from(month), ordinal(b)?),
        None => date(number(c)?, i32::from(month(b)?), ordinal(a)?),
    }
}

fn number(text: &str) -> Option<i32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_day_is_read_in_every_form() {
        for text in [
            "2026-03-14",
            "2026/3/14",
            "2026.03.14",
            "14.03.2026",
            "14.3.2026",
            "14/03/2026",
            "03/14/2026",
            "14-03-2026",
            "14 Mar 2026",
            "14 March 2026",
            "14-Mar-2026",
            "Mar 14, 2026",
            "March 14th, 2026",
            "20260314",
            "2026-03-14T09:30:00Z",
            "2026-03-14 09:30",
            " 2026-03-14 ",
        ] {
            assert_eq!(parse(text), Some(jiff::civil::date(2026, 3, 14)), "{text}");
        }
    }

    #[test]
    fn with_slashes_the_day_comes_first_when_both_readings_are_dates() {
        assert_eq!(parse("03/04/2026"), Some(jiff::civil::date(2026, 4, 3)));
    }

    #[test]
    fn what_is_no_day_of_the_calendar_is_none() {
        for text in [
            "",
            "2026",
            "2026-03",
            "2026-02-30",
            "31.04.2026",
            "14.03.26",
            "1.299,00",
            "1.5",
            "14 Foo 2026",
            "20261301",
            "a-b-c",
            "32/13/2026",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse("2024-02-29").is_some() && parse("2026-02-29").is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,14}") {
            let _ = parse(&text);
        }
    }
}
