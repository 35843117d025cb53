//! Shared state in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::kv_rules::{self, Held, Past, Used, Verdict};
use super::super::{
    Expect, KV_HISTORY, KV_INLINE_MAX, Kv, KvAdd, KvBy, KvCas, KvChange, KvData, KvEntry, KvKept,
    KvOp, KvQuota, KvSpace, KvValue, Namespace, Result, Rev,
};
use super::MemoryStore;
use crate::id::Digest;

/// All namespaces, and the last revision given to any key.
#[derive(Default, Clone)]
pub(super) struct Namespaces {
    last: u64,
    spaces: BTreeMap<String, Space>,
}

#[derive(Default, Clone)]
struct Space {
    used: Used,
    entries: BTreeMap<String, KvEntry>,
    changes: BTreeMap<Rev, KvChange>,
    /// How many changes of each key are kept.
    kept: HashMap<String, u64>,
    /// Those that made no present value.
    outlived: BTreeSet<Rev>,
    past: Past,
}

/// A change that is asked for.
struct Asked<'a> {
    key: &'a str,
    expect: Expect,
    op: KvOp,
    value: Option<KvValue>,
    quota: KvQuota,
    by: &'a KvBy,
}

impl Namespaces {
    fn get(&self, ns: &str, key: &str) -> Option<&KvEntry> {
        self.spaces.get(ns)?.entries.get(key)
    }

    fn change(&mut self, ns: &str, asked: Asked<'_>) -> KvCas {
        let space = self.spaces.entry(ns.to_owned()).or_default();
        let current = space.entries.get(asked.key);
        let held = current.map(Held::of);
        match kv_rules::judge(
            held,
            space.used,
            asked.expect,
            asked.value.as_ref(),
            asked.quota,
        ) {
            Verdict::Conflict => KvCas::Conflict(current.cloned()),
            Verdict::Quota(reason) => KvCas::Quota(reason),
            Verdict::Write(used) => {
                self.last += 1;
                let rev = Rev(self.last);
                space.used = used;
                space.write(rev, asked, kv_rules::has_history(ns));
                KvCas::Committed(rev)
            }
        }
    }

    fn add(&mut self, ns: &str, key: &str, delta: i64, quota: KvQuota, by: &KvBy) -> KvAdd {
        let sum = match kv_rules::sum(self.get(ns, key), delta) {
            Ok(sum) => sum,
            Err(reason) => return KvAdd::NotANumber(reason),
        };
        let asked = Asked {
            key,
            expect: Expect::Any,
            op: KvOp::Add(delta),
            value: Some(kv_rules::number(sum)),
            quota,
            by,
        };
        match self.change(ns, asked) {
            KvCas::Quota(reason) => KvAdd::Quota(reason),
            // Nothing was expected, so nothing conflicts.
            KvCas::Committed(_) | KvCas::Conflict(_) => KvAdd::Committed(sum),
        }
    }

    fn keys(&self, ns: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let Some(space) = self.spaces.get(ns) else {
            return Vec::new();
        };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = space.entries.range::<str, _>((from, Bound::Unbounded));
        let keys = keys
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix));
        keys.take(limit).cloned().collect()
    }

    fn history(&self, ns: &str, key: Option<&str>, after: Rev, limit: usize) -> Vec<KvChange> {
        let Some(space) = self.spaces.get(ns) else {
            return Vec::new();
        };
        let changes = space
            .changes
            .range((Bound::Excluded(after), Bound::Unbounded));
        let changes = changes
            .map(|(_, change)| change)
            .filter(|change| key.is_none_or(|key| change.key == key));
        changes.take(limit).cloned().collect()
    }

    fn spaces(&self) -> Vec<KvSpace> {
        let spaces = self.spaces.iter().filter(|(_, space)| space.used.keys > 0);
        spaces
            .map(|(ns, space)| KvSpace {
                agent: ns.clone(),
                keys: space.used.keys,
                bytes: space.used.bytes,
            })
            .collect()
    }
}

impl Space {
    fn write(&mut self, rev: Rev, asked: Asked<'_>, remembered: bool) {
        let Asked {
            key,
            op,
            value,
            quota,
            by,
            ..
        } = asked;
        if remembered {
            let change = KvChange {
                rev,
                key: key.to_owned(),
                op,
                value: value.as_ref().map(kept),
                at: Some(Timestamp::now()),
                by: by.clone(),
            };
            self.remember(change, quota);
        }
        match value {
            Some(value) => drop(self.entries.insert(key.to_owned(), KvEntry { value, rev })),
            None => drop(self.entries.remove(key)),
        }
    }

