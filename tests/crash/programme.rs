//! The programme as a whole: its time, its order, and the table of what was measured.

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::share::Share;

/// How long the parts take together that take as long as they may. The others take what they need, about as long again.
const SECONDS: u64 = 70;

/// Parts run one after another: each measures, and uses every core.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A part that failed leaves nothing behind that another could stumble over.
    ALONE.lock().unwrap_or_else(|failed| failed.into_inner())
}

/// This share of the whole time; `None` when everything is to be done, however long it takes.
pub(crate) fn share(of: f64) -> Option<Duration> {
    if std::env::var_os("KENNEL_CRASH_ALL").is_some() {
        return None;
    }
    let seconds = std::env::var("KENNEL_CRASH_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(SECONDS)).mul_f64(of))
}

/// What alone is to be tried, for whoever looks into a failure.
pub(crate) struct Only {
    pub(crate) workload: String,
    pub(crate) fault: String,
    /// Every position without.
    pub(crate) at: Option<u64>,
}

/// `WORKLOAD/FAULT/NUMBER`, or without the number.
pub(crate) fn only() -> Option<Only> {
    let only = std::env::var("KENNEL_CRASH_ONLY").ok()?;
    let parts: Vec<_> = only.split('/').collect();
    let (workload, fault, at) = match parts.as_slice() {
        [workload, fault] => (workload, fault, None),
        [workload, fault, at] => (workload, fault, Some(at)),
        _ => panic!("`{only}` is no position, such as serve/eio/42"),
    };
    let number = |at: &&str| at.parse().unwrap_or_else(|_| panic!("`{at}` is no number"));
    Some(Only {
        workload: (*workload).to_owned(),
        fault: (*fault).to_owned(),
        at: at.map(number),
    })
}

/// How long it may take until all that was cut off has ended, on a machine that does nothing else. Ten times what is measured: a bound
/// that only a wait nobody meant would break, such as for a lease to lapse or for the store to be polled again and again.
pub(crate) const RECOVERS: Duration = Duration::from_secs(2);
/// The same where the store itself was told that the disk fails: who serves a flow then waits before it tries again.
pub(crate) const RECOVERS_FROM_ERRORS: Duration = Duration::from_secs(5);
/// Bounds are stretched by what others take of the machine, and no more than so often.
const MOST_STRETCHED: f64 = 10.0;

/// A return to work, while it lasts.
pub(crate) struct Recovery {
    begun: Instant,
    share: Share,
}

/// How long it took, and how much longer than on a machine without other work.
pub(crate) struct Took {
    time: Duration,
    stretch: f64,
}

impl Recovery {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            share: Share::now(),
        }
    }

    pub(crate) fn end(&self) -> Took {
        Took {
            time: self.begun.elapsed(),
            stretch: self.share.stretch().min(MOST_STRETCHED),
        }
    }
}

impl Took {
    /// Claims that it took no longer than that; how long it was.
    #[track_caller]
    pub(crate) fn within(self, bound: Duration) -> Duration {
        let Self { time, stretch } = self;
        assert!(
            time <= bound.mul_f64(stretch),
            "it took {time:?} until all went on; {bound:?} are allowed, stretched {stretch:.1} times by other work"
        );
        time
    }
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) fault: String,
    /// Tried, of how many there are.
    pub(crate) tried: (u64, Option<u64>),
    pub(crate) injected: u64,
    pub(crate) restarts: u64,
    /// The slowest recovery, or return to work.
    pub(crate) slowest: Option<Duration>,
    pub(crate) failed: u64,
}

impl Row {
    /// Prints it, and adds it to the file that was asked for.
    pub(crate) fn keep(&self) {
        let Self {
            what,
            fault,
            tried: (tried, of),
            injected,
            restarts,
            slowest,
            failed,
        } = self;
        let slowest = slowest.map(|slowest| slowest.as_millis() as u64);
        let row = json!({ "what": what, "fault": fault, "tried": tried, "of": of, "injected": injected, "restarts": restarts,
            "slowest-ms": slowest, "failed": failed });
        println!("{row}");
        if let Some(file) = std::env::var_os("KENNEL_CRASH_ROWS") {
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(file);
            writeln!(file.expect("the file for the rows"), "{row}").expect("written");
        }
    }
}
