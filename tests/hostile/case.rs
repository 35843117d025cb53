//! One line of the table: what is done, what has to become of it, and what it may cost.

use std::time::Duration;

use futures_util::future::BoxFuture;
use kennel::call::{CallError, Reply};
use kennel::failure::FailureKind;
use kennel::registry::LoadError;

use crate::host::Host;

/// One hostile agent or file.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) does: &'static str,
    pub(crate) expect: Expect,
    pub(crate) strike: Strike,
    /// The time that one strike may take.
    pub(crate) within: Duration,
    /// The MiB by which this process may grow while it lasts.
    pub(crate) grows: u64,
}

/// What has to become of it.
pub(crate) enum Expect {
    /// The task fails, in one of these ways.
    Fails(&'static [FailureKind]),
    /// The file is not loaded, for one of these reasons.
    Refused(&'static [&'static str]),
    /// It goes on living, and this holds, as the strike has checked.
    Holds(&'static str),
}

/// Does the harm once.
pub(crate) type Strike = Box<dyn for<'a> Fn(&'a Host) -> BoxFuture<'a, Struck>>;

/// What became of it, or which claim was broken.
pub(crate) type Struck = Result<Outcome, String>;

/// What became of one strike.
pub(crate) struct Outcome {
    pub(crate) end: End,
    /// The time that counts, when it is not that of the whole strike.
    pub(crate) took: Option<Duration>,
    /// A figure worth telling.
    pub(crate) note: String,
}

/// How it ended.
pub(crate) enum End {
    Failed(FailureKind),
    Refused(&'static str),
    Held,
    /// Not as anybody expects.
    Answered,
}

/// A case with the bounds that hold for most: half a second, 8 MiB.
pub(crate) fn case(name: &'static str, does: &'static str, expect: Expect, strike: Strike) -> Case {
    Case {
        name,
        does,
        expect,
        strike,
        within: Duration::from_millis(500),
        grows: 8,
    }
}

impl Case {
    /// Another bound on the time, in milliseconds.
    pub(crate) fn within(self, milliseconds: u64) -> Self {
        let within = Duration::from_millis(milliseconds);
        Self { within, ..self }
    }

    /// Another bound on the growth, in MiB.
    pub(crate) fn grows(self, grows: u64) -> Self {
        Self { grows, ..self }
    }
}

/// A strike that is a function of its own.
pub(crate) fn own(strike: impl for<'a> Fn(&'a Host) -> BoxFuture<'a, Struck> + 'static) -> Strike {
    Box::new(strike)
}

impl Expect {
    /// What the table says.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Fails(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.label()).collect();
                kinds.join(" or ")
            }
            Self::Refused(kinds) => format!("refused: {}", kinds.join(" or ")),
            Self::Holds(claim) => (*claim).to_owned(),
        }
    }

    /// Whether it ended as it has to.
    pub(crate) fn fits(&self, end: &End) -> bool {
        match (self, end) {
            (Self::Fails(kinds), End::Failed(kind)) => kinds.contains(kind),
            (Self::Refused(kinds), End::Refused(kind)) => kinds.contains(kind),
            (Self::Holds(_), End::Held) => true,
            _ => false,
        }
    }
}

impl End {
    pub(crate) fn shown(&self) -> &'static str {
        match self {
            Self::Failed(kind) => kind.label(),
            Self::Refused(kind) => kind,
            Self::Held => "held",
            Self::Answered => "answered",
        }
    }
}

impl Outcome {
    pub(crate) fn of(end: End) -> Self {
        Self {
            end,
            took: None,
            note: String::new(),
        }
    }

    pub(crate) fn held(note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..Self::of(End::Held)
        }
    }

    pub(crate) fn of_call(ended: &Result<Reply, CallError>) -> Self {
        Self::of(match ended {
            Ok(_) => End::Answered,
            Err(error) => End::Failed(error.failure.kind),
        })
    }

    pub(crate) fn of_load(error: &LoadError) -> Self {
        Self::of(End::Refused(error.kind()))
    }

    pub(crate) fn took(self, took: Duration) -> Self {
        Self {
            took: Some(took),
            ..self
        }
    }
}

/// The claim holds, or what is said of it does not.
pub(crate) fn claim(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(otherwise()),
    }
}
