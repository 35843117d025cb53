//! What people say to a run from outside: an answer to a question, or that it should stop.
//!
//! Whoever drives a run owns its journal, so others leave word in the store, under namespaces that no agent can have, and the driver
//! looks there. A word stays until it was used; one that comes twice is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::id::{RunId, StepPath};
use crate::store::{
    Backend, Expect, KvBy, KvCas, KvQuota, KvValue, Result, SharedBackend, StoreError,
};

const ANSWERS: &str = ".answers";
const STOPS: &str = ".stops";

/// How often a driver looks for a request to stop: a spinning agent has ended a few milliseconds after.
const LOOK: Duration = Duration::from_millis(20);
/// Requests to stop that are seen at the same time; each is forgotten when its run has ended.
const MOST_STOPS: usize = 1_000;
/// How often a driver looks for an answer; people are slower.
const LISTEN: Duration = Duration::from_millis(200);

/// What a person has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Yes or no.
    pub approved: bool,
    /// Who said so.
    pub by: String,
    /// Why.
    pub note: Option<String>,
}

/// Leaves an answer for the step at `path`; `false` when there is one already.
pub async fn answer(
    store: &dyn Backend,
    run: RunId,
    path: &StepPath,
    answer: &Answer,
) -> Result<bool> {
    leave(store, ANSWERS, &format!("{run}/{path}"), answer).await
}

/// Asks whoever drives the run to stop it; `false` when somebody has asked already.
pub(super) async fn ask_to_stop(store: &dyn Backend, run: RunId, by: &str) -> Result<bool> {
    leave(store, STOPS, &run.to_string(), &by).await
}

/// Looks for requests to stop, once for all runs that this process drives, and only while it drives any.
#[derive(Default)]
pub(super) struct Stops(Mutex<Weak<Watcher>>);

/// Who wants which runs to stop.
type Asked = BTreeMap<String, String>;

struct Watcher {
    asked: watch::Receiver<Asked>,
    _looking: AbortOnDropHandle<()>,
}

impl Stops {
    /// Waits until somebody asks the run to stop, and says who. A store that does not answer asks nothing.
    pub(super) async fn asked(&self, store: &SharedBackend, run: RunId) -> String {
        let watcher = self.watcher(store);
        let mut asked = watcher.asked.clone();
        let key = run.to_string();
        loop {
            if let Some(by) = asked.borrow_and_update().get(&key) {
                return by.clone();
            }
            if asked.changed().await.is_err() {
                // The one who looks lives as long as the watcher, which is held here.
                return std::future::pending().await;
            }
        }
    }

    fn watcher(&self, store: &SharedBackend) -> Arc<Watcher> {
        let mut present = self.0.lock();
        if let Some(watcher) = present.upgrade() {
            return watcher;
        }
        let (tell, asked) = watch::channel(Asked::new());
        let looking = tokio::spawn(look(store.clone(), tell));
        let watcher = Arc::new(Watcher {
            asked,
            _looking: AbortOnDropHandle::new(looking),
        });
        *present = Arc::downgrade(&watcher);
        watcher
    }
}

async fn look(store: SharedBackend, tell: watch::Sender<Asked>) {
    loop {
        if let Ok(asked) = all_asked(store.as_ref()).await {
            tell.send_if_modified(|known| {
                let news = *known != asked;
                *known = asked;
                news
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn all_asked(store: &dyn Backend) -> Result<Asked> {
    let mut asked = Asked::new();
    for key in store.kv().keys(STOPS, "", None, MOST_STOPS).await? {
        if let Some(by) = found(store, STOPS, &key).await? {
            asked.insert(key, by);
        }
    }
    Ok(asked)
}

/// Waits for an answer to the step at `path`, at most until `until`; `None` when nobody has answered by then.
pub(super) async fn answered(
    store: &dyn Backend,
    run: RunId,
    path: &StepPath,
    until: Option<Timestamp>,
) -> Option<Answer> {
    let key = format!("{run}/{path}");
    loop {
        if let Ok(Some(answer)) = found(store, ANSWERS, &key).await {
            return Some(answer);
        }
        let left = until.map(|until| Timestamp::now().until(until));
        let left = left.and_then(|left| Duration::try_from(left.ok()?).ok());
        match (until, left) {
            (Some(_), None | Some(Duration::ZERO)) => return None,
            (_, left) => tokio::time::sleep(left.map_or(LISTEN, |left| left.min(LISTEN))).await,
        }
    }
}

/// Forgets what was said about a run that has ended, and the answers to `asked`.
pub(super) async fn forget(
    store: &dyn Backend,
    run: RunId,
    asked: impl IntoIterator<Item = StepPath>,
) -> Result<()> {
    let answers = asked
        .into_iter()
        .map(|path| (ANSWERS, format!("{run}/{path}")));
    for (namespace, key) in answers.chain([(STOPS, run.to_string())]) {
        let kv = store.kv();
        if kv.get(namespace, &key).await?.is_some() {
            kv.cas(
                namespace,
                &key,
                Expect::Any,
                None,
                NO_QUOTA,
                &KvBy::default(),
            )
            .await?;
        }
    }
    Ok(())
}

/// The host's own words are few and small.
const NO_QUOTA: KvQuota = KvQuota {
    keys: u64::MAX,
    bytes: u64::MAX,
};

async fn leave<T: Serialize>(
    store: &dyn Backend,
    namespace: &str,
    key: &str,
    word: &T,
) -> Result<bool> {
    let bytes = serde_json::to_vec(word)
        .map_err(|error| StoreError::Refused(format!("it has no JSON text: {error}")))?;
    let value = KvValue {
        format: "json".into(),
        bytes: Bytes::from(bytes),
    };
    let by = KvBy::default();
    let left = store
        .kv()
        .cas(namespace, key, Expect::Absent, Some(value), NO_QUOTA, &by);
    Ok(matches!(left.await?, KvCas::Committed(_)))
}

async fn found<T: for<'de> Deserialize<'de>>(
    store: &dyn Backend,
    namespace: &str,
    key: &str,
) -> Result<Option<T>> {
    let Some(entry) = store.kv().get(namespace, key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&entry.value.bytes)
        .map(Some)
        .map_err(|error| StoreError::Damaged(format!("{namespace} {key}: {error}")))
}
