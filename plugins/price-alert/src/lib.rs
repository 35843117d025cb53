//! The agent `price-alert`: whether a price that just arrived is out of the ordinary for its symbol. It remembers what it needs for
//! that, and trades nothing.

mod rules;
mod watch;

use kennel_sdk::prelude::*;
use market_data::{Time, check_symbol, once};

use crate::rules::Rules;
use crate::watch::Watch;

/// A price that arrived.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// What it is the price of.
    symbol: String,
    /// The price, above 0.
    price: f64,
    /// When it was made. One older than the last is reported as late, and counts for nothing.
    #[serde(default)]
    time: Option<Time>,
    /// What makes this message itself, such as an event's source and id: one that comes again gets the same answer, and does not count
    /// twice. The task's id when left out.
    #[serde(default)]
    id: Option<String>,
    /// The price to compare with; the setting `reference.SYMBOL`, else the last price, when left out.
    #[serde(default)]
    reference: Option<f64>,
    /// From how many per cent of change on there is an alert; a setting, else 5, when left out.
    #[serde(default)]
    change: Option<f64>,
    /// From how many standard deviations of a usual change on there is an alert; a setting, else 4, when left out.
    #[serde(default)]
    sigma: Option<f64>,
}

/// What the price is, compared with those before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// What it is the price of.
    symbol: String,
    /// The price.
    price: f64,
    /// Whether it is out of the ordinary.
    alert: bool,
    /// Why, in words; empty without an alert, unless it is late.
    reasons: Vec<String>,
    /// The price it was compared with; absent for the first one.
    reference: Option<f64>,
    /// By how many per cent it differs from the reference.
    change: Option<f64>,
    /// How many standard deviations its change from the last price is from the usual one; absent until enough are known.
    z: Option<f64>,
    /// How many changes were known before.
    known: u64,
    /// Whether a later price had come before.
    late: bool,
}

/// The skill `check-price`.
pub struct CheckPrice;

impl Agent for CheckPrice {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "check-price";
    const DESCRIPTION: &'static str = "Compares a price with those before it and says when it changed by too much, or by more than is usual.";
    const TAGS: &'static [&'static str] = &["prices", "alert", "events"];

    fn handle(input: Input, task: &Task) -> Result<Output, Error> {
        check_symbol(&input.symbol)?;
        check_price("price", input.price)?;
        if let Some(reference) = input.reference {
            check_price("reference", reference)?;
        }
        let rules = Rules::of(&input)?;
        let key = format!("price/{}", input.symbol);
        let id = input.id.as_deref().unwrap_or(&task.id);
        once(&key, id, |watch: &mut Watch| Ok(watch.see(&input, &rules)))
    }
}

kennel_sdk::export!(CheckPrice);

fn check_price(name: &str, price: f64) -> Result<(), Error> {
    if price.is_finite() && price > 0.0 {
        return Ok(());
    }
    Err(Error::invalid_input(format_args!(
        "input.{name} is {price}; it must be above 0"
    )))
}

#[cfg(test)]
mod tests;
