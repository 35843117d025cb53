//! A host in memory, one for each thread, for agents that run natively in tests: the same revisions, conflicts and refusals as the
//! real one, without its grants, limits and journal. It is no way to run agents for real.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::log::Level;
use crate::model::{Answer, Message, ModelError, Options};
use crate::payload::Payload;
use crate::peers::{CallError, Peer, Request};
use crate::state::{Entry, StateError};
use crate::testing::{Event, LogLine, Progress};

/// As the real host: one answer of `keys` is no longer.
const KEYS_LIMIT: usize = 1000;

type PeerFn = Rc<dyn Fn(Payload) -> Result<Payload, CallError>>;
type CompleteFn = Rc<dyn Fn(&[Message], &Options) -> Result<Answer, ModelError>>;
type EmbedFn = Rc<dyn Fn(&[String], Option<&str>) -> Result<Vec<Vec<f32>>, ModelError>>;

/// Everything the host knows.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) log: Vec<LogLine>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) events: Vec<Event>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) peers: BTreeMap<String, (Peer, PeerFn)>,
    pub(crate) complete: Option<CompleteFn>,
    pub(crate) embed: Option<EmbedFn>,
    blobs: BTreeMap<String, (String, Vec<u8>)>,
    state: BTreeMap<String, Entry>,
    revision: u64,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Looks into this thread's host. `f` must not call the host.
pub(crate) fn with<T>(f: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(f)
}

pub(crate) fn log(level: Level, target: &str, message: &str) {
    with(|m| {
        m.log.push(LogLine {
            level,
            target: target.to_owned(),
            message: message.to_owned(),
        })
    });
}

pub(crate) fn config_get(key: &str) -> Result<Option<String>, String> {
    Ok(with(|m| m.config.get(key).cloned()))
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    Ok(with(|m| m.config.clone().into_iter().collect()))
}

pub(crate) fn blob_read(digest: &str) -> Result<(String, Vec<u8>), String> {
    with(|m| m.blobs.get(digest).cloned()).ok_or_else(|| "no such blob".to_owned())
}

pub(crate) fn blob_part(digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
    with(|m| {
        let (_, bytes) = m.blobs.get(digest).ok_or("no such blob")?;
        let rest = bytes.get(offset.try_into().unwrap_or(usize::MAX)..);
        let rest = rest.unwrap_or_default();
        Ok(rest[..rest.len().min(length as usize)].to_vec())
    })
}

pub(crate) fn blob_write(media_type: &str, bytes: &[u8]) -> Result<String, String> {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    with(|m| {
        m.blobs
            .insert(digest.clone(), (media_type.to_owned(), bytes.to_vec()))
    });
    Ok(digest)
}

pub(crate) fn emit(event_type: &str, subject: Option<&str>, data: Payload) -> Result<(), String> {
    with(|m| {
        m.events.push(Event {
            event_type: event_type.to_owned(),
            subject: subject.map(str::to_owned),
            data,
        })
    });
    Ok(())
}

pub(crate) fn progress_report(done: Option<f32>, note: &str) {
    with(|m| {
        m.progress.push(Progress::Report {
            done,
            note: note.to_owned(),
        })
    });
}

pub(crate) fn progress_partial(chunk: Payload) {
    with(|m| m.progress.push(Progress::Partial(chunk)));
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry>, StateError> {
    Ok(with(|m| m.state.get(key).cloned()))
}

pub(crate) fn state_set(key: &str, value: Payload) -> Result<u64, StateError> {
    Ok(with(|m| m.write(key, value)))
}

pub(crate) fn state_compare_and_swap(
    key: &str,
    expected: Option<u64>,
    value: Payload,
) -> Result<u64, StateError> {
    with(|m| {
        m.expect(key, expected)?;
        Ok(m.write(key, value))
    })
}

pub(crate) fn state_increment(key: &str, delta: i64) -> Result<i64, StateError> {
    with(|m| {
        let current: i64 = match m.state.get(key) {
            None => 0,
            Some(entry) => entry.value.clone().decode().map_err(StateError::Denied)?,
        };
        let sum = current
            .checked_add(delta)
            .ok_or_else(|| StateError::Denied("the number overflows".to_owned()))?;
        m.write(key, Payload::Json(sum.to_string()));
        Ok(sum)
    })
}

pub(crate) fn state_delete(key: &str, expected: Option<u64>) -> Result<(), StateError> {
    with(|m| {
        if expected.is_some() {
            m.expect(key, expected)?;
        }
        m.state.remove(key);
        Ok(())
    })
}

pub(crate) fn state_keys(prefix: &str, after: Option<&str>) -> Result<Vec<String>, StateError> {
    let wanted =
        |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
    Ok(with(|m| {
        m.state
            .keys()
            .filter(wanted)
            .take(KEYS_LIMIT)
            .cloned()
            .collect()
    }))
}

pub(crate) fn peers_find(skill: &str) -> Vec<Peer> {
    with(|m| m.peers.get(skill).map(|(peer, _)| peer.clone()))
        .into_iter()
        .collect()
}

pub(crate) fn peers_call(request: Request) -> Result<Payload, CallError> {
    let answer = with(|m| {
        m.peers
            .get(&request.skill)
            .map(|(_, answer)| Rc::clone(answer))
    });
    let refused = || CallError::Refused(format!("no agent has the skill `{}`", request.skill));
    answer.ok_or_else(refused)?(request.input)
}

pub(crate) fn peers_call_all(requests: Vec<Request>) -> Vec<Result<Payload, CallError>> {
    requests.into_iter().map(peers_call).collect()
}

pub(crate) fn complete(messages: &[Message], options: &Options) -> Result<Answer, ModelError> {
    with(|m| m.complete.clone()).ok_or_else(no_model)?(messages, options)
}

pub(crate) fn embed(texts: &[String], model: Option<&str>) -> Result<Vec<Vec<f32>>, ModelError> {
    with(|m| m.embed.clone()).ok_or_else(no_model)?(texts, model)
}

fn no_model() -> ModelError {
    ModelError::Refused("no model is configured".to_owned())
}

impl Memory {
    /// One counter for all keys: a revision is never used twice, also when a key is deleted and comes back.
    fn write(&mut self, key: &str, value: Payload) -> u64 {
        self.revision += 1;
        self.state.insert(
            key.to_owned(),
            Entry {
                value,
                revision: self.revision,
            },
        );
        self.revision
    }

    fn expect(&self, key: &str, expected: Option<u64>) -> Result<(), StateError> {
        let entry = self.state.get(key);
        if entry.map(|entry| entry.revision) == expected {
            return Ok(());
        }
        Err(StateError::Conflict(entry.cloned()))
    }
}
