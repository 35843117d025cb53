//! `kennel runs replay`: every recorded attempt of a run executed again, in isolation, and compared with what came of it.

mod compare;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;
use super::host::Host;
use super::{Options, host, run, runs, ui};
use crate::call::{Answers, Request};
use crate::engine::EngineError;
use crate::engine::replay::{Execution, Executions, Expected};
use crate::failure::FailureKind;
use crate::grants::Access;
use crate::id::{AgentName, RunId, StepPath};
use crate::payload::{Blob, BlobRef, Payload};
use crate::policy::NotLoaded;
use crate::registry::Plugin;

/// A replayed run, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    run: RunId,
    flow: String,
    same: usize,
    different: usize,
    not_replayed: usize,
    attempts: Vec<Line>,
}

/// One attempt of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    step: StepPath,
    agent: AgentName,
    attempt: u32,
    status: Status,
    recorded_fuel: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_fuel: Option<u64>,
    /// What differs, or why it was not replayed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Same,
    Different,
    NotReplayed,
}

pub(super) async fn replay(options: &Options, run: RunId) -> Result<(), CliError> {
    let host = host::open(options).await?;
    let beginning = host.engine.beginning(run).await?;
    host.registry
        .check_pins(&beginning.agents)
        .map_err(|changed| CliError::Load(changed.to_string()))?;
    let mut executions = Executions::new(Arc::new(runs::plan(&beginning)?), run);
    let mut reading = host.engine.read(run);
    let mut attempts = Vec::new();
    while let Some(record) = reading.next().await? {
        let ended = executions
            .next(&record.event)
            .map_err(|illegal| EngineError::Illegal(run, illegal))?;
        for execution in ended {
            attempts.push(execute(&host, execution).await?);
        }
    }
    let count = |status| attempts.iter().filter(|line| line.status == status).count();
    let report = Report {
        run,
        flow: beginning.flow,
        same: count(Status::Same),
        different: count(Status::Different),
        not_replayed: count(Status::NotReplayed),
        attempts,
    };
    match options.json {
        true => ui::json(&report)?,
        false => report.print()?,
    }
    match report.different {
        0 => Ok(()),
        _ => Err(CliError::Failed),
    }
}

async fn execute(host: &Host, execution: Execution) -> Result<Line, CliError> {
    let plugin = match host.registry.plugin(execution.agent.as_str()) {
        Some(plugin) => plugin.clone(),
        None => {
            let missing = NotLoaded::Agent(execution.agent.clone());
            return Err(run::missing(host, &missing));
        }
    };
    let line = |status, replayed_fuel, detail| Line {
        step: execution.step.clone(),
        agent: execution.agent.clone(),
        attempt: execution.attempt,
        status,
        recorded_fuel: execution.usage.fuel,
        replayed_fuel,
        detail,
    };
    let (input, recorded) = match ready(host, &plugin, &execution).await? {
        Ok(ready) => ready,
        Err(why) => return Ok(line(Status::NotReplayed, None, vec![why])),
    };
    let request = Request {
        skill: execution.skill.clone(),
        attempt: execution.attempt,
        ..Request::new(
            format!("{}/{}", execution.run, execution.step),
            Arc::new(input),
        )
    };
    let replayed = match plugin.replay(request, recorded.as_deref()).await {
        Ok(replayed) => replayed,
        Err(error) => return Ok(line(Status::NotReplayed, None, vec![error.to_string()])),
    };
    let mut detail: Vec<_> = replayed.diverged.iter().cloned().collect();
    let fuel = replayed.usage.fuel;
    // What comes of a guest that was stopped because it went another way says nothing more.
    if detail.is_empty() {
        detail = compare::outcomes(&execution.expected, &replayed.outcome);
        if fuel != execution.usage.fuel {
            detail.push(format!("fuel: {} → {fuel}", execution.usage.fuel));
        }
    }
    let status = match detail.is_empty() {
        true => Status::Same,
        false => Status::Different,
    };
    Ok(line(status, Some(fuel), detail))
}

