//! Where earlier answers outlive a process: what the answer cache asks when it does not know one itself.
//!
//! It keeps none here, and nothing in it may fail or hold up a call: what is not found is asked again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::id::Digest;
use crate::payload::Payload;

/// Answers under the digest of their question. Ages are told by whoever keeps them, since they were given on another clock.
pub trait Answers: Send + Sync {
    /// The answer and its age; `None` when there is none, or it cannot be read.
    fn get(&self, key: Digest) -> BoxFuture<'_, Option<(Payload, Duration)>>;
    /// Keeps an answer that was given just now, instead of an older one. Returns at once: it may be kept later, or not at all.
    fn put(&self, key: Digest, answer: &Arc<Payload>);
}
