//! The real host, through the generated imports. Each function is imported only by components whose code reaches it.

use super::bindings::kennel::agent as kennel;
use super::bindings::wasi;
use crate::log::Level;
use crate::model::{Answer, Message, ModelError, Options, Role};
use crate::payload::Payload;
use crate::peers::{CallError, Peer, Request};
use crate::state::{Entry, StateError};

pub(crate) fn log(level: Level, target: &str, message: &str) {
    use wasi::logging::logging::Level as Raw;
    let level = match level {
        Level::Trace => Raw::Trace,
        Level::Debug => Raw::Debug,
        Level::Info => Raw::Info,
        Level::Warn => Raw::Warn,
        Level::Error => Raw::Error,
        Level::Critical => Raw::Critical,
    };
    wasi::logging::logging::log(level, target, message);
}

pub(crate) fn config_get(key: &str) -> Result<Option<String>, String> {
    wasi::config::store::get(key).map_err(config_error)
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, String> {
    wasi::config::store::get_all().map_err(config_error)
}

pub(crate) fn blob_read(digest: &str) -> Result<(String, Vec<u8>), String> {
    kennel::blobs::read(digest).map(|blob| (blob.media_type, blob.bytes))
}

pub(crate) fn blob_part(digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
    kennel::blobs::read_part(digest, offset, length)
}

pub(crate) fn blob_write(media_type: &str, bytes: &[u8]) -> Result<String, String> {
    kennel::blobs::write(&kennel::types::Blob {
        media_type: media_type.to_owned(),
        bytes: bytes.to_vec(),
    })
}

pub(crate) fn emit(event_type: &str, subject: Option<&str>, data: Payload) -> Result<(), String> {
    kennel::events::emit(event_type, subject, &data.into())
}

pub(crate) fn progress_report(done: Option<f32>, note: &str) {
    kennel::progress::report(done, note);
}

pub(crate) fn progress_partial(chunk: Payload) {
    kennel::progress::partial(&chunk.into());
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry>, StateError> {
    kennel::state::get(key)
        .map(|entry| entry.map(Into::into))
        .map_err(Into::into)
}

pub(crate) fn state_set(key: &str, value: Payload) -> Result<u64, StateError> {
    kennel::state::set(key, &value.into()).map_err(Into::into)
}

pub(crate) fn state_compare_and_swap(
    key: &str,
    expected: Option<u64>,
    value: Payload,
) -> Result<u64, StateError> {
    kennel::state::compare_and_swap(key, expected, &value.into()).map_err(Into::into)
}

pub(crate) fn state_increment(key: &str, delta: i64) -> Result<i64, StateError> {
    kennel::state::increment(key, delta).map_err(Into::into)
}

pub(crate) fn state_delete(key: &str, expected: Option<u64>) -> Result<(), StateError> {
    kennel::state::delete(key, expected).map_err(Into::into)
}

pub(crate) fn state_keys(prefix: &str, after: Option<&str>) -> Result<Vec<String>, StateError> {
    kennel::state::keys(prefix, after).map_err(Into::into)
}

pub(crate) fn peers_find(skill: &str) -> Vec<Peer> {
    let peer = |peer: kennel::peers::Peer| Peer {
        name: peer.name,
        skill: peer.skill,
        description: peer.description,
    };
    kennel::peers::find(skill).into_iter().map(peer).collect()
}

pub(crate) fn peers_call(request: Request) -> Result<Payload, CallError> {
    kennel::peers::call(&request.into())
        .map(Into::into)
        .map_err(Into::into)
}

pub(crate) fn peers_call_all(requests: Vec<Request>) -> Vec<Result<Payload, CallError>> {
    let requests: Vec<_> = requests.into_iter().map(Into::into).collect();
    let answers = kennel::peers::call_all(&requests);
    answers
        .into_iter()
        .map(|answer| answer.map(Into::into).map_err(Into::into))
        .collect()
}

pub(crate) fn complete(messages: &[Message], options: &Options) -> Result<Answer, ModelError> {
    let messages: Vec<_> = messages.iter().map(raw_message).collect();
    let options = kennel::model::Options {
        model: options.model.clone(),
        max_tokens: options.max_tokens,
        temperature: options.temperature,
        schema: options.schema.clone(),
        stop: options.stop.clone(),
    };
    let answer = kennel::model::complete(&messages, &options)?;
    Ok(Answer {
        content: answer.content,
        input_tokens: answer.usage.input_tokens,
        output_tokens: answer.usage.output_tokens,
        truncated: answer.truncated,
    })
}

pub(crate) fn embed(texts: &[String], model: Option<&str>) -> Result<Vec<Vec<f32>>, ModelError> {
    kennel::model::embed(texts, model).map_err(Into::into)
}

fn raw_message(message: &Message) -> kennel::model::Message {
    let role = match message.role {
        Role::System => kennel::model::Role::System,
        Role::User => kennel::model::Role::User,
        Role::Assistant => kennel::model::Role::Assistant,
    };
    kennel::model::Message {
        role,
        content: message.content.clone(),
    }
}

fn config_error(error: wasi::config::store::Error) -> String {
    match error {
        wasi::config::store::Error::Upstream(message) | wasi::config::store::Error::Io(message) => {
            message
        }
    }
}

impl From<kennel::state::Entry> for Entry {
    fn from(entry: kennel::state::Entry) -> Self {
        Self {
            value: entry.value.into(),
            revision: entry.revision,
        }
    }
}

impl From<kennel::state::StateError> for StateError {
    fn from(error: kennel::state::StateError) -> Self {
        match error {
            kennel::state::StateError::Conflict(entry) => Self::Conflict(entry.map(Into::into)),
            kennel::state::StateError::Denied(message) => Self::Denied(message),
            kennel::state::StateError::Quota(message) => Self::Quota(message),
            kennel::state::StateError::Unavailable(message) => Self::Unavailable(message),
        }
    }
}

impl From<Request> for kennel::peers::Request {
    fn from(request: Request) -> Self {
        Self {
            skill: request.skill,
            input: request.input.into(),
        }
    }
}

impl From<kennel::peers::CallError> for CallError {
    fn from(error: kennel::peers::CallError) -> Self {
        match error {
            kennel::peers::CallError::Agent(error) => Self::Agent(error.into()),
            kennel::peers::CallError::Refused(message) => Self::Refused(message),
            kennel::peers::CallError::Failed(message) => Self::Failed(message),
        }
    }
}

impl From<kennel::model::ModelError> for ModelError {
    fn from(error: kennel::model::ModelError) -> Self {
        match error {
            kennel::model::ModelError::Refused(message) => Self::Refused(message),
            kennel::model::ModelError::Recoverable(message) => Self::Recoverable(message),
            kennel::model::ModelError::Fatal(message) => Self::Fatal(message),
        }
    }
}
