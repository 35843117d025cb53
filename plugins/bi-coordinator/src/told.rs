//! The parts of the workers' outputs that the report needs. An output that looks otherwise is as good as none.

use kennel_sdk::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Answer, Done};

/// The part of every worker's output that is told.
#[derive(Deserialize)]
pub(crate) struct Told {
    #[serde(default)]
    pub(crate) findings: Vec<String>,
}

/// The part of a time series that is drawn.
#[derive(Deserialize)]
pub(crate) struct Series {
    pub(crate) points: Vec<Known>,
    pub(crate) forecast: Option<Forecast>,
    pub(crate) trend: Option<Trend>,
    pub(crate) grain: String,
}

#[derive(Deserialize)]
pub(crate) struct Known {
    pub(crate) period: String,
    pub(crate) from: String,
    pub(crate) value: f64,
}

#[derive(Deserialize)]
pub(crate) struct Forecast {
    pub(crate) points: Vec<Next>,
}

#[derive(Deserialize)]
pub(crate) struct Next {
    pub(crate) period: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Trend {
    pub(crate) slope: f64,
    pub(crate) p_value: f64,
}

/// The part of a comparison that is drawn.
#[derive(Deserialize)]
pub(crate) struct Compared {
    pub(crate) joint: Option<Parts>,
    pub(crate) parts: Vec<Parts>,
}

#[derive(Deserialize)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
}

#[derive(Deserialize)]
pub(crate) struct Part {
    pub(crate) segment: Vec<String>,
    pub(crate) change: f64,
}

/// The part of an aggregate that is drawn.
#[derive(Deserialize)]
pub(crate) struct Aggregated {
    pub(crate) tables: Vec<Groups>,
}

#[derive(Deserialize)]
pub(crate) struct Groups {
    pub(crate) by: String,
    pub(crate) groups: Vec<Group>,
}

#[derive(Deserialize)]
pub(crate) struct Group {
    pub(crate) group: String,
    pub(crate) value: f64,
}

pub(crate) fn findings(answer: &Answer) -> Vec<String> {
    Told::deserialize(&answer.output)
        .map(|told| told.findings)
        .unwrap_or_default()
}

/// A worker's output as the part of it that is needed; `None` when the worker failed or answered something else.
pub(crate) fn view<T: DeserializeOwned>(done: &Done, kind: &str) -> Option<T> {
    let answer = done
        .results
        .iter()
        .find(|answer| answer.agent_type == kind)?;
    let output: &Value = &answer.output;
    T::deserialize(output).ok()
}
