//! The history of shared state: one entry for each change, from which the state can be made anew. It decides nothing about a change.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Rev;
use crate::id::{Digest, RunId};

/// The newest changes of each key that are kept; with one more, the oldest goes. What a key holds now is always among them.
pub const KV_HISTORY: u64 = 1000;

/// Of a whole namespace, the changes that are kept beside those which made its present values: [`KV_HISTORY`], and this many for
/// each key of its quota. With one more the oldest goes, so keys that come and go cannot fill the store.
pub const KV_PAST_CHANGES: u64 = 10;

/// The bytes that the values of these past changes take together, in quotas of the namespace; the oldest go first here too.
pub const KV_PAST_BYTES: u64 = 2;

/// Values up to this many bytes stand in the history itself; larger ones are blobs, so that one which comes back is kept once.
pub const KV_INLINE_MAX: usize = 32 << 10;

/// Who changes shared state. Kept with the change; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvBy {
    /// The run it belongs to, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<RunId>,
    /// The task; `None` when a person did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<String>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KvChange {
    /// The revision that it made. Revisions grow over all keys together.
    pub rev: Rev,
    /// The key.
    pub key: String,
    /// What was asked for.
    pub op: KvOp,
    /// What the key holds since; `None` after a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<KvKept>,
    /// When; for people, nothing is ordered by it. `None` for what was there before histories were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Who did it.
    pub by: KvBy,
}

/// What a change asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvOp {
    /// A value, whatever was there.
    Set,
    /// A value, if the key held what was expected.
    Swap,
    /// Nothing.
    Delete,
    /// So much more than was there.
    Add(i64),
}

/// A value as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KvKept {
    /// `text`, `json` or a media type.
    pub format: String,
    /// The bytes, or where they are.
    #[serde(skip)]
    pub data: KvData,
    /// How many bytes it has.
    pub size: u64,
}

/// The bytes of a value, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvData {
    /// The bytes.
    Inline(Bytes),
    /// Under this digest among the blobs.
    Blob(Digest),
}

/// What one agent keeps, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KvSpace {
    /// The namespace: the agent's name.
    pub agent: String,
    /// Keys that it holds.
    pub keys: u64,
    /// Bytes of all their values.
    pub bytes: u64,
}

/// The state that `changes`, oldest first, lead to: what each key holds, with its revision.
pub fn state_of(changes: impl IntoIterator<Item = KvChange>) -> BTreeMap<String, (Rev, KvKept)> {
    let mut state = BTreeMap::new();
    for KvChange {
        rev, key, value, ..
    } in changes
    {
        match value {
            Some(value) => drop(state.insert(key, (rev, value))),
            None => drop(state.remove(&key)),
        }
    }
    state
}
