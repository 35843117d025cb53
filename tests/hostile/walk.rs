//! Walks the table: strikes, measures, compares, and goes on after a claim was broken, so that one walk shows all of them.

use std::time::{Duration, Instant};

use kennel::slots::Sizes;

use crate::case::Case;
use crate::host::Host;
use crate::measure::{self, Held};
use crate::neighbour::{Neighbour, Served};
use crate::report::{Report, Row};
use crate::share::Share;
use crate::table;

/// How long each case strikes at least, again and again when it is over sooner: one strike between two calls of the neighbour would
/// be no attack.
const STRIKES: Duration = Duration::from_millis(600);
/// How long the neighbour is called before anything strikes.
const QUIET: Duration = Duration::from_secs(5);
/// The slowest call of the neighbour in a hundred may take so much longer than it does when all is quiet.
const SLOWER: u32 = 5;
/// What is no harm at all, whatever the ratio: as quick as a machine can be.
const FLOOR: Duration = Duration::from_millis(10);
/// How often a case strikes whose neighbour was too late. It has about a dozen calls in one, so the slowest decides, and the kernel gives
/// a turn to somebody else now and then; what it did once it does not do each time, and what the case does it does.
const TRIES: usize = 3;
/// What is harm, whatever the ratio.
const CEILING: Duration = Duration::from_millis(250);
/// Bounds on time are those of a machine that has nothing else to do, times what the kernel says that other processes took of it, and no
/// more than that.
const MOST_STRETCHED: f64 = 10.0;
/// Bytes that may stay resident after a case: what the allocator and the engine's pool keep for the next.
const SLACK: u64 = 16 << 20;
/// Bytes that may stay resident after all of them.
const SLACK_AT_THE_END: u64 = 64 << 20;

/// As the binary makes its own, but for threads that wait for blocking work: they end soon, so that those can be counted that do not.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(Sizes::default().threads())
        .enable_all()
        .event_interval(1)
        .global_queue_interval(1)
        .max_blocking_threads(64)
        .thread_keep_alive(Duration::from_millis(200))
        .build()
        .expect("a runtime")
}

/// The claims that were broken, each with its case.
pub(crate) async fn walk() -> Vec<String> {
    let cases = asked_for(table::cases());
    let host = Host::new().await;
    let mut report = Report::open(cases.len());
    let (quiet, base) = quiet(&host).await;
    let most = (quiet * SLOWER).clamp(FLOOR, CEILING);
    report.quiet(ms(quiet), ms(most));
    let mut all = Vec::new();
    for case in &cases {
        report.begins(case);
        let mut row = walk_one(&host, case, base, most).await;
        let mut tries = 1;
        while row.is_only_late() && tries < TRIES {
            row = walk_one(&host, case, base, most).await;
            tries += 1;
        }
        report.ended(case, &row);
        all.extend(
            row.broken
                .iter()
                .map(|broken| format!("{}: {broken}", case.name)),
        );
    }
    if let Err(now) = base.comes_back(SLACK_AT_THE_END).await {
        all.push(format!(
            "at the end: {now:?}, before the first it was {base:?}"
        ));
    }
    report.end(&base, &Held::now());
    all
}

/// All, or the one that `KENNEL_HOSTILE_ONLY` names.
fn asked_for(mut cases: Vec<Case>) -> Vec<Case> {
    let Ok(name) = std::env::var("KENNEL_HOSTILE_ONLY") else {
        return cases;
    };
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    let there = names.contains(&name.as_str());
    assert!(
        there,
        "there is no case `{name}`; there are {}",
        names.join(", ")
    );
    cases.retain(|case| case.name == name);
    cases
}

/// How the neighbour fares, and what the process holds, before anything strikes.
async fn quiet(host: &Host) -> (Duration, Held) {
    host.warm_up().await;
    let neighbour = Neighbour::call(host.neighbour());
    tokio::time::sleep(QUIET).await;
    let served = neighbour.stop().await;
    assert_eq!(served.failures, Vec::<String>::new(), "nothing strikes yet");
    // By now the threads that loaded the agents have ended.
    (served.p99(), Held::now())
}

async fn walk_one(host: &Host, case: &Case, base: Held, most: Duration) -> Row {
    let before = Held::now().rss;
    let base = Held {
        rss: before,
        ..base
    };
    measure::forget_peak();
    let share = Share::now();
    let neighbour = Neighbour::call(host.neighbour());
    let begun = Instant::now();
    let mut row = Row {
        outcome: String::new(),
        note: String::new(),
        strikes: 0,
        took_ms: 0.0,
        grown_mib: 0.0,
        calls: 0,
        p99_ms: 0.0,
        stretch: 1.0,
        late: false,
        broken: Vec::new(),
    };
    while row.strikes == 0 || (begun.elapsed() < STRIKES && row.broken.is_empty()) {
        strike(host, case, &mut row).await;
    }
    let served = neighbour.stop().await;
    row.stretch = share.stretch().min(MOST_STRETCHED);
    let within = case.within.mul_f64(row.stretch);
    if row.took_ms > ms(within) {
        row.broken.push(format!(
            "a strike took {:.0} ms, {within:?} are allowed",
            row.took_ms
        ));
    }
    let grown = measure::peak().saturating_sub(before);
    row.grown_mib = mib(grown);
    if grown > case.grows << 20 {
        let broken = format!(
            "the process grew by {:.1} MiB, {} are allowed",
            mib(grown),
            case.grows
        );
        row.broken.push(broken);
    }
    judge_neighbour(&served, most.mul_f64(row.stretch), &mut row);
    if let Err(now) = base.comes_back(SLACK).await {
        let open = measure::open_files().join(", ");
        row.broken.push(format!(
            "not given back: {now:?}, before it was {base:?}; open are {open}"
        ));
    }
    row
}

async fn strike(host: &Host, case: &Case, row: &mut Row) {
    let begun = Instant::now();
    let struck = (case.strike)(host).await;
    let mut took = begun.elapsed();
    row.strikes += 1;
    match struck {
        Ok(outcome) => {
            took = outcome.took.unwrap_or(took);
            if !case.expect.fits(&outcome.end) {
                let broken = format!("it ended as {}: {}", outcome.end.shown(), outcome.note);
                row.broken.push(broken);
            }
            row.outcome = outcome.end.shown().to_owned();
            row.note = outcome.note;
        }
        Err(broken) => {
            row.outcome = "broken".to_owned();
            row.broken.push(broken);
        }
    }
    row.took_ms = row.took_ms.max(ms(took));
}

fn judge_neighbour(served: &Served, most: Duration, row: &mut Row) {
    row.calls = served.calls();
    row.p99_ms = ms(served.p99());
    if let Some(failure) = served.failures.first() {
        let (failed, of) = (served.failures.len(), served.calls());
        row.broken.push(format!(
            "{failed} of {of} calls of the neighbour failed: {failure}"
        ));
    }
    if served.p99() > most {
        row.late = true;
        row.broken.push(format!(
            "the neighbour's p99 was {:?}, {most:?} are allowed",
            served.p99()
        ));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
