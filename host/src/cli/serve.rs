//! `kennel run` for an event-driven flow: serves it until Ctrl-C, or plays a recording of events to its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::exit::CliError;
use super::host::Host;
use super::reload::{self, Reloading};
use super::{Options, recording, run, ui};
use crate::call::{Notice, Observer};
use crate::engine::Watch;
use crate::engine::serve::{Ended, Serving, Speed, Tally, Told};
use crate::event::CloudEvent;
use crate::failure::Failure;
use crate::id::{EventType, RunId, StepPath};
use crate::plan::{Handler, Plan};
use crate::record::{Held, Outcome};

/// The options of `kennel run` that only an event-driven flow has.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServeArgs {
    /// Plays a recording to an event-driven flow instead of serving it: CloudEvents in JSON, one a line.
    ///
    /// It is a rehearsal: the events reach this flow only, and each time they count anew.
    #[arg(long, value_name = "FILE", help_heading = "Event-driven flows")]
    events: Option<PathBuf>,
    /// How fast a recording is played: so many times as fast as its time stamps say, or `max`.
    #[arg(
        long,
        value_name = "N|max",
        default_value = "max",
        requires = "events",
        help_heading = "Event-driven flows"
    )]
    speed: SpeedArg,
    /// Runs of an event-driven flow at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Event-driven flows")]
    parallel: u16,
}

/// `--speed`.
#[derive(Debug, Clone, Copy)]
struct SpeedArg(Speed);

impl FromStr for SpeedArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self(Speed::Max));
        }
        match text.strip_suffix('x').unwrap_or(text).parse() {
            Ok(times) if (1e-3..=1e9).contains(&times) => Ok(Self(Speed::Times(times))),
            _ => Err("write `max`, or a number from 0.001 to 1000000000 such as 60"),
        }
    }
}

impl ServeArgs {
    /// A recording makes sense only for a flow that waits for events.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), CliError> {
        match self.events {
            Some(_) => Err(CliError::Usage(format!(
                "flow `{}` waits for no events, so it has no use for --events\n  help: an event-driven flow has `on:` instead of its outermost step",
                plan.name
            ))),
            None => Ok(()),
        }
    }
}

/// Serves `plan`, whose handlers these are.
pub(super) async fn serve(
    options: &Options,
    host: Host,
    plan: Plan,
    handlers: BTreeMap<EventType, Handler>,
    args: &ServeArgs,
) -> Result<(), CliError> {
    let recorded = match &args.events {
        Some(file) => Some(recording::read(file)?),
        None => None,
    };
    let types = handlers
        .into_iter()
        .map(|(event_type, handler)| (event_type, handler.every));
    let fleet = reload::fleet(&host.registry, &plan);
    let fleet = fleet.map_err(|error| run::missing(&host, &error))?;
    let keeper = host.keep_health();
    let serving = Serving {
        fleet: Arc::new(ArcSwap::from_pointee(fleet)),
        types: types.collect(),
        plan: Arc::new(plan),
        parallel: args.parallel.into(),
        watch: Watch {
            observer: observer(options.verbose),
            records: None,
        },
        clock: Arc::new(Timestamp::now),
    };
    let shown = Shown::new(options.json);
    let begun = Instant::now();
    let mut tell = |told: Told<'_>| shown.tell(&told);
    let interrupted = CancellationToken::new();
    let stop = async {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => { drop(pressed); interrupted.cancel(); }
            () = shown.gone.cancelled() => {}
        }
    };
    let is_recorded = recorded.is_some();
    let engine = host.engine.clone();
    let served = match recorded {
        Some(events) => {
            let replayed = engine.replay(&serving, events, args.speed.0, &mut tell, stop);
            replayed.await
        }
        None => {
            let reloading = Reloading::begin(options, host, &serving);
            announce(&serving);
            let tally = engine.serve(&serving, &mut tell, stop).await;
            drop(reloading);
            tally
        }
    };
    keeper.end().await;
    let tally = served?;
    shown.sum_up(&tally, begun.elapsed())?;
    if is_recorded && interrupted.is_cancelled() {
        return Err(CliError::Interrupted(
            "interrupted before the end of the recording".into(),
        ));
    }
    match is_recorded && tally.failed > 0 {
        true => Err(CliError::Failed),
        false => Ok(()),
    }
}

fn announce(serving: &Serving) {
    let types = serving.types.iter().map(|(event_type, every)| match every {
        Some(every) => format!(
            "{event_type} (every {})",
            humantime::format_duration(*every)
        ),
        None => event_type.to_string(),
    });
    ui::say(format_args!(
        "{} {} on {}; Ctrl-C ends it",
        ui::styled(ui::BOLD, "serving"),
        ui::safe(&serving.plan.name),
        types.collect::<Vec<_>>().join(", ")
    ));
}

/// What agents say in runs that nobody watches one by one: only what is important, unless everything is asked for.
fn observer(verbose: bool) -> Observer {
    let least = if verbose { Level::TRACE } else { Level::WARN };
    Observer::new(Arc::new(move |step, agent, notice| {
        if let Notice::Log(level, _, message) = notice
            && level <= least
        {
            let who = step.map_or(agent.as_str(), StepPath::as_str);
            ui::say(format_args!(
                "{} {}",
                ui::styled(ui::DIM, who),
                ui::safe(&message)
            ));
        }
    }))
}

