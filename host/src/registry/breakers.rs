//! Circuit breakers that outlive their process, so that an agent that keeps failing is not asked anew by every command.
//!
//! A process writes only those that have moved in it, and the one that writes last says how a breaker stands. A store that does not
//! answer in time is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Registry;
use crate::health::{Trouble, in_time};
use crate::id::{AgentName, Digest};
use crate::policy::{Mark, Snapshot, Standing};
use crate::store::{Expect, Kv, KvBy, KvCas, KvQuota, KvValue, StoreError};

/// No agent can have this name, so none can read or write here.
const NAMESPACE: &str = ".breakers";
/// What all breakers together may take.
const QUOTA: KvQuota = KvQuota {
    keys: 10_000,
    bytes: 16 << 20,
};

/// A breaker as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    plugin: Digest,
    at: Timestamp,
    breaker: Snapshot,
}

impl Registry {
    /// Puts the breakers where an earlier process left them; a new version of a plugin begins with a closed one.
    pub async fn restore_breakers(&self, kv: &dyn Kv) {
        let restoring = async {
            for (agent, plugin) in &self.plugins {
                let Some(entry) = kv.get(NAMESPACE, agent.as_str()).await? else {
                    continue;
                };
                // What cannot be read is a closed breaker.
                if let Ok(written) = serde_json::from_slice::<Written>(&entry.value.bytes)
                    && written.plugin == plugin.digest
                {
                    let breaker = later(written.breaker, written.at);
                    self.providers.shared.restore(agent, &breaker);
                }
            }
            Ok(())
        };
        Trouble::default().said(in_time(restoring).await, "circuit breakers are not known");
    }

    /// How the circuit breaker of `agent` stands, if it has one.
    pub fn breaker(&self, agent: &AgentName) -> Option<Snapshot> {
        let breakers = self.providers.shared.breakers();
        breakers
            .into_iter()
            .find_map(|(of, breaker)| (of == *agent).then_some(breaker))
    }
}

/// A breaker, and the plugin that it is about.
pub(super) type Marked = (Digest, Mark);

/// The breakers as this process found or wrote them last.
pub(super) struct Kept(BTreeMap<AgentName, Marked>);

impl Kept {
    /// They were found so: there is nothing to write yet.
    pub(super) fn found(breakers: BTreeMap<AgentName, Marked>) -> Self {
        Self(breakers)
    }

    /// Writes those that have moved.
    pub(super) async fn keep(
        &mut self,
        kv: &dyn Kv,
        breakers: &BTreeMap<AgentName, Marked>,
    ) -> Result<(), StoreError> {
        for (agent, marked) in breakers {
            let moved = match self.0.get(agent) {
                Some(before) => before != marked,
                None => marked.1 != Mark::default(),
            };
            if moved {
                let (plugin, mark) = marked;
                let written = Written {
                    plugin: *plugin,
                    at: Timestamp::now(),
                    breaker: mark.snapshot(Instant::now()),
                };
                write(kv, agent, &written).await?;
                self.0.insert(agent.clone(), *marked);
            }
        }
        Ok(())
    }
}

async fn write(kv: &dyn Kv, agent: &AgentName, written: &Written) -> Result<(), StoreError> {
    let value = KvValue {
        format: "json".to_owned(),
        bytes: serde_json::json!(written).to_string().into(),
    };
    let (key, by) = (agent.as_str(), KvBy::default());
    match kv
        .cas(NAMESPACE, key, Expect::Any, Some(value), QUOTA, &by)
        .await?
    {
        KvCas::Quota(which) => Err(StoreError::Refused(which)),
        KvCas::Committed(_) | KvCas::Conflict(_) => Ok(()),
    }
}

/// `breaker`, which stood so at `at`, as it stands now: time passes for those that are open.
fn later(breaker: Snapshot, at: Timestamp) -> Snapshot {
    let passed = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
    Snapshot {
        open_for: breaker.open_for.map(|left| left.saturating_sub(passed)),
        // Whoever tried it has gone with its process; the next call tries it anew.
        standing: match breaker.standing {
            Standing::HalfOpen => Standing::Open,
            standing => standing,
        },
        ..breaker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_for_an_open_breaker_while_no_process_runs() {
        let open = |left: u64| Snapshot {
            standing: Standing::Open,
            failures: 5,
            open_for: Some(Duration::from_secs(left)),
        };
        let ago = |seconds: u64| Timestamp::now() - Duration::from_secs(seconds);
        let left = later(open(60), ago(20)).open_for.expect("it is open");
        assert!(
            left > Duration::from_secs(38) && left <= Duration::from_secs(40),
            "{left:?}"
        );
        assert_eq!(later(open(60), ago(90)), open(0));
        // A clock that was put back does not make it longer.
        assert_eq!(
            later(open(60), Timestamp::now() + Duration::from_secs(50)),
            open(60)
        );
    }

    #[test]
    fn a_try_that_nobody_ended_is_made_anew() {
        let half = Snapshot {
            standing: Standing::HalfOpen,
            failures: 5,
            open_for: None,
        };
        assert_eq!(later(half, Timestamp::now()).standing, Standing::Open);
    }
}
