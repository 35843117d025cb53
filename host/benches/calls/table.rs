//! The table at the end: what criterion measured, read back from its files and put into proportion.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value;

/// Where criterion keeps what it measured: `target/criterion`.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion")
}

/// One line: what it says, its unit, its value, and what it should be.
type Line = (&'static str, &'static str, Option<f64>, &'static str);

/// Prints each line for which everything was measured after `began`: from criterion's medians, and from the fastest tenth of its
/// samples, which says more on a machine that does other things meanwhile.
pub(crate) fn print(began: SystemTime) {
    let medians = lines(|row| median(row, began));
    let undisturbed = lines(|row| fastest_tenth(row, began));
    let measured = medians.into_iter().zip(undisturbed);
    let measured = measured.filter_map(|((what, unit, median, goal), (_, _, quickest, _))| {
        Some((what, unit, median?, quickest?, goal))
    });
    for (at, (what, unit, median, quickest, goal)) in measured.enumerate() {
        if at == 0 {
            println!("\n{:42} {:>10} {:>10}    goal", "", "median", "quickest");
        }
        println!("{what:42} {median:>10.2} {quickest:>10.2} {unit:2} {goal}");
    }
}

/// The lines, from the microseconds of each row.
fn lines(us: impl Fn(&str) -> Option<f64>) -> Vec<Line> {
    let ratio = |over, under| Some(us(over)? / us(under)?);
    // What runs at once has the two workers of the runtime, so its calls take half as long together.
    let beyond = |run, calls: f64| Some(us(run)? - calls * us("echo/sandbox")?);
    vec![
        ("raw wasmtime call", "µs", us("echo/raw"), ""),
        ("sandbox / raw", "×", ratio("echo/sandbox", "echo/raw"), ""),
        (
            "policy stack / raw",
            "×",
            ratio("echo/stack", "echo/raw"),
            "≤ 1.5",
        ),
        ("Rust agent: raw wasmtime call", "µs", us("rust/raw"), ""),
        (
            "Rust agent: sandbox / raw",
            "×",
            ratio("rust/sandbox", "rust/raw"),
            "",
        ),
        (
            "Rust agent: policy stack / raw",
            "×",
            ratio("rust/stack", "rust/raw"),
            "≤ 1.5",
        ),
        ("answer from the cache", "µs", us("cache/hit"), ""),
        ("call and keep in the cache", "µs", us("cache/miss"), ""),
        (
            "two threads / one",
            "×",
            ratio("threads/one", "threads/two"),
            "≥ 1.8",
        ),
        (
            "4 steps beyond their calls, memory",
            "µs",
            beyond("flow/sequence-memory", 4.0),
            "≤ 100",
        ),
        (
            "the same with expressions",
            "µs",
            beyond("flow/expressions-memory", 4.0),
            "",
        ),
        (
            "4 steps beyond their calls, SQLite",
            "µs",
            beyond("flow/sequence-sqlite", 4.0),
            "",
        ),
        (
            "100 steps beyond their calls, memory",
            "µs",
            beyond("flow/fan-out-memory", 50.0),
            "≤ 2000",
        ),
        (
            "100 steps beyond their calls, SQLite",
            "µs",
            beyond("flow/fan-out-sqlite", 50.0),
            "",
        ),
        (
            "3 × 100 items beyond their calls, memory",
            "µs",
            beyond("flow/pipeline-memory", 150.0),
            "",
        ),
        (
            "3 × 100 items beyond their calls, SQLite",
            "µs",
            beyond("flow/pipeline-sqlite", 150.0),
            "",
        ),
        (
            "100 plugins from a warm cache",
            "µs",
            us("load/hundred-plugins"),
            "≤ 100000",
        ),
    ]
}

/// The median of a row in microseconds.
fn median(row: &str, began: SystemTime) -> Option<f64> {
    let estimates = read(row, "estimates.json", began)?;
    Some(estimates.get("median")?.get("point_estimate")?.as_f64()? / 1_000.0)
}

/// What nine of ten samples of a row are slower than, in microseconds for one iteration.
fn fastest_tenth(row: &str, began: SystemTime) -> Option<f64> {
    let sample = read(row, "sample.json", began)?;
    let times = sample.get("times")?.as_array()?.iter();
    let iterations = sample.get("iters")?.as_array()?;
    let each = times.zip(iterations);
    let mut each: Vec<_> = each
        .filter_map(|(time, iterations)| Some(time.as_f64()? / iterations.as_f64()? / 1_000.0))
        .collect();
    each.sort_by(f64::total_cmp);
    each.get(each.len() / 10).copied()
}

/// A file of a row, unless it is older than `began`.
fn read(row: &str, file: &str, began: SystemTime) -> Option<Value> {
    let path = directory().join(row).join("new").join(file);
    if path.metadata().ok()?.modified().ok()? < began {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
