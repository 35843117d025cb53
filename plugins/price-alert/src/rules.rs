//! From when on a change is out of the ordinary: what the input says, else the operator's settings, else the defaults.

use kennel_sdk::prelude::*;

use crate::Input;

const DEFAULT_CHANGE: f64 = 5.0;
const DEFAULT_SIGMA: f64 = 4.0;
/// RiskMetrics' weight for daily data (J.P. Morgan, "RiskMetrics Technical Document", 1996, section 5.3).
const DEFAULT_DECAY: f64 = 0.94;
/// Changes that must be known before one can be unusual.
const DEFAULT_WARM_UP: u64 = 10;

/// The rules for one symbol.
#[derive(Debug)]
pub(crate) struct Rules {
    /// A fixed price to compare with.
    pub(crate) reference: Option<f64>,
    /// In per cent.
    pub(crate) change: f64,
    /// In standard deviations.
    pub(crate) sigma: f64,
    /// How much of the weight of all changes before stays when a new one comes.
    pub(crate) decay: f64,
    pub(crate) warm_up: u64,
}

impl Rules {
    /// Settings are `change`, `sigma`, `decay` and `warm-up`, and for one symbol `reference.SYMBOL`, `change.SYMBOL` and `sigma.SYMBOL`.
    pub(crate) fn of(input: &Input) -> Result<Self, Error> {
        let symbol = &input.symbol;
        let setting = |name: &str| -> Result<Option<f64>, Error> {
            match config::get_as(&format!("{name}.{symbol}"))? {
                Some(value) => Ok(Some(value)),
                None => config::get_as(name),
            }
        };
        let positive = |name: &str, given: Option<f64>, default: f64| -> Result<f64, Error> {
            if let Some(given) = given {
                return if given.is_finite() && given > 0.0 {
                    Ok(given)
                } else {
                    Err(Error::invalid_input(format_args!(
                        "input.{name} is {given}; it must be above 0"
                    )))
                };
            }
            let value = setting(name)?.unwrap_or(default);
            if value.is_finite() && value > 0.0 {
                Ok(value)
            } else {
                Err(Error::fatal(format_args!(
                    "setting `{name}` for {symbol} is {value}; it must be above 0"
                )))
            }
        };
        let reference = match input.reference {
            Some(reference) => Some(reference),
            None => config::get_as(&format!("reference.{symbol}"))?,
        };
        if let Some(reference) = reference.filter(|r| !(r.is_finite() && *r > 0.0)) {
            return Err(Error::fatal(format_args!(
                "setting `reference.{symbol}` is {reference}; it must be above 0"
            )));
        }
        let decay = config::get_as("decay")?.unwrap_or(DEFAULT_DECAY);
        if !(decay > 0.0 && decay < 1.0) {
            return Err(Error::fatal(format_args!(
                "setting `decay` is {decay}; it must lie between 0 and 1"
            )));
        }
        Ok(Self {
            reference,
            change: positive("change", input.change, DEFAULT_CHANGE)?,
            sigma: positive("sigma", input.sigma, DEFAULT_SIGMA)?,
            decay,
            warm_up: config::get_as("warm-up")?.unwrap_or(DEFAULT_WARM_UP),
        })
    }
}