/// Prints what is told.
struct Shown {
    json: bool,
    /// Nobody reads along any more.
    gone: CancellationToken,
}

/// A run that has ended, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Named<'a>>,
    status: &'static str,
    took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_step: Option<&'a StepPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An event without its data.
#[derive(Serialize)]
struct Named<'a> {
    source: &'a str,
    id: &'a str,
    r#type: &'a EventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(event: &'a CloudEvent) -> Self {
        Self {
            source: &event.source,
            id: &event.id,
            r#type: &event.event_type,
            subject: event.subject.as_deref(),
        }
    }
}

/// The numbers at the end, as `--json` prints them.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Sum {
    events: u64,
    succeeded: u64,
    failed: u64,
    unfinished: u64,
    duplicates: u64,
    ignored: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<u64>,
    elapsed_us: u64,
}

impl Shown {
    fn new(json: bool) -> Self {
        Self {
            json,
            gone: CancellationToken::new(),
        }
    }

    fn tell(&self, told: &Told<'_>) {
        let printed = match told {
            Told::Began { .. } => Ok(()),
            Told::Ended(ended) => self.ended(ended),
            Told::Left { run, why } => {
                ui::say(format_args!(
                    "{} run {run} stays unfinished: {why}; `kennel runs resume {run}` goes on with what it was started with",
                    ui::styled(ui::WARN, "warning:")
                ));
                Ok(())
            }
            Told::Trouble(why) => {
                ui::say(format_args!(
                    "{} {}",
                    ui::styled(ui::WARN, "warning:"),
                    ui::safe(why)
                ));
                Ok(())
            }
        };
        if printed.is_err() {
            self.gone.cancel();
        }
    }

    fn ended(&self, ended: &Ended) -> Result<(), CliError> {
        let (status, outcome, reason) = match &ended.how {
            // Somebody else's; whoever has it tells it.
            Ok(None) => return Ok(()),
            Ok(Some(state)) => (status(state.outcome()), state.outcome(), None),
            Err(error) => ("unfinished", None, Some(ui::safe(&error.to_string()))),
        };
        let failed = match outcome {
            Some(Outcome::Failed { step, failure }) => (step.as_ref(), Some(failure)),
            _ => (None, None),
        };
        if self.json {
            return ui::json(&Line {
                run: ended.run,
                event: ended.event.as_deref().map(Named::of),
                status,
                took_us: micros(ended.took),
                output: outcome.and_then(output),
                failed_step: failed.0,
                failure: failed.1,
                reason,
            });
        }
        let (mark, style) = match status {
            "succeeded" => ("✓", ui::GOOD),
            "unfinished" => ("…", ui::DIM),
            _ => ("✗", ui::BAD),
        };
        let event = ended.event.as_deref().map(name).unwrap_or_default();
        let step = failed
            .0
            .map(|step| format!("step `{step}`: "))
            .unwrap_or_default();
        let why = failed
            .1
            .map(|failure| ui::safe(&failure.to_string()))
            .or(reason);
        let why = why.map(|why| format!("  {step}{why}")).unwrap_or_default();
        ui::out(format_args!(
            "{} {}  {event}  {}{why}",
            ui::styled(style, mark),
            ended.run,
            ui::styled(ui::DIM, ui::time(ended.took))
        ))
    }

    fn sum_up(&self, tally: &Tally, elapsed: Duration) -> Result<(), CliError> {
        let quantile = |share| tally.took.quantile(share);
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        if self.json {
            if self.gone.is_cancelled() {
                return Ok(());
            }
            let sum = Sum {
                events: tally.events,
                succeeded: tally.succeeded,
                failed: tally.failed,
                unfinished: tally.unfinished,
                duplicates: tally.duplicates,
                ignored: tally.ignored,
                p50_us: p50.map(micros),
                p99_us: p99.map(micros),
                elapsed_us: micros(elapsed),
            };
            return ui::json(&serde_json::json!({ "summary": sum }));
        }
        let mut parts = vec![format!("{} events", tally.events)];
        for (count, what) in [
            (tally.succeeded, "succeeded"),
            (tally.failed, "failed"),
            (tally.unfinished, "unfinished"),
            (tally.duplicates, "duplicates"),
            (tally.ignored, "without a handler"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if let (Some(p50), Some(p99)) = (p50, p99) {
            parts.push(format!("p50 {}", ui::time(p50)));
            parts.push(format!("p99 {}", ui::time(p99)));
        }
        parts.push(ui::time(elapsed));
        ui::say(parts.join(", "));
        Ok(())
    }
}

fn status(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => "waiting",
        Some(Outcome::Succeeded { .. }) => "succeeded",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Cancelled { .. }) => "cancelled",
    }
}

fn output(outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Succeeded {
            output: Held::Inline(value),
        } => Some(Value::clone(value)),
        Outcome::Succeeded {
            output: Held::Blob(blob),
        } => Some(blob.to_value()),
        Outcome::Failed { .. } | Outcome::Cancelled { .. } => None,
    }
}

fn name(event: &CloudEvent) -> String {
    let subject = event
        .subject
        .as_deref()
        .map(|subject| format!(" {subject}"))
        .unwrap_or_default();
    ui::safe(&format!("{}{subject}  {}", event.event_type, event.id))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
