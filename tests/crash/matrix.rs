//! Every operation of the store goes wrong in every way: the N-th, for N = 1, 2, 3… to the last.
//!
//! In a test run only as many as there is time for, drawn by the seed; with `--all` every one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::harness::Random;
use crate::nemesis;
use crate::programme::{Row, alone, only, share};
use crate::workloads::{self, Workload};

/// Each with whether the program is killed by it.
const FAULTS: [(&str, bool); 7] = [
    ("kill-before", true),
    ("kill-after", true),
    ("torn-sector", true),
    ("torn-half", true),
    ("torn-less", true),
    ("eio", false),
    ("enospc", false),
];
/// Of the whole time.
const SHARE: f64 = 0.6;
/// However little time there is, so many positions of each are tried.
const LEAST: usize = 4;
/// Far beyond the last operation: with it they are only counted.
const NEVER: u64 = u64::MAX;
/// One restart in so many is killed too.
const AGAIN: u64 = 3;

#[test]
fn whatever_operation_of_the_store_goes_wrong_every_accepted_run_ends_once_and_nothing_is_lost() {
    let _alone = alone();
    let random = Random::seeded();
    let seed = random.0;
    let workloads = workloads::all();
    let cells = (workloads.len() * FAULTS.len()) as u32;
    let time = share(SHARE).map(|time| time / cells);
    let mut failures = Vec::new();
    for (at, workload) in workloads.iter().enumerate() {
        for (nth, fault) in FAULTS.iter().enumerate() {
            let cell = Cell {
                workload,
                fault: fault.0,
                kills: fault.1,
                seed,
                random: random.apart((at * FAULTS.len() + nth) as u64),
            };
            cell.tried(time, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// One kind of fault in one piece of work.
struct Cell<'a> {
    workload: &'a Workload,
    fault: &'static str,
    kills: bool,
    seed: u64,
    random: Random,
}

/// What came of one position.
struct Came {
    injected: u64,
    restarts: u64,
    took: Duration,
}

impl Cell<'_> {
    fn tried(mut self, time: Option<Duration>, failures: &mut Vec<String>) {
        let name = |at: u64| format!("{}/{}/{at}", self.workload.name, self.fault);
        let positions = self.trial(NEVER).1;
        let order = match only() {
            Some(only) => (1..=positions).filter(|at| name(*at) == only).collect(),
            None => self.random.order(positions),
        };
        let begun = Instant::now();
        let next = Mutex::new(order.into_iter().enumerate());
        let (came, wrong) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let workers = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .max(2);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let taken = next.lock().expect("never poisoned").next();
                        let Some((count, at)) = taken else { return };
                        if count >= LEAST && time.is_some_and(|time| begun.elapsed() >= time) {
                            return;
                        }
                        match catch_unwind(AssertUnwindSafe(|| self.trial(at))) {
                            Ok((done, _)) => came.lock().expect("never poisoned").push(done),
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
        for (at, why) in &wrong {
            let why = why
                .downcast_ref::<String>()
                .map_or("it panicked", String::as_str);
            failures.push(format!(
                "{}: {why}\nKENNEL_CRASH_ONLY={} KENNEL_TEST_SEED={} cargo xtask crash",
                name(*at),
                name(*at),
                self.seed
            ));
        }
        Row {
            what: self.workload.name.into(),
            fault: self.fault.into(),
            tried: ((came.len() + wrong.len()) as u64, Some(positions)),
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
        options.extend([format!("fault={}", self.fault), format!("at={at}")]);
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
        let mut random = self.random.apart(at);
        let mut restarts = 1;
        if times > 0 && random.to(AGAIN) == 1 {
            // Whoever goes on is cut off too.
            times += workload.recover_badly(&kennel, random.to(80));
            restarts += 1;
        }
        let took = workload.recover(&kennel);
        let judged = catch_unwind(AssertUnwindSafe(|| workload.judge(&kennel, &seen, times)));
        if let Err(why) = judged {
            let why = why
                .downcast_ref::<String>()
                .map_or("it panicked", String::as_str);
            panic!("{why}\n{seen}");
        }
        let came = Came {
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
