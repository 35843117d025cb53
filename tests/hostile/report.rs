//! What was measured, as lines of JSON in the file that `KENNEL_HOSTILE_REPORT` names, for whoever prints or publishes it, and as text.
//!
//! A case is in the file before it begins: when this process dies of one, the file says of which.

use std::fs::File;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::case::Case;
use crate::measure::Held;

/// Where to.
pub(crate) struct Report {
    file: Option<File>,
}

/// One case, measured.
pub(crate) struct Row {
    pub(crate) outcome: String,
    pub(crate) note: String,
    pub(crate) strikes: u32,
    pub(crate) took_ms: f64,
    pub(crate) grown_mib: f64,
    pub(crate) calls: usize,
    pub(crate) p99_ms: f64,
    /// By how much the bounds on time were stretched.
    pub(crate) stretch: f64,
    /// Whether the neighbour was served too late.
    pub(crate) late: bool,
    /// Every claim that was broken.
    pub(crate) broken: Vec<String>,
}

impl Row {
    /// Whether nothing else is wrong.
    pub(crate) fn is_only_late(&self) -> bool {
        self.late && self.broken.len() == 1
    }
}

impl Report {
    pub(crate) fn open(cases: usize) -> Self {
        let path = std::env::var_os("KENNEL_HOSTILE_REPORT");
        let file = path.map(|path| File::create(path).expect("the report can be written"));
        let mut report = Self { file };
        report.line(&json!({ "begin": { "pid": std::process::id(), "cases": cases } }));
        report
    }

    pub(crate) fn quiet(&mut self, p99_ms: f64, most_ms: f64) {
        println!("quiet: the neighbour's p99 is {p99_ms:.1} ms, and may become {most_ms:.1} ms");
        self.line(&json!({ "quiet": { "p99-ms": p99_ms, "most-ms": most_ms } }));
    }

    pub(crate) fn begins(&mut self, case: &Case) {
        self.line(&json!({ "strikes": case.name }));
    }

    pub(crate) fn ended(&mut self, case: &Case, row: &Row) {
        let Row {
            outcome,
            note,
            strikes,
            took_ms,
            grown_mib,
            calls,
            p99_ms,
            stretch,
            late: _,
            broken,
        } = row;
        let verdict = if broken.is_empty() { "held" } else { "BROKEN" };
        println!(
            "{:<20} {verdict:<6} {outcome:<18} {took_ms:>9.1} ms {grown_mib:>6.1} MiB {p99_ms:>6.1} ms of {calls} calls, {strikes} strikes, stretched {stretch:.1}; {note}",
            case.name
        );
        for broken in broken {
            println!("    {broken}");
        }
        self.line(&json!({ "case": {
            "name": case.name,
            "does": case.does,
            "expected": case.expect.shown(),
            "outcome": outcome,
            "note": note,
            "strikes": strikes,
            "took-ms": took_ms,
            "within-ms": case.within.as_millis() as u64,
            "grown-mib": grown_mib,
            "grows-mib": case.grows,
            "calls": calls,
            "p99-ms": p99_ms,
            "stretch": stretch,
            "broken": broken,
        } }));
    }

    pub(crate) fn end(&mut self, before: &Held, after: &Held) {
        let held = |held: &Held| json!({ "mib": held.rss >> 20, "files": held.files, "threads": held.threads });
        println!("before {before:?}, after {after:?}");
        self.line(&json!({ "end": { "pid": std::process::id(), "before": held(before), "after": held(after) } }));
    }

    fn line(&mut self, line: &Value) {
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}").expect("the report can be written");
        }
    }
}
