//! The report as Markdown. It rounds and words what has been counted; it counts nothing itself.

use std::collections::BTreeMap;

use tabular::markdown::{plain, table};
use tabular::number::grouped;

use crate::check::Check;
use crate::{Line, Totals};

/// A table of values longer than this shows the largest ones.
const MOST_LINES: usize = 24;

/// Writes the report.
pub(crate) fn write(totals: &Totals, checks: &[Check]) -> String {
    let account = &totals.account;
    let mut out = String::from("# Orders\n\n");
    let failed = checks.iter().filter(|check| !check.holds).count();
    if failed > 0 {
        out.push_str(&format!(
            "**{failed} of {} checks failed: do not rely on these numbers.** They stand at the end.\n\n",
            checks.len()
        ));
    }
    out.push_str(&format!(
        "{} rows were read in {} chunks; {} ({}) were kept. They come to {} € from about {} customers.\n\n",
        count(account.read),
        count(totals.chunks),
        count(account.kept),
        share(account.kept as f64 / account.read as f64),
        grouped(totals.amount_eur, 2),
        count(totals.customers),
    ));
    if let Some((low, high)) = totals.range_eur {
        let mean = totals.amount_eur / account.kept as f64;
        out.push_str(&format!(
            "An order is worth between {} € and {} €, {} € on average.\n\n",
            grouped(low, 2),
            grouped(high, 2),
            grouped(mean, 2)
        ));
    }
    out.push_str("## What became of the rows\n\n");
    let mut fates = vec![fate("kept", account.kept, account.read)];
    fates.push(fate("duplicates", account.duplicates, account.read));
    let dropped = account.dropped.iter();
    fates.extend(
        dropped.map(|(reason, &n)| fate(&format!("dropped: {}", plain(reason)), n, account.read)),
    );
    fates.push(fate("**read**", account.read, account.read));
    out.push_str(&table(&["rows", "number", "share"], fates));
    if !account.repaired.is_empty() {
        let repairs = account.repaired.iter();
        let repairs: Vec<String> = repairs
            .map(|(what, &n)| format!("{} {}", count(n), plain(what)))
            .collect();
        out.push_str(&format!("\nPut right: {}.\n", repairs.join(", ")));
    }
    for (column, values) in &totals.by {
        out.push_str(&format!("\n## By {}\n\n", plain(&column.replace('_', " "))));
        out.push_str(&lines(column, values));
    }
    out.push_str("\n## Checks\n\n");
    for check in checks {
        let sign = if check.holds { "✓" } else { "✗" };
        out.push_str(&format!(
            "- {sign} {}: {}\n",
            plain(&check.check),
            check.numbers
        ));
    }
    out
}

fn fate(name: &str, n: u64, read: u64) -> Vec<String> {
    vec![name.to_owned(), count(n), share(n as f64 / read as f64)]
}

fn lines(column: &str, values: &BTreeMap<String, Line>) -> String {
    let mut lines: Vec<(&String, &Line)> = values.iter().collect();
    if column != "month" || lines.len() > MOST_LINES {
        lines.sort_by(|a, b| b.1.amount_eur.total_cmp(&a.1.amount_eur).then(a.0.cmp(b.0)));
    }
    let left = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let rows = lines.into_iter().map(|(value, line)| {
        vec![
            plain(value),
            count(line.rows),
            grouped(line.amount_eur, 2),
            share(line.share),
        ]
    });
    let mut out = table(&["", "orders", "€", "share"], rows);
    if left > 0 {
        out.push_str(&format!("\n{left} smaller ones are left out.\n"));
    }
    out
}

fn count(n: u64) -> String {
    grouped(n as f64, 0)
}

/// A share in per cent; of nothing it is nothing.
fn share(share: f64) -> String {
    let share = if share.is_finite() { share } else { 0.0 };
    format!("{:.2} %", share * 100.0)
}
