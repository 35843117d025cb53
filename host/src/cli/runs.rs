//! `kennel runs`: lists, shows and resumes runs. What is said to runs that others drive is in `steer`.

use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;

use super::exit::CliError;
use super::report::Report;
use super::steer::{self, ApproveArgs, ForkArgs};
use super::{Options, host, replay, run, ui};
use crate::engine::{Beginning, Engine, Reading};
use crate::flow as flows;
use crate::id::{RunId, StepPath};
use crate::plan::{Kind, Plan};
use crate::store::{RunOutcome, RunSummary};

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// Lists runs, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only runs older than this one.
        #[arg(long, value_name = "RUN")]
        before: Option<RunId>,
    },
    /// Shows a run: its steps with every attempt, what they used, and its outcome.
    Show {
        /// The run.
        run: RunId,
        /// Prints every record of the journal instead.
        #[arg(long)]
        records: bool,
    },
    /// Finishes a run that was interrupted, without running a completed step again.
    ///
    /// Without RUN, finishes every unfinished run, oldest first.
    Resume {
        /// The run.
        run: Option<RunId>,
    },
    /// Prints what happens in a run until it ends, whoever drives it.
    Follow {
        /// The run.
        run: RunId,
    },
    /// Stops a run for good: its agents end within moments, and it is never resumed.
    Cancel {
        /// The run.
        run: RunId,
        /// Who stops it; told in the journal [default: the name of the user].
        #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
        by: Option<String>,
    },
    /// Answers the question of an `approve` step.
    #[command(after_help = "Example:\n  kennel runs approve 01J… --deny --note 'too expensive'")]
    Approve(ApproveArgs),
    /// Starts a new run that reuses the outputs of another before a step, and drives it.
    #[command(after_help = "Example:\n  kennel runs fork 01J… --from summary --set sentences=5")]
    Fork(ForkArgs),
    /// Executes every recorded attempt of a run again, in isolation, and compares what comes out.
    ///
    /// The agents get the recorded inputs, and from the host the recorded answers: the time, randomness, state, peers and HTTP. Nothing
    /// outside is touched, and the run stays as it is. Granted files are read as they are now. Exit code 1 when anything differs.
    #[command(after_help = "Example:\n  kennel runs replay 01KC3H9DZ5QEXAMPLERUNID000 --json")]
    Replay {
        /// The run.
        run: RunId,
    },
}

impl Default for RunsCommand {
    fn default() -> Self {
        Self::List {
            limit: 20,
            before: None,
        }
    }
}

pub(super) async fn runs(options: &Options, command: RunsCommand) -> Result<(), CliError> {
    match command {
        RunsCommand::List { limit, before } => list(options, limit.into(), before).await,
        RunsCommand::Show { run, records } => show(options, run, records).await,
        RunsCommand::Resume { run: Some(run) } => resume(options, run).await,
        RunsCommand::Resume { run: None } => resume_all(options).await,
        RunsCommand::Follow { run } => steer::follow(options, run).await,
        RunsCommand::Cancel { run, by } => {
            steer::cancel(options, run, by.as_deref().unwrap_or("somebody")).await
        }
        RunsCommand::Approve(args) => steer::approve(options, &args).await,
        RunsCommand::Fork(args) => steer::fork(options, &args).await,
        RunsCommand::Replay { run } => replay::replay(options, run).await,
    }
}

async fn list(options: &Options, limit: usize, before: Option<RunId>) -> Result<(), CliError> {
    let paths = host::Paths::find(options)?;
    // Looking must not make a store where there is none.
    let runs = if paths.state.exists() {
        host::open_store(&paths.state)?
            .log()
            .runs(before, limit)
            .await?
    } else {
        Vec::new()
    };
    if options.json {
        let lines: Vec<_> = runs.iter().map(line).collect();
        return ui::json(&lines);
    }
    if runs.is_empty() {
        ui::say("no runs");
        return Ok(());
    }
    let row = |run: &RunSummary| {
        let took = run.updated.duration_since(run.started).unsigned_abs();
        vec![
            run.run.to_string(),
            ui::safe(&run.flow),
            status(run).to_owned(),
            format!("{:.0}", run.started),
            ui::time(took),
        ]
    };
    ui::table(
        &["RUN", "FLOW", "STATUS", "STARTED", "TOOK"],
        &runs.iter().map(row).collect::<Vec<_>>(),
    )
}

/// One run of the list, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    run: RunId,
    flow: &'a str,
    status: &'static str,
    started: jiff::Timestamp,
    updated: jiff::Timestamp,
}

fn line(run: &RunSummary) -> Line<'_> {
    Line {
        run: run.run,
        flow: &run.flow,
        status: status(run),
        started: run.started,
        updated: run.updated,
    }
}

