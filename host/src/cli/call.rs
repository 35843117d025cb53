//! `kennel call`: one task for one agent, without a flow and without a journal.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;
use super::input::InputArgs;
use super::progress::TaskProgress;
use super::{Options, host, run, ui};
use crate::call::{CallError, Reply, Request, Trail, Usage};
use crate::failure::Failure;
use crate::id::{AgentName, RunId, SkillName};
use crate::payload::{Blob, BlobRef, Payload};
use crate::plan::{CallStep, Policy};
use crate::store::Blobs;
use crate::units::Span;

/// The arguments of `kennel call`.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The agent.
    agent: AgentName,
    /// The skill; needed only when the agent has several.
    #[arg(long)]
    skill: Option<SkillName>,
    #[command(flatten)]
    input: InputArgs,
    /// Bounds the call: `--timeout 5s`. The agent's own limit holds besides.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Span>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CallReport<'a> {
    agent: &'a AgentName,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    usage: Usage,
    trail: &'a Trail,
}

pub(super) async fn call(options: &Options, args: &CallArgs) -> Result<(), CliError> {
    let host = host::open(options).await?;
    let policy = Policy {
        timeout: args.timeout.map(|span| span.0),
        ..Policy::default()
    };
    let step = CallStep {
        skill: args.skill.clone(),
        policy,
        ..CallStep::of(args.agent.clone())
    };
    let stack = host
        .registry
        .stack(&step)
        .map_err(|error| run::missing(&host, &error))?;
    if let Some(plugin) = host.registry.plugin(args.agent.as_str()) {
        host::check_skill(plugin, args.skill.as_ref())?;
    }
    let input = payload(
        args.input.read(host.backend.blobs()).await?,
        host.backend.blobs(),
    )
    .await?;
    let progress = TaskProgress::start(&args.agent, options.least());
    let task = format!("call/{}", RunId::generate());
    let request = Request {
        observer: progress.observer(),
        ..Request::new(task, Arc::new(input))
    };
    let keeper = host.keep_health();
    let answer = tokio::select! {
        answer = stack.call(request) => Some(answer),
        _ = tokio::signal::ctrl_c() => None,
    };
    progress.end();
    keeper.end().await;
    match answer {
        Some(answer) => finish(options, &args.agent, answer, host.backend.blobs()).await,
        None => Err(CliError::Interrupted(
            "interrupted; the agent was stopped".into(),
        )),
    }
}

/// A value that is nothing but a blob reference reaches the agent as the blob.
async fn payload(value: Value, blobs: &dyn Blobs) -> Result<Payload, CliError> {
    match BlobRef::from_value(&value) {
        None => Ok(Payload::from_value(&value)),
        Some(blob) => match blobs.get(blob.digest).await? {
            Some(bytes) => Ok(Payload::Blob(Blob {
                media_type: blob.media_type,
                bytes,
            })),
            None => Err(CliError::Usage(format!(
                "the input refers to blob {}, which the store does not have",
                blob.digest
            ))),
        },
    }
}

async fn finish(
    options: &Options,
    agent: &AgentName,
    answer: Result<Reply, CallError>,
    blobs: &dyn Blobs,
) -> Result<(), CliError> {
    match answer {
        Ok(Reply { output, trail }) => {
            let value = match &*output {
                Payload::Text(text) => Value::String(text.clone()),
                Payload::Json(text) => {
                    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
                }
                Payload::Blob(blob) => {
                    blobs.put(blob.bytes.clone()).await?;
                    blob.reference().to_value()
                }
            };
            if options.json {
                let usage = trail.usage();
                return ui::json(&CallReport {
                    agent,
                    status: "succeeded",
                    output: Some(value),
                    failure: None,
                    usage,
                    trail: &trail,
                });
            }
            told(&trail);
            ui::value(&value)
        }
        Err(CallError { failure, trail }) => {
            if options.json {
                let usage = trail.usage();
                ui::json(&CallReport {
                    agent,
                    status: "failed",
                    output: None,
                    failure: Some(&failure),
                    usage,
                    trail: &trail,
                })?;
            } else {
                told(&trail);
                ui::say(format_args!(
                    "{} agent `{agent}`: {}",
                    ui::styled(ui::BAD, "error:"),
                    ui::safe(&failure.to_string())
                ));
            }
            Err(CliError::Failed)
        }
    }
}

/// What the call used, for people.
fn told(trail: &Trail) {
    let usage = trail.usage();
    let time = ui::time(std::time::Duration::from_micros(usage.wall_us));
    let text = format!(
        "{time} · {} fuel · {} · {} host calls",
        ui::fuel(usage.fuel),
        ui::bytes(usage.peak_memory),
        usage.host_calls
    );
    ui::say(ui::styled(ui::DIM, text));
}
