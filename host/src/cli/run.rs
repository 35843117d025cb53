//! `kennel run` for a flow with one beginning, and what it shares with `kennel runs resume`: driving one run while somebody watches.

use std::path::Path;
use std::sync::Arc;

use super::exit::CliError;
use super::host::Host;
use super::input::InputArgs;
use super::progress::Progress;
use super::report::Report;
use super::serve::ServeArgs;
use super::{Options, flow, host, serve, ui};
use crate::engine::state::RunState;
use crate::flow as flows;
use crate::id::{AgentName, RunId};
use crate::plan::{Entry, Plan};
use crate::policy::NotLoaded;

/// Runs the flow in `file`.
pub(super) async fn run(
    options: &Options,
    file: &Path,
    input: &InputArgs,
    serving: &ServeArgs,
) -> Result<(), CliError> {
    let plan = flow::read(file, options.json)?;
    let host = host::open(options).await?;
    // Before the flow is blamed for an agent that is there, but refused.
    if let Some(refused) = plan
        .agents()
        .into_keys()
        .find_map(|agent| refusal(&host, agent))
    {
        return Err(refused);
    }
    flow::check(&plan, &host.registry.catalogue(), file, options.json)?;
    let handlers = match &plan.entry {
        Entry::On(handlers) => Some(handlers.clone()),
        Entry::Root(_) => None,
    };
    if let Some(handlers) = handlers {
        input.refuse("an event-driven flow gets the data of events as its input")?;
        return serve::serve(options, host, plan, handlers, serving).await;
    }
    serving.check(&plan)?;
    let input = input.read(host.backend.blobs()).await?;
    if let Err(failure) = flows::check_input(&plan.name, plan.input.as_ref(), &input) {
        return Err(CliError::Usage(ui::safe(&failure.message)));
    }
    let pins = host
        .registry
        .pins(&plan)
        .map_err(|error| missing(&host, &error))?;
    let run = host.engine.accept(&plan, pins, input).await?;
    drive(options, &host, run, plan).await
}

/// Drives a run to its end, or until Ctrl-C, and prints what became of it.
pub(super) async fn drive(
    options: &Options,
    host: &Host,
    run: RunId,
    plan: Plan,
) -> Result<(), CliError> {
    let plan = Arc::new(plan);
    let calls = host
        .registry
        .calls(&plan)
        .map_err(|error| missing(host, &error))?;
    let progress = Progress::start(&plan, run, options.least());
    let watch = progress.watch();
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let keeper = host.keep_health();
    let driven = host
        .engine
        .drive(run, plan.clone(), &calls, &watch, stop)
        .await;
    progress.end();
    keeper.end().await;
    finish(options, &driven?)
}

pub(super) fn finish(options: &Options, state: &RunState) -> Result<(), CliError> {
    let report = Report::of(state);
    if options.json {
        ui::json(&report)?;
    } else {
        report.print()?;
    }
    if report.succeeded() {
        Ok(())
    } else {
        Err(CliError::Failed)
    }
}

/// An agent that is missing because its file was refused is a plugin that could not be loaded, not a mistake in the flow.
pub(super) fn missing(host: &Host, error: &NotLoaded) -> CliError {
    let NotLoaded::Agent(agent) = error else {
        return CliError::Usage(error.to_string());
    };
    let unknown = || CliError::Usage(host::unknown_agent(&host.registry, agent.as_str()));
    refusal(host, agent).unwrap_or_else(unknown)
}

fn refusal(host: &Host, agent: &AgentName) -> Option<CliError> {
    let refused = host
        .registry
        .refused()
        .iter()
        .find(|refused| refused.agent == agent.as_str())?;
    Some(CliError::Load(format!(
        "agent `{agent}` is refused: {}",
        ui::safe(&refused.error.to_string())
    )))
}
