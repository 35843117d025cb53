//! Earlier answers in memory: a few, and the oldest go first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::MemoryStore;
use crate::answers::Answers;
use crate::id::Digest;
use crate::payload::Payload;

/// The most answers that are kept.
const MOST: usize = 1024;

/// The answers, and their keys in the order in which they came.
#[derive(Default, Clone)]
pub(super) struct Kept {
    answers: HashMap<Digest, (Arc<Payload>, Instant)>,
    order: VecDeque<Digest>,
}

impl Answers for MemoryStore {
    fn get(&self, key: Digest) -> BoxFuture<'_, Option<(Payload, Duration)>> {
        Box::pin(async move {
            let get = || self.inner.answers.lock().answers.get(&key).cloned();
            let (answer, given) = self.faulty(get).await.ok().flatten()?;
            Some((answer.as_ref().clone(), given.elapsed()))
        })
    }

    fn put(&self, key: Digest, answer: &Arc<Payload>) {
        let mut kept = self.inner.answers.lock();
        let entry = (answer.clone(), Instant::now());
        if kept.answers.insert(key, entry).is_none() {
            kept.order.push_back(key);
        }
        if kept.order.len() > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.answers.remove(&oldest);
        }
    }
}