    /// Keeps a change, and forgets the oldest of its key and of the namespace when there are too many. To be called while the entry
    /// is still the one before the change.
    fn remember(&mut self, change: KvChange, quota: KvQuota) {
        let (key, rev) = (change.key.clone(), change.rev);
        if let Some(before) = self.entries.get(&key) {
            self.outlived.insert(before.rev);
            self.past.gain(before.value.bytes.len() as u64);
        }
        if change.value.is_none() {
            self.outlived.insert(rev);
            self.past.gain(0);
        }
        self.changes.insert(rev, change);
        let count = self.kept.entry(key.clone()).or_default();
        *count += 1;
        if *count > KV_HISTORY {
            let oldest = self.changes.values().find(|change| change.key == key);
            if let Some(oldest) = oldest.map(|change| change.rev) {
                self.forget(oldest);
            }
        }
        while self.past.over(quota)
            && let Some(oldest) = self.outlived.first().copied()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, outlived: Rev) {
        self.outlived.remove(&outlived);
        let Some(change) = self.changes.remove(&outlived) else {
            return;
        };
        self.past.lose(change.value.map_or(0, |kept| kept.size));
        if let Some(count) = self.kept.get_mut(&change.key) {
            *count -= 1;
            if *count == 0 {
                self.kept.remove(&change.key);
            }
        }
    }
}

/// A value as the history shows it. Its bytes are shared, so a large one costs nothing more.
fn kept(value: &KvValue) -> KvKept {
    let size = value.bytes.len() as u64;
    let data = if value.bytes.len() > KV_INLINE_MAX {
        KvData::Blob(Digest::of(&value.bytes))
    } else {
        KvData::Inline(value.bytes.clone())
    };
    KvKept {
        format: value.format.clone(),
        data,
        size,
    }
}

impl MemoryStore {
    fn keep_large(&self, value: Option<&KvValue>) {
        if let Some(value) = value
            && value.bytes.len() > KV_INLINE_MAX
        {
            let digest = Digest::of(&value.bytes);
            let mut blobs = self.inner.blobs.lock();
            blobs.entry(digest).or_insert_with(|| value.bytes.clone());
        }
    }
}

#[async_trait]
impl Kv for MemoryStore {
    async fn get(&self, ns: &Namespace, key: &str) -> Result<Option<KvEntry>> {
        self.faulty(|| self.inner.namespaces.lock().get(ns, key).cloned())
            .await
    }

    async fn cas(
        &self,
        ns: &Namespace,
        key: &str,
        expect: Expect,
        value: Option<KvValue>,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvCas> {
        self.faulty(|| {
            let op = kv_rules::op(expect, value.as_ref());
            let wanted = value.clone();
            let asked = Asked {
                key,
                expect,
                op,
                value,
                quota,
                by,
            };
            // Nobody sees the change before the blob that it refers to, and a change that is refused leaves none behind.
            let mut namespaces = self.inner.namespaces.lock();
            let answer = namespaces.change(ns, asked);
            if let KvCas::Committed(_) = answer {
                self.keep_large(wanted.as_ref());
            }
            answer
        })
        .await
    }

    async fn add(
        &self,
        ns: &Namespace,
        key: &str,
        delta: i64,
        quota: KvQuota,
        by: &KvBy,
    ) -> Result<KvAdd> {
        self.faulty(|| self.inner.namespaces.lock().add(ns, key, delta, quota, by))
            .await
    }

    async fn keys(
        &self,
        ns: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.faulty(|| self.inner.namespaces.lock().keys(ns, prefix, after, limit))
            .await
    }

    async fn history(
        &self,
        ns: &Namespace,
        key: Option<&str>,
        after: Rev,
        limit: usize,
    ) -> Result<Vec<KvChange>> {
        self.faulty(|| self.inner.namespaces.lock().history(ns, key, after, limit))
            .await
    }

    async fn spaces(&self) -> Result<Vec<KvSpace>> {
        self.faulty(|| self.inner.namespaces.lock().spaces()).await
    }
}
