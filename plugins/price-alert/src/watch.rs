//! What is remembered of a symbol, and how the next price changes it: the last price, and the mean and variance of its changes, weighted
//! so that old ones fade.
//!
//! Source: T. Finch, "Incremental calculation of weighted mean and variance" (University of Cambridge, 2009), section 9. Changes are
//! logarithms of ratios, so that a rise and the fall that takes it back are of the same size.

use kennel_sdk::prelude::*;
use market_data::{rounded, significant};

use crate::rules::Rules;
use crate::{Input, Output};

/// The memory of one symbol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    last: Option<Last>,
    /// How many changes have been seen.
    pub(crate) known: u64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Last {
    price: f64,
    /// Where its time lies, when it had one.
    time: Option<f64>,
}

impl Watch {
    /// Judges a price by what is known, then learns from it.
    pub(crate) fn see(&mut self, input: &Input, rules: &Rules) -> Output {
        let time = input.time.as_ref().map(market_data::Time::position);
        let last_time = self.last.as_ref().and_then(|last| last.time);
        let late = matches!((time, last_time), (Some(time), Some(last)) if time < last);
        let last = self.last.as_ref().map(|last| last.price);
        let reference = rules.reference.or(last);
        // A difference of logarithms stays finite where the ratio of two extreme prices does not.
        let step = last.map(|last| input.price.ln() - last.ln());
        let mut output = Output {
            symbol: input.symbol.clone(),
            price: input.price,
            alert: false,
            reasons: Vec::new(),
            reference,
            change: reference.map(|reference| rounded(100.0 * (input.price / reference - 1.0), 4)),
            z: step.and_then(|step| self.z(step, rules.warm_up)),
            known: self.known,
            late,
        };
        if late {
            output.z = None;
            output.reasons = vec!["a later price had come before".to_owned()];
            return output;
        }
        output.reasons = reasons(&output, rules);
        output.alert = !output.reasons.is_empty();
        if let Some(step) = step {
            self.learn(step, rules.decay);
        }
        self.last = Some(Last {
            price: input.price,
            time: time.or(last_time),
        });
        output
    }

    /// `None` while too little is known, and while nothing has ever changed.
    fn z(&self, step: f64, warm_up: u64) -> Option<f64> {
        let is_known = self.known >= warm_up.max(2) && self.variance > 0.0;
        is_known.then(|| significant((step - self.mean) / self.variance.sqrt(), 6))
    }

    fn learn(&mut self, step: f64, decay: f64) {
        self.known += 1;
        if self.known == 1 {
            self.mean = step;
            return;
        }
        let distance = step - self.mean;
        let increment = (1.0 - decay) * distance;
        self.mean += increment;
        self.variance = decay * (self.variance + distance * increment);
    }
}

fn reasons(output: &Output, rules: &Rules) -> Vec<String> {
    let mut reasons = Vec::new();
    if let (Some(change), Some(reference)) = (output.change, output.reference)
        && change.abs() >= rules.change
    {
        let against = if rules.reference.is_some() {
            "the reference"
        } else {
            "the last price"
        };
        reasons.push(format!(
            "{change:+.2} % from {against} of {reference}, {} % or more",
            rules.change
        ));
    }
    if let Some(z) = output.z.filter(|z| z.abs() >= rules.sigma) {
        reasons.push(format!(
            "a change of {z:+.1} standard deviations, {} or more",
            rules.sigma
        ));
    }
    reasons
}
