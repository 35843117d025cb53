//! How a task ended, from what wasmtime says: one function decides which failure an error is.
//!
//! Most errors have a type. Those that wasmtime leaves untyped are told apart by their text, in the tables below and nowhere else;
//! guests in the tests provoke them, so a new version of wasmtime that words them differently breaks a test and nobody's evening.

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use super::meter::Meter;
use super::text;
use crate::failure::{Failure, FailureKind};
use crate::units::Bytes;

/// Bytes of a guest's own message that are kept.
const MESSAGE: usize = 4 << 10;

/// More was copied in one host call than the store allows.
const TOO_MUCH_DATA: &str = "too much data is being copied between the host and the guest";
/// The store's handle table is full.
const HANDLE_LIMIT: &str = "store handle limit exceeded";
/// `wasi:random` was asked for more than allowed at once.
const RANDOM: (&str, &str) = ("requested len", "exceeds limit");

/// Ways in which values that cross the boundary break the canonical ABI, and handles that do not exist or are of another kind.
const ABI: &[&str] = &[
    "pointer/length out of bounds of memory",
    "pointer out of bounds",
    "pointer not aligned",
    "pointer is not aligned",
    "pointer size overflow",
    "byte length overflow",
    "byte length too large",
    "size overflow copying",
    "realloc return: ",
    "invalid utf-8 sequence",
    "incomplete utf-8 byte sequence",
    "unpaired surrogate found",
    "converted integer out of range for `char`",
    "unexpected discriminant",
    "invalid option discriminant",
    "invalid expected discriminant",
    "unknown handle index",
    "is not a resource",
    "is not an own resource",
    "cannot remove owned resource while borrowed",
    "borrow handles still remain at the end of the call",
    "resource type mismatch",
];

/// What is known about the task besides the error itself.
pub(super) struct Evidence<'a> {
    /// Whether memory was refused.
    pub(super) meter: &'a Meter,
    /// The guest's last complaints, asked for only when they go into the message.
    pub(super) last_words: &'a dyn Fn() -> Option<String>,
}

/// Which failure `error` is.
pub(super) fn classify(error: &wasmtime::Error, evidence: &Evidence<'_>) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return match failure.kind {
            FailureKind::OutOfMemory => out_of_memory(evidence.meter),
            _ => failure.clone(),
        };
    }
    if let Some(&I32Exit(code)) = error.downcast_ref() {
        return with_last_words(
            FailureKind::Exit,
            format!("the guest ended itself with code {code} instead of answering"),
            evidence,
        );
    }
    if let Some(&trap) = error.downcast_ref::<Trap>() {
        return of_trap(trap, evidence);
    }
    if let Some(table) = error.downcast_ref::<ResourceTableError>() {
        return of_table(table);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Failure::new(
            FailureKind::Overloaded,
            format!("the pool of instances is full: {}", error.root_cause()),
        );
    }
    of_text(&error.root_cause().to_string(), evidence)
}

fn of_trap(trap: Trap, evidence: &Evidence<'_>) -> Failure {
    match trap {
        Trap::OutOfFuel => Failure::new(
            FailureKind::OutOfFuel,
            "the task used all its fuel; `limits.fuel` bounds it",
        ),
        Trap::StackOverflow => Failure::new(
            FailureKind::StackOverflow,
            "the guest's stack is full: it recursed too deeply",
        ),
        // Nothing but our own deadline may interrupt a store.
        Trap::Interrupt => Failure::new(FailureKind::Deadline, "the guest was interrupted"),
        Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::InvalidChar
        | Trap::UnalignedPointer
        | Trap::CannotLeaveComponent
        // The host enters an instance once, so this is a component that calls one inside itself while that one waits for it.
        | Trap::CannotEnterComponent => Failure::new(FailureKind::AbiViolation, trap_name(trap)),
        // A guest whose allocator gives up after a refusal ends in `unreachable`; the memory is the reason.
        _ if evidence.meter.refused() => out_of_memory(evidence.meter),
        _ => with_last_words(FailureKind::Trapped, trap_name(trap), evidence),
    }
}

fn of_table(error: &ResourceTableError) -> Failure {
    match error {
        ResourceTableError::Full => Failure::new(
            FailureKind::Handles,
            "the guest holds too many handles; `limits.handles` bounds them",
        ),
        other => Failure::new(
            FailureKind::AbiViolation,
            format!("the guest used a handle it may not use: {other}"),
        ),
    }
}

