//! `state` for guests: revisioned values in the agent's own namespace, over the store's [`Kv`](crate::store::Kv).
//!
//! Keys and values are bounded here, the namespace as a whole by the store in the same transaction as the change.

use super::Plugin;
use super::bindings::kennel::agent::state::{self, Entry, StateError};
use super::bindings::kennel::agent::types::{BlobResult, PayloadResult};
use super::convert;
use super::tape::wire;
use super::task::Task;
use crate::payload::Payload;
use crate::store::{Expect, KvAdd, KvBy, KvCas, KvEntry, KvQuota, KvValue, Rev, StoreError};

/// Keys in one answer.
const KEYS: usize = 1000;

type Answer<T> = wasmtime::Result<Result<T, StateError>>;

impl state::Host for Task {
    async fn get(&mut self, key: String) -> Answer<Option<Entry>> {
        self.enter(key.len())?;
        if let Err(refused) = self.plugin.check_key(&key) {
            return Ok(Err(refused));
        }
        let tape = self.tape();
        let asked = tape.asked("state.get", &key, &[key.as_bytes()]);
        if let Some(said) = tape.taped::<Result<Option<wire::Entry>, _>>(asked.as_ref())? {
            return Ok(said.map(|found| found.map(Entry::from)).map_err(heard));
        }
        let plugin = &self.plugin;
        let found = plugin
            .bounded(
                "state.get",
                plugin.host.backend.kv().get(plugin.namespace(), &key),
            )
            .await?;
        let answer = found
            .map_err(unavailable)
            .and_then(|found| found.map(entry).transpose());
        tape.put_answer(asked, || {
            said(&answer, |found| found.as_ref().map(wire::Entry::from))
        });
        Ok(answer)
    }

    async fn set(&mut self, key: String, value: PayloadResult) -> Answer<u64> {
        self.change("state.set", key, Expect::Any, Some(value))
            .await
    }

    async fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: PayloadResult,
    ) -> Answer<u64> {
        let expect = expected.map_or(Expect::Absent, |rev| Expect::Rev(Rev(rev)));
        self.change("state.compare-and-swap", key, expect, Some(value))
            .await
    }

    async fn increment(&mut self, key: String, delta: i64) -> Answer<i64> {
        self.enter(key.len())?;
        if let Err(refused) = self.plugin.check_key(&key) {
            return Ok(Err(refused));
        }
        let tape = self.tape();
        let asked = tape.asked(
            "state.increment",
            &key,
            &[key.as_bytes(), &delta.to_le_bytes()],
        );
        if let Some(said) = tape.taped::<Result<i64, _>>(asked.as_ref())? {
            return Ok(said.map_err(heard));
        }
        let (plugin, by) = (&self.plugin, self.by());
        let add =
            plugin
                .host
                .backend
                .kv()
                .add(plugin.namespace(), &key, delta, plugin.quota(), &by);
        let answer = match plugin.bounded("state.increment", add).await? {
            Ok(KvAdd::Committed(value)) => Ok(value),
            Ok(KvAdd::NotANumber(why)) => Err(StateError::Denied(why)),
            Ok(KvAdd::Quota(which)) => Err(StateError::Quota(which)),
            Err(error) => Err(unavailable(error)),
        };
        tape.put_answer(asked, || said(&answer, |sum| *sum));
        Ok(answer)
    }

    async fn delete(&mut self, key: String, expected: Option<u64>) -> Answer<()> {
        let expect = expected.map_or(Expect::Any, |rev| Expect::Rev(Rev(rev)));
        Ok(self
            .change("state.delete", key, expect, None)
            .await?
            .map(|_| ()))
    }

    async fn keys(&mut self, prefix: String, after: Option<String>) -> Answer<Vec<String>> {
        self.enter(prefix.len() + after.as_ref().map_or(0, String::len))?;
        let tape = self.tape();
        let from = after.as_deref().map(str::as_bytes);
        let args = [
            prefix.as_bytes(),
            &[u8::from(from.is_some())],
            from.unwrap_or_default(),
        ];
        let asked = tape.asked("state.keys", &prefix, &args);
        if let Some(said) = tape.taped::<Result<Vec<String>, _>>(asked.as_ref())? {
            return Ok(said.map_err(heard));
        }
        let plugin = &self.plugin;
        let keys =
            plugin
                .host
                .backend
                .kv()
                .keys(plugin.namespace(), &prefix, after.as_deref(), KEYS);
        let answer = plugin.bounded("state.keys", keys).await?;
        let answer = answer.map_err(unavailable);
        tape.put_answer(asked, || said(&answer, Vec::clone));
        Ok(answer)
    }
}

