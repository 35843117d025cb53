//! Starting again changes nothing: whoever is started and killed at once, ten times over, leaves what was there, or work that still ends
//! once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Kennel, Random, Running, seed};
use crate::nemesis::{self, Seen};
use crate::oracle::Books;
use crate::programme::{RECOVERS, Row, alone};
use crate::workloads::{self, Workload};

/// Restarts in one store.
const TIMES: u64 = 10;
/// A position is drawn no more often than that until one is in the middle of the work; a third of them are.
const MOST_TRIED: u32 = 200;
/// Far beyond the last operation: with it they are only counted.
const NEVER: u64 = u64::MAX;

#[test]
fn a_store_with_nothing_left_to_do_is_the_same_after_ten_restarts_that_are_killed() {
    let _alone = alone();
    let mut random = Random::of(seed());
    let kennel = workloads::settled();
    let quiet = kennel.run(["runs", "list"]).exits(0).took;
    let before = everything(&kennel);
    let rows = |table: &str| before.get(table).map_or(0, Vec::len);
    assert!(
        rows("events") > 20 && rows("kv_log") > 5 && rows("files") > 0,
        "there is something to compare: {before:#?}"
    );
    let mut killed = 0;
    for restart in 1..=TIMES {
        // Who serves is there to stay; the others have ended soon.
        for (args, within) in [
            (&["runs", "resume"][..], 2 * quiet),
            (&["run", "watch.yaml", "--json"], 8 * quiet),
            (&["runs", "list"], 2 * quiet),
        ] {
            killed += killed_soon(&mut random, kennel.start(args), within);
            let when = format!("restart {restart}, {args:?}");
            same(&before, &everything(&kennel), &when);
        }
    }
    assert!(killed >= TIMES, "only {killed} were killed");
    kennel
        .run(["runs", "resume"])
        .exits(0)
        .says("no unfinished runs");
    same(&before, &everything(&kennel), "and one that is not killed");
    Books::open(&kennel).expect("it is there").are_right();
    Row {
        what: "resume, serve, list with nothing to do".into(),
        fault: "restart ×10".into(),
        tried: (3 * TIMES, None),
        injected: killed,
        restarts: 3 * TIMES,
        slowest: None,
        failed: 0,
    }
    .keep();
}

#[test]
fn unfinished_work_ends_once_after_each_of_ten_restarts_that_are_killed() {
    let _alone = alone();
    let seed = seed();
    let workloads = workloads::all();
    let mut row = Row {
        what: "each of them, unfinished".into(),
        fault: "restart ×10".into(),
        tried: (0, None),
        injected: 0,
        restarts: 0,
        slowest: None,
        failed: 0,
    };
    let came = std::thread::scope(|scope| {
        let trials = workloads.iter().zip(0..).map(|(workload, nth)| {
            let random = Random::apart(seed, nth);
            scope.spawn(move || restarted(workload, random))
        });
        let trials: Vec<_> = trials.collect();
        let ended = trials.into_iter().map(|trial| trial.join());
        let came = ended.map(|came| came.unwrap_or_else(|why| std::panic::resume_unwind(why)));
        came.collect::<Vec<_>>()
    });
    let mut unfinished = 0;
    for (killed, left, slowest) in came {
        unfinished += left;
        row.tried.0 += TIMES;
        row.injected += killed;
        row.restarts += 2 * TIMES;
        row.slowest = row.slowest.max(Some(slowest));
    }
    // With each of them at least the first.
    assert!(
        unfinished > TIMES,
        "only {unfinished} restarts had something to do"
    );
    row.keep();
}

/// Cuts the work off half-way, restarts it ten times and kills it each time; and each time it could be gone on with. How many were
/// killed, how many had something to do, and the slowest recovery.
#[track_caller]
fn restarted(workload: &Workload, mut random: Random) -> (u64, u64, Duration) {
    let (kennel, seen) = half_done(workload, &mut random);
    let (mut killed, mut slowest) = (0, Duration::ZERO);
    let mut unfinished = 0;
    for restart in 1..=TIMES {
        let left = !Books::open(&kennel).is_some_and(|books| workload.is_done(&books));
        unfinished += u64::from(left);
        // Fast enough that something is left for the next.
        let soon = Duration::from_millis(15 + 2 * restart);
        killed += killed_soon(&mut random, workload.restart(&kennel, &seen), soon);
        let other = kennel.twin();
        let took = workload.recover(&other, &seen).within(RECOVERS);
        slowest = slowest.max(took);
        workload.judge(&other, &seen, 1 + restart);
    }
    println!(
        "{}: {unfinished} restarts found something left",
        workload.name
    );
    (killed, unfinished, slowest)
}

/// A kennel in which the work was killed somewhere in its middle.
#[track_caller]
fn half_done(workload: &Workload, random: &mut Random) -> (Kennel, Seen) {
    let run = |kennel: &Kennel, at: u64| {
        let mut options = workload.options();
        options.extend(["fault=kill-after".to_owned(), format!("at={at}")]);
        nemesis::run(kennel, &options, workload.args)
    };
    let all = run(&workload.prepared(), NEVER).positions;
    for _ in 0..MOST_TRIED {
        let kennel = workload.prepared();
        let seen = run(&kennel, random.to(all));
        // It may have needed fewer operations this time, or have come further with them.
        let is_half = |books: &Books| books.events() > 0 && !workload.is_done(books);
        if seen.output.code == 128 + 9 && Books::open(&kennel).is_some_and(|books| is_half(&books))
        {
            return (kennel, seen);
        }
    }
    panic!("{}: nothing is left in its middle", workload.name);
}

/// Kills what was started at a random moment before that time is over; 1 when it had not ended before.
fn killed_soon(random: &mut Random, mut running: Running, soon: Duration) -> u64 {
    running.wait_for(random.below(soon));
    u64::from(running.kill().code == 128 + 9)
}

/// Every row of every table, and every blob that is a file, as text.
fn everything(kennel: &Kennel) -> BTreeMap<String, Vec<String>> {
    let mut all = Books::open(kennel).expect("it is there").everything();
    let mut files = Vec::new();
    list(&kennel.state().join("blobs"), &mut files);
    files.sort();
    all.insert("files".into(), files);
    all
}

fn list(dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, files);
        } else {
            let bytes = fs::read(&path).expect("read");
            files.push(format!("{} {bytes:?}", path.display()));
        }
    }
}

#[track_caller]
fn same(before: &BTreeMap<String, Vec<String>>, now: &BTreeMap<String, Vec<String>>, when: &str) {
    assert!(before.keys().eq(now.keys()), "{when}: other tables");
    for (table, before) in before {
        let now = &now[table];
        let lacks: Vec<_> = before.iter().filter(|row| !now.contains(row)).collect();
        let more: Vec<_> = now.iter().filter(|row| !before.contains(row)).collect();
        assert!(
            before == now,
            "{when}: in {table} there is no more {lacks:?}, and there is {more:?}"
        );
    }
}
