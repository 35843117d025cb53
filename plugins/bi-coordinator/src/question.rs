//! What a question asks for: its intent, and the measure, dimensions, values and periods that it names. Rules over words: a word that
//! no rule knows is ignored, and what had to be assumed is written down.

use kennel_sdk::Error;
use tabular::{Filter, Grain, How};

use crate::periods::{self, Span};
use crate::profile::{Days, Profile};
use crate::words::{self, SYNONYMS};

/// What a question wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Why something changed.
    Why,
    /// How two periods or segments differ.
    Compare,
    /// What comes next.
    Forecast,
    /// How something went over time.
    Trend,
    /// What is unusual.
    Outliers,
    /// Which group has most or least.
    Rank,
    /// What there is to know about a measure.
    Overview,
}

/// A question that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) intent: Intent,
    pub(crate) measure: String,
    pub(crate) how: How,
    /// The dimensions that it names.
    pub(crate) by: Vec<String>,
    /// The values that it names, one of a column.
    pub(crate) filter: Filter,
    /// Two values of one column that it names.
    pub(crate) segments: Option<(String, String, String)>,
    /// The periods to compare, the earlier one first.
    pub(crate) periods: Option<(Span, Span)>,
    /// The one period that it is about, when there is nothing to compare.
    pub(crate) during: Option<Span>,
    /// The length of periods that it names.
    pub(crate) grain: Option<Grain>,
    /// How many periods to forecast.
    pub(crate) horizon: usize,
    /// What it did not say and was assumed.
    pub(crate) assumed: Vec<String>,
}

/// Words by which an intent is known, in the order in which they win.
const INTENTS: [(Intent, &[&str]); 6] = [
    (
        Intent::Why,
        &[
            "why", "cause", "caused", "reason", "reasons", "explain", "explains", "driver",
            "drivers", "drove", "drives", "behind",
        ],
    ),
    (
        Intent::Outliers,
        &[
            "outlier",
            "outliers",
            "anomaly",
            "anomalies",
            "unusual",
            "strange",
            "suspicious",
            "odd",
            "spike",
            "spikes",
            "wrong",
        ],
    ),
    (
        Intent::Forecast,
        &[
            "forecast",
            "forecasts",
            "predict",
            "prediction",
            "expect",
            "expected",
            "outlook",
            "projection",
            "will",
            "next",
        ],
    ),
    (
        Intent::Compare,
        &[
            "compare",
            "compared",
            "comparison",
            "versus",
            "vs",
            "difference",
            "differ",
            "differs",
            "against",
        ],
    ),
    (
        Intent::Trend,
        &[
            "trend",
            "trends",
            "growth",
            "develop",
            "developed",
            "development",
            "evolve",
            "evolved",
            "history",
            "over",
        ],
    ),
    (
        Intent::Rank,
        &[
            "which",
            "who",
            "top",
            "best",
            "worst",
            "highest",
            "lowest",
            "most",
            "least",
            "largest",
            "smallest",
            "biggest",
            "breakdown",
            "share",
            "shares",
            "rank",
            "ranking",
        ],
    ),
];

/// Words for a change, which asks for the periods on both sides of it.
const FALLS: &[&str] = &[
    "fall",
    "fell",
    "falling",
    "drop",
    "dropped",
    "decline",
    "declined",
    "decrease",
    "decreased",
    "down",
    "lost",
    "lose",
    "sank",
    "shrink",
    "shrank",
];
const RISES: &[&str] = &[
    "rise",
    "rose",
    "rising",
    "grow",
    "grew",
    "increase",
    "increased",
    "jump",
    "jumped",
    "up",
    "gain",
    "gained",
];
const CHANGES: &[&str] = &["change", "changed", "happened"];

