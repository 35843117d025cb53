//! How answers stand on a tape: plain data of their own, because a stored format must not change when an interface does.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::bindings::kennel::agent::peers as wit;
use super::super::bindings::kennel::agent::state;
use super::super::bindings::kennel::agent::types::{BlobResult, Error, PayloadResult};

/// A payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum Said {
    Text(String),
    Json(String),
    Blob(String, Bytes),
}

impl From<&PayloadResult> for Said {
    fn from(payload: &PayloadResult) -> Self {
        match payload {
            PayloadResult::Text(text) => Self::Text(text.clone()),
            PayloadResult::Json(text) => Self::Json(text.clone()),
            PayloadResult::Blob(blob) => {
                Self::Blob(blob.media_type.clone(), Bytes::copy_from_slice(&blob.bytes))
            }
        }
    }
}

impl From<Said> for PayloadResult {
    fn from(said: Said) -> Self {
        match said {
            Said::Text(text) => Self::Text(text),
            Said::Json(text) => Self::Json(text),
            Said::Blob(media_type, bytes) => Self::Blob(BlobResult {
                media_type,
                bytes: bytes.into(),
            }),
        }
    }
}

/// What a payload is, and its bytes: for a digest.
pub(in crate::sandbox) fn parts(payload: &PayloadResult) -> [&[u8]; 2] {
    match payload {
        PayloadResult::Text(text) => [b"text", text.as_bytes()],
        PayloadResult::Json(text) => [b"json", text.as_bytes()],
        PayloadResult::Blob(blob) => [blob.media_type.as_bytes(), &blob.bytes],
    }
}

/// A value of shared state with its revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Entry(Said, u64);

impl From<&state::Entry> for Entry {
    fn from(entry: &state::Entry) -> Self {
        Self((&entry.value).into(), entry.revision)
    }
}

impl From<Entry> for state::Entry {
    fn from(Entry(value, revision): Entry) -> Self {
        Self {
            value: value.into(),
            revision,
        }
    }
}

/// Why shared state did not do what it was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum StateError {
    Conflict(Option<Entry>),
    Denied(String),
    Quota(String),
    Unavailable(String),
}

impl From<&state::StateError> for StateError {
    fn from(error: &state::StateError) -> Self {
        match error {
            state::StateError::Conflict(now) => Self::Conflict(now.as_ref().map(Entry::from)),
            state::StateError::Denied(why) => Self::Denied(why.clone()),
            state::StateError::Quota(which) => Self::Quota(which.clone()),
            state::StateError::Unavailable(why) => Self::Unavailable(why.clone()),
        }
    }
}

impl From<StateError> for state::StateError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict(now) => Self::Conflict(now.map(Into::into)),
            StateError::Denied(why) => Self::Denied(why),
            StateError::Quota(which) => Self::Quota(which),
            StateError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// What a peer answered.
pub(in crate::sandbox) type Answer = Result<Said, CallError>;

/// Why a call of a peer gave no answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum CallError {
    InvalidInput(String),
    Recoverable(String),
    Fatal(String),
    Refused(String),
    Failed(String),
}

impl From<&wit::CallError> for CallError {
    fn from(error: &wit::CallError) -> Self {
        match error {
            wit::CallError::Agent(Error::InvalidInput(why)) => Self::InvalidInput(why.clone()),
            wit::CallError::Agent(Error::Recoverable(why)) => Self::Recoverable(why.clone()),
            wit::CallError::Agent(Error::Fatal(why)) => Self::Fatal(why.clone()),
            wit::CallError::Refused(why) => Self::Refused(why.clone()),
            wit::CallError::Failed(why) => Self::Failed(why.clone()),
        }
    }
}

impl From<CallError> for wit::CallError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::InvalidInput(why) => Self::Agent(Error::InvalidInput(why)),
            CallError::Recoverable(why) => Self::Agent(Error::Recoverable(why)),
            CallError::Fatal(why) => Self::Agent(Error::Fatal(why)),
            CallError::Refused(why) => Self::Refused(why),
            CallError::Failed(why) => Self::Failed(why),
        }
    }
}

/// A peer that was found: name, skill, description.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Peer(String, String, String);

impl From<&wit::Peer> for Peer {
    fn from(peer: &wit::Peer) -> Self {
        Self(
            peer.name.clone(),
            peer.skill.clone(),
            peer.description.clone(),
        )
    }
}

impl From<Peer> for wit::Peer {
    fn from(Peer(name, skill, description): Peer) -> Self {
        Self {
            name,
            skill,
            description,
        }
    }
}

/// How the answer to an HTTP request begins: with a status and headers, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Head {
    Response(u16, Fields),
    Fault(Fault),
}

/// A piece of a response's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Frame {
    Data(Bytes),
    Trailers(Fields),
    Fault(Fault),
    End,
}

/// Headers or trailers, in order.
pub(in crate::sandbox) type Fields = Vec<(String, Bytes)>;

/// Why an HTTP exchange went wrong, as far as a guest is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Fault {
    Denied,
    Uri,
    Method,
    UriTooLong,
    NotFound,
    DnsTimeout,
    Prohibited,
    Refused,
    Unavailable,
    Tls,
    ConnectTimeout,
    ReadTimeout,
    Timeout,
    RequestTooLarge(Option<u64>),
    ResponseTooLarge(Option<u64>),
    TooMany,
    Protocol,
}
