//! Tables for agents: CSV in, typed columns, periods and statistics. It is no agent, keeps no state and knows no particular data.

pub mod chunk;
pub mod date;
mod distinct;
mod how;
mod kind;
pub mod markdown;
pub mod number;
mod observe;
mod partial;
mod period;
mod series;
pub mod stats;
mod table;

pub use distinct::Distinct;
pub use how::How;
pub use jiff::civil::Date;
pub use kind::Kind;
pub use observe::{Filter, Observation, Observations, observe};
pub use partial::{Partial, Tally};
pub use period::{Grain, Period};
pub use series::{Series, usual_gap};
pub use table::Table;

/// Rounds for an output, so that numbers which differ only by the order of additions are equal. Never `-0` and always finite.
pub fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    let rounded = (number * scale).round() / scale;
    match rounded.is_finite() {
        true => rounded + 0.0,
        false => 0.0,
    }
}
