//! The journals in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::BoxStream;

use super::super::depth;
use super::super::follow::{self, PAGE};
use super::super::projection::Change;
use super::super::{Cas, Cursor, Head, LaneId, Result, Rev, RunLog, RunSummary, Stored};
use super::MemoryStore;
use crate::id::RunId;
use crate::record::Record;

/// Every record in the order of the commits, and what is derived from them.
#[derive(Default, Clone)]
pub(super) struct Journals {
    last: u64,
    records: BTreeMap<Cursor, Stored>,
    by_run: HashMap<RunId, Vec<Cursor>>,
    heads: HashMap<LaneId, Head>,
    runs: BTreeMap<RunId, RunSummary>,
}

impl Journals {
    fn append(&mut self, lane: LaneId, expect: Rev, records: &[Record]) -> Cas {
        let head = self.heads.get(&lane).copied();
        if let (Some(head), Some(last)) = (head, records.last())
            && head.id == last.id
        {
            return Cas::Committed(head.rev);
        }
        if head.map_or(Rev::NONE, |head| head.rev) != expect {
            return Cas::Conflict(head);
        }
        let mut rev = expect;
        for record in records {
            rev.0 += 1;
            self.push(lane, rev, record);
        }
        Cas::Committed(rev)
    }

    fn push(&mut self, lane: LaneId, rev: Rev, record: &Record) {
        self.last += 1;
        let cursor = Cursor(self.last);
        self.project(lane.run, record);
        self.heads.insert(lane, Head { rev, id: record.id });
        self.by_run.entry(lane.run).or_default().push(cursor);
        let record = record.clone();
        let stored = Stored {
            cursor,
            lane,
            rev,
            record,
        };
        self.records.insert(cursor, stored);
    }

    fn project(&mut self, run: RunId, record: &Record) {
        let change = Change::of(record);
        if let Change::Started(flow) = change {
            let line = RunSummary {
                run,
                flow,
                started: record.at,
                updated: record.at,
                outcome: None,
            };
            self.runs.insert(run, line);
        } else if let Some(line) = self.runs.get_mut(&run) {
            line.updated = record.at;
            if let Change::Finished(outcome) = change {
                line.outcome = Some(outcome);
            }
        }
    }

    fn page(&self, run: Option<RunId>, after: Cursor, limit: usize) -> Vec<Stored> {
        let Some(run) = run else {
            let next = Cursor(after.0.saturating_add(1));
            return self
                .records
                .range(next..)
                .map(|(_, stored)| stored)
                .take(limit)
                .cloned()
                .collect();
        };
        let cursors = self.by_run.get(&run).map(Vec::as_slice).unwrap_or_default();
        let seen = cursors.partition_point(|&cursor| cursor <= after);
        let new = cursors.iter().skip(seen).take(limit);
        new.filter_map(|cursor| self.records.get(cursor))
            .cloned()
            .collect()
    }

    fn purge(&mut self, run: RunId) {
        for cursor in self.by_run.remove(&run).unwrap_or_default() {
            self.records.remove(&cursor);
        }
        self.heads.retain(|lane, _| lane.run != run);
        self.runs.remove(&run);
    }
}

#[async_trait]
impl RunLog for MemoryStore {
    async fn append(&self, lane: LaneId, expect: Rev, records: &[Record]) -> Result<Cas> {
        depth::check(records)?;
        self.faulty(|| {
            let answer = self.inner.journals.lock().append(lane, expect, records);
            self.inner.log_changed.send_replace(());
            answer
        })
        .await
    }

    async fn page(&self, run: RunId, after: Cursor, limit: usize) -> Result<Vec<Stored>> {
        self.faulty(|| self.inner.journals.lock().page(Some(run), after, limit))
            .await
    }

    async fn head(&self, lane: LaneId) -> Result<Option<Head>> {
        self.faulty(|| self.inner.journals.lock().heads.get(&lane).copied())
            .await
    }

    async fn tail(
        &self,
        from: Cursor,
        run: Option<RunId>,
    ) -> Result<BoxStream<'static, Result<Stored>>> {
        let store = self.clone();
        let page = move |after| {
            let store = store.clone();
            async move {
                let page = || store.inner.journals.lock().page(run, after, PAGE);
                match store.faulty(page).await {
                    Ok(page) => page.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                }
            }
            .boxed()
        };
        let changed = self.inner.log_changed.subscribe();
        Ok(follow::follow(from, changed, None, Box::new(page)))
    }

    async fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunSummary>> {
        self.faulty(|| {
            let journals = self.inner.journals.lock();
            let newest_first = journals.runs.values().rev();
            let older = newest_first.filter(|line| before.is_none_or(|before| line.run < before));
            older.take(limit).cloned().collect()
        })
        .await
    }

    async fn purge(&self, run: RunId) -> Result<()> {
        self.faulty(|| self.inner.journals.lock().purge(run)).await
    }
}
