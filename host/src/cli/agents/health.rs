//! How an agent fares, as `kennel agents` prints it. Counts are of all commands that used this version of the plugin.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::super::exit::CliError;
use super::super::ui;
use crate::failure::{Failure, FailureKind};
use crate::health::quarantine::Refused;
use crate::health::{Health, wall};
use crate::policy::Snapshot;

/// What the help says about `--json`.
pub(super) const JSON: &str = "\
With --json each agent has a `health`:
  state         `ok`, `quarantined` (it broke its sandbox five times in a row and is left alone),
                `trying` (its quarantine is over for the next task, which shows whether it works),
                or `breaker-open` (steps with a circuit breaker do not ask it)
  until         when a quarantine, or the time of an open breaker, ends
  completed, succeeded, success-rate, failed      tasks; `failed` by kind
  latency-us    p50, p95 and p99 of the time in the sandbox, in microseconds
  queue-us      the time that all tasks together waited for a slot
  fuel          what all tasks together used
  in-flight     tasks of this process that are under way
  last-failure  kind, message, and when (`at`)
Counts begin anew with each version of the plugin.";

/// The columns of a list.
pub(super) const HEADING: [&str; 6] = ["TASKS", "OK", "P50", "P95", "P99", "FUEL"];

/// How an agent fares, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HealthReport {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    completed: u64,
    succeeded: u64,
    success_rate: Option<f64>,
    failed: BTreeMap<FailureKind, u64>,
    latency_us: Option<Percentiles>,
    queue_us: u64,
    fuel: u64,
    in_flight: u64,
    last_failure: Option<LastFailure>,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p95: u64,
    p99: u64,
}

#[derive(Debug, Serialize)]
struct LastFailure {
    at: Timestamp,
    #[serde(flatten)]
    failure: Failure,
}

impl HealthReport {
    pub(super) fn of(health: &Health, breaker: Option<Snapshot>) -> Self {
        let report = health.report();
        let (state, until) = match report.refused {
            Some(Refused::Until(until)) => ("quarantined", Some(wall(until))),
            Some(Refused::Trying) => ("trying", None),
            None if report.quarantined => ("trying", None),
            None => match breaker.and_then(|breaker| breaker.open_for) {
                Some(left) if !left.is_zero() => {
                    ("breaker-open", Some(wall(Instant::now() + left)))
                }
                _ => ("ok", None),
            },
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let tally = report.tally;
        Self {
            state,
            until,
            completed: tally.completed(),
            succeeded: tally.succeeded,
            success_rate: tally.success_rate(),
            latency_us: tally.latency().map(|latency| Percentiles {
                p50: micros(latency.p50),
                p95: micros(latency.p95),
                p99: micros(latency.p99),
            }),
            failed: tally.failed,
            queue_us: tally.queue_us,
            fuel: tally.fuel,
            in_flight: report.in_flight,
            last_failure: report.last_failure.map(|last| LastFailure {
                at: last.at,
                failure: last.failure,
            }),
        }
    }

    /// The state in a few words.
    pub(super) fn state(&self) -> String {
        match (self.state, self.until) {
            ("ok", _) => ui::styled(ui::GOOD, "ready"),
            (state, None) => ui::styled(ui::WARN, state),
            (state, Some(until)) => ui::styled(ui::BAD, format_args!("{state} until {until}")),
        }
    }

    /// The cells below [`HEADING`].
    pub(super) fn cells(&self) -> [String; 6] {
        let nothing = || "-".to_owned();
        let time = |at: fn(&Percentiles) -> u64| {
            let micros = self.latency_us.as_ref().map(at);
            micros.map_or_else(nothing, |micros| ui::time(Duration::from_micros(micros)))
        };
        let fuel = match self.completed {
            0 => nothing(),
            completed => ui::fuel(self.fuel / completed),
        };
        [
            self.completed.to_string(),
            self.success_rate.map_or_else(nothing, rate),
            time(|latency| latency.p50),
            time(|latency| latency.p95),
            time(|latency| latency.p99),
            fuel,
        ]
    }

    /// All of it, a line each.
    pub(super) fn print(&self) -> Result<(), CliError> {
        let [tasks, ok, p50, p95, p99, fuel] = self.cells();
        ui::out(format_args!("  state     {}", self.state()))?;
        if let Some(waited) = self.queue_us.checked_div(self.completed) {
            let waited = ui::time(Duration::from_micros(waited));
            ui::out(format_args!("  tasks     {tasks} · {ok} succeeded"))?;
            ui::out(format_args!(
                "  latency   p50 {p50} · p95 {p95} · p99 {p99}"
            ))?;
            ui::out(format_args!("  queue     {waited} a task"))?;
            let all = ui::fuel(self.fuel);
            ui::out(format_args!("  fuel      {fuel} a task · {all} in all"))?;
        } else {
            ui::out("  tasks     none yet")?;
        }
        if self.in_flight > 0 {
            ui::out(format_args!("  in flight {}", self.in_flight))?;
        }
        if !self.failed.is_empty() {
            let kinds = self.failed.iter().map(|(kind, n)| format!("{kind} {n}"));
            let kinds: Vec<_> = kinds.collect();
            ui::out(format_args!("  failed    {}", kinds.join(" · ")))?;
        }
        if let Some(LastFailure { at, failure }) = &self.last_failure {
            let said = ui::safe(&failure.to_string()).replace('\n', " ");
            let at = ui::styled(ui::DIM, at);
            ui::out(format_args!("  last      {said} {at}"))?;
        }
        Ok(())
    }
}

fn rate(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}
