//! The items of pipelines on a terminal: a line for each stage, not for each item, and how many went through in a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use indicatif::ProgressBar;
use parking_lot::Mutex;

use super::ui;
use crate::call::{Trail, Usage};
use crate::id::StepPath;
use crate::plan::{Kind, Plan, StageMode};
use crate::record::Event;

/// The stages of a plan whose items stream.
#[derive(Default)]
pub(super) struct Stages {
    ids: BTreeSet<String>,
    seen: Mutex<BTreeMap<String, Stage>>,
}

struct Stage {
    bar: ProgressBar,
    since: Instant,
    last: Instant,
    under_way: usize,
    done: usize,
    failed: usize,
    usage: Usage,
    first_failure: Option<String>,
}

impl Stages {
    /// Those of `plan`.
    pub(super) fn of(plan: &Plan) -> Self {
        let pipelines = plan.steps.iter().filter_map(|step| match &step.kind {
            Kind::Pipeline(stages) => Some(stages),
            _ => None,
        });
        let streams = pipelines
            .flatten()
            .filter(|stage| stage.mode != StageMode::Whole);
        Self {
            ids: streams
                .map(|stage| plan.step(stage.step).id.to_string())
                .collect(),
            seen: Mutex::default(),
        }
    }

    /// Counts `event` when it is about an item; whether it was.
    pub(super) fn take(&self, event: &Event, bar: impl FnOnce(String) -> ProgressBar) -> bool {
        let (path, ended) = match event {
            Event::StepStarted { step, .. } => (step, None),
            Event::StepSucceeded { step, trail, .. } => (step, Some((trail, None))),
            Event::StepFailed {
                step,
                trail,
                failure,
            } => (step, Some((trail, Some(failure)))),
            _ => return false,
        };
        let Some(name) = self.stage(path) else {
            return false;
        };
        let mut seen = self.seen.lock();
        let now = Instant::now();
        let stage = seen.entry(name.to_owned()).or_insert_with(|| Stage {
            bar: bar(name.to_owned()),
            since: now,
            last: now,
            under_way: 0,
            done: 0,
            failed: 0,
            usage: Usage::default(),
            first_failure: None,
        });
        stage.last = now;
        match ended {
            None => stage.under_way += 1,
            Some((trail, failure)) => {
                stage.ended(trail);
                if let Some(failure) = failure {
                    stage.failed += 1;
                    let first = || format!("{path}: {failure}");
                    stage.first_failure.get_or_insert_with(first);
                }
            }
        }
        stage.bar.set_message(format!(
            "{} done, {} under way",
            stage.done, stage.under_way
        ));
        true
    }

    /// A line for each stage, once nothing more happens; takes the live ones away.
    pub(super) fn end(&self) -> Vec<String> {
        let stages = std::mem::take(&mut *self.seen.lock());
        let line = |(name, stage): (String, Stage)| {
            stage.bar.finish_and_clear();
            stage.line(&name)
        };
        stages.into_iter().map(line).collect()
    }

    /// The stage whose item `path` is, or stands in: `pipe/clean[3]/x` belongs to `pipe/clean`.
    fn stage<'p>(&self, path: &'p StepPath) -> Option<&'p str> {
        let path = path.as_str();
        path.match_indices('[')
            .map(|(at, _)| &path[..at])
            .find(|name| {
                let id = name.rsplit('/').next().unwrap_or_default();
                self.ids.contains(id)
            })
    }
}

impl Stage {
    fn ended(&mut self, trail: &Trail) {
        self.under_way = self.under_way.saturating_sub(1);
        self.done += 1;
        self.usage = self.usage.plus(trail.usage());
    }

    fn line(&self, name: &str) -> String {
        let took = self.last - self.since;
        let mut facts = vec![format!("{} calls", self.done), ui::time(took)];
        if took.as_secs_f64() > 0.0 {
            facts.push(format!("{:.0}/s", self.done as f64 / took.as_secs_f64()));
        }
        facts.push(format!("{} fuel", ui::fuel(self.usage.fuel)));
        facts.push(ui::bytes(self.usage.peak_memory));
        let facts = ui::styled(ui::DIM, facts.join(" · "));
        match &self.first_failure {
            None => format!("{} {name}  {facts}", ui::styled(ui::GOOD, "✓")),
            Some(first) => format!(
                "{} {name}  {facts}; {} failed, the first {}",
                ui::styled(ui::WARN, "✗"),
                self.failed,
                ui::safe(first)
            ),
        }
    }
}
