//! How an agent fares, as `kennel agents` prints it. Counts are of all commands that used this version of the plugin; what goes on at the
//! moment is of all that run. Where they differ, the one is shown that asks the agent least.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::super::exit::CliError;
use super::super::ui;
use crate::failure::{Failure, FailureKind};
use crate::health::quarantine::Refused;
use crate::health::{Report, wall};
use crate::policy::{Snapshot, Standing};
use crate::registry::{Present, most_open};

/// What the help says about `--json`.
pub(super) const JSON: &str = "\
With --json each agent has a `health`:
  state         `ok`, `quarantined` (it broke its sandbox five times in a row and is left alone),
                `trying` (its quarantine is over for the next task, which shows whether it works),
                `breaker-open` (steps with a circuit breaker do not ask it), or `breaker-half-open`
  until         when a quarantine, or the time of an open breaker, ends
  breaker       the circuit breaker: its `state`, `closed`, `open` or `half-open` (the next calls, or
                those under way, show whether the agent works), its `failures` in a row, and `left-ms`
                and `until` while it is open
  completed, succeeded, success-rate, failed      tasks; `failed` by kind
  latency-us    p50, p95 and p99 of the time in the sandbox, in microseconds
  queue-us      the time that all tasks together waited for a slot
  fuel          what all tasks together used
  in-flight     tasks that are under way, in all commands that run
  last-failure  kind, message, and when (`at`)
Commands that run tell within about a second what they do; one that was killed is left out after five.
Counts begin anew with each version of the plugin.";

/// The columns of a list.
pub(super) const HEADING: [&str; 7] = ["TASKS", "NOW", "OK", "P50", "P95", "P99", "FUEL"];

/// How an agent fares, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HealthReport {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    breaker: Breaker,
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