fn of_text(text: &str, evidence: &Evidence<'_>) -> Failure {
    let kind = if text.contains(TOO_MUCH_DATA) {
        FailureKind::TooMuchData
    } else if text.contains(HANDLE_LIMIT) {
        FailureKind::Handles
    } else if text.contains(RANDOM.0) && text.contains(RANDOM.1) {
        FailureKind::Quota
    } else if ABI.iter().any(|known| text.contains(known)) {
        FailureKind::AbiViolation
    } else if evidence.meter.refused() {
        return out_of_memory(evidence.meter);
    } else {
        return with_last_words(
            FailureKind::Trapped,
            text::line(text, MESSAGE).into_owned(),
            evidence,
        );
    };
    let way_out = match kind {
        FailureKind::TooMuchData => "; `limits.host-call-data` bounds one call",
        FailureKind::Handles => "; `limits.handles` bounds them",
        FailureKind::Quota => "; `limits.random` bounds one call",
        _ => "",
    };
    Failure::new(kind, format!("{}{way_out}", text::line(text, MESSAGE)))
}

fn out_of_memory(meter: &Meter) -> Failure {
    let limit = Bytes(meter.limit());
    Failure::new(
        FailureKind::OutOfMemory,
        format!("the guest asked for more memory than {limit}; `limits.memory` bounds it"),
    )
}

fn trap_name(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ")
        .map(str::to_owned)
        .unwrap_or(text)
}

fn with_last_words(kind: FailureKind, message: String, evidence: &Evidence<'_>) -> Failure {
    match (evidence.last_words)() {
        Some(words) => Failure::new(kind, format!("{message}; its last words: {words}")),
        None => Failure::new(kind, message),
    }
}

/// The failure that the guest itself reports. Its text is kept to 4 KiB on one line.
pub(super) fn reported(error: &super::bindings::kennel::agent::types::Error) -> Failure {
    use super::bindings::kennel::agent::types::Error;
    let (kind, message) = match error {
        Error::InvalidInput(message) => (FailureKind::InvalidInput, message),
        Error::Recoverable(message) => (FailureKind::Recoverable, message),
        Error::Fatal(message) => (FailureKind::Fatal, message),
    };
    Failure::new(kind, text::line(message, MESSAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: wasmtime::Error) -> FailureKind {
        let meter = Meter::new(1 << 20, 10);
        classify(
            &error,
            &Evidence {
                meter: &meter,
                last_words: &|| None,
            },
        )
        .kind
    }

    #[test]
    fn typed_errors_are_told_by_their_type_whatever_is_wrapped_around_them() {
        for (error, expected) in [
            (Trap::OutOfFuel.into(), FailureKind::OutOfFuel),
            (Trap::StackOverflow.into(), FailureKind::StackOverflow),
            (Trap::UnreachableCodeReached.into(), FailureKind::Trapped),
            (Trap::IntegerDivisionByZero.into(), FailureKind::Trapped),
            (Trap::CannotEnterComponent.into(), FailureKind::AbiViolation),
            (Trap::ListOutOfBounds.into(), FailureKind::AbiViolation),
            (
                wasmtime::Error::from(ResourceTableError::Full),
                FailureKind::Handles,
            ),
            (
                ResourceTableError::NotPresent.into(),
                FailureKind::AbiViolation,
            ),
            (wasmtime::Error::from(I32Exit(0)), FailureKind::Exit),
            (
                Failure::new(FailureKind::Quota, "q").into(),
                FailureKind::Quota,
            ),
        ] {
            assert_eq!(kind(error.context("while calling")), expected);
        }
    }

    #[test]
    fn a_trap_after_memory_was_refused_is_out_of_memory() {
        use wasmtime::ResourceLimiter as _;
        let mut meter = Meter::new(0, 10);
        assert!(!meter.memory_growing(0, 1, None).expect("refused"));
        let evidence = Evidence {
            meter: &meter,
            last_words: &|| None,
        };
        assert_eq!(
            classify(&Trap::UnreachableCodeReached.into(), &evidence).kind,
            FailureKind::OutOfMemory
        );
        assert_eq!(
            classify(&Trap::OutOfFuel.into(), &evidence).kind,
            FailureKind::OutOfFuel
        );
    }

    #[test]
    fn the_guest_s_last_words_go_into_the_message_of_a_trap() {
        let meter = Meter::new(0, 10);
        let evidence = Evidence {
            meter: &meter,
            last_words: &|| Some("no page 7".into()),
        };
        let failure = classify(&Trap::UnreachableCodeReached.into(), &evidence);
        assert_eq!(
            failure.message,
            "wasm `unreachable` instruction executed; its last words: no page 7"
        );
    }

    #[test]
    fn what_the_guest_reports_is_one_short_line() {
        use crate::sandbox::bindings::kennel::agent::types::Error;
        let failure = reported(&Error::Recoverable("a\n\u{1b}[31mb".into()));
        assert_eq!(failure, Failure::new(FailureKind::Recoverable, "a b"));
        assert!(reported(&Error::Fatal("x".repeat(1 << 20))).message.len() <= MESSAGE);
    }
}
