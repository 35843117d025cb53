//! How much of the machine these tests get, so that bounds on time hold where others work too. The kernel counts, this reads.

use std::fs;
use std::time::Instant;

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
