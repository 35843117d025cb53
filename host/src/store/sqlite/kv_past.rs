//! The past of shared state in SQLite: which changes made no present value, and forgetting the oldest of them. It never touches a
//! change that made a present value.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::kv_rules::Past;
use super::super::{KV_HISTORY, KvQuota, Result};
use super::{integer, natural};

/// Says that the change `rev` makes no present value, or no longer.
pub(super) fn outlive(
    tx: &Connection,
    past: &mut Past,
    ns: &str,
    rev: i64,
    size: u64,
) -> Result<()> {
    tx.prepare_cached("INSERT INTO kv_past (ns, rev, size) VALUES (?1, ?2, ?3)")?
        .execute(params![ns, rev, integer(size)])?;
    past.gain(size);
    Ok(())
}

/// Forgets the oldest change of a key whose newest is the `nth`, when there are too many.
pub(super) fn trim_key(
    tx: &Connection,
    past: &mut Past,
    ns: &str,
    key: &str,
    nth: i64,
) -> Result<()> {
    let last_gone = nth - integer(KV_HISTORY);
    if last_gone < 1 {
        return Ok(());
    }
    // Of the columns beside `min`, SQLite takes the values of the row that has it. The oldest may have gone with others of the
    // namespace; then there are not too many, whatever the newest is called.
    let oldest: Option<(i64, i64)> = tx
        .prepare_cached("SELECT min(rev), nth FROM kv_log WHERE ns = ?1 AND key = ?2")?
        .query_row([ns, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match oldest {
        Some((rev, nth)) if nth <= last_gone => forget(tx, past, ns, rev),
        _ => Ok(()),
    }
}

/// Forgets the oldest changes of a namespace until those that are left are within what `quota` allows.
pub(super) fn trim(tx: &Connection, past: &mut Past, ns: &str, quota: KvQuota) -> Result<()> {
    while past.over(quota) {
        let oldest: Option<i64> = tx
            .prepare_cached("SELECT rev FROM kv_past WHERE ns = ?1 ORDER BY rev LIMIT 1")?
            .query_row([ns], |row| row.get(0))
            .optional()?;
        let Some(rev) = oldest else {
            return Ok(());
        };
        forget(tx, past, ns, rev)?;
    }
    Ok(())
}

fn forget(tx: &Connection, past: &mut Past, ns: &str, rev: i64) -> Result<()> {
    let size: Option<i64> = tx
        .prepare_cached("DELETE FROM kv_past WHERE ns = ?1 AND rev = ?2 RETURNING size")?
        .query_row(params![ns, rev], |row| row.get(0))
        .optional()?;
    if let Some(size) = size {
        past.lose(natural(size)?);
        tx.prepare_cached("DELETE FROM kv_log WHERE rev = ?1")?
            .execute([rev])?;
    }
    Ok(())
}
