//! Circuit breakers that outlive their process, so that an agent that keeps failing is not asked anew by every command.
//!
//! The process that writes last says how a breaker stands. A store that does not answer in time is left alone.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Registry;
use crate::id::{AgentName, Digest};
use crate::policy::{Snapshot, Standing};
use crate::store::{Expect, Kv, KvBy, KvQuota, KvValue, StoreError};

/// No agent can have this name, so none can read or write here.
const NAMESPACE: &str = ".breakers";
/// What all breakers together may take.
const QUOTA: KvQuota = KvQuota {
    keys: 10_000,
    bytes: 16 << 20,
};
/// How long the store may take for all of them.
const PATIENCE: Duration = Duration::from_secs(2);

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
        said(tokio::time::timeout(PATIENCE, restoring).await, "known");
    }

    /// Writes how the breakers stand.
    pub async fn keep_breakers(&self, kv: &dyn Kv) {
        let by = KvBy::default();
        let keeping = async {
            for (agent, breaker) in self.providers.shared.breakers() {
                let Some(plugin) = self.plugins.get(&agent) else {
                    continue;
                };
                let written = Written {
                    plugin: plugin.digest,
                    at: Timestamp::now(),
                    breaker,
                };
                let value = KvValue {
                    format: "json".to_owned(),
                    bytes: serde_json::json!(written).to_string().into(),
                };
                let key = agent.as_str();
                kv.cas(NAMESPACE, key, Expect::Any, Some(value), QUOTA, &by)
                    .await?;
            }
            Ok(())
        };
        said(tokio::time::timeout(PATIENCE, keeping).await, "kept");
    }

    /// How the circuit breaker of `agent` stands, if it has one.
    pub fn breaker(&self, agent: &AgentName) -> Option<Snapshot> {
        let breakers = self.providers.shared.breakers();
        breakers
            .into_iter()
            .find_map(|(of, breaker)| (of == *agent).then_some(breaker))
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

fn said(ended: Result<Result<(), StoreError>, tokio::time::error::Elapsed>, what: &str) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "circuit breakers are not {what}"),
        Err(_) => {
            tracing::warn!("circuit breakers are not {what}: the store did not answer in time")
        }
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
