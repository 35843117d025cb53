//! The budget of a run: what is left of it, and what is said when nothing is.
//!
//! A step gets at most the fuel and the calls that are left when it begins, for all of its attempts and the peers they call. So steps at
//! the same time may together pass the budget by what each of them was given; no step begins after that.

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

    /// The calls that the next step may make, attempts and calls of peers together, while `begun` are under way and not in `spent` yet.
    pub(super) fn calls_left(&self, spent: Spent, begun: usize) -> Option<u64> {
        let spent = spent.calls.saturating_add(begun as u64);
        self.budget.calls.map(|calls| calls.saturating_sub(spent))
    }

    /// Why no further call may begin, when that is so; `begun` calls are under way and not in `spent` yet.
    pub(super) fn exceeded(&self, spent: Spent, begun: usize) -> Option<Failure> {
        let Budget {
            fuel, wall, calls, ..
        } = self.budget;
        let what = if self.fuel_left(spent) == Some(0) {
            format!("fuel ({})", Fuel(fuel.unwrap_or_default()))
        } else if self.calls_left(spent, begun) == Some(0) {
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
