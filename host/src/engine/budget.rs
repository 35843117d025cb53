//! The budget of a run: what is left of it, and what is said when nothing is.
//!
//! A call gets at most the fuel that is left when it begins, so calls at the same time may together pass the budget by what each of
//! them was given; no call begins after that.

use jiff::Timestamp;
use tokio::time::Instant;

use super::state::Spent;
use crate::failure::{Failure, FailureKind};
use crate::plan::Budget;
use crate::units::{Fuel, Span};

/// A budget with its wall time as a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purse {
    budget: Budget,
    deadline: Option<Instant>,
    end: Option<Timestamp>,
}

impl Purse {
    /// The purse of a run that was accepted at `accepted`; the time until now counts, also that during which nobody drove it.
    pub(super) fn new(budget: Budget, accepted: Option<Timestamp>) -> Self {
        let gone = accepted.map(|accepted| Timestamp::now().duration_since(accepted));
        let gone = gone
            .and_then(|gone| gone.try_into().ok())
            .unwrap_or_default();
        let left = budget.wall.map(|wall| wall.saturating_sub(gone));
        Self {
            budget,
            deadline: left.and_then(|left| Instant::now().checked_add(left)),
            end: left.and_then(|left| Timestamp::now().checked_add(left).ok()),
        }
    }

    /// The end of the wall time, by the clock of people.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// The end of the wall time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The fuel that the next call may use.
    pub(super) fn fuel_left(&self, spent: Spent) -> Option<u64> {
        let fuel = self.budget.fuel?;
        Some(fuel.saturating_sub(spent.usage.fuel))
    }

    /// Why no further call may begin, when that is so; `begun` calls are under way and not in `spent` yet.
    pub(super) fn exceeded(&self, spent: Spent, begun: usize) -> Option<Failure> {
        let Budget {
            fuel, wall, calls, ..
        } = self.budget;
        let what = if self.fuel_left(spent) == Some(0) {
            format!("fuel ({})", Fuel(fuel.unwrap_or_default()))
        } else if calls.is_some_and(|calls| spent.calls + begun as u64 >= calls) {
            format!("calls ({})", calls.unwrap_or_default())
        } else if self.deadline.is_some_and(|end| Instant::now() >= end) {
            format!("wall time ({})", Span(wall.unwrap_or_default()))
        } else {
            return None;
        };
        let why =
            format!("the run has used up its budget of {what}; raise it in the flow's `budget`");
        Some(Failure::new(FailureKind::Quota, why))
    }
}