/// What an attempt needs to be executed again, or why it cannot be.
async fn ready(
    host: &Host,
    plugin: &Plugin,
    execution: &Execution,
) -> Result<Result<(Payload, Option<Bytes>), String>, CliError> {
    if let Expected::Failure(failure) = &execution.expected
        && !comes_from_the_guest(failure.kind)
    {
        let kind = failure.kind;
        return Ok(Err(format!("it was ended from outside: {kind}")));
    }
    let files = &plugin.terms.effective.files;
    if files.iter().any(|file| file.access == Access::Write) {
        let why = "the agent may write files, and would write them again";
        return Ok(Err(why.into()));
    }
    let input = match &execution.input {
        Ok(input) => input,
        Err(failure) => return Ok(Err(format!("its input is not known: {failure}"))),
    };
    let Some(input) = payload(host, input).await? else {
        return Ok(Err("the blob that it got is not in the store".into()));
    };
    Ok(match &execution.answers {
        None => Ok((input, None)),
        Some(Answers::Inline(bytes)) => Ok((input, Some(bytes.clone()))),
        Some(Answers::Blob(blob)) => match host.backend.blobs().get(blob.digest).await? {
            Some(bytes) => Ok((input, Some(bytes))),
            None => Err(format!("its recording {} is not in the store", blob.digest)),
        },
        Some(Answers::Lost(why)) => Err(why.clone()),
    })
}

/// Whether an attempt fails like this whenever it is executed, and not because of the time or of what else went on.
fn comes_from_the_guest(kind: FailureKind) -> bool {
    use FailureKind as F;
    match kind {
        F::InvalidInput | F::Recoverable | F::Fatal | F::Exit => true,
        F::OutOfFuel | F::OutOfMemory | F::StackOverflow | F::Trapped | F::AbiViolation => true,
        F::TooMuchData | F::Handles | F::OutputTooLarge | F::Quota => true,
        F::Deadline | F::Denied | F::CallDepth | F::CallCycle | F::FanOut => false,
        F::BreakerOpen | F::Overloaded | F::Cancelled | F::HostError => false,
    }
}

/// What the agent got for `input`; nothing when that is a blob that is gone.
async fn payload(host: &Host, input: &Value) -> Result<Option<Payload>, CliError> {
    let Some(blob) = BlobRef::from_value(input) else {
        return Ok(Some(Payload::from_value(input)));
    };
    let bytes = host.backend.blobs().get(blob.digest).await?;
    Ok(bytes.map(|bytes| {
        Payload::Blob(Blob {
            media_type: blob.media_type,
            bytes,
        })
    }))
}

impl Report {
    fn print(&self) -> Result<(), CliError> {
        let row = |line: &Line| {
            let status = match line.status {
                Status::Same => "same",
                Status::Different => "different",
                Status::NotReplayed => "not replayed",
            };
            let first = line.detail.first().map(String::as_str).unwrap_or_default();
            vec![
                line.step.to_string(),
                line.agent.to_string(),
                line.attempt.to_string(),
                status.to_owned(),
                line.recorded_fuel.to_string(),
                ui::safe(first).replace(['\n', '\t'], " "),
            ]
        };
        ui::table(
            &["STEP", "AGENT", "ATTEMPT", "STATUS", "FUEL", "DETAIL"],
            &self.attempts.iter().map(row).collect::<Vec<_>>(),
        )?;
        for line in self.attempts.iter().filter(|line| line.detail.len() > 1) {
            ui::out(format_args!("\n{} attempt {}:", line.step, line.attempt))?;
            for detail in &line.detail {
                ui::out(format_args!("  {}", ui::safe(detail)))?;
            }
        }
        let Self {
            same,
            different,
            not_replayed,
            ..
        } = self;
        let style = if *different == 0 { ui::GOOD } else { ui::BAD };
        ui::say(ui::styled(
            style,
            format_args!("{same} the same, {different} different, {not_replayed} not replayed"),
        ));
        Ok(())
    }
}
