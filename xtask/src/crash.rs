//! `cargo xtask crash`: builds what is needed, runs the crash programme, and prints the table of what was measured.
//!
//! The programme itself is `tests/crash`, which is also part of every test run; here it may take longer.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::measured;
use crate::step::announce;
use crate::suite;

/// Where the table stands.
const PAGE: &str = "host/SECURITY.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// About how long it may take; the rest is built first
    #[arg(long, value_name = "N", default_value_t = 75)]
    seconds: u64,
    /// Take every position, however long it takes
    #[arg(long, conflicts_with = "seconds")]
    all: bool,
    /// Only this position, such as `serve/eio/42`: a workload, a fault, and the number of the operation; all of them without a number
    #[arg(long, value_name = "POSITION", conflicts_with_all = ["seconds", "all", "write"])]
    only: Option<String>,
    /// Put the table into host/SECURITY.md
    #[arg(long)]
    write: bool,
}

/// What one part of the programme has measured, as it writes it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    what: String,
    fault: String,
    tried: u64,
    of: Option<u64>,
    injected: u64,
    restarts: u64,
    slowest_ms: Option<u64>,
    failed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    suite::build(&workspace)?;
    let rows = tempfile::NamedTempFile::new().context("no file for what is measured")?;
    let mut command = cargo::cargo();
    command
        .current_dir(workspace.root())
        .args(["test", "--workspace", "--test", "crash", "--"])
        .args(["--nocapture", "--test-threads=1"])
        .env("KENNEL_CRASH_ROWS", rows.path())
        .env_remove("KENNEL_CRASH_ONLY")
        .env("KENNEL_CRASH_SECONDS", args.seconds.to_string());
    if let Some(only) = &args.only {
        command.env("KENNEL_CRASH_ONLY", only).arg("matrix::");
    }
    if args.all {
        command.env("KENNEL_CRASH_ALL", "1");
    }
    announce("the crash programme")?;
    let outcome = child::run(&mut command);
    let measured = fs::read_to_string(rows.path()).context("what was measured cannot be read")?;
    let table = table(&measured)?;
    println!("{table}");
    outcome?;
    if args.write {
        measured::write(&workspace.root().join(PAGE), "crash", &table)?;
    }
    Ok(())
}

/// The table in Markdown, which reads well in a terminal too.
fn table(measured: &str) -> Result<String> {
    let mut table = String::from(
        "| work | fault | positions | faults | restarts | slowest recovery | verdict |\n|---|---|---|---|---|---|---|\n",
    );
    for line in measured.lines() {
        let row: Row = serde_json::from_str(line).with_context(|| format!("read `{line}`"))?;
        let of = row.of.map(|of| format!(" of {of}")).unwrap_or_default();
        let slowest = row.slowest_ms.map(|ms| format!("{ms} ms"));
        let verdict = match row.failed {
            0 => "holds".to_owned(),
            failed => format!("**{failed} failed**"),
        };
        writeln!(
            table,
            "| {} | {} | {}{of} | {} | {} | {} | {verdict} |",
            row.what,
            row.fault,
            row.tried,
            row.injected,
            row.restarts,
            slowest.unwrap_or_default()
        )?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_tried_and_what_failed() {
        let row = |failed| {
            format!(
                r#"{{"what":"serve","fault":"eio","tried":4,"of":9,"injected":5,"restarts":6,"slowest-ms":70,"failed":{failed}}}"#
            )
        };
        let holds = table(&row(0)).expect("a table");
        assert!(
            holds.ends_with("| serve | eio | 4 of 9 | 5 | 6 | 70 ms | holds |\n"),
            "{holds}"
        );
        assert!(table(&row(2)).expect("a table").contains("**2 failed**"));
        assert!(table("{}").is_err());
    }
}
