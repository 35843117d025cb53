//! What is told about a run: one shape for `kennel run --json`, `kennel runs show --json` and their plain forms.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;
use super::ui;
use crate::call::{Trail, Usage};
use crate::engine::state::{RunState, Status, StepState};
use crate::failure::{Failure, FailureKind};
use crate::id::{AgentName, Digest, RunId, StepPath};
use crate::plan::Kind;
use crate::record::{Held, Outcome};

/// A run, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    run: RunId,
    flow: String,
    /// `succeeded`, `failed` or `unfinished`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_step: Option<StepPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// The agents that it may call, and the digest of the plugin file that each is pinned to.
    agents: BTreeMap<AgentName, Digest>,
    /// What all attempts used together.
    usage: Usage,
    /// Every call that was reached, in the order in which it was.
    steps: Vec<StepReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct StepReport {
    step: StepPath,
    /// The agent that was asked; absent for what no agent does, or before one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentName>,
    /// What it does, as the flow has it: an agent, a skill, an event, a question.
    does: String,
    /// For a stage of a pipeline: its items, which are not listed one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Items>,
    /// `succeeded`, `failed`, `excused` (failed, and the flow went on), `skipped`, `running` or `waiting`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// How often the step was begun; more than once only after a crash.
    begun: u32,
    usage: Usage,
    trail: Trail,
}

/// The items of a stage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Items {
    succeeded: usize,
    failed: usize,
    /// The first failures.
    failures: Vec<(StepPath, Failure)>,
}

impl Report {
    pub(super) fn of(state: &RunState) -> Self {
        let steps: Vec<_> = state
            .steps()
            .filter_map(|step| step_report(state, step))
            .collect();
        let usage = state.spent().usage;
        let (status, output, failed_step, failure) = match state.outcome() {
            None => ("unfinished", None, None, None),
            Some(Outcome::Succeeded {
                output: Held::Inline(value),
            }) => ("succeeded", Some(Value::clone(value)), None, None),
            Some(Outcome::Succeeded {
                output: Held::Blob(blob),
            }) => ("succeeded", Some(blob.to_value()), None, None),
            Some(Outcome::Failed { step, failure }) => {
                ("failed", None, step.clone(), Some(failure.clone()))
            }
            Some(Outcome::Cancelled { by }) => {
                let failure = Failure::new(FailureKind::Cancelled, format!("by {by}"));
                ("cancelled", None, None, Some(failure))
            }
        };
        Self {
            run: state.run(),
            flow: state.plan().name.clone(),
            status,
            output,
            failed_step,
            failure,
            agents: state.agents().clone(),
            usage,
            steps,
        }
    }

    pub(super) fn succeeded(&self) -> bool {
        self.status == "succeeded"
    }

    /// The output on standard output, the rest on standard error.
    pub(super) fn print(&self) -> Result<(), CliError> {
        if let Some(failure) = &self.failure {
            let step = self
                .failed_step
                .as_ref()
                .map(|step| format!("step `{step}`: "))
                .unwrap_or_default();
            ui::say(format_args!(
                "{} run {} of flow `{}` failed: {step}{}",
                ui::styled(ui::BAD, "error:"),
                self.run,
                ui::safe(&self.flow),
                ui::safe(&failure.to_string())
            ));
        }
        self.output.as_ref().map_or(Ok(()), ui::value)
    }

    /// How the run stands.
    pub(super) fn status(&self) -> &'static str {
        self.status
    }

    /// What the run is pinned to, in one line.
    pub(super) fn print_agents(&self) -> Result<(), CliError> {
        let agents = self.agents.iter();
        let agents = agents.map(|(agent, digest)| format!("{agent} ({})", ui::short(digest)));
        match agents.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => Ok(()),
            agents => ui::out(format_args!("pinned to {agents}")),
        }
    }

    /// The steps with their attempts, as a table.
    pub(super) fn print_steps(&self) -> Result<(), CliError> {
        let rows: Vec<_> = self.steps.iter().flat_map(rows).collect();
        ui::table(
            &[
                "STEP", "AGENT", "ATTEMPT", "STATUS", "TIME", "FUEL", "MEMORY", "DETAIL",
            ],
            &rows,
        )
    }
}