/// The circuit breaker that steps share which have one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Breaker {
    state: &'static str,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
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
    /// `report` and `breaker` are what the store keeps, `present` is what other commands tell.
    pub(super) fn of(report: &Report, breaker: Option<Snapshot>, present: &Present) -> Self {
        let now = Instant::now();
        let kept = match report.refused {
            Some(Refused::Until(until)) => Some(until.saturating_duration_since(now)),
            Some(Refused::Trying) => Some(Duration::ZERO),
            None => report.quarantined.then_some(Duration::ZERO),
        };
        let breaker = Breaker::of(most_open(breaker, present.breaker), now);
        let (state, until) = match (kept.max(present.quarantined_for), breaker.state) {
            (Some(Duration::ZERO), _) => ("trying", None),
            (Some(left), _) => ("quarantined", Some(wall(now + left))),
            (None, "open") => ("breaker-open", breaker.until),
            (None, "half-open") => ("breaker-half-open", None),
            (None, _) => ("ok", None),
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let tally = &report.tally;
        Self {
            state,
            until,
            breaker,
            completed: tally.completed(),
            succeeded: tally.succeeded,
            success_rate: tally.success_rate(),
            latency_us: tally.latency().map(|latency| Percentiles {
                p50: micros(latency.p50),
                p95: micros(latency.p95),
                p99: micros(latency.p99),
            }),
            failed: tally.failed.clone(),
            queue_us: tally.queue_us,
            fuel: tally.fuel,
            in_flight: present.in_flight,
            last_failure: report.last_failure.as_ref().map(|last| LastFailure {
                at: last.at,
                failure: last.failure.clone(),
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
    pub(super) fn cells(&self) -> [String; 7] {
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
            self.in_flight.to_string(),
            self.success_rate.map_or_else(nothing, rate),
            time(|latency| latency.p50),
            time(|latency| latency.p95),
            time(|latency| latency.p99),
            fuel,
        ]
    }

    /// All of it, a line each.
    pub(super) fn print(&self) -> Result<(), CliError> {
        let [tasks, in_flight, ok, p50, p95, p99, fuel] = self.cells();
        ui::out(format_args!("  state     {}", self.state()))?;
        ui::out(format_args!("  breaker   {}", self.breaker.shown()))?;
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
        ui::out(format_args!("  in flight {in_flight}"))?;
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

impl Breaker {
    /// An agent that no step with a breaker has asked has a closed one. An open one whose time is over lets the next call through.
    fn of(snapshot: Option<Snapshot>, now: Instant) -> Self {
        let left = snapshot.and_then(|snapshot| snapshot.open_for);
        let left = left.filter(|left| !left.is_zero());
        let state = match (snapshot.map(|snapshot| snapshot.standing), left) {
            (None | Some(Standing::Closed), _) => "closed",
            (Some(Standing::Open), Some(_)) => "open",
            (Some(Standing::Open | Standing::HalfOpen), _) => "half-open",
        };
        Self {
            state,
            failures: snapshot.map_or(0, |snapshot| snapshot.failures),
            left_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            until: left.map(|left| wall(now + left)),
        }
    }

    /// In a few words.
    fn shown(&self) -> String {
        let failures = match self.failures {
            0 => String::new(),
            failures => format!(" · failures in a row: {failures}"),
        };
        match (self.state, self.left_ms) {
            ("open", Some(left)) => {
                let left = ui::time(Duration::from_millis(left));
                let state = ui::styled(ui::BAD, "open");
                format!("{state} for {left} more{failures}")
            }
            ("half-open", _) => {
                let state = ui::styled(ui::WARN, "half-open");
                format!("{state}, the next calls show whether it works{failures}")
            }
            (state, _) => format!("{state}{failures}"),
        }
    }
}

fn rate(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    fn breaker(standing: Standing, open_for: Option<u64>) -> Option<Snapshot> {
        Some(Snapshot {
            standing,
            failures: 3,
            open_for: open_for.map(Duration::from_secs),
        })
    }

    /// How a healthy agent is shown with these breakers, in the store and in a process that runs.
    fn shown(kept: Option<Snapshot>, live: Option<Snapshot>) -> HealthReport {
        let present = Present {
            breaker: live,
            ..Present::default()
        };
        HealthReport::of(&Health::default().report(), kept, &present)
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_is_closed_open_for_a_time_or_half_open() {
        use Standing::{Closed, HalfOpen, Open};
        for (snapshot, state, words, of_all) in [
            (None, "closed", "closed", "ok"),
            (
                breaker(Closed, None),
                "closed",
                "closed · failures in a row: 3",
                "ok",
            ),
            (
                breaker(Open, Some(90)),
                "open",
                "for 90.00 s more · failures in a row: 3",
                "breaker-open",
            ),
            (
                breaker(Open, Some(0)),
                "half-open",
                "the next calls show",
                "breaker-half-open",
            ),
            (
                breaker(HalfOpen, None),
                "half-open",
                "the next calls show",
                "breaker-half-open",
            ),
        ] {
            for report in [shown(snapshot, None), shown(None, snapshot)] {
                assert_eq!(report.breaker.state, state, "{report:?}");
                assert_eq!(report.state, of_all, "{report:?}");
                let said = report.breaker.shown();
                assert!(said.contains(words), "{said}");
                assert_eq!(report.until.is_some(), state == "open");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_processes_the_one_that_asks_least_is_shown() {
        let open = breaker(Standing::Open, Some(60));
        let half = breaker(Standing::HalfOpen, None);
        for report in [shown(open, half), shown(half, open)] {
            assert_eq!(report.breaker.state, "open");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarantine_of_a_process_that_runs_is_shown_and_so_is_its_end() {
        for (left, state) in [
            (None, "ok"),
            (Some(Duration::from_secs(4)), "quarantined"),
            (Some(Duration::ZERO), "trying"),
        ] {
            let present = Present {
                in_flight: 2,
                quarantined_for: left,
                ..Present::default()
            };
            let report = HealthReport::of(&Health::default().report(), None, &present);
            assert_eq!((report.state, report.in_flight), (state, 2));
            assert_eq!(report.until.is_some(), state == "quarantined");
        }
    }
}
