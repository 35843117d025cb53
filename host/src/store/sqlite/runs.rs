//! The list of runs in SQLite: one row for each run, kept in the transaction of the records it is derived from. Never the truth.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::super::projection::Change;
use super::super::{Result, RunOutcome, RunSummary, StoreError};
use super::integer;
use crate::id::RunId;

/// Makes one record's change to the list of runs.
pub(super) fn project(tx: &Connection, run: &str, at: &str, change: &Change) -> Result<()> {
    match change {
        Change::Started(flow) => tx
            .prepare_cached(
                "INSERT OR REPLACE INTO runs (run, flow, started, updated) VALUES (?1, ?2, ?3, ?3)",
            )?
            .execute([run, flow, at])?,
        Change::Finished(outcome) => tx
            .prepare_cached("UPDATE runs SET updated = ?2, outcome = ?3 WHERE run = ?1")?
            .execute([run, at, outcome_text(*outcome)])?,
        Change::Touched => tx
            .prepare_cached("UPDATE runs SET updated = ?2 WHERE run = ?1")?
            .execute([run, at])?,
    };
    Ok(())
}

fn outcome_text(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Succeeded => "succeeded",
        RunOutcome::Failed => "failed",
        RunOutcome::Cancelled => "cancelled",
    }
}

/// Runs, newest first, older than `before`.
pub(super) fn list(
    db: &Connection,
    before: Option<RunId>,
    limit: usize,
) -> Result<Vec<RunSummary>> {
    // `~` sorts after every letter of an id.
    let mut statement = db.prepare_cached(
        "SELECT run, flow, started, updated, outcome FROM runs WHERE run < ifnull(?1, '~') ORDER BY run DESC LIMIT ?2",
    )?;
    let before = before.map(|run| run.to_string());
    let mut rows = statement.query(params![before, integer(limit as u64)])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(summary(row)?);
    }
    Ok(runs)
}

fn summary(row: &Row<'_>) -> Result<RunSummary> {
    let run: String = row.get(0)?;
    let odd = |what: &str| {
        StoreError::Damaged(format!(
            "run {run} in the list of runs: its {what} cannot be read"
        ))
    };
    let time = |column, what| -> Result<Timestamp> {
        row.get::<_, String>(column)?.parse().map_err(|_| odd(what))
    };
    let outcome = match row.get::<_, Option<String>>(4)?.as_deref() {
        None => None,
        Some("succeeded") => Some(RunOutcome::Succeeded),
        Some("failed") => Some(RunOutcome::Failed),
        Some("cancelled") => Some(RunOutcome::Cancelled),
        Some(_) => return Err(odd("outcome")),
    };
    Ok(RunSummary {
        run: run.parse().map_err(|_| odd("id"))?,
        flow: row.get(1)?,
        started: time(2, "start")?,
        updated: time(3, "last change")?,
        outcome,
    })
}
