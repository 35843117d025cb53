//! How long a target is tried, and from which seed: from the environment, or so that every `cargo test` does the same.

use std::time::{Duration, Instant};

use super::Target;

/// How many seconds each target is tried.
const SECONDS: &str = "KENNEL_FUZZ_SECONDS";
/// Where the inputs come from; a new one each time when only the seconds are said.
const SEED: &str = "KENNEL_FUZZ_SEED";

/// The seed of a plain `cargo test`, which should say the same each time.
const USUAL_SEED: u64 = 1;
/// A plain `cargo test` stops here however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long, and from which seed.
pub(super) struct Budget {
    pub(super) seed: u64,
    inputs: u64,
    time: Duration,
}

impl Budget {
    /// What the environment says, or the usual few inputs of `target`.
    pub(super) fn of(target: &Target) -> Self {
        let seconds = number(SECONDS);
        let seed = number(SEED).unwrap_or_else(|| match seconds {
            None => USUAL_SEED,
            Some(_) => rand::random::<u32>().into(),
        });
        match seconds {
            None => Self {
                seed,
                inputs: target.inputs.into(),
                time: PATIENCE,
            },
            Some(seconds) => Self {
                seed,
                inputs: u64::MAX,
                time: Duration::from_secs(seconds),
            },
        }
    }

    /// Whether there is another input to try.
    pub(super) fn goes_on(&self, tried: u64, since: Instant) -> bool {
        tried < self.inputs && since.elapsed() < self.time
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is `{text}`; it should be a number")))
}
