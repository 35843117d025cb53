//! Which workers are asked, and for what exactly. Every task names its columns and days, so a worker guesses nothing.

use kennel_sdk::Content;
use schemars::JsonSchema;
use serde::Serialize;
use tabular::{Filter, Grain, How, Period};

use crate::profile::Profile;
use crate::question::{Intent, Question};

/// A task for one worker.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subtask {
    /// The kind of worker: `compare`, `timeseries`, `aggregate` or `anomalies`.
    pub(crate) agent_type: &'static str,
    /// Its input.
    pub(crate) input: Work,
}

/// The input of a worker; each kind takes its part of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Work {
    /// The table.
    data: Content,
    /// The column of numbers.
    measure: String,
    /// The column of dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    /// The columns of categories.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    /// Which rows count.
    filter: Filter,
    /// Whether values are added up or averaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<How>,
    /// How long a period is.
    #[serde(skip_serializing_if = "Option::is_none")]
    grain: Option<Grain>,
    /// How many periods to forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    horizon: Option<usize>,
    /// The periods to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    periods: Option<Periods>,
    /// The values to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Segments>,
}

/// Two periods.
#[derive(Debug, Serialize, JsonSchema)]
struct Periods {
    /// The earlier one.
    before: Period,
    /// The later one.
    after: Period,
}

/// Two values of a column.
#[derive(Debug, Serialize, JsonSchema)]
struct Segments {
    /// The column.
    column: String,
    /// The first value.
    before: String,
    /// The second value.
    after: String,
}

/// The tasks that answer a question, the most telling worker first.
pub(crate) fn subtasks(profile: &Profile, question: &Question, data: &Content) -> Vec<Subtask> {
    let kinds: &[&'static str] = match question.intent {
        Intent::Why => &["compare", "timeseries", "aggregate", "anomalies"],
        Intent::Compare => &["compare", "aggregate"],
        Intent::Forecast | Intent::Trend => &["timeseries", "anomalies"],
        Intent::Outliers => &["anomalies", "timeseries"],
        Intent::Rank => &["aggregate"],
        Intent::Overview => &["aggregate", "timeseries"],
    };
    let makes_sense = |kind: &&str| match *kind {
        "timeseries" => profile.days.is_some(),
        "aggregate" => !profile.by(&question.by, &question.filter).is_empty(),
        _ => true,
    };
    let mut kinds: Vec<&'static str> = kinds.iter().copied().filter(makes_sense).collect();
    if kinds.is_empty() {
        // A ranking of a table that has no groups: what is left to say is how its numbers lie.
        kinds.push("anomalies");
    }
    kinds
        .into_iter()
        .map(|kind| Subtask {
            agent_type: kind,
            input: work(kind, profile, question, data.clone()),
        })
        .collect()
}

fn work(kind: &str, profile: &Profile, question: &Question, data: Content) -> Work {
    let date = profile.days.as_ref().map(|days| days.column.clone());
    let by = profile.by(&question.by, &question.filter);
    let base = Work {
        data,
        measure: question.measure.clone(),
        date,
        by: None,
        filter: question.filter.clone(),
        how: None,
        grain: None,
        horizon: None,
        periods: None,
        segments: None,
    };
    match kind {
        "compare" => {
            let compared = question
                .segments
                .as_ref()
                .filter(|_| question.periods.is_none());
            let other = |name: &String| compared.is_none_or(|(column, ..)| column != name);
            Work {
                by: Some(by.into_iter().filter(other).collect()),
                periods: question.periods.as_ref().map(|(before, after)| Periods {
                    before: before.period(),
                    after: after.period(),
                }),
                segments: compared.map(|(column, before, after)| Segments {
                    column: column.clone(),
                    before: before.clone(),
                    after: after.clone(),
                }),
                filter: limited(question, compared.is_some()),
                ..base
            }
        }
        "timeseries" => Work {
            how: Some(question.how),
            grain: question.grain.or_else(|| finer(profile, question)),
            horizon: Some(question.horizon),
            ..base
        },
        "aggregate" => Work {
            by: Some(by),
            how: Some(question.how),
            filter: limited(question, true),
            ..base
        },
        _ => Work {
            by: Some(profile.groups(&by)),
            ..base
        },
    }
}

/// The filter with the days of the period that the question is about.
fn limited(question: &Question, to_days: bool) -> Filter {
    let after = question.periods.as_ref().map(|(_, after)| after);
    match (to_days, question.during.as_ref().or(after)) {
        (true, Some(span)) => {
            let period = span.period();
            question.filter.between(&period.from, &period.to)
        }
        _ => question.filter.clone(),
    }
}

/// To see a change, periods shorter than those compared; weeks where the data is weekly, because months have four or five of them.
fn finer(profile: &Profile, question: &Question) -> Option<Grain> {
    let (_, after) = question.periods.as_ref()?;
    let gap = profile.days.as_ref().map_or(1, |days| days.gap);
    Some(match after.grain {
        Grain::Year | Grain::Quarter | Grain::Month if (2..=7).contains(&gap) => Grain::Week,
        Grain::Year | Grain::Quarter | Grain::Month => Grain::Month,
        Grain::Week => Grain::Week,
        Grain::Day => Grain::Day,
    })
}
