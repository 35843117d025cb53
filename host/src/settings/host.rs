//! `[host]` of `kennel.toml`: how much the host does at the same time.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::slots::Sizes;

/// The most that may be in flight: each task needs some memory mappings and a part of the address space, and both end.
const MOST_IN_FLIGHT: usize = 10_000;
/// More slots than any machine has cores are a slip.
const MOST_SLOTS: usize = 1_024;
/// The longest queue. Who stands at its end waits for minutes.
const LONGEST_QUEUE: usize = 1_000_000;

/// `[host]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HostSettings {
    /// Tasks that execute at the same time; one for each core when absent.
    pub slots: Option<usize>,
    /// Tasks that are in flight at the same time, waiting for something or executing: each holds memory. 1000 when absent.
    pub in_flight: Option<usize>,
    /// Tasks that wait to be in flight; one more is refused as overloaded. 1024 when absent.
    pub queue: Option<usize>,
}

impl HostSettings {
    /// The sizes, with the defaults for what is not said.
    pub fn sizes(&self) -> Sizes {
        let default = Sizes::default();
        let or = |said: Option<usize>, default| said.and_then(NonZeroUsize::new).unwrap_or(default);
        Sizes {
            slots: or(self.slots, default.slots),
            in_flight: or(self.in_flight, default.in_flight),
            queue: self.queue.unwrap_or(default.queue),
        }
    }

    /// Whether each is in its range. Says which is not, and the range.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, said, least, most) in [
            ("slots", self.slots, 1, MOST_SLOTS),
            ("in-flight", self.in_flight, 1, MOST_IN_FLIGHT),
            ("queue", self.queue, 0, LONGEST_QUEUE),
        ] {
            if let Some(said) = said.filter(|said| !(least..=most).contains(said)) {
                return Err(format!(
                    "`host.{key}` is {said}; it may be from {least} to {most}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let said: HostSettings = toml::from_str("in-flight = 7\nqueue = 0").expect("valid");
        let sizes = said.sizes();
        assert_eq!((sizes.in_flight.get(), sizes.queue), (7, 0));
        assert_eq!(sizes.slots, Sizes::default().slots);
    }

    #[test]
    fn a_number_out_of_its_range_is_named_with_the_range() {
        for (bad, good) in [
            ("slots = 0", "slots = 1"),
            ("slots = 1025", "slots = 1024"),
            ("in-flight = 0", "in-flight = 1"),
            ("in-flight = 10001", "in-flight = 10000"),
            ("queue = 1000001", "queue = 0"),
        ] {
            let check = |text| {
                toml::from_str::<HostSettings>(text)
                    .expect("it parses")
                    .check()
            };
            assert_eq!(check(good), Ok(()), "{good}");
            let error = check(bad).expect_err("out of range");
            let key = bad.split(' ').next().unwrap_or_default();
            assert!(error.starts_with(&format!("`host.{key}` is ")), "{error}");
        }
    }
}
