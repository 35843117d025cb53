//! What this process holds: resident memory, open files, threads; and how much of the machine it gets. The kernel counts, this reads.

use std::fs;
use std::time::{Duration, Instant};

/// How long a process may take until it has given back what a case took.
const SETTLES: Duration = Duration::from_secs(5);

/// What the names of the store's files have in common.
const STORE: &str = "/kennel.db";

/// What is held at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Bytes that are resident.
    pub(crate) rss: u64,
    pub(crate) files: usize,
    pub(crate) threads: u64,
}

impl Held {
    pub(crate) fn now() -> Self {
        Self {
            rss: status("VmRSS:") << 10,
            // The store opens up to four connections when several read at once, and keeps them.
            files: open_files()
                .iter()
                .filter(|file| !file.contains(STORE))
                .count(),
            threads: status("Threads:"),
        }
    }

    /// Waits until no more is held than `self` and `slack` bytes; what is still held when that does not come.
    pub(crate) async fn comes_back(self, slack: u64) -> Result<Self, Self> {
        let begun = Instant::now();
        loop {
            let now = Self::now();
            let settled = now.files <= self.files
                && now.threads <= self.threads
                && now.rss <= self.rss + slack;
            if settled {
                return Ok(now);
            }
            if begun.elapsed() > SETTLES {
                return Err(now);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The time that all cores have worked, and how much of it went into this process and the children that it has waited for.
pub(crate) struct Share {
    since: Instant,
    busy: u64,
    ours: u64,
}

/// What the kernel counts such time in: hundredths of a second, on every Linux that has not been built to differ.
const TICK: f64 = 0.01;

impl Share {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("read");
        let all = stat.lines().next().expect("the line of all cores");
        let all: Vec<u64> = numbers(all.trim_start_matches("cpu"));
        // user nice system idle iowait irq softirq steal: what was stolen was taken from us as well.
        let busy = [0, 1, 2, 5, 6, 7].map(|at| all.get(at).copied().unwrap_or(0));
        let own = fs::read_to_string("/proc/self/stat").expect("read");
        // The name may have blanks; behind it the state is the first field, and the times are the 12th to the 15th.
        let (_, own) = own.rsplit_once(')').expect("a name");
        let ours = own.split_whitespace().skip(11).take(4);
        Self {
            since: Instant::now(),
            busy: busy.iter().sum(),
            ours: ours.filter_map(|time| time.parse::<u64>().ok()).sum(),
        }
    }

    /// How much longer work has taken since then than on a machine that does nothing else: 1 when others left all cores to this
    /// process, 2 when they took half of them. What this process does itself, and its children do, stretches nothing.
    pub(crate) fn stretch(&self) -> f64 {
        let now = Self::now();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let there = self.since.elapsed().as_secs_f64() / TICK * cores;
        let others = (now.busy - self.busy).saturating_sub(now.ours - self.ours) as f64;
        1.0 / (1.0 - (others / there).min(0.99))
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// What the open files of this process are.
pub(crate) fn open_files() -> Vec<String> {
    let files = fs::read_dir("/proc/self/fd").expect("listed").flatten();
    // One of them is the directory that is being read; by now it is closed.
    let files: Vec<_> = files.collect();
    let targets = files
        .iter()
        .filter_map(|file| fs::read_link(file.path()).ok());
    targets.map(|target| target.display().to_string()).collect()
}

/// From here on [`peak`] counts anew.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5")
        .expect("the kernel forgets the peak of its own process");
}

/// The most bytes that were resident since.
pub(crate) fn peak() -> u64 {
    status("VmHWM:") << 10
}

fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no `{key}` in {status}"))
}
