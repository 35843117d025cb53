//! `blobs` for guests: bytes that JSON refers to. A task reads what its input refers to and what it wrote itself, nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::bindings::kennel::agent::blobs;
use super::bindings::kennel::agent::types::BlobResult;
use super::convert;
use super::task::Task;
use crate::failure::{Failure, FailureKind};
use crate::id::{Digest, IdError};
use crate::payload::{BlobRef, Payload};
use crate::store::{self, part_of};

/// The blobs that a task may read, with their media types.
#[derive(Debug, Default)]
pub(super) struct Readable {
    types: HashMap<Digest, String>,
    /// What a replay wrote. It stays with the task: a replay changes nothing outside. Bounded by `limits.blobs`.
    unstored: HashMap<Digest, Bytes>,
}

impl Readable {
    /// Those that `inputs` refer to, at any depth.
    fn of(inputs: &[Arc<Payload>]) -> Self {
        let mut types = HashMap::new();
        for input in inputs {
            if let Payload::Json(text) = &**input {
                // The input was checked to be JSON; if it were not, it would refer to nothing.
                let value = serde_json::from_str(text).unwrap_or_default();
                let blobs = BlobRef::all_in(&value).into_iter();
                types.extend(blobs.map(|blob| (blob.digest, blob.media_type)));
            }
        }
        Self {
            types,
            unstored: HashMap::new(),
        }
    }
}

impl Task {
    fn readable(&mut self) -> &mut Readable {
        let Self {
            readable, errand, ..
        } = self;
        readable.get_or_insert_with(|| Readable::of(&errand.inputs))
    }

    /// The blob of that name and its media type, if this task may read it.
    fn may_read(&mut self, digest: &str) -> Result<(Digest, String), String> {
        let digest: Digest = digest.parse().map_err(|error: IdError| error.to_string())?;
        let media_type = self.readable().types.get(&digest).cloned();
        media_type
            .map(|media_type| (digest, media_type))
            .ok_or_else(|| {
                format!("neither the input refers to {digest} nor did this task write it")
            })
    }

    /// Counts the bytes of a blob that is about to be written. The store keeps blobs longer than the task, whatever it answers.
    pub(super) fn take_blob(&mut self, bytes: usize) -> Result<(), Failure> {
        let limit = self.plugin.limits.blobs;
        let left = self.blobs_left.checked_sub(bytes as u64).ok_or_else(|| {
            let message = format!(
                "the task wrote more than {limit} of blobs; `limits.blobs` bounds all of them together"
            );
            Failure::new(FailureKind::Quota, message)
        })?;
        self.blobs_left = left;
        Ok(())
    }
}

impl blobs::Host for Task {
    async fn read(&mut self, digest: String) -> wasmtime::Result<Result<BlobResult, String>> {
        self.enter(digest.len())?;
        let (digest, media_type) = match self.may_read(&digest) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(bytes) = self.readable().unstored.get(&digest).cloned() {
            return Ok(Ok(BlobResult {
                media_type,
                bytes: bytes.into(),
            }));
        }
        let plugin = &self.plugin;
        let bytes = plugin
            .bounded("blobs.read", plugin.host.backend.blobs().get(digest))
            .await?;
        let bytes = found(digest, bytes);
        Ok(bytes.map(|bytes| BlobResult { media_type, bytes }))
    }

    async fn read_part(
        &mut self,
        digest: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.enter(digest.len())?;
        let digest = match self.may_read(&digest) {
            Ok((digest, _)) => digest,
            Err(why) => return Ok(Err(why)),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(bytes) = self.readable().unstored.get(&digest) {
            return Ok(Ok(part_of(bytes, offset, length).into()));
        }
        let plugin = &self.plugin;
        let blobs = plugin.host.backend.blobs();
        let part = plugin
            .bounded("blobs.read-part", blobs.get_part(digest, offset, length))
            .await?;
        Ok(found(digest, part))
    }

    async fn write(&mut self, blob: BlobResult) -> wasmtime::Result<Result<String, String>> {
        self.enter(blob.media_type.len() + blob.bytes.len())?;
        let blob = convert::blob(blob);
        self.take_blob(blob.bytes.len())?;
        if self.tape().plays() {
            let digest = Digest::of(&blob.bytes);
            let readable = self.readable();
            readable.types.insert(digest, blob.media_type);
            readable.unstored.insert(digest, blob.bytes);
            return Ok(Ok(digest.to_string()));
        }
        let plugin = &self.plugin;
        let stored = plugin
            .bounded("blobs.write", plugin.host.backend.blobs().put(blob.bytes))
            .await?;
        Ok(match stored {
            Ok(digest) => {
                self.readable().types.insert(digest, blob.media_type);
                Ok(digest.to_string())
            }
            Err(error) => Err(error.to_string()),
        })
    }
}

/// What the store answered, as a guest gets it.
fn found(digest: Digest, answer: store::Result<Option<Bytes>>) -> Result<Vec<u8>, String> {
    match answer {
        Ok(Some(bytes)) => Ok(bytes.into()),
        Ok(None) => Err(format!("{digest} is not in the store")),
        Err(error) => Err(error.to_string()),
    }
}
