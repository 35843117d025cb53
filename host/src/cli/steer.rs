//! `kennel runs follow|cancel|approve|fork`: watching a run that somebody else drives, and telling it something.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::exit::CliError;
use super::input;
use super::progress::Progress;
use super::{Options, host, run, runs, ui};
use crate::engine::Stopping;
use crate::engine::control::{self, Answer};
use crate::engine::fork::{Change, ForkError};
use crate::id::{RunId, StepPath};
use crate::plan::Kind;
use crate::record::{Event, Outcome};
use crate::store::{Cursor, RunLog};

/// How long `cancel` waits for whoever drives the run to say that it has stopped.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The run.
    run: RunId,
    /// The step that asks; needed only when several do.
    step: Option<String>,
    /// Answers no.
    #[arg(long)]
    deny: bool,
    /// Why; told in the journal and to the flow.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who answers [default: the name of the user].
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ForkArgs {
    /// The run to begin with.
    run: RunId,
    /// The first step to be executed anew; the outputs before it are reused.
    #[arg(long, value_name = "STEP")]
    from: String,
    /// Changes what the new run begins with: a field of the input (`--set language=en`), or of an output before the fork
    /// (`--set steps.ocr.text=…`). May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Prints what happens in a run until it ends.
pub(super) async fn follow(options: &Options, run: RunId) -> Result<(), CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let engine = host::engine(backend.clone());
    let plan = Arc::new(runs::plan(&engine.beginning(run).await?)?);
    let progress = Progress::start(&plan, run, options.least());
    let records = progress.watch().records;
    let mut tail = backend.log().tail(Cursor(0), Some(run)).await?;
    let watched = async {
        while let Some(stored) = tail.next().await {
            let record = stored?.record;
            if options.json {
                ui::json_line(&record)?;
            } else if let Some(told) = &records {
                told(&record);
            }
            if matches!(record.event, Event::RunFinished { .. }) {
                return Ok::<_, CliError>(true);
            }
        }
        Ok(false)
    };
    let ended = tokio::select! {
        ended = watched => ended?,
        _ = tokio::signal::ctrl_c() => {
            progress.end();
            return Err(CliError::Interrupted("no longer followed; the run itself goes on".into()));
        }
    };
    progress.end();
    if !ended {
        return Err(CliError::Store(format!(
            "run {run}: its journal ended before the run"
        )));
    }
    if options.json {
        return Ok(());
    }
    run::finish(options, &engine.state(run, plan).await?)
}

/// Stops a run for good.
pub(super) async fn cancel(options: &Options, run: RunId, by: &str) -> Result<(), CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let engine = host::engine(backend.clone());
    let plan = Arc::new(runs::plan(&engine.beginning(run).await?)?);
    let told = match engine.cancel(run, plan, by).await? {
        Stopping::Cancelled => "cancelled",
        Stopping::Ended => {
            return Err(CliError::Usage(format!(
                "run {run} has ended already; `kennel runs show {run}` tells how"
            )));
        }
        Stopping::Asked => match tokio::time::timeout(PATIENCE, end_of(backend.log(), run)).await {
            Ok(ended) => match ended? {
                Outcome::Cancelled { .. } => "cancelled",
                Outcome::Succeeded { .. } | Outcome::Failed { .. } => {
                    return Err(CliError::Usage(format!(
                        "run {run} ended by itself before it was stopped; `kennel runs show {run}` tells how"
                    )));
                }
            },
            Err(_) => "asked to stop; whoever drives it has not done so yet",
        },
    };
    if options.json {
        return ui::json(&serde_json::json!({ "run": run, "status": told }));
    }
    ui::out(format_args!("run {run} {told}"))
}

async fn end_of(log: &dyn RunLog, run: RunId) -> Result<Outcome, CliError> {
    let mut tail = log.tail(Cursor(0), Some(run)).await?;
    while let Some(stored) = tail.next().await {
        if let Event::RunFinished { outcome } = stored?.record.event {
            return Ok(outcome);
        }
    }
    Err(CliError::Store(format!(
        "run {run}: its journal ended before the run"
    )))
}

