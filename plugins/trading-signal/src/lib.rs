//! The agent `trading-signal`: says buy, sell or hold when a price arrives, by the crossing of two moving averages. A rule of thumb made
//! exact, and no advice.

mod average;

use kennel_sdk::prelude::*;
use market_data::{Time, check_symbol, once, significant};

use crate::average::{Averages, Move, Settings};

const DEFAULT_SHORT: usize = 5;
const DEFAULT_LONG: usize = 20;
const DEFAULT_STRETCHED: f64 = 3.0;
/// Prices that are remembered of a symbol, at most.
const MAX_LONG: usize = 500;

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
    /// Over how many prices the short average goes; the setting `short`, else 5, when left out.
    #[serde(default)]
    short: Option<usize>,
    /// Over how many prices the long average goes; the setting `long`, else 20, when left out. At most 500.
    #[serde(default)]
    long: Option<usize>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// The short average has crossed the long one from below.
    Buy,
    /// The short average has crossed the long one from above.
    Sell,
    /// Neither.
    Hold,
}

/// The signal and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// What it is the price of.
    symbol: String,
    /// The price.
    price: f64,
    /// What to do.
    signal: Signal,
    /// Why, in words.
    reasons: Vec<String>,
    /// The mean of the latest prices; absent until there are enough for both averages.
    short_average: Option<f64>,
    /// The mean of more of them.
    long_average: Option<f64>,
    /// How many standard deviations the last return is from the mean of those before it, within the long window.
    z: Option<f64>,
}

/// The skill `signal`.
pub struct TradingSignal;

impl Agent for TradingSignal {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "signal";
    const DESCRIPTION: &'static str = "Says buy, sell or hold when a price arrives: crossing moving averages, checked by the last return.";
    const TAGS: &'static [&'static str] = &["prices", "trading", "events"];

    fn handle(input: Input, task: &Task) -> Result<Output, Error> {
        check_symbol(&input.symbol)?;
        if !(input.price.is_finite() && input.price > 0.0) {
            return Err(Error::invalid_input(format_args!(
                "input.price is {}; it must be above 0",
                input.price
            )));
        }
        let settings = settings(&input)?;
        let key = format!("signal/{}", input.symbol);
        let id = input.id.as_deref().unwrap_or(&task.id);
        let time = input.time.as_ref().map(Time::position);
        once(&key, id, |averages: &mut Averages| {
            let next = averages.push(input.price, time, settings);
            Ok(output(&input, settings, next))
        })
    }
}

kennel_sdk::export!(TradingSignal);

/// What the input says, else the operator's settings, else the defaults.
fn settings(input: &Input) -> Result<Settings, Error> {
    let window = |name: &str, given: Option<usize>, default: usize| match given {
        Some(given) => Ok(given),
        None => config::get_as(name).map(|setting| setting.unwrap_or(default)),
    };
    let short = window("short", input.short, DEFAULT_SHORT)?;
    let long = window("long", input.long, DEFAULT_LONG)?;
    if short == 0 || short >= long || long > MAX_LONG {
        let message = format!(
            "the windows are {short} and {long}; the short one must be 1 or more, the long one longer and at most {MAX_LONG}"
        );
        return Err(if input.short.is_some() || input.long.is_some() {
            Error::invalid_input(message)
        } else {
            Error::fatal(message)
        });
    }
    let stretched = config::get_as("stretched")?.unwrap_or(DEFAULT_STRETCHED);
    if stretched.is_nan() || stretched <= 0.0 {
        return Err(Error::fatal(format_args!(
            "setting `stretched` is {stretched}; it must be above 0"
        )));
    }
    Ok(Settings {
        short,
        long,
        stretched,
    })
}

fn output(input: &Input, settings: Settings, next: Move) -> Output {
    let averages = next.averages;
    Output {
        symbol: input.symbol.clone(),
        price: input.price,
        signal: next.signal,
        reasons: next.reasons(settings),
        short_average: averages.map(|(short, _)| significant(short, 10)),
        long_average: averages.map(|(_, long)| significant(long, 10)),
        z: next.z.map(|z| significant(z, 6)),
    }
}

#[cfg(test)]
mod tests;
