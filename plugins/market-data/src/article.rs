//! One article of the news.

use kennel_sdk::prelude::*;

use crate::Time;

/// An article; only its text has to be there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Article {
    /// By what name answers refer to it; its place in the list, such as `#1`, when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Its headline.
    #[serde(default)]
    pub title: Option<String>,
    /// What it says.
    pub text: String,
    /// When it came out.
    #[serde(default)]
    pub date: Option<Time>,
}

impl Article {
    /// The name by which answers refer to the article at that place of a list.
    pub fn name(&self, place: usize) -> String {
        self.id.clone().unwrap_or_else(|| format!("#{}", place + 1))
    }
}
