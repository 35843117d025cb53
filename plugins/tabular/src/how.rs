//! How the values of a group become one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the values of a group become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// They are added up.
    #[default]
    Sum,
    /// Their mean.
    Mean,
}

impl How {
    /// The one value of these; 0 of none.
    pub fn of(self, values: &[f64]) -> f64 {
        let sum: f64 = values.iter().sum();
        match self {
            Self::Sum => sum,
            Self::Mean => sum / values.len().max(1) as f64,
        }
    }

    /// The words for it before the name of a measure.
    pub fn words(self, measure: &str) -> String {
        match self {
            Self::Sum => measure.to_owned(),
            Self::Mean => format!("mean {measure}"),
        }
    }
}