impl Task {
    async fn change(
        &mut self,
        what: &str,
        key: String,
        expect: Expect,
        value: Option<PayloadResult>,
    ) -> Answer<u64> {
        self.enter(key.len() + value.as_ref().map_or(0, convert::size))?;
        let tape = self.tape();
        let expected = match expect {
            Expect::Any => [2; 9],
            Expect::Absent => [0; 9],
            Expect::Rev(rev) => {
                let mut expected = [1; 9];
                expected[1..].copy_from_slice(&rev.0.to_le_bytes());
                expected
            }
        };
        let parts = value.as_ref().map(wire::parts).unwrap_or_default();
        let args = [key.as_bytes(), &expected, parts[0], parts[1]];
        let asked = tape.asked(what, &key, &args);
        if let Some(said) = tape.taped::<Result<u64, _>>(asked.as_ref())? {
            return Ok(said.map_err(heard));
        }
        let by = self.by();
        let answer = self.plugin.change(what, key, expect, value, &by).await?;
        tape.put_answer(asked, || said(&answer, |rev| *rev));
        Ok(answer)
    }

    /// What the history of the state says about who changed it.
    fn by(&self) -> KvBy {
        KvBy {
            run: self.errand.lineage.run,
            task: Some(self.errand.task_id.to_string()),
        }
    }
}

impl Plugin {
    /// Each agent has the namespace of its own name, and no way to name another.
    fn namespace(&self) -> &str {
        self.agent.as_str()
    }

    fn quota(&self) -> KvQuota {
        KvQuota {
            keys: self.limits.state_keys,
            bytes: self.limits.state.0,
        }
    }

    async fn change(
        &self,
        what: &str,
        key: String,
        expect: Expect,
        value: Option<PayloadResult>,
        by: &KvBy,
    ) -> Answer<u64> {
        let value = match self
            .check_key(&key)
            .and_then(|()| value.map(|value| self.value(value)).transpose())
        {
            Ok(value) => value,
            Err(refused) => return Ok(Err(refused)),
        };
        let cas =
            self.host
                .backend
                .kv()
                .cas(self.namespace(), &key, expect, value, self.quota(), by);
        Ok(match self.bounded(what, cas).await? {
            Ok(KvCas::Committed(rev)) => Ok(rev.0),
            Ok(KvCas::Conflict(now)) => match now.map(entry).transpose() {
                Ok(now) => Err(StateError::Conflict(now)),
                Err(damaged) => Err(damaged),
            },
            Ok(KvCas::Quota(which)) => Err(StateError::Quota(which)),
            Err(error) => Err(unavailable(error)),
        })
    }

    fn check_key(&self, key: &str) -> Result<(), StateError> {
        let limit = self.limits.state_key;
        if key.is_empty() || key.chars().any(char::is_control) {
            return Err(StateError::Denied(
                "a key is not empty and has no control characters".to_owned(),
            ));
        }
        if key.len() as u64 > limit.0 {
            return Err(StateError::Quota(format!(
                "the key has {} bytes; `limits.state-key` allows {limit}",
                key.len()
            )));
        }
        Ok(())
    }

    fn value(&self, value: PayloadResult) -> Result<KvValue, StateError> {
        let limit = self.limits.state_value;
        let size = convert::size(&value);
        if size as u64 > limit.0 {
            return Err(StateError::Quota(format!(
                "the value has {size} bytes; `limits.state-value` allows {limit}"
            )));
        }
        let payload =
            convert::payload(value).map_err(|failure| StateError::Denied(failure.message))?;
        Ok(match payload {
            Payload::Text(text) => KvValue {
                format: "text".to_owned(),
                bytes: text.into(),
            },
            Payload::Json(text) => KvValue {
                format: "json".to_owned(),
                bytes: text.into(),
            },
            Payload::Blob(blob) => KvValue {
                format: blob.media_type,
                bytes: blob.bytes,
            },
        })
    }
}

fn entry(entry: KvEntry) -> Result<Entry, StateError> {
    let KvEntry {
        value: KvValue { format, bytes },
        rev,
    } = entry;
    let text = |bytes: bytes::Bytes| {
        String::from_utf8(bytes.into())
            .map_err(|_| StateError::Unavailable("the stored value is not UTF-8".to_owned()))
    };
    let value = match format.as_str() {
        "text" => PayloadResult::Text(text(bytes)?),
        "json" => PayloadResult::Json(text(bytes)?),
        _ => PayloadResult::Blob(BlobResult {
            media_type: format,
            bytes: bytes.into(),
        }),
    };
    Ok(Entry {
        value,
        revision: rev.0,
    })
}

fn unavailable(error: StoreError) -> StateError {
    StateError::Unavailable(error.to_string())
}

/// An answer as it stands on a tape.
fn said<T, S>(
    answer: &Result<T, StateError>,
    of: impl FnOnce(&T) -> S,
) -> Result<S, wire::StateError> {
    answer.as_ref().map(of).map_err(wire::StateError::from)
}

fn heard(error: wire::StateError) -> StateError {
    error.into()
}
