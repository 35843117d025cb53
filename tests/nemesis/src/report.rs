//! What happened, for whoever asked.

use std::fmt::Write as _;
use std::path::Path;

/// The report of one run.
#[derive(Default)]
pub(crate) struct Report {
    /// How the program ended: its exit code, or 128 and the signal.
    pub(crate) code: u8,
    /// How many operations the fault applied to. The one at which the program was killed is the last.
    pub(crate) positions: u64,
    /// How many went wrong.
    pub(crate) injected: u64,
    /// The first that went wrong.
    pub(crate) hit: Option<String>,
    /// How often standard output was written to.
    pub(crate) acks: u64,
    /// How often the wall clock was read.
    pub(crate) readings: u64,
    /// What was lost with the power.
    pub(crate) lost: Vec<String>,
    /// Every operation, when it was asked for.
    pub(crate) list: Vec<String>,
}

impl Report {
    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let Self {
            code,
            positions,
            injected,
            acks,
            readings,
            ..
        } = self;
        let mut text = format!(
            "code={code}\npositions={positions}\ninjected={injected}\nacks={acks}\nreadings={readings}\n"
        );
        let hit = self.hit.iter().map(|hit| ("hit", hit));
        let lost = self.lost.iter().map(|line| ("lost", line));
        let list = self.list.iter().map(|line| ("call", line));
        for (name, value) in hit.chain(lost).chain(list) {
            let _ = writeln!(text, "{name}={}", value.replace('\n', " "));
        }
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    }
}
