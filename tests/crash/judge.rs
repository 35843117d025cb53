//! What must hold of a piece of work that went wrong and was gone on with: what was acknowledged is there, and everything was done once.

use serde_json::Value;

use crate::harness::{Kennel, Output};
use crate::nemesis::Seen;
use crate::oracle::Books;
use crate::workloads::Workload;

impl Workload {
    /// Claims that events which were acknowledged wait or have become runs: nobody would wait for those that are lost.
    #[track_caller]
    pub(crate) fn lacks_nothing(&self, kennel: &Kennel, seen: &Seen) {
        if self.name == "serve" || self.name == "emit" && is_acknowledged(seen) {
            let books = Books::open(kennel).expect("the store is there");
            let there = books.events();
            assert!(
                there >= self.runs,
                "of {} events that were acknowledged {there} are there",
                self.runs
            );
        }
    }

    /// Claims what must hold after it went wrong `times` times and was gone on with.
    #[track_caller]
    pub(crate) fn judge(&self, kennel: &Kennel, seen: &Seen, times: u64) {
        let books = Books::open(kennel).expect("the store is there");
        books.are_right();
        let runs = books.runs();
        for run in accepted(&seen.output) {
            assert!(
                runs.contains(&run),
                "run {run} was acknowledged and is lost"
            );
        }
        // Before it was acknowledged, a run that was asked for may be there or not; events were, before anything went wrong or by then.
        let may_lack = matches!(self.name, "sequential" | "fan-out");
        let least = if may_lack { 0 } else { self.runs };
        let found = runs.len() as u32;
        assert!(
            (least..=self.runs).contains(&found),
            "{found} runs where {} belong",
            self.runs
        );
        let failed = |run: &String| {
            books.one::<String>(&format!("SELECT outcome FROM runs WHERE run = '{run}'"))
                == "failed"
        };
        let failed: Vec<_> = runs.iter().filter(|run| failed(run)).collect();
        self.judge_steps(&failed, &books, &runs, u32::try_from(times).expect("few"));
        for run in &runs {
            let report = kennel.show(run);
            let blames_the_store = report["failure"]["message"]
                .as_str()
                .is_some_and(|why| why.contains("the store is unavailable"));
            assert!(
                report["status"] == "succeeded" || blames_the_store,
                "{report:#}"
            );
            let records = kennel
                .run(["runs", "show", run, "--records", "--json"])
                .exits(0);
            assert!(
                records
                    .json()
                    .as_array()
                    .is_some_and(|records| records.len() > 2)
            );
        }
    }

    /// Each step has succeeded once, and was executed no more often than it was begun.
    #[track_caller]
    fn judge_steps(&self, failed: &[&String], books: &Books, runs: &[String], times: u32) {
        let (steps, mut executed) = (books.steps(), books.executed());
        let mut more = 0;
        for (step, (begun, succeeded)) in steps {
            if step.1 == "all" || step.1.is_empty() {
                continue;
            }
            // What follows a step that was told that the store fails is not done.
            let least = u32::from(!failed.contains(&&step.0));
            assert!(
                (least..=1).contains(&succeeded),
                "{step:?} succeeded {succeeded} times"
            );
            let done = executed.remove(&step).unwrap_or(0);
            assert!(
                (succeeded..=begun).contains(&done),
                "{step:?} was begun {begun} times and executed {done} times"
            );
            assert!(
                begun <= 1 + times,
                "{step:?} was begun {begun} times after {times} faults"
            );
            more += done.saturating_sub(1);
        }
        assert!(
            executed.is_empty(),
            "done outside of a journal: {executed:?} of {runs:?}"
        );
        assert!(
            more <= times * self.width,
            "{more} executions too many after {times} faults"
        );
    }
}

/// The runs that a command has said to be accepted, to whoever started it: `run FLOW ID` on standard error before it drives one, and
/// documents on standard output that name one. Only what came out whole counts.
pub(crate) fn accepted(output: &Output) -> Vec<String> {
    let begun = output.stderr.split_inclusive('\n').filter_map(|line| {
        let words: Vec<_> = line.strip_suffix('\n')?.split_whitespace().collect();
        match words.as_slice() {
            ["run", _, id] if id.len() == 26 => Some((*id).to_owned()),
            _ => None,
        }
    });
    let whole = |text: &str| serde_json::from_str::<Value>(text).ok();
    let documents = whole(&output.stdout)
        .into_iter()
        .chain(output.stdout.lines().filter_map(whole));
    let named = documents.filter_map(|value| value["run"].as_str().map(str::to_owned));
    begun.chain(named).collect()
}

/// Whether the command has printed its result.
pub(crate) fn is_acknowledged(seen: &Seen) -> bool {
    serde_json::from_str::<Value>(&seen.output.stdout).is_ok()
}
