//! Limits: every bound on what an agent may use, in one struct, each on by default and each with its own failure kind.
//!
//! An operator sets them in `[limits]` of `kennel.toml`; a plugin's manifest may only lower them. This file holds the numbers and
//! how they combine; whoever applies one asks for it by its field.

use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::FailureKind;
use crate::units::{Bytes, Fuel, Span};

/// Declares the limits once: key, type, default, the failure of a task that meets it, and what it bounds.
macro_rules! limits {
    ($($(#[$doc:meta])* $key:ident: $type:ty = $default:expr, $kind:ident;)*) => {
        /// The bounds that hold for one task of an agent.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[$doc])* pub $key: $type,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        /// Some of the limits: what a manifest or a step writes down.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct SomeLimits {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $key: Option<$type>,)*
        }

        impl Limits {
            /// Every key as it is written in files, with the failure kind of a task that meets it.
            pub const KEYS: &[(&str, FailureKind)] = &[$(({
                const KEBAB: [u8; stringify!($key).len()] = kebab(stringify!($key));
                match std::str::from_utf8(&KEBAB) {
                    Ok(key) => key,
                    Err(_) => stringify!($key), // never: the names of fields are ASCII
                }
            }, FailureKind::$kind)),*];

            /// These limits, lowered where `some` asks for less. It cannot raise one.
            #[must_use]
            pub fn lowered_by(&self, some: &SomeLimits) -> Self {
                Self { $($key: some.$key.map_or(self.$key, |asked| asked.min(self.$key)),)* }
            }

            /// These limits with those of `some` instead, higher or lower: for the operator.
            #[must_use]
            pub fn replaced_by(&self, some: &SomeLimits) -> Self {
                Self { $($key: some.$key.unwrap_or(self.$key),)* }
            }
        }
    };
}

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

limits! {
    /// Fuel for one task: about a second of work per 10⁹ on one core.
    fuel: Fuel = Fuel(5_000_000_000), OutOfFuel;
    /// Wall time of one task, waiting for host calls included.
    timeout: Span = Span(Duration::from_secs(60)), Deadline;
    /// Fuel for presenting itself when the agent is loaded: less than for a task, because nobody waits for it longer.
    describe_fuel: Fuel = Fuel(2_000_000_000), OutOfFuel;
    /// Wall time of presenting itself.
    describe_timeout: Span = Span(Duration::from_secs(5)), Deadline;
    /// Bytes over all memories and tables of one task together.
    memory: Bytes = Bytes(64 * MIB), OutOfMemory;
    /// Elements of any one table.
    table_elements: u64 = 20_000, OutOfMemory;
    /// Wall time that one call into the host may keep the guest waiting; calls of peers have the task's deadline instead.
    host_call_timeout: Span = Span(Duration::from_secs(30)), Deadline;
    /// Calls into the host, of every kind.
    host_calls: u64 = 100_000, Quota;
    /// Bytes that one call may carry from the guest to the host.
    host_call_data: Bytes = Bytes(8 * MIB), TooMuchData;
    /// Bytes that all calls of one task together may carry from the guest to the host.
    host_data: Bytes = Bytes(64 * MIB), Quota;
    /// Bytes of the output.
    output: Bytes = Bytes(MIB), OutputTooLarge;
    /// Handles that the guest holds (streams, files, requests, pollables).
    handles: u64 = 4_096, Handles;
    /// Bytes of log, standard output and standard error kept; more are counted and dropped.
    log: Bytes = Bytes(256 * KIB), Quota;
    /// Lines of log kept.
    log_lines: u64 = 1_000, Quota;
    /// Bytes of one log line; the rest of it is cut.
    log_line: Bytes = Bytes(8 * KIB), Quota;
    /// Bytes of host answers kept of one attempt, for `kennel runs replay`; beyond them the attempt goes on, and cannot be replayed.
    tape: Bytes = Bytes(4 * MIB), Quota;
    /// Random bytes in one call.
    random: Bytes = Bytes(64 * KIB), Quota;
    /// Bytes of a state key.
    state_key: Bytes = Bytes(512), Quota;
    /// Bytes of a state value.
    state_value: Bytes = Bytes(256 * KIB), Quota;
    /// Keys in the agent's namespace.
    state_keys: u64 = 10_000, Quota;
    /// Bytes of all values in the agent's namespace.
    state: Bytes = Bytes(64 * MIB), Quota;
    /// Bytes that the files below the directories an agent may write in may take together: their lengths, holes included.
    files: Bytes = Bytes(256 * MIB), Quota;
    /// Files, directories and links below those directories.
    file_count: u64 = 10_000, Quota;
    /// Bytes of blobs that one task may write.
    blobs: Bytes = Bytes(16 * MIB), Quota;
    /// Events that one task may emit.
    events: u64 = 64, Quota;
    /// Bytes of one event's data.
    event: Bytes = Bytes(256 * KIB), TooMuchData;
    /// HTTP requests of one task.
    http_requests: u64 = 256, Quota;
    /// HTTP requests of one task at the same time.
    http_parallel: u64 = 8, Quota;
    /// Bytes of an HTTP request's body.
    http_request: Bytes = Bytes(4 * MIB), TooMuchData;
    /// Bytes of an HTTP response's body.
    http_response: Bytes = Bytes(16 * MIB), TooMuchData;
    /// Wall time until an HTTP connection stands, TLS included.
    http_connect: Span = Span(Duration::from_secs(5)), Deadline;
    /// Wall time from an HTTP request to the head of its response.
    http_first_byte: Span = Span(Duration::from_secs(30)), Deadline;
    /// Wall time between two pieces of an HTTP response's body.
    http_gap: Span = Span(Duration::from_secs(10)), Deadline;
    /// Wall time of a whole HTTP exchange.
    http_timeout: Span = Span(Duration::from_secs(60)), Deadline;
    /// How deep agents may call agents.
    call_depth: u64 = 8, CallDepth;
    /// Peers that one task may call at the same time.
    call_parallel: u64 = 16, FanOut;
    /// Calls to peers below one root, all levels together.
    calls: u64 = 256, FanOut;
}

/// A field's name as files have it.
const fn kebab<const N: usize>(field: &str) -> [u8; N] {
    let mut key = [0; N];
    let mut n = 0;
    while n < N {
        let byte = field.as_bytes()[n];
        key[n] = if byte == b'_' { b'-' } else { byte };
        n += 1;
    }
    key
}

/// Elements that the engine's pool has room for in each table.
const TABLE_ELEMENTS: u64 = 65_536;
/// The smallest memory that holds anything: a page of Wasm.
const PAGE: u64 = 64 * KIB;

impl Limits {
    /// Whether every limit can be kept and leaves an agent anything to do. Says which is wrong and what it may be.
    ///
    /// # Errors
    /// The first limit that is out of its range.
    pub fn check(&self) -> Result<(), String> {
        for (key, span) in [
            ("timeout", self.timeout),
            ("host-call-timeout", self.host_call_timeout),
            ("describe-timeout", self.describe_timeout),
            ("http-connect", self.http_connect),
            ("http-first-byte", self.http_first_byte),
            ("http-gap", self.http_gap),
            ("http-timeout", self.http_timeout),
        ] {
            let range = "from 1ms to 366days";
            let fits = (Duration::from_millis(1)..=Span::LONGEST).contains(&span.0);
            within(key, &span, fits, range)?;
        }
        for (key, fuel) in [("fuel", self.fuel), ("describe-fuel", self.describe_fuel)] {
            within(key, &fuel, fuel.0 >= 1, "at least 1")?;
        }
        let memory = self.memory;
        within("memory", &memory, memory.0 >= PAGE, "at least 64KiB")?;
        let elements = self.table_elements;
        let fits = elements <= TABLE_ELEMENTS;
        within("table-elements", &elements, fits, "at most 65536")
    }
}

fn within(key: &str, value: &dyn Display, fits: bool, range: &str) -> Result<(), String> {
    match fits {
        true => Ok(()),
        false => Err(format!("`limits.{key}` is {value}; it may be {range}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_may_lower_a_limit_but_not_raise_it() {
        let asked: SomeLimits =
            toml::from_str("memory = '16MiB'\nfuel = '900G'").expect("two known keys");
        let limits = Limits::default().lowered_by(&asked);
        assert_eq!(limits.memory, Bytes(16 * MIB));
        assert_eq!(limits.fuel, Limits::default().fuel);
    }

    #[test]
    fn an_unknown_limit_is_refused() {
        let error = toml::from_str::<Limits>("memroy = '16MiB'")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("memroy") && error.contains("memory"),
            "{error}"
        );
    }

    #[test]
    fn the_keys_are_those_of_files() {
        let limits = toml::Table::try_from(Limits::default()).expect("limits are a table");
        let mut keys: Vec<_> = Limits::KEYS.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        let mut written: Vec<_> = limits.keys().map(String::as_str).collect();
        written.sort_unstable();
        assert_eq!(keys, written);
        for (key, value) in &limits {
            let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
            let some: SomeLimits = alone.clone().try_into().expect("one limit");
            assert_eq!(
                toml::Table::try_from(some).expect("a table"),
                alone,
                "{key}"
            );
        }
    }

    #[test]
    fn a_limit_out_of_its_range_is_named_with_the_range() {
        assert_eq!(Limits::default().check(), Ok(()));
        for (key, bad, good) in [
            ("fuel", "0", "1"),
            ("memory", "65535", "'64KiB'"),
            ("table-elements", "65537", "65536"),
            ("timeout", "'0s'", "'1ms'"),
            ("timeout", "'999us'", "'366days'"),
            ("host-call-timeout", "'0s'", "'1ms'"),
            ("describe-fuel", "0", "1"),
            ("describe-timeout", "'0s'", "'1ms'"),
            ("http-connect", "'0s'", "'1ms'"),
            ("http-first-byte", "'0s'", "'1ms'"),
            ("http-gap", "'0s'", "'1ms'"),
            ("http-timeout", "'0s'", "'1ms'"),
        ] {
            let limits = |value| {
                let limits: Limits = toml::from_str(&format!("{key} = {value}")).expect("a limit");
                limits.check()
            };
            assert_eq!(limits(good), Ok(()), "{key}");
            let error = limits(bad).expect_err("out of range");
            assert!(error.starts_with(&format!("`limits.{key}` is ")), "{error}");
            assert!(error.contains("; it may be "), "{error}");
        }
    }
}
