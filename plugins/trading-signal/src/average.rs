//! What is remembered of a symbol: its last prices, and on which side of the long average the short one was. Everything else is
//! computed anew from these, so nothing drifts, however many prices come.
//!
//! Source: W. Brock, J. Lakonishok, B. LeBaron, "Simple Technical Trading Rules and the Stochastic Properties of Stock Returns", Journal
//! of Finance 47 (1992), for rules of moving averages.

use std::collections::VecDeque;

use kennel_sdk::prelude::*;

use crate::Signal;

/// Averages that differ by less than this part of the long one are equal: sums of the same numbers differ by their order.
const EQUAL: f64 = 1e-12;

/// The windows, and the z-score from which a crossing counts as stretched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) short: usize,
    pub(crate) long: usize,
    pub(crate) stretched: f64,
}

/// Where the short average is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Above,
    Below,
}

/// The memory of one symbol.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Averages {
    /// The last prices, oldest first; as many as the long window has.
    prices: VecDeque<f64>,
    /// The last side that it was on.
    side: Option<Side>,
    /// Where the time of the last price lies, when it had one.
    time: Option<f64>,
}

/// What a price has done.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) signal: Signal,
    /// Short and long; `None` while there are too few prices.
    pub(crate) averages: Option<(f64, f64)>,
    pub(crate) z: Option<f64>,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    Late,
    /// So many prices are missing.
    WarmingUp(usize),
    NoCrossing(Option<Side>),
    Crossed(Side),
    /// It crossed, but with a leap.
    Stretched(Side),
}

impl Averages {
    /// Takes the next price.
    pub(crate) fn push(&mut self, price: f64, time: Option<f64>, settings: Settings) -> Move {
        if matches!((time, self.time), (Some(time), Some(last)) if time < last) {
            return Move::hold(Why::Late);
        }
        self.time = time.or(self.time);
        self.prices.push_back(price);
        while self.prices.len() > settings.long {
            self.prices.pop_front();
        }
        let missing = settings.long - self.prices.len();
        if missing > 0 {
            // Fewer than before when the window has grown: the old side is that of another average.
            self.side = None;
            return Move::hold(Why::WarmingUp(missing));
        }
        let prices = self.prices.make_contiguous();
        let short = mean(&prices[settings.long - settings.short..]);
        let long = mean(prices);
        let z = z(prices);
        let side = if (short - long).abs() <= EQUAL * long {
            self.side
        } else if short > long {
            Some(Side::Above)
        } else {
            Some(Side::Below)
        };
        let why = match (self.side, side) {
            (Some(before), Some(now)) if before != now => {
                let leap = z.is_some_and(|z| match now {
                    Side::Above => z > settings.stretched,
                    Side::Below => z < -settings.stretched,
                });
                if leap {
                    Why::Stretched(now)
                } else {
                    Why::Crossed(now)
                }
            }
            (_, now) => Why::NoCrossing(now),
        };
        self.side = side;
        Move {
            signal: match why {
                Why::Crossed(Side::Above) => Signal::Buy,
                Why::Crossed(Side::Below) => Signal::Sell,
                _ => Signal::Hold,
            },
            averages: Some((short, long)),
            z,
            why,
        }
    }
}

impl Move {
    fn hold(why: Why) -> Self {
        Self {
            signal: Signal::Hold,
            averages: None,
            z: None,
            why,
        }
    }

    /// Why the signal is what it is.
    pub(crate) fn reasons(&self, settings: Settings) -> Vec<String> {
        let Settings { short, long, .. } = settings;
        let name = |side| match side {
            Side::Above => "above",
            Side::Below => "below",
        };
        let crossed = |side| {
            format!(
                "the average of {short} has crossed to {} that of {long}",
                name(side)
            )
        };
        match self.why {
            Why::Late => vec!["a later price had come before".to_owned()],
            Why::WarmingUp(missing) => {
                vec![format!(
                    "{missing} more prices are needed for the average of {long}"
                )]
            }
            Why::NoCrossing(None) => vec!["the averages have been equal so far".to_owned()],
            Why::NoCrossing(Some(side)) => {
                vec![format!(
                    "the average of {short} stays {} that of {long}",
                    name(side)
                )]
            }
            Why::Crossed(side) => vec![crossed(side)],
            Why::Stretched(side) => vec![
                crossed(side),
                format!(
                    "but with a leap of {:+.1} standard deviations, beyond {}: it may be gone with the next price",
                    self.z.unwrap_or_default(),
                    settings.stretched
                ),
            ],
        }
    }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// How far the last return is from the mean of the returns before it, in their standard deviations (n - 1). `None` with fewer than
/// three before it, and when those are all equal.
fn z(prices: &[f64]) -> Option<f64> {
    let returns: Vec<f64> = prices
        .windows(2)
        .map(|pair| pair[1].ln() - pair[0].ln())
        .collect();
    let (last, before) = returns.split_last()?;
    if before.len() < 3 {
        return None;
    }
    let middle = mean(before);
    let squares: f64 = before.iter().map(|r| (r - middle).powi(2)).sum();
    let deviation = (squares / (before.len() - 1) as f64).sqrt();
    (deviation > 1e-12).then(|| (last - middle) / deviation)
}
