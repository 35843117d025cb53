//! Names and ids: each parsed once at the edge, so that the inside never holds a malformed one.
//!
//! Nothing here knows what the names stand for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

/// The longest name of an agent, a skill or a step, in bytes.
pub const MAX_NAME: usize = 64;

/// Why a text is not a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {what}: {reason}", .text.escape_debug())]
pub struct IdError {
    what: &'static str,
    text: String,
    reason: &'static str,
}

impl IdError {
    fn new(what: &'static str, text: &str, reason: &'static str) -> Self {
        // A hostile name may be long; the message needs only its beginning.
        let text = text.chars().take(MAX_NAME).collect();
        Self { what, text, reason }
    }
}

/// Declares a shared, validated text type. All of them follow the same rule: 1 to 64 bytes of ASCII letters, digits, `-`, `_` and
/// `.`, beginning with a letter, a digit or `_`; so a name is safe in file names, terminals, HTML and log lines.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_name($what, text).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of an agent: unique in a directory of plugins.
    AgentName,
    "agent name"
);
name_type!(
    /// The name of a skill: what an agent can be asked for.
    SkillName,
    "skill name"
);
name_type!(
    /// The id of a step, unique in its flow; expressions reach its output as `steps.ID`.
    StepId,
    "step id"
);

name_type!(
    /// The type of an event, such as `report.ready`: what flows listen for and agents emit.
    EventType,
    "event type"
);

fn check_name(what: &'static str, text: &str) -> Result<(), IdError> {
    let fail = |reason| Err(IdError::new(what, text, reason));
    match text.bytes().next() {
        None => return fail("it is empty"),
        Some(first) if !(first.is_ascii_alphanumeric() || first == b'_') => {
            return fail("it must begin with a letter, a digit or `_`");
        }
        Some(_) => {}
    }
    if text.len() > MAX_NAME {
        return fail("it is longer than 64 bytes");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        return fail("only ASCII letters, digits, `-`, `_` and `.` are allowed");
    }
    Ok(())
}

/// One execution of a flow: a ULID, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Ulid);

impl RunId {
    /// A new id from the current time and randomness.
    pub fn generate() -> Self {
        Self(Ulid::generate())
    }

    /// The id of the run that `cause` starts, which was accepted at `milliseconds` after 1970: the same whenever it is asked for.
    pub fn caused_by(milliseconds: u64, cause: &Digest) -> Self {
        let mut random = [0; 16];
        random[6..].copy_from_slice(&cause.0[..10]);
        Self(Ulid::from_parts(milliseconds, u128::from_be_bytes(random)))
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Ulid::from_string(text)
            .map(Self)
            .map_err(|_| IdError::new("run id", text, "a run id has 26 letters and digits"))
    }
}

impl TryFrom<String> for RunId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0.to_string()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// Where in a run a step stands: its id, below the ids and indexes of what repeats it (`review[2]/judge`).
///
/// Made by the run state only, from checked step ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepPath(Arc<str>);

impl StepPath {
    /// The path of a step that nothing repeats.
    pub fn of(step: &StepId) -> Self {
        Self(step.0.clone())
    }

    /// The path of `step` inside what stands at `outer`, and as the repetition `index` when it is one of several.
    pub fn within(outer: Option<&Self>, step: &StepId, index: Option<usize>) -> Self {
        match (outer, index) {
            (None, None) => Self::of(step),
            (None, Some(index)) => Self(format!("{step}[{index}]").into()),
            (Some(outer), None) => Self(format!("{outer}/{step}").into()),
            (Some(outer), Some(index)) => Self(format!("{outer}/{step}[{index}]").into()),
        }
    }

    /// The path that somebody wrote down, to be looked up: it may be that of no step.
    pub fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of everything that is left in `reader`, without holding it.
    pub fn of_stream(reader: &mut impl std::io::BufRead) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                return Ok(Self(hasher.finalize().into()));
            }
            hasher.update(piece);
            let taken = piece.len();
            reader.consume(taken);
        }
    }

    /// Wraps a digest that was computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, without the `sha256:` prefix: for file names.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fail = || {
            IdError::new(
                "digest",
                text,
                "a digest is `sha256:` and 64 hexadecimal digits",
            )
        };
        let digits = text.strip_prefix("sha256:").ok_or_else(fail)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| fail())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("sha256:{}", self.hex()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_ascii_and_short() {
        for good in ["a", "word-count", "_x", "v1.2", &"n".repeat(MAX_NAME)] {
            assert!(good.parse::<AgentName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            ".x",
            "a b",
            "a/b",
            "é",
            "a\u{1b}[31m",
            &"n".repeat(MAX_NAME + 1),
        ] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refused_name_is_quoted_without_its_control_characters() {
        let error = "a\u{1b}[31m".parse::<StepId>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn the_run_of_a_cause_is_always_the_same_and_sorts_by_its_time() {
        let (cause, other) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(RunId::caused_by(7, &cause), RunId::caused_by(7, &cause));
        assert_ne!(RunId::caused_by(7, &cause), RunId::caused_by(7, &other));
        let ids = [6, 7, 8].map(|at| RunId::caused_by(at, &cause));
        assert!(ids.is_sorted());
    }

    #[test]
    fn ids_read_back_what_they_print() {
        let run = RunId::generate();
        assert_eq!(run.to_string().parse(), Ok(run));
        let digest = Digest::of(b"kennel");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("sha256:zz".parse::<Digest>().is_err());
        assert!("../../x".parse::<RunId>().is_err());
    }
}
