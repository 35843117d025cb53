//! Every operation of the store goes wrong in every way: the N-th, for N = 1, 2, 3… to the last.
//!
//! When the power fails, what was not synced is lost too, as `tests/nemesis/src/disk.rs` says.
//!
//! In a test run only as many as there is time for, drawn by the seed; with `--all` every one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Random, seed};
use crate::nemesis;
use crate::programme::{RECOVERS, RECOVERS_FROM_ERRORS, Row, alone, only, share};
use crate::workloads::{self, Workload};

/// Each with whether the program is killed by it.
const FAULTS: [(&str, bool); 9] = [
    ("kill-before", true),
    ("kill-after", true),
    ("torn-sector", true),
    ("torn-half", true),
    ("torn-less", true),
    ("power-loss", true),
    ("power-loss-part", true),
    ("eio", false),
    ("enospc", false),
];
/// Of the whole time.
const SHARE: f64 = 0.6;
/// However little time there is, so many positions of each are reached, if there are so many.
const LEAST: usize = 4;
/// Far beyond the last operation: with it they are only counted.
const NEVER: u64 = u64::MAX;
/// One restart in so many is killed too.
const AGAIN: u64 = 3;

#[test]
fn whatever_operation_of_the_store_goes_wrong_every_accepted_run_ends_once_and_nothing_is_lost() {
    let _alone = alone();
    let seed = seed();
    let workloads = workloads::all();
    let cells = (workloads.len() * FAULTS.len()) as u32;
    let time = share(SHARE)
        .filter(|_| only().is_none())
        .map(|time| time / cells);
    let (mut failures, mut tried) = (Vec::new(), 0);
    for (at, workload) in workloads.iter().enumerate() {
        for (nth, fault) in FAULTS.iter().enumerate() {
            if !asked_for(workload.name, fault.0) {
                continue;
            }
            let cell = Cell {
                workload,
                fault: fault.0,
                kills: fault.1,
                seed,
                cell: (at * FAULTS.len() + nth) as u64,
            };
            cell.tried(time, &mut failures);
            tried += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(tried > 0, "there is no such position");
}

/// Whether a position of this cell is the one to be tried, or all are.
fn asked_for(workload: &str, fault: &str) -> bool {
    only().is_none_or(|only| only.workload == workload && only.fault == fault)
}

/// One kind of fault in one piece of work.
struct Cell<'a> {
    workload: &'a Workload,
    fault: &'static str,
    kills: bool,
    seed: u64,
    /// Its number among all.
    cell: u64,
}

/// What came of one position.
struct Came {
    /// Whether it went wrong there.
    hit: bool,
    injected: u64,
    restarts: u64,
    took: Duration,
}

impl Cell<'_> {
    fn tried(self, time: Option<Duration>, failures: &mut Vec<String>) {
        let name = |at: u64| format!("{}/{}/{at}", self.workload.name, self.fault);
        let positions = self.trial(NEVER).1;
        assert!(positions > 0, "nothing can go wrong in {}", name(0));
        let order = match only().and_then(|only| only.at) {
            Some(at) => vec![at],
            None => Random::apart(self.seed, self.cell).order(positions),
        };
        let begun = Instant::now();
        let next = Mutex::new(order.into_iter());
        // As many operations come as the threads happen to need: the last are not always reached.
        let reached = AtomicUsize::new(0);
        let (came, wrong) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let workers = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .max(2);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let taken = next.lock().expect("never poisoned").next();
                        let Some(at) = taken else { return };
                        let late = time.is_some_and(|time| begun.elapsed() >= time);
                        if late && reached.load(Ordering::Relaxed) >= LEAST {
                            return;
                        }
                        match catch_unwind(AssertUnwindSafe(|| self.trial(at))) {
                            Ok((done, _)) => {
                                reached.fetch_add(usize::from(done.hit), Ordering::Relaxed);
                                came.lock().expect("never poisoned").push(done);
                            }
                            Err(why) => {
                                println!("{} failed", name(at));
                                wrong.lock().expect("never poisoned").push((at, why));
                            }
                        }
                    }
                });
            }
        });
        let (came, wrong) = (
            came.into_inner().expect("whole"),
            wrong.into_inner().expect("whole"),
        );
        let reached = came.iter().filter(|came| came.hit).count() + wrong.len();
        if reached == 0 {
            let tried = came.len();
            failures.push(format!(
                "{}: nothing went wrong there, at any of {tried} positions",
                name(0)
            ));
        }
        for (at, why) in &wrong {
            let why = why
                .downcast_ref::<String>()
                .map_or("it panicked", String::as_str);
            failures.push(format!(
                "{}: {why}\nKENNEL_TEST_SEED={} cargo xtask crash --only {}",
                name(*at),
                self.seed,
                name(*at)
            ));
        }
        Row {
            what: self.workload.name.into(),
            fault: self.fault.into(),
            tried: (reached as u64, Some(positions.max(reached as u64))),
            injected: came.iter().map(|came| came.injected).sum(),
            restarts: came.iter().map(|came| came.restarts).sum(),
            slowest: came.iter().map(|came| came.took).max(),
            failed: wrong.len() as u64,
        }
        .keep();
    }

    /// Lets it go wrong at one position, goes on, and judges. Returns how many positions were passed.
    fn trial(&self, at: u64) -> (Came, u64) {
        let workload = self.workload;
        let kennel = workload.prepared();
        let mut options = workload.options();
        let mut random = Random::apart(self.seed, self.cell << 32 | at);
        options.extend([
            format!("fault={}", self.fault),
            format!("at={at}"),
            format!("seed={}", random.to(u64::MAX)),
        ]);
        let seen = nemesis::run(&kennel, &options, workload.args);
        let mut times = seen.injected;
        // It may have ended while a thread that nobody waits for was in its last operation.
        let ended = seen.output.code != 128 + 9;
        if ended && self.kills {
            times = 0;
        }
        if ended {
            self.judge_end(&seen);
        } else {
            assert!(self.kills && times > 0, "killed by nobody: {seen}");
        }
        let hit = times > 0;
        let mut restarts = 1;
        if hit && random.to(AGAIN) == 1 {
            // Whoever goes on is cut off too.
            let fault = match self.fault.starts_with("power-loss") {
                true => self.fault,
                false => "kill-after",
            };
            times += workload.recover_badly(&kennel, &seen, fault, random.to(80));
            restarts += 1;
        }
        let within = match self.kills {
            true => RECOVERS,
            false => RECOVERS_FROM_ERRORS,
        };
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let took = workload.recover(&kennel, &seen);
            workload.judge(&kennel, &seen, times);
            took.within(within)
        }));
        let took = judged.unwrap_or_else(|why| {
            let why = why
                .downcast_ref::<String>()
                .map_or("it panicked", String::as_str);
            panic!("{why}\n{seen}");
        });
        let came = Came {
            hit,
            injected: times,
            restarts,
            took,
        };
        (came, seen.positions)
    }

    /// A command whose store fails ends well, or says so; it does not break.
    #[track_caller]
    fn judge_end(&self, seen: &nemesis::Seen) {
        let output = &seen.output;
        assert!(!output.stderr.contains("panicked"), "{seen}");
        // An agent that asked the store was told, and its step failed with that reason.
        let is_told = output.stdout.contains("the store is unavailable");
        match output.code {
            1 => assert!(seen.injected > 0 && is_told, "{seen}"),
            0 => assert!(
                seen.injected > 0 || !output.stderr.contains("error:"),
                "{seen}"
            ),
            4 => {
                assert!(seen.injected > 0, "{seen}");
                assert!(
                    output.stderr.contains("error: ") && output.stderr.contains("store"),
                    "{seen}"
                );
                assert!(
                    output.stdout.is_empty() || self.workload.lines > 0,
                    "a result in spite of it: {seen}"
                );
            }
            _ => panic!("neither 0, 1 nor 4: {seen}"),
        }
    }
}
