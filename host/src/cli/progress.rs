//! Live progress of a run on standard error: a line per running step on a terminal, plain lines otherwise.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tracing::Level;

use super::stages::Stages;
use super::ui;
use crate::call::{Notice, Observer, Trail};
use crate::engine::Watch;
use crate::id::{AgentName, RunId, StepPath};
use crate::plan::Plan;
use crate::record::{Event, Record};

/// The progress of one run.
pub(super) struct Progress {
    shown: Arc<Shown>,
}

struct Shown {
    run: Option<RunId>,
    lines: MultiProgress,
    live: bool,
    /// Log lines below this level are left out.
    least: Level,
    steps: Mutex<HashMap<StepPath, (ProgressBar, Instant)>>,
    stages: Stages,
}

impl Progress {
    /// Begins to show a run.
    pub(super) fn start(plan: &Plan, run: RunId, least: Level) -> Self {
        let shown = Shown::new(least, Some(run), Stages::of(plan));
        shown.line(&format!(
            "{} {} {}",
            ui::styled(ui::BOLD, "run"),
            ui::safe(&plan.name),
            ui::styled(ui::DIM, run)
        ));
        Self {
            shown: Arc::new(shown),
        }
    }

    /// What the engine tells.
    pub(super) fn watch(&self) -> Watch {
        let (records, notices) = (self.shown.clone(), self.shown.clone());
        Watch {
            observer: Observer::new(Arc::new(move |step, agent, notice| {
                let bar = step
                    .and_then(|step| notices.steps.lock().get(step).map(|(bar, _)| bar.clone()));
                notices.notice(
                    bar.as_ref(),
                    step.map_or(agent.as_str(), StepPath::as_str),
                    &notice,
                );
            })),
            records: Some(Arc::new(move |record| records.record(record))),
        }
    }

    /// Takes the live lines away.
    pub(super) fn end(&self) {
        for (_, (bar, _)) in self.shown.steps.lock().drain() {
            bar.finish_and_clear();
        }
        for line in self.shown.stages.end() {
            self.shown.line(&line);
        }
    }
}

/// The progress of one task outside any run: a spinner, and what the agent says.
pub(super) struct TaskProgress {
    shown: Arc<Shown>,
    bar: ProgressBar,
}

impl TaskProgress {
    /// Begins to show a task of `agent`.
    pub(super) fn start(agent: &AgentName, least: Level) -> Self {
        let shown = Arc::new(Shown::new(least, None, Stages::default()));
        let bar = shown.spinner(agent.to_string());
        Self { shown, bar }
    }

    /// What the call tells.
    pub(super) fn observer(&self) -> Observer {
        let (shown, bar) = (self.shown.clone(), self.bar.clone());
        Observer::new(Arc::new(move |_, agent, notice| {
            shown.notice(Some(&bar), agent.as_str(), &notice)
        }))
    }