fn step_report(state: &RunState, step: &StepState) -> Option<StepReport> {
    let does = match &state.plan().step(step.step).kind {
        Kind::Call(call) => match &step.skill {
            Some(skill) => format!("· {skill}"),
            None => call.to_string(),
        },
        Kind::Emit(event) => format!("emits {event}"),
        Kind::Approve(_) => "asks a person".to_owned(),
        _ if step.tally.is_some() => "items".to_owned(),
        _ => return None,
    };
    let (status, failure) = match &step.status {
        Status::Waiting => ("waiting", None),
        Status::Running => ("running", None),
        Status::Succeeded(_) => ("succeeded", None),
        Status::Failed(_, failure) => ("failed", Some(failure.clone())),
        Status::Excused(_, failure, _) => ("excused", Some(failure.clone())),
        Status::Skipped => ("skipped", None),
    };
    let usage = match &step.tally {
        Some(tally) => tally.usage,
        None => step.trail.usage(),
    };
    let agent = match &state.plan().step(step.step).kind {
        Kind::Call(call) => call.agent().or_else(|| {
            let first = step.trail.attempts.first();
            first.map(|attempt| &attempt.agent)
        }),
        _ => None,
    };
    Some(StepReport {
        step: step.path.clone(),
        agent: agent.cloned(),
        does,
        items: step.tally.as_ref().map(|tally| Items {
            succeeded: tally.succeeded,
            failed: tally.failed,
            failures: tally.failures.clone(),
        }),
        status,
        failure,
        begun: step.begun,
        usage,
        trail: without_answers(&step.trail),
    })
}

/// A trail as people and programs are told it: what the host answered is for replays only.
fn without_answers(trail: &Trail) -> Trail {
    let mut trail = trail.clone();
    for attempt in &mut trail.attempts {
        attempt.answers = None;
    }
    trail
}

/// One row an attempt; one row for a step without any.
fn rows(step: &StepReport) -> Vec<Vec<String>> {
    let row = |agent: &str, attempt: String, status: &str, usage: Option<Usage>, detail: String| {
        let shown = |show: fn(Usage) -> String| usage.map(show).unwrap_or_default();
        vec![
            step.step.to_string(),
            agent.to_string(),
            attempt,
            status.to_owned(),
            shown(|usage| ui::time(std::time::Duration::from_micros(usage.wall_us))),
            shown(|usage| ui::fuel(usage.fuel)),
            shown(|usage| ui::bytes(usage.peak_memory)),
            ui::safe(&detail).replace('\n', " "),
        ]
    };
    if let Some(items) = &step.items {
        let mut detail = format!("{} items", items.succeeded + items.failed);
        if let Some((first, failure)) = items.failures.first() {
            detail = format!(
                "{detail}, {} failed; the first, {first}: {failure}",
                items.failed
            );
        }
        let usage = Some(step.usage);
        return vec![row(&step.does, String::new(), step.status, usage, detail)];
    }
    if step.trail.attempts.is_empty() {
        let detail = match (&step.failure, step.trail.cached) {
            (Some(failure), _) => failure.to_string(),
            (None, Some(age)) => format!("from the cache, {} old", ui::time(age)),
            (None, None) => String::new(),
        };
        return vec![row(&step.does, String::new(), step.status, None, detail)];
    }
    let of_attempt = |attempt: &crate::call::Attempt| {
        let detail = match &attempt.failure {
            Some(failure) => failure.message.clone(),
            None if step.trail.fell_back_to.as_ref() == Some(&attempt.agent) => {
                format!("fallback for `{}`", step.does)
            }
            None => String::new(),
        };
        let status = attempt
            .failure
            .as_ref()
            .map_or("succeeded", |failure| failure.kind.label());
        row(
            attempt.agent.as_str(),
            attempt.number.to_string(),
            status,
            Some(attempt.usage),
            detail,
        )
    };
    step.trail.attempts.iter().map(of_attempt).collect()
}