impl Question {
    /// Understands a question about a table; an error says what could be asked instead.
    pub(crate) fn read(text: &str, profile: &Profile) -> Result<Self, Error> {
        let text = text.trim();
        let words = words::of(text);
        let mut assumed = Vec::new();
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let change = has(FALLS) || has(RISES) || has(CHANGES);
        let found = INTENTS
            .iter()
            .find(|(_, list)| has(list))
            .map(|&(intent, _)| intent);
        let named = words::measure(&words, profile);
        let by: Vec<String> = profile
            .dimensions
            .iter()
            .map(|(name, _)| name)
            .filter(|name| words::names(name, &words))
            .cloned()
            .collect();
        let values = words::values(&words, profile);
        let intent = match found {
            Some(Intent::Trend | Intent::Rank) | None if change => Intent::Why,
            Some(intent) => intent,
            None if named.is_some() || !by.is_empty() || !values.is_empty() => Intent::Overview,
            None => return Err(not_understood(profile)),
        };
        let measure = named.unwrap_or_else(|| {
            let first = profile
                .measures
                .iter()
                .find(|name| words::names_any(name, SYNONYMS[0]));
            let taken = first
                .or(profile.measures.first())
                .cloned()
                .unwrap_or_default();
            assumed.push(format!(
                "The question names no column of numbers; {taken} is taken."
            ));
            taken
        });
        let (filter, segments) = words::choose(values);
        let mut question = Self {
            text: text.to_owned(),
            intent,
            measure,
            how: if has(&["average", "mean", "typical"]) {
                How::Mean
            } else {
                How::Sum
            },
            by,
            filter,
            segments,
            periods: None,
            during: None,
            grain: periods::grain(&words),
            horizon: 0,
            assumed,
        };
        question.place_in_time(&words, profile)?;
        Ok(question)
    }

    fn place_in_time(&mut self, words: &[String], profile: &Profile) -> Result<(), Error> {
        let Some(days) = &profile.days else {
            let needs = match self.intent {
                Intent::Why | Intent::Forecast | Intent::Trend => true,
                Intent::Compare => self.segments.is_none(),
                Intent::Outliers | Intent::Rank | Intent::Overview => false,
            };
            return match needs {
                true => Err(Error::invalid_input(format_args!(
                    "the question is about time, and no column has dates; the data has {}",
                    profile.offer()
                ))),
                false => Ok(()),
            };
        };
        if self.intent == Intent::Forecast {
            self.horizon = periods::horizon(words, &mut self.grain);
        }
        let named = periods::named(words, days, &mut self.assumed);
        for span in &named {
            span.check(days)?;
        }
        let compares =
            self.intent == Intent::Why || self.intent == Intent::Compare && self.segments.is_none();
        match (compares, named.as_slice()) {
            (false, [only]) => self.during = Some(only.clone()),
            (false, _) => {}
            (true, []) => self.periods = Some(self.largest_change(words, profile, days)?),
            (true, [after]) => {
                let before = after.before(periods::says_year_before(words));
                before.check(days)?;
                self.periods = Some((before, after.clone()));
            }
            (true, [first, .., last]) => self.periods = Some((first.clone(), last.clone())),
        }
        let compared = self
            .periods
            .iter()
            .flat_map(|(before, after)| [before, after]);
        let notes: Vec<String> = compared
            .chain(&self.during)
            .filter_map(|span| periods::covered_in_part(span, days))
            .collect();
        self.assumed.extend(notes);
        Ok(())
    }

    /// The two periods next to each other between which the measure changed most, in the direction that was asked about.
    fn largest_change(
        &mut self,
        words: &[String],
        profile: &Profile,
        days: &Days,
    ) -> Result<(Span, Span), Error> {
        let grain = match self.grain {
            Some(grain) => grain,
            None => Grain::for_span(days.first, days.last, 4),
        };
        let rows = profile.observe(&self.measure, days, &self.filter)?.rows;
        let series = tabular::Series::of(&rows, grain, self.how)?;
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let (size, word): (fn(f64) -> f64, &str) = match (has(FALLS), has(RISES)) {
            (true, false) => (|change| -change, "fall"),
            (false, true) => (|change| change, "rise"),
            _ => (f64::abs, "change"),
        };
        let pairs = series.points.iter().zip(series.points.iter().skip(1));
        let largest = pairs
            .map(|(before, after)| (size(after.1 - before.1), before.0, after.0))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, before, after)) = largest else {
            return Err(Error::invalid_input(format_args!(
                "the data covers fewer than two whole {}s, so there is no change to explain: name two periods",
                grain.name()
            )));
        };
        self.assumed.push(format!(
            "The question names no period; the largest {word} of {} between two {}s is looked at.",
            self.measure,
            grain.name()
        ));
        Ok((Span::at(grain, before), Span::at(grain, after)))
    }
}

fn not_understood(profile: &Profile) -> Error {
    Error::invalid_input(format_args!(
        "the question names nothing in the data and asks for nothing known. The data has {}. Ask why something fell or rose, which group is \
         largest, for a trend, a forecast, a comparison or outliers",
        profile.offer()
    ))
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
