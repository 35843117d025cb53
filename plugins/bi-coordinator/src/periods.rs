//! The periods that a question names: quarters, months and years, and the last of them. It knows no today; the last is the last that
//! the data covers.

use kennel_sdk::Error;
use tabular::{Date, Grain, Period, date};

use crate::profile::Days;

/// A period of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) grain: Grain,
    pub(crate) start: Date,
}

const ORDINALS: [(&str, &str); 4] = [
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("fourth", "4th"),
];

const NUMBERS: [&str; 12] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
];

impl Span {
    /// The period of `grain` that `day` is in.
    pub(crate) fn at(grain: Grain, day: Date) -> Self {
        Self {
            grain,
            start: grain.start(day),
        }
    }

    pub(crate) fn period(&self) -> Period {
        self.grain.period(self.start)
    }

    pub(crate) fn end(&self) -> Date {
        self.grain.end(self.start)
    }

    /// The period before, or the same one a year before.
    pub(crate) fn before(&self, by_a_year: bool) -> Self {
        let start = match by_a_year {
            true => Grain::Year.plus(self.start, -1),
            false => self.grain.plus(self.start, -1),
        };
        Self::at(self.grain, start)
    }

    /// Whether the data has a day of it.
    pub(crate) fn check(&self, days: &Days) -> Result<(), Error> {
        if self.start > days.last || self.end() < days.first {
            return Err(Error::invalid_input(format_args!(
                "the question needs {}, and the data covers {} to {}: name a period in it that has one before",
                self.period().label,
                days.first,
                days.last
            )));
        }
        Ok(())
    }
}

/// The note that a period needs when the data covers only a part of it.
pub(crate) fn covered_in_part(span: &Span, days: &Days) -> Option<String> {
    let late = Grain::Week.plus(span.start, 1) <= days.first;
    let early = Grain::Week.plus(days.last, 1) <= span.end();
    (late || early).then(|| {
        format!(
            "The data covers {} only in part: it has {} to {}.",
            span.period().label,
            days.first,
            days.last
        )
    })
}

/// The periods that a question names, oldest first and each once.
pub(crate) fn named(words: &[String], days: &Days, assumed: &mut Vec<String>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut used = vec![false; words.len()];
    for at in 0..words.len() {
        let Some((grain, part)) = part_of_year(words, at) else {
            continue;
        };
        let month = match grain {
            Grain::Quarter => part * 3 - 2,
            _ => part,
        };
        used[at] = true;
        let year_near = year_of(words, at, &used);
        let start = match year_near {
            Some((place, year)) => {
                used[place] = true;
                first_of(year, month)
            }
            None => latest(days, month),
        };
        if let Some(start) = start {
            let span = Span::at(grain, start);
            if year_near.is_none() {
                assumed.push(format!(
                    "The question names no year; {} is taken.",
                    span.period().label
                ));
            }
            spans.push(span);
        }
    }
    for (at, word) in words.iter().enumerate() {
        if let (false, Some(year)) = (used[at], year(word)) {
            spans.extend(first_of(year, 1).map(|start| Span::at(Grain::Year, start)));
        }
        if let ("last" | "latest", Some(grain)) =
            (word.as_str(), words.get(at + 1).and_then(|next| unit(next)))
            && !(grain == Grain::Year && says_year_before(words) && !spans.is_empty())
        {
            spans.push(last_complete(grain, days));
        }
    }
    spans.sort_by_key(|span| (span.start, span.grain));
    spans.dedup();
    spans
}

/// The year that belongs to the part of one at `at`: up to three words behind it, or right before.
fn year_of(words: &[String], at: usize, used: &[bool]) -> Option<(usize, i16)> {
    let places = [at + 1, at + 2, at + 3]
        .into_iter()
        .chain(at.checked_sub(1));
    for place in places {
        let between = words.get(at + 1..place).unwrap_or_default();
        let joined = between
            .iter()
            .all(|word| ["of", "quarter", "in", "the"].contains(&word.as_str()));
        let free = used.get(place) == Some(&false);
        if let (true, true, Some(year)) =
            (joined, free, words.get(place).and_then(|word| year(word)))
        {
            return Some((place, year));
        }
    }
    None
}

/// Whether a question compares with the year before.
pub(crate) fn says_year_before(words: &[String]) -> bool {
    let text = words.join(" ");
    [
        "yoy",
        "year over year",
        "year on year",
        "last year",
        "year ago",
        "year before",
        "year earlier",
        "previous year",
    ]
    .iter()
    .any(|phrase| text.contains(phrase))
}

