//! How what is written for people gets along with a store that has trouble: it waits a little, says so once, and never fails a task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::store::StoreError;

/// How long the store may take for everything that is asked of it together.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store has its time for `what`, and no more.
pub async fn in_time<T>(
    what: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let ended = tokio::time::timeout(PATIENCE, what).await;
    ended.unwrap_or_else(|_| {
        let late = "it did not answer in time";
        Err(StoreError::Unavailable(late.to_owned()))
    })
}

/// Whether something failed when it was tried last.
#[derive(Debug, Default)]
pub struct Trouble(AtomicBool);

impl Trouble {
    /// Says what has become of it: once when it begins to fail, and again only after it went well.
    pub fn said(&self, result: Result<(), StoreError>, what: &str) {
        match result {
            Ok(()) => self.0.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.0.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "{what}");
                }
            }
        }
    }
}
