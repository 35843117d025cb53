//! What a change of shared state may do, decided apart from where the state is kept: every backend asks here.

use super::{
    Expect, KV_HISTORY, KV_PAST_BYTES, KV_PAST_CHANGES, KvEntry, KvOp, KvQuota, KvValue, Rev,
};

/// The format of a number that `add` keeps.
const NUMBER_FORMAT: &str = "json";

/// What a namespace holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Keys.
    pub(super) keys: u64,
    /// Bytes of all values.
    pub(super) bytes: u64,
}

/// What a namespace remembers beside what it holds: changes whose value is no longer the present one, and deletions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// Changes.
    pub(super) changes: u64,
    /// Bytes of all their values.
    pub(super) bytes: u64,
}

impl Past {
    /// One more, with a value of so many bytes.
    pub(super) fn gain(&mut self, size: u64) {
        self.changes += 1;
        self.bytes += size;
    }

    /// One less.
    pub(super) fn lose(&mut self, size: u64) {
        self.changes = self.changes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }

    /// Whether the oldest has to go.
    pub(super) fn over(self, quota: KvQuota) -> bool {
        let changes = quota.keys.saturating_mul(KV_PAST_CHANGES);
        self.changes > changes.saturating_add(KV_HISTORY)
            || self.bytes > quota.bytes.saturating_mul(KV_PAST_BYTES)
    }
}

/// What a key holds, as far as it decides about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Its revision.
    pub(super) rev: Rev,
    /// The bytes of its value.
    pub(super) size: u64,
}

impl Held {
    /// Of an entry.
    pub(super) fn of(entry: &KvEntry) -> Self {
        Self {
            rev: entry.rev,
            size: size(Some(&entry.value)),
        }
    }
}

/// Whether changes in a namespace are remembered. Not in those of the host itself, whose names no agent can have: what stands there
/// is derived, or short-lived, and would only grow.
pub(super) fn has_history(ns: &str) -> bool {
    !ns.starts_with('.')
}

/// What setting (or with `None` deleting) a key is called in its history.
pub(super) fn op(expect: Expect, value: Option<&KvValue>) -> KvOp {
    match (expect, value) {
        (_, None) => KvOp::Delete,
        (Expect::Any, Some(_)) => KvOp::Set,
        (Expect::Absent | Expect::Rev(_), Some(_)) => KvOp::Swap,
    }
}

/// What is to be done about a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Make it; the namespace then holds this much.
    Write(Used),
    /// What is there is not what was expected.
    Conflict,
    /// It would pass a quota; the text says which.
    Quota(String),
}

/// Judges setting (or with `None` deleting) a key that now holds `current`, in a namespace that holds `used`.
pub(super) fn judge(
    current: Option<Held>,
    used: Used,
    expect: Expect,
    value: Option<&KvValue>,
    quota: KvQuota,
) -> Verdict {
    let rev = current.map_or(Rev::NONE, |held| held.rev);
    let met = match expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::Rev(expected) => rev == expected,
    };
    if !met {
        return Verdict::Conflict;
    }
    let after = Used {
        keys: used.keys - u64::from(current.is_some()).min(used.keys) + u64::from(value.is_some()),
        bytes: used
            .bytes
            .saturating_sub(current.map_or(0, |held| held.size))
            + size(value),
    };
    match over(used, after, quota) {
        Some(text) => Verdict::Quota(text),
        None => Verdict::Write(after),
    }
}

/// The value `delta` above the one that is there; the text says why there is none.
pub(super) fn sum(current: Option<&KvEntry>, delta: i64) -> Result<i64, String> {
    let number = match current.map(|entry| &entry.value) {
        None => 0,
        Some(value) if value.format != NUMBER_FORMAT => {
            return Err(format!("the value is {}, not a whole number", value.format));
        }
        Some(value) => serde_json::from_slice::<i64>(&value.bytes)
            .map_err(|_| "the value is not a whole number of 64 bits".to_owned())?,
    };
    number
        .checked_add(delta)
        .ok_or_else(|| format!("{number} and {delta} together pass the range of 64 bits"))
}

/// How `number` is kept.
pub(super) fn number(number: i64) -> KvValue {
    KvValue {
        format: NUMBER_FORMAT.into(),
        bytes: number.to_string().into(),
    }
}

fn size(value: Option<&KvValue>) -> u64 {
    value.map_or(0, |value| value.bytes.len() as u64)
}

/// Only growth is refused, so that a namespace whose quota was lowered can still shrink step by step.
fn over(before: Used, after: Used, quota: KvQuota) -> Option<String> {
    if after.keys > quota.keys && after.keys > before.keys {
        Some(format!(
            "it would hold {} keys, and {} are allowed",
            after.keys, quota.keys
        ))
    } else if after.bytes > quota.bytes && after.bytes > before.bytes {
        Some(format!(
            "its values would take {} bytes, and {} are allowed",
            after.bytes, quota.bytes
        ))
    } else {
        None
    }
}