    /// Takes the live line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Shown {
    fn new(least: Level, run: Option<RunId>, stages: Stages) -> Self {
        let live = std::io::stderr().is_terminal();
        let target = if live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            run,
            lines: MultiProgress::with_draw_target(target),
            live,
            least,
            steps: Mutex::default(),
            stages,
        }
    }

    fn spinner(&self, name: String) -> ProgressBar {
        let bar = self.lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name);
        if self.live {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }

    fn line(&self, text: &str) {
        // `println` of the progress keeps live lines below; it swallows everything when nothing is drawn.
        if !self.live || self.lines.println(text).is_err() {
            ui::say(text);
        }
    }

    fn record(&self, record: &Record) {
        if self.stages.take(&record.event, |name| self.spinner(name)) {
            return;
        }
        match &record.event {
            Event::StepStarted { step, attempt } => self.started(step, *attempt),
            Event::StepSucceeded { step, trail, .. } => {
                self.ended(step, &ui::styled(ui::GOOD, "✓"), trail, "")
            }
            Event::StepFailed {
                step,
                failure,
                trail,
            } => {
                self.ended(
                    step,
                    &ui::styled(ui::BAD, "✗"),
                    trail,
                    &ui::safe(&failure.to_string()),
                );
            }
            Event::StepSkipped { step } => self.line(&format!(
                "{} {step} {}",
                ui::styled(ui::DIM, "-"),
                ui::styled(ui::DIM, "skipped")
            )),
            Event::EventEmitted {
                step, event_type, ..
            } => {
                let facts = format!("emitted {event_type}");
                self.ended(step, &ui::styled(ui::GOOD, "✓"), &Trail::default(), &facts);
            }
            Event::ApprovalAsked { step, message, .. } => self.line(&format!(
                "{} {step} waits for an answer: {}\n    kennel runs approve {} {step}   (or --deny)",
                ui::styled(ui::WARN, "?"),
                ui::safe(message),
                self.run.map(|run| run.to_string()).unwrap_or_default(),
            )),
            Event::ApprovalAnswered {
                step, approved, by, ..
            } => {
                let (mark, what) = match approved {
                    Some(true) => (ui::styled(ui::GOOD, "✓"), "approved by"),
                    Some(false) => (ui::styled(ui::BAD, "✗"), "denied by"),
                    None => (ui::styled(ui::BAD, "✗"), "not answered in time;"),
                };
                self.line(&format!("{mark} {step} {what} {}", ui::safe(by)));
            }
            Event::RunStarted { .. } | Event::RunFinished { .. } => {}
        }
    }

    fn started(&self, step: &StepPath, attempt: u32) {
        let again = if attempt > 1 {
            " (started again)".to_owned()
        } else {
            String::new()
        };
        let bar = self.spinner(format!("{step}{again}"));
        if !self.live {
            self.line(&format!("… {step}{again}"));
        }
        self.steps
            .lock()
            .insert(step.clone(), (bar, Instant::now()));
    }

    fn ended(&self, step: &StepPath, mark: &str, trail: &Trail, why: &str) {
        let Some((bar, begun)) = self.steps.lock().remove(step) else {
            return self.line(&format!("{mark} {step} {why}"));
        };
        bar.finish_and_clear();
        let usage = trail.usage();
        let mut facts = vec![ui::time(begun.elapsed())];
        if usage.fuel > 0 {
            facts.push(format!("{} fuel", ui::fuel(usage.fuel)));
            facts.push(ui::bytes(usage.peak_memory));
        }
        if trail.attempts.len() > 1 {
            facts.push(format!("{} attempts", trail.attempts.len()));
        }
        if trail.cached.is_some() {
            facts.push("from the cache".into());
        }
        if let Some(agent) = &trail.fell_back_to {
            facts.push(format!("fell back to {agent}"));
        }
        if let Some(agent) = &trail.degraded_to {
            facts.push(format!("degraded to {agent}"));
        }
        let facts = ui::styled(ui::DIM, facts.join(" · "));
        self.line(format!("{mark} {step}  {facts} {why}").trim_end());
    }

    fn notice(&self, bar: Option<&ProgressBar>, name: &str, notice: &Notice) {
        match notice {
            Notice::Progress(done, note) => {
                let percent = done
                    .map(|done| format!("{:.0} % ", done * 100.0))
                    .unwrap_or_default();
                if let Some(bar) = bar {
                    bar.set_message(format!("{percent}{}", ui::safe(note).replace('\n', " ")));
                }
            }
            Notice::Log(level, ..) if *level > self.least => {}
            Notice::Log(level, from, message) => {
                let from = if from.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", ui::safe(from))
                };
                let text = format!("  {name} {level} {from}{}", ui::safe(message));
                self.line(&ui::styled(ui::DIM, text));
            }
            Notice::Retry(attempt, failure, wait) => {
                let why = ui::safe(&failure.to_string());
                self.line(&format!(
                    "{} {name}  attempt {attempt} failed, next in {}: {why}",
                    ui::styled(ui::WARN, "↻"),
                    ui::time(*wait)
                ));
            }
            // The whole output comes with the record.
            Notice::Partial(_) => {}
        }
    }
}
