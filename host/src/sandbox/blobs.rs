//! `blobs` for guests: bytes that JSON refers to. A task reads what its input refers to and what it wrote itself, nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::bindings::kennel::agent::blobs;
use super::bindings::kennel::agent::types::BlobResult;
use super::convert;
use super::task::Task;
use crate::failure::{Failure, FailureKind};
use crate::id::Digest;
use crate::payload::{BlobRef, Payload};

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
}

impl Task {
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
        let digest: Digest = match digest.parse() {
            Ok(digest) => digest,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Some(media_type) = self.readable().types.get(&digest).cloned() else {
            return Ok(Err(format!(
                "neither the input refers to {digest} nor did this task write it"
            )));
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
        Ok(match bytes {
            Ok(Some(bytes)) => Ok(BlobResult {
                media_type,
                bytes: bytes.into(),
            }),
            Ok(None) => Err(format!("{digest} is not in the store")),
            Err(error) => Err(error.to_string()),
        })
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
