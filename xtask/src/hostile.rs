//! `cargo xtask hostile`: everything that means harm against one host, and a table of what was measured.
//!
//! The test decides what is right; this shows its figures, and puts them into `host/SECURITY.md` when asked to. They come as lines of
//! JSON in a file, so that a host that dies half-way still says of what.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::measured;
use crate::step::{announce, step};
use crate::suite;
use crate::wasm_target;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this case
    #[arg(long, value_name = "NAME", conflicts_with = "write")]
    only: Option<String>,
    /// Also put the table into host/SECURITY.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    wasm_target::ensure()?;
    workspace.build_test_guests()?;
    suite::build_tests(&workspace)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("hostile.jsonl");
    announce("the hostile corpus, one case after the other")?;
    let tested = test(&workspace, args, &path);
    child::check_interrupt()?;
    let report = Report::read(&path);
    let report = match (report, tested) {
        (Ok(report), tested) => {
            print!("{}", report.text());
            tested?;
            report
        }
        // The test has said why it came to nothing.
        (Err(_), Err(error)) => return Err(error),
        (Err(error), Ok(())) => return Err(error),
    };
    report.check()?;
    if args.write {
        let path = workspace.root().join("host/SECURITY.md");
        step("the table in host/SECURITY.md", || {
            measured::write(&path, "hostile", &report.markdown()).map(|()| "written")
        })?;
    }
    Ok(())
}

/// Runs the test; what it prints itself would be the same figures again, so it is shown only when a claim was broken.
fn test(workspace: &Workspace, args: &Args, report: &Path) -> Result<()> {
    let mut command = cargo::cargo();
    command
        .current_dir(workspace.root())
        .args(["test", "--workspace", "--quiet", "--test", "hostile"])
        .env("KENNEL_HOSTILE_REPORT", report)
        .env_remove("KENNEL_HOSTILE_ONLY");
    if let Some(only) = &args.only {
        command.env("KENNEL_HOSTILE_ONLY", only);
    }
    child::run(&mut command)
}

/// What the test has written.
#[derive(Default)]
struct Report {
    begin: Option<Process>,
    quiet: Option<Quiet>,
    cases: Vec<Case>,
    /// The case that struck last.
    strikes: Option<String>,
    end: Option<End>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Begin(Process),
    Quiet(Quiet),
    Strikes(String),
    Case(Case),
    End(End),
}

#[derive(Deserialize)]
struct Process {
    pid: u32,
    cases: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Quiet {
    p99_ms: f64,
    most_ms: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Case {
    name: String,
    does: String,
    expected: String,
    outcome: String,
    note: String,
    strikes: u32,
    took_ms: f64,
    within_ms: f64,
    grown_mib: f64,
    grows_mib: f64,
    p99_ms: f64,
    stretch: f64,
    broken: Vec<String>,
}

#[derive(Deserialize)]
struct End {
    pid: u32,
    before: Held,
    after: Held,
}

#[derive(Deserialize)]
struct Held {
    mib: u64,
    files: u64,
    threads: u64,
}

impl Report {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).context("the test wrote no report")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut report = Self::default();
        for line in text.lines() {
            match serde_json::from_str(line).context("cannot read the test's report")? {
                Line::Begin(begin) => report.begin = Some(begin),
                Line::Quiet(quiet) => report.quiet = Some(quiet),
                Line::Strikes(name) => report.strikes = Some(name),
                Line::Case(case) => report.cases.push(case),
                Line::End(end) => report.end = Some(end),
            }
        }
        Ok(report)
    }

    /// Whether one process lived through all of it, and every claim held.
    fn check(&self) -> Result<()> {
        let begin = self.begin.as_ref().context("the report has no beginning")?;
        let last = self.strikes.as_deref().unwrap_or("the first case");
        let Some(end) = &self.end else {
            bail!("the host did not live through `{last}`");
        };
        if begin.pid != end.pid || begin.cases != self.cases.len() {
            bail!("the report is not of one whole run");
        }
        let broken = self.cases.iter().filter(|case| !case.broken.is_empty());
        match broken.count() {
            0 => Ok(()),
            count => bail!("{count} of {} cases broke a claim", self.cases.len()),
        }
    }

