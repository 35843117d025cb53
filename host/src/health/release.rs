//! Words that an agent is to be let through again: for whoever drives at the moment, and for whoever opens the book later.
//!
//! A word stays, and has a number: who knows the number has done what the word says. It is about quarantines only, and closes no circuit
//! breaker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::AgentName;
use crate::store::{Expect, Kv, KvBy, KvCas, KvQuota, KvValue, Rev, StoreError};

/// No agent can have this name, so none can read or write here.
const NAMESPACE: &str = ".releases";
/// One entry for all agents, so that looking for news is one small read.
const KEY: &str = "agents";
/// What that entry may take: every agent that the book has a page for.
const QUOTA: KvQuota = KvQuota {
    keys: 1,
    bytes: 4 << 20,
};
/// How often it is tried when others leave words at the same time.
const TRIES: usize = 16;

/// The number of the last word about each agent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Releases(BTreeMap<AgentName, u64>);

impl Releases {
    /// The number of the last word about `agent`; 0 when there is none.
    pub(super) fn of(&self, agent: &AgentName) -> u64 {
        self.0.get(agent).copied().unwrap_or_default()
    }
}

/// The words that were left so far.
pub(super) async fn read(kv: &dyn Kv) -> Result<Releases, StoreError> {
    Ok(found(kv).await?.0)
}

/// Leaves a word about `agent`.
pub(super) async fn leave(kv: &dyn Kv, agent: &AgentName) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let (mut releases, rev) = found(kv).await?;
        // Revisions only grow, so this number was never given before, not even when the words of others could not be read.
        releases.0.insert(agent.clone(), rev.0.saturating_add(1));
        let value = KvValue {
            format: "json".to_owned(),
            bytes: serde_json::json!(releases).to_string().into(),
        };
        let by = KvBy::default();
        let left = kv.cas(NAMESPACE, KEY, Expect::Rev(rev), Some(value), QUOTA, &by);
        match left.await? {
            KvCas::Committed(_) => return Ok(()),
            KvCas::Conflict(_) => {}
            KvCas::Quota(which) => return Err(StoreError::Refused(which)),
        }
    }
    let message = format!("others keep releasing agents, so `{agent}` was not released; try again");
    Err(StoreError::Unavailable(message))
}

async fn found(kv: &dyn Kv) -> Result<(Releases, Rev), StoreError> {
    let Some(entry) = kv.get(NAMESPACE, KEY).await? else {
        return Ok((Releases::default(), Rev::NONE));
    };
    // What cannot be read says nothing.
    let releases = serde_json::from_slice(&entry.value.bytes).unwrap_or_default();
    Ok((releases, entry.rev))
}