/// The length of periods that a question names.
pub(crate) fn grain(words: &[String]) -> Option<Grain> {
    words.iter().find_map(|word| match word.as_str() {
        "daily" => Some(Grain::Day),
        "weekly" => Some(Grain::Week),
        "monthly" => Some(Grain::Month),
        "quarterly" => Some(Grain::Quarter),
        "yearly" | "annual" | "annually" => Some(Grain::Year),
        _ => None,
    })
}

/// How many periods to forecast, from `next 6 weeks` or `next quarter`; it sets the length of periods too.
pub(crate) fn horizon(words: &[String], grain: &mut Option<Grain>) -> usize {
    let next = words
        .iter()
        .position(|word| ["next", "coming"].contains(&word.as_str()));
    let Some(next) = next else {
        return 3;
    };
    let first = words.get(next + 1).map(String::as_str).unwrap_or_default();
    let spelled = NUMBERS
        .iter()
        .position(|number| *number == first)
        .map(|at| at + 1);
    let count = first.parse().ok().or(spelled);
    let named = words
        .get(next + 1 + usize::from(count.is_some()))
        .and_then(|word| unit(word));
    let count = count.unwrap_or(1).clamp(1, 60);
    match named {
        // One long period is better forecast as the short ones that it is made of.
        Some(Grain::Year) => {
            *grain = Some(Grain::Month);
            (count * 12).min(60)
        }
        Some(Grain::Quarter) if count == 1 => {
            *grain = Some(Grain::Month);
            3
        }
        Some(unit) => {
            *grain = Some(unit);
            count
        }
        None => 3,
    }
}

fn unit(word: &str) -> Option<Grain> {
    match word {
        "day" | "days" => Some(Grain::Day),
        "week" | "weeks" => Some(Grain::Week),
        "month" | "months" => Some(Grain::Month),
        "quarter" | "quarters" => Some(Grain::Quarter),
        "year" | "years" => Some(Grain::Year),
        _ => None,
    }
}

/// A quarter or a month that starts at this word, with its number.
fn part_of_year(words: &[String], at: usize) -> Option<(Grain, i8)> {
    let word = words.get(at)?.as_str();
    let next = words.get(at + 1).map(String::as_str).unwrap_or_default();
    let before = at
        .checked_sub(1)
        .and_then(|at| words.get(at))
        .map(String::as_str)
        .unwrap_or_default();
    let quarter = match word.strip_prefix('q').map(str::parse::<i8>) {
        Some(Ok(number)) if (1..=4).contains(&number) => Some(number),
        _ if next == "quarter" => ORDINALS
            .iter()
            .position(|(long, short)| word == *long || word == *short)
            .and_then(|at| i8::try_from(at + 1).ok()),
        _ => None,
    };
    if let Some(quarter) = quarter {
        return Some((Grain::Quarter, quarter));
    }
    // `may` and `march` are months only where a month can stand.
    let placed = year(next).is_some()
        || [
            "in", "of", "during", "for", "since", "and", "with", "to", "from", "between", "than",
            "vs", "versus",
        ]
        .contains(&before);
    if let Some(month) = date::month(word).filter(|_| placed && word.len() > 2) {
        return Some((Grain::Month, month));
    }
    // `2026-05` is two words.
    let number: i8 = word.parse().ok().filter(|_| word.len() == 2)?;
    (year(before).is_some() && (1..=12).contains(&number)).then_some((Grain::Month, number))
}

fn year(word: &str) -> Option<i16> {
    let year: i16 = word.parse().ok().filter(|_| word.len() == 4)?;
    (1900..2200).contains(&year).then_some(year)
}

fn first_of(year: i16, month: i8) -> Option<Date> {
    Date::new(year, month, 1).ok()
}

/// The first day of the last such month that starts within the data.
fn latest(days: &Days, month: i8) -> Option<Date> {
    let this = first_of(days.last.year(), month)?;
    match this <= days.last {
        true => Some(this),
        false => first_of(days.last.year() - 1, month),
    }
}

/// The last period that ends within the data, or all but: a week of slack, because weekly data ends on a Monday.
fn last_complete(grain: Grain, days: &Days) -> Span {
    let last = Span::at(grain, days.last);
    let slack = Grain::Week.plus(days.last, 1);
    match last.end() < slack || grain == Grain::Day {
        true => last,
        false => last.before(false),
    }
}