    /// For a terminal.
    fn text(&self) -> String {
        let head = [
            "case",
            "ended as",
            "time",
            "memory",
            "neighbour p99",
            "verdict",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.cases.iter().map(|case| {
            [
                case.name.clone(),
                case.ended(),
                case.time(),
                case.memory(),
                format!("{} ms", figure(case.p99_ms)),
                case.verdict().to_owned(),
            ]
        }));
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..head.len()).map(width).collect();
        let mut text = String::new();
        for (at, row) in rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let right = at > 0 && matches!(column, 2..=4);
                let _ = match right {
                    true => write!(text, "{cell:>width$}  "),
                    false => write!(text, "{cell:<width$}  "),
                };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
            let broken = at.checked_sub(1).and_then(|case| self.cases.get(case));
            for broken in broken.iter().flat_map(|case| &case.broken) {
                let _ = writeln!(text, "    {broken}");
            }
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    /// For a document.
    fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.summary());
        text += "| case | what it does | what has to become of it | time | memory | neighbour p99 |\n|---|---|---|--:|--:|--:|\n";
        for case in &self.cases {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} ms |",
                case.name,
                case.does,
                case.expected,
                case.time(),
                case.memory(),
                figure(case.p99_ms)
            );
        }
        text
    }

    fn summary(&self) -> String {
        let held = self.cases.iter().filter(|case| case.broken.is_empty());
        let (held, strikes) = (
            held.count(),
            self.cases.iter().map(|case| u64::from(case.strikes)),
        );
        let mut text = format!(
            "{held} of {} cases held, in {} strikes on one process.",
            self.cases.len(),
            strikes.sum::<u64>()
        );
        if let Some(Quiet { p99_ms, most_ms }) = self.quiet {
            let _ = write!(
                text,
                " The neighbour's p99 is {} ms when all is quiet, and may become {} ms.",
                figure(p99_ms),
                figure(most_ms)
            );
        }
        let stretch = self
            .cases
            .iter()
            .map(|case| case.stretch)
            .fold(1.0, f64::max);
        if stretch > 1.0 {
            let _ = write!(
                text,
                " Bounds on time are for a machine without other work; what other processes took of this one stretched them {} times at worst.",
                figure(stretch)
            );
        }
        if let Some(End { before, after, .. }) = &self.end {
            let _ = write!(
                text,
                " The process held {} MiB, {} files and {} threads before the first case, and {} MiB, {} files and {} threads after the last.",
                before.mib, before.files, before.threads, after.mib, after.files, after.threads
            );
        }
        text
    }
}

impl Case {
    fn ended(&self) -> String {
        match self.note.is_empty() || self.outcome != "held" {
            true => self.outcome.clone(),
            false => format!("held: {}", cut(&self.note)),
        }
    }

    fn time(&self) -> String {
        format!("{} of {} ms", figure(self.took_ms), figure(self.within_ms))
    }

    fn memory(&self) -> String {
        format!("{:.1} of {:.0} MiB", self.grown_mib, self.grows_mib)
    }

    fn verdict(&self) -> &'static str {
        match self.broken.is_empty() {
            true => "held",
            false => "BROKEN",
        }
    }
}

/// As much of a note as a line of the table has room for.
fn cut(note: &str) -> String {
    const ROOM: usize = 36;
    match note.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", &note[..end]),
        None => note.to_owned(),
    }
}

/// Three figures are as many as mean something here.
fn figure(number: f64) -> String {
    match number {
        number if number < 9.95 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"begin":{"pid":7,"cases":1}}
{"quiet":{"p99-ms":2.04,"most-ms":100.0}}
{"strikes":"spin"}
"#;
    const END: &str = r#"{"end":{"pid":7,"before":{"mib":60,"files":40,"threads":5},"after":{"mib":61,"files":40,"threads":5}}}"#;

    fn case(broken: &str) -> String {
        format!(
            r#"{{"case":{{"name":"spin","does":"loops for ever","expected":"out-of-fuel","outcome":"out-of-fuel","note":"","strikes":3,"took-ms":86.14,"within-ms":4000,"grown-mib":0.04,"grows-mib":8,"calls":12,"p99-ms":2.31,"stretch":1.25,"broken":[{broken}]}}}}
"#
        )
    }

    fn report(text: &str) -> Report {
        Report::parse(text).expect("it is a report")
    }

    #[test]
    fn a_whole_report_becomes_a_table_for_people_and_one_for_documents() {
        let report = report(&format!("{BEGIN}{}{END}", case("")));
        report.check().expect("every claim held");
        let text = report.text();
        assert!(
            text.contains(
                "\nspin  out-of-fuel  86 of 4000 ms  0.0 of 8 MiB         2.3 ms  held\n"
            ),
            "{text}"
        );
        let markdown = report.markdown();
        assert!(
            markdown.contains(
                "| `spin` | loops for ever | out-of-fuel | 86 of 4000 ms | 0.0 of 8 MiB | 2.3 ms |"
            ),
            "{markdown}"
        );
        assert!(
            markdown.starts_with("1 of 1 cases held, in 3 strikes"),
            "{markdown}"
        );
    }

    #[test]
    fn a_host_that_died_and_a_claim_that_was_broken_are_failures() {
        for (text, reason) in [
            (BEGIN.to_owned(), "did not live through `spin`"),
            (format!("{BEGIN}{END}"), "not of one whole run"),
            (
                format!("{BEGIN}{}{}", case(""), END.replace('7', "8")),
                "not of one whole run",
            ),
            (
                format!("{BEGIN}{}{END}", case(r#""it took 9 s""#)),
                "1 of 1 cases broke",
            ),
        ] {
            let error = report(&text).check().expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
        let shown = report(&format!("{BEGIN}{}{END}", case(r#""it took 9 s""#))).text();
        assert!(shown.contains("BROKEN\n    it took 9 s\n"), "{shown}");
    }
}