fn status(run: &RunSummary) -> &'static str {
    match run.outcome {
        None => "unfinished",
        Some(RunOutcome::Succeeded) => "succeeded",
        Some(RunOutcome::Failed) => "failed",
        Some(RunOutcome::Cancelled) => "cancelled",
    }
}

async fn show(options: &Options, run: RunId, records: bool) -> Result<(), CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let engine = host::engine(backend);
    let beginning = engine.beginning(run).await?;
    if records {
        return show_records(options, engine.read(run)).await;
    }
    let state = engine.state(run, Arc::new(plan(&beginning)?)).await?;
    let report = Report::of(&state);
    if options.json {
        return ui::json(&report);
    }
    ui::out(format_args!(
        "{} {run}  flow {}  {}",
        ui::styled(ui::BOLD, "run"),
        ui::safe(&beginning.flow),
        report.status()
    ))?;
    report.print_agents()?;
    report.print_steps()?;
    report.print()
}

async fn show_records(options: &Options, mut reading: Reading) -> Result<(), CliError> {
    let mut list = options.json.then(ui::JsonList::default);
    while let Some(record) = reading.next().await? {
        if let Some(list) = &mut list {
            list.add(&record)?;
            continue;
        }
        let event = serde_json::to_string(&record.event)
            .map_err(|error| CliError::Store(error.to_string()))?;
        ui::out(format_args!("{:.3}  {}", record.at, ui::safe(&event)))?;
    }
    list.map_or(Ok(()), ui::JsonList::end)
}

async fn resume(options: &Options, run: RunId) -> Result<(), CliError> {
    let host = host::open(options).await?;
    let beginning = host.engine.beginning(run).await?;
    resume_one(options, &host, &beginning).await
}

async fn resume_all(options: &Options) -> Result<(), CliError> {
    let unfinished = unfinished(options).await?;
    if unfinished.is_empty() {
        ui::say("no unfinished runs");
        return Ok(());
    }
    let host = host::open(options).await?;
    let mut all = Ok(());
    for run in unfinished.into_iter().rev() {
        let resumed = match host.engine.beginning(run).await {
            Ok(beginning) => match parked(&host.engine, &beginning).await {
                Ok(Some(step)) => Err(CliError::Busy(format!(
                    "run {run} waits for an answer: `kennel runs approve {run} {step}`, or resume it by its id to wait for one"
                ))),
                Ok(None) => resume_one(options, &host, &beginning).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        };
        match resumed {
            Ok(()) => {}
            Err(stop @ CliError::Interrupted(_)) => return Err(stop),
            Err(CliError::Busy(message)) => ui::say(format_args!("note: {message}")),
            Err(error) => {
                if let Some(message) = error.message() {
                    ui::say(format_args!(
                        "{} run {run}: {message}",
                        ui::styled(ui::BAD, "error:")
                    ));
                }
                all = Err(CliError::Failed);
            }
        }
    }
    all
}

/// The step whose question a run waits for, when nothing else of it can go on.
async fn parked(engine: &Engine, run: &Beginning) -> Result<Option<StepPath>, CliError> {
    let state = engine.state(run.run, Arc::new(plan(run)?)).await?;
    let asks = |path: &StepPath| {
        let step = state.step(path).map(|step| step.step);
        step.is_some_and(|step| matches!(state.plan().step(step).kind, Kind::Approve(_)))
    };
    let running = state.running();
    let idle = state.ready().is_empty() && running.iter().all(asks);
    Ok(running.into_iter().next().filter(|_| idle))
}

/// Every run that has not ended, newest first.
async fn unfinished(options: &Options) -> Result<Vec<RunId>, CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let mut unfinished = Vec::new();
    let mut before = None;
    loop {
        let page = backend.log().runs(before, 1000).await?;
        let Some(last) = page.last() else {
            return Ok(unfinished);
        };
        before = Some(last.run);
        unfinished.extend(
            page.iter()
                .filter(|run| run.outcome.is_none())
                .map(|run| run.run),
        );
    }
}

/// Finishes one run with the plan and the plugins that it was started with.
async fn resume_one(options: &Options, host: &host::Host, run: &Beginning) -> Result<(), CliError> {
    host.registry
        .check_pins(&run.agents)
        .map_err(|changed| CliError::Load(changed.to_string()))?;
    run::drive(options, host, run.run, plan(run)?).await
}

pub(super) fn plan(run: &Beginning) -> Result<Plan, CliError> {
    let plan = flows::parse_with(&run.source, &run.flow, &run.sources);
    plan.map_err(|diagnostics| {
        let why = diagnostics.render(&run.flow, &run.source, false);
        CliError::Store(format!(
            "run {}: this kennel cannot read the flow it was started with:\n{why}",
            run.run
        ))
    })
}
