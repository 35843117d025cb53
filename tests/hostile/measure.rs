//! What this process holds: resident memory, open files, threads. The kernel counts, this reads.

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
