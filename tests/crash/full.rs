//! A full disk: new work is refused and told why, what was accepted waits, and all goes on when there is space again.

use std::fs;
use std::time::Duration;

use crate::harness::{Kennel, until};
use crate::nemesis;
use crate::oracle::Books;
use crate::programme::{RECOVERS_FROM_ERRORS, Recovery, Row, alone};
use crate::workloads::{self, Workload};

/// What the operator is told.
const SAID: &str = "disk is full";

/// Options under which everything that needs space fails while `full` is there.
fn filled(kennel: &Kennel) -> Vec<String> {
    fs::write(kennel.root().join("full"), "").expect("written");
    vec![format!("full={}", kennel.root().join("full").display())]
}

fn cleared(kennel: &Kennel) {
    fs::remove_file(kennel.root().join("full")).expect("it was there");
}

#[test]
fn on_a_full_disk_new_work_is_refused_and_what_was_accepted_goes_on_when_there_is_space() {
    let _alone = alone();
    let workload = workloads::sequential();
    let kennel = workload.prepared();
    kennel.run(workload.args).exits(0);
    let before = kennel.runs();
    let options = filled(&kennel);
    let refused = nemesis::run(&kennel, &options, workload.args);
    assert_eq!(refused.output.code, 4, "{refused}");
    assert!(
        refused.injected > 0 && refused.output.stdout.is_empty(),
        "{refused}"
    );
    assert!(
        refused.output.stderr.contains("the store is unavailable"),
        "{refused}"
    );
    assert!(!refused.output.stderr.contains("panicked"), "{refused}");
    cleared(&kennel);
    assert_eq!(
        kennel.runs(),
        before,
        "nothing is lost, and nothing was begun"
    );
    // The disk fills up while a run is at work.
    let mut slowest = Duration::ZERO;
    let (mut faults, mut restarts) = (0, 0);
    // After the run was accepted, which comes half-way: the store is made first.
    let all = nemesis::run(&workload.prepared(), &[], workload.args).positions;
    let places = [50, 60, 70, 80].map(|percent| all * percent / 100);
    // Each gives up after some seconds in which it only waits.
    let trials = std::thread::scope(|scope| {
        let workload = &workload;
        let trials = places.map(|at| scope.spawn(move || filled_from(workload, at)));
        trials.map(|trial| {
            trial
                .join()
                .unwrap_or_else(|why| std::panic::resume_unwind(why))
        })
    });
    for (injected, took) in trials {
        faults += injected;
        restarts += 1;
        slowest = slowest.max(took);
    }
    Row {
        what: "sequential".into(),
        fault: "full disk, then space".into(),
        tried: (1 + places.len() as u64, None),
        injected: refused.injected + faults,
        restarts,
        slowest: Some(slowest),
        failed: 0,
    }
    .keep();
}

/// The disk is full from one operation on, and has space again when the run is resumed.
#[track_caller]
fn filled_from(workload: &Workload, at: u64) -> (u64, Duration) {
    let kennel = workload.prepared();
    let options = ["fault=enospc".to_owned(), format!("at={at}+")];
    let seen = nemesis::run(&kennel, &options, workload.args);
    assert_eq!(seen.output.code, 4, "{seen}");
    assert!(seen.output.stderr.contains(SAID), "{seen}");
    assert!(!seen.output.stderr.contains("panicked"), "{seen}");
    assert!(
        seen.output.stdout.is_empty(),
        "a result in spite of it: {seen}"
    );
    let took = workload.recover(&kennel, &seen);
    let took = took.within(RECOVERS_FROM_ERRORS);
    Books::open(&kennel).expect("it is there").are_right();
    assert_eq!(kennel.runs()[0]["status"], "succeeded");
    (seen.injected, took)
}

#[test]
fn a_flow_that_is_served_on_a_full_disk_loses_no_event_and_goes_on_by_itself() {
    let _alone = alone();
    let workload = workloads::served();
    let kennel = workload.prepared();
    let options = vec![format!("full={}", kennel.root().join("full").display())];
    let mut under = nemesis::start(&kennel, &options, workload.args);
    until("the first events are handled", || {
        assert!(
            !under.running.wait_for(Duration::ZERO),
            "it ended by itself"
        );
        Books::open(&kennel)
            .filter(|books| books.are_settled(3))
            .map(drop)
    });
    filled(&kennel);
    let emitted = nemesis::run(&kennel, &options, workloads::EMIT_MORE);
    assert_eq!(emitted.output.code, 4, "{emitted}");
    assert!(emitted.output.stderr.contains(SAID), "{emitted}");
    let listed = nemesis::run(&kennel, &options, &["runs", "list", "--json"]);
    let runs = listed.output.json();
    assert_eq!(
        runs.as_array().map(Vec::len),
        Some(3),
        "still read: {listed}"
    );
    assert!(
        !under.running.wait_for(Duration::from_millis(500)),
        "it goes on serving"
    );
    cleared(&kennel);
    let back = Recovery::begin();
    kennel.run(workloads::EMIT_MORE).exits(0);
    until("the event is handled", || {
        assert!(
            !under.running.wait_for(Duration::ZERO),
            "it ended by itself"
        );
        Books::open(&kennel)
            .filter(|books| books.are_settled(4))
            .map(drop)
    });
    let slowest = back.end().within(RECOVERS_FROM_ERRORS);
    assert_eq!(under.kill().code, 128 + 9);
    Books::open(&kennel).expect("it is there").are_right();
    Row {
        what: "serve".into(),
        fault: "full disk, then space".into(),
        tried: (1, None),
        injected: emitted.injected,
        restarts: 0,
        slowest: Some(slowest),
        failed: 0,
    }
    .keep();
}
