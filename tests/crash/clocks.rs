//! The wall clock jumps: a year forward, an hour back, to before 1970; during a run and between runs. Nothing comes of it.

use std::time::Duration;

use crate::nemesis;
use crate::oracle::Books;
use crate::programme::{RECOVERS, Row, alone};
use crate::workloads;

const YEAR: i64 = 365 * 24 * 3600;
/// Before 1970 from whenever this is run.
const AGES: i64 = -80 * YEAR;

#[test]
fn wherever_the_clock_jumps_to_runs_end_and_the_next_ones_too() {
    let _alone = alone();
    for (name, by) in [
        ("a year forward", YEAR),
        ("an hour back", -3600),
        ("before 1970", AGES),
    ] {
        let (mut jumps, mut slowest) = (0, Duration::ZERO);
        for workload in [workloads::sequential(), workloads::served()] {
            // From the start, and after some readings: in the middle of a run.
            for from in [1, 3, 5, 10, 15] {
                let kennel = workload.prepared();
                let mut options = workload.options();
                options.push(format!("clock={from}:{by}"));
                let seen = nemesis::run(&kennel, &options, workload.args);
                assert_eq!(seen.output.code, 0, "{name} from reading {from}: {seen}");
                assert!(!seen.output.stderr.contains("panicked"), "{seen}");
                assert!(
                    seen.readings >= from,
                    "{name}: it never jumped, there were {} readings",
                    seen.readings
                );
                // The clock is right again, and whatever is left is gone on with.
                slowest = slowest.max(workload.recover(&kennel, &seen).within(RECOVERS));
                Books::open(&kennel).expect("it is there").are_right();
                for run in kennel.runs() {
                    assert_eq!(
                        run["status"], "succeeded",
                        "{name} from reading {from}: {run:#}"
                    );
                }
                jumps += 1;
            }
        }
        Row {
            what: "sequential, serve".into(),
            fault: format!("clock {name}"),
            tried: (10, None),
            injected: jumps,
            restarts: 10,
            slowest: Some(slowest),
            failed: 0,
        }
        .keep();
    }
}