/// Answers a question of a run.
pub(super) async fn approve(options: &Options, args: &ApproveArgs) -> Result<(), CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let run = args.run;
    let engine = host::engine(backend.clone());
    let plan = runs::plan(&engine.beginning(run).await?)?;
    let state = engine.state(run, Arc::new(plan)).await?;
    let asks = |path: &StepPath| {
        let step = state.step(path).map(|step| step.step);
        step.is_some_and(|step| matches!(state.plan().step(step).kind, Kind::Approve(_)))
    };
    let waiting: Vec<_> = match state.outcome() {
        None => state.running().into_iter().filter(asks).collect(),
        Some(_) => Vec::new(),
    };
    let names = || {
        let names: Vec<_> = waiting.iter().map(|path| format!("`{path}`")).collect();
        names.join(", ")
    };
    let path = match (&args.step, waiting.as_slice()) {
        (_, []) => {
            return Err(CliError::Usage(format!("run {run} waits for no answer")));
        }
        (None, [only]) => only,
        (None, _) => {
            let why = format!("several steps of run {run} ask: {}; name one", names());
            return Err(CliError::Usage(why));
        }
        (Some(step), _) => {
            let found = waiting.iter().find(|path| path.as_str() == step);
            found.ok_or_else(|| {
                let step = ui::safe(step);
                CliError::Usage(format!(
                    "step `{step}` of run {run} asks nothing; {} does",
                    names()
                ))
            })?
        }
    };
    let answer = Answer {
        approved: !args.deny,
        by: args.by.clone().unwrap_or_else(|| "somebody".into()),
        note: args.note.clone(),
    };
    if !control::answer(backend.as_ref(), run, path, &answer).await? {
        return Err(CliError::Usage(format!(
            "step `{path}` of run {run} has been answered already"
        )));
    }
    let told = if answer.approved {
        "approved"
    } else {
        "denied"
    };
    if options.json {
        return ui::json(&serde_json::json!({ "run": run, "step": path, "answer": told }));
    }
    ui::out(format_args!(
        "step `{path}` of run {run} {told}; if nobody drives the run, `kennel runs resume {run}` does"
    ))
}

/// Begins a run with what another has done, and drives it.
pub(super) async fn fork(options: &Options, args: &ForkArgs) -> Result<(), CliError> {
    let host = host::open(options).await?;
    let beginning = host.engine.beginning(args.run).await?;
    host.registry
        .check_pins(&beginning.agents)
        .map_err(|changed| CliError::Load(changed.to_string()))?;
    let plan = runs::plan(&beginning)?;
    let mut changes = Vec::new();
    for set in &args.set {
        changes.push(change(set, host.backend.blobs()).await?);
    }
    let from = StepPath::named(&args.from);
    let forked = host
        .engine
        .fork(args.run, Arc::new(plan.clone()), &from, &changes);
    let run = forked.await.map_err(|error| match error {
        ForkError::Engine(error) => error.into(),
        other => CliError::Usage(other.to_string()),
    })?;
    run::drive(options, &host, run, plan).await
}

async fn change(set: &str, blobs: &dyn crate::store::Blobs) -> Result<Change, CliError> {
    let (key, value) = input::assignment(set)?;
    let value: Value = input::take_files(value, blobs).await?;
    let mut way: Vec<String> = key.split('.').map(str::to_owned).collect();
    match way.first().map(String::as_str) {
        Some("steps") if way.len() > 1 => {
            let rest = way.split_off(2);
            Ok(Change::Output(StepPath::named(&way[1]), rest, value))
        }
        Some("input") => Ok(Change::Input(way.split_off(1), value)),
        _ => Ok(Change::Input(way, value)),
    }
}
