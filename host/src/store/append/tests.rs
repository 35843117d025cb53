//! The append loop against scripted answers, and hundreds of seeded stories against a store that fails all the time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;

use super::super::conformance::{new_lane, step_started};
use super::super::memory::{Faults, MemoryStore};
use super::super::{Backend as _, Cursor, Lease, QueueTask, RunSummary, Stored};
use super::*;
use crate::call::Trail;
use crate::id::{RunId, StepId, StepPath};
use crate::record::{Event, Held};

/// Everything goes wrong, often.
const HARSH: Faults = Faults {
    unavailable: 0.2,
    lost_answer: 0.2,
    lost_hint: 0.5,
    double_delivery: 0.3,
    disorder: 0.3,
    lapse: 0.2,
    pause: 0.4,
};

/// A log that answers from a script.
#[derive(Default)]
struct Scripted {
    appends: Mutex<VecDeque<Result<Cas>>>,
    heads: Mutex<VecDeque<Result<Option<Head>>>>,
}

impl Scripted {
    fn new<const A: usize, const H: usize>(
        appends: [Result<Cas>; A],
        heads: [Result<Option<Head>>; H],
    ) -> Self {
        Self {
            appends: Mutex::new(appends.into()),
            heads: Mutex::new(heads.into()),
        }
    }
}

#[async_trait]
impl RunLog for Scripted {
    async fn append(&self, _: LaneId, _: Rev, _: &[Record]) -> Result<Cas> {
        self.appends
            .lock()
            .pop_front()
            .expect("another append was not expected")
    }

    async fn head(&self, _: LaneId) -> Result<Option<Head>> {
        self.heads
            .lock()
            .pop_front()
            .expect("another look was not expected")
    }

    async fn page(&self, _: RunId, _: Cursor, _: usize) -> Result<Vec<Stored>> {
        unreachable!("appending never reads")
    }

    async fn tail(
        &self,
        _: Cursor,
        _: Option<RunId>,
    ) -> Result<BoxStream<'static, Result<Stored>>> {
        unreachable!("appending never follows")
    }

    async fn runs(&self, _: Option<RunId>, _: usize) -> Result<Vec<RunSummary>> {
        unreachable!("appending never lists")
    }

    async fn purge(&self, _: RunId) -> Result<()> {
        unreachable!("appending never purges")
    }
}

fn down<T>() -> Result<T> {
    Err(StoreError::Unavailable("down".into()))
}

async fn surely(log: &Scripted, record: &Record) -> Result<Cas> {
    let answer = append_surely(
        log,
        new_lane(),
        Rev(3),
        std::slice::from_ref(record),
        GIVE_UP,
    )
    .await;
    assert!(
        log.appends.lock().is_empty() && log.heads.lock().is_empty(),
        "the script was not played out"
    );
    answer
}

#[tokio::test(start_paused = true)]
async fn an_error_is_settled_by_the_lanes_end() {
    let (mine, other) = (step_started(1), step_started(1));
    let before = Some(Head {
        rev: Rev(3),
        id: other.id,
    });
    let mine_there = Some(Head {
        rev: Rev(4),
        id: mine.id,
    });
    let other_there = Some(Head {
        rev: Rev(4),
        id: other.id,
    });
    let done = Ok(Cas::Committed(Rev(4)));

    let lost_answer = Scripted::new([down()], [Ok(mine_there)]);
    assert_eq!(surely(&lost_answer, &mine).await, done);
    let overtaken = Scripted::new([down()], [Ok(other_there)]);
    assert_eq!(
        surely(&overtaken, &mine).await,
        Ok(Cas::Conflict(other_there))
    );
    let not_done = Scripted::new([down(), done.clone()], [Ok(before)]);
    assert_eq!(surely(&not_done, &mine).await, done);
    let blind = Scripted::new([down(), down(), done.clone()], [down(), down()]);
    assert_eq!(surely(&blind, &mine).await, done);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_only_when_the_lane_has_moved() {
    let (mine, other) = (step_started(1), step_started(1));
    let before = Some(Head {
        rev: Rev(3),
        id: other.id,
    });
    let mine_there = Some(Head {
        rev: Rev(4),
        id: mine.id,
    });
    let done = Ok(Cas::Committed(Rev(4)));

    let spurious = Scripted::new([Ok(Cas::Conflict(before)), done.clone()], []);
    assert_eq!(surely(&spurious, &mine).await, done);
    let own = Scripted::new([Ok(Cas::Conflict(mine_there))], []);
    assert_eq!(surely(&own, &mine).await, done);
    let purged = Scripted::new([Ok(Cas::Conflict(None))], []);
    assert_eq!(surely(&purged, &mine).await, Ok(Cas::Conflict(None)));
}

#[tokio::test(start_paused = true)]
async fn damage_and_refusals_come_back_at_once() {
    for error in [
        StoreError::Damaged("x".into()),
        StoreError::Refused("x".into()),
    ] {
        let appending = Scripted::new([Err(error.clone())], []);
        assert_eq!(
            surely(&appending, &step_started(1)).await,
            Err(error.clone())
        );
        let looking = Scripted::new([down()], [Err(error.clone())]);
        assert_eq!(surely(&looking, &step_started(1)).await, Err(error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_given_up_in_time_and_named() {
    let store = MemoryStore::with_faults(
        1,
        Faults {
            unavailable: 1.0,
            ..Faults::default()
        },
    );
    let started = Instant::now();
    let answer = append_surely(
        store.log(),
        new_lane(),
        Rev::NONE,
        &[step_started(1)],
        GIVE_UP,
    )
    .await;
    let Err(StoreError::Unavailable(text)) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        text.contains("600 s") && text.contains("a fault before the commit"),
        "{text}"
    );
    let took = started.elapsed();
    assert!((GIVE_UP..=GIVE_UP + WAITS.1).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_does_a_committed_record_is_there_once_and_where_it_was_said() {
    for seed in 0..300 {
        let (store, lane) = (MemoryStore::with_faults(seed, HARSH), new_lane());
        let said: HashMap<_, _> = join_all((0..4).map(|_| append_five(&store, lane)))
            .await
            .into_iter()
            .flatten()
            .collect();
        let there = store.fork().log().replay(lane.run).await.unwrap();
        let revs: Vec<_> = there.iter().map(|stored| stored.rev.0).collect();
        assert_eq!(
            revs,
            (1..=there.len() as u64).collect::<Vec<_>>(),
            "seed {seed}"
        );
        let there: HashMap<_, _> = there
            .iter()
            .map(|stored| (stored.record.id, stored.rev))
            .collect();
        assert_eq!(
            there.len(),
            revs.len(),
            "seed {seed}: a record is there twice"
        );
        for (id, rev) in &said {
            assert_eq!(there.get(id), Some(rev), "seed {seed}");
        }
        assert_eq!(said.len(), 20, "seed {seed}");
    }
}

/// Appends until five records are committed, and says which and where.
async fn append_five(store: &MemoryStore, lane: LaneId) -> Vec<(Ulid, Rev)> {
    let mut said = Vec::new();
    while said.len() < 5 {
        let Ok(head) = store.log().head(lane).await else {
            continue;
        };
        let expect = head.map_or(Rev::NONE, |head| head.rev);
        let record = step_started(1);
        match append_surely(
            store.log(),
            lane,
            expect,
            std::slice::from_ref(&record),
            GIVE_UP,
        )
        .await
        {
            Ok(Cas::Committed(rev)) => said.push((record.id, rev)),
            Ok(Cas::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    said
}

/// The whole protocol of several owners: pull a run, look, claim the step in its lane, work, commit. Leases break all the time, so
/// two owners often work on one step; only the lane decides.
#[tokio::test(start_paused = true)]
async fn whoever_does_a_step_and_however_often_its_result_is_committed_once() {
    let mut twice = 0;
    for seed in 0..200 {
        let store = MemoryStore::with_faults(seed, HARSH);
        let lanes: Vec<_> = (0..5).map(|_| new_lane()).collect();
        for lane in &lanes {
            while store.queue().put("runs", wake(*lane)).await.is_err() {}
        }
        let worked = Arc::new(Mutex::new(0));
        join_all((0..3).map(|_| work(&store, &lanes, &worked))).await;
        let log = store.fork();
        for lane in &lanes {
            let records = log.log().replay(lane.run).await.unwrap();
            let done = records.iter().filter(|stored| is_done(stored)).count();
            assert_eq!(done, 1, "seed {seed}: {records:?}");
            assert!(
                records.last().is_some_and(is_done),
                "seed {seed}: {records:?}"
            );
        }
        twice += usize::from(*worked.lock() > lanes.len());
    }
    assert!(
        twice > 20,
        "the faults never made two owners work on one step: {twice}"
    );
}

fn wake(lane: LaneId) -> QueueTask {
    QueueTask {
        key: lane.run.to_string(),
        priority: 0,
        delay: Duration::ZERO,
        body: Bytes::new(),
    }
}

fn is_done(stored: &Stored) -> bool {
    matches!(stored.record.event, Event::StepSucceeded { .. })
}

async fn work(store: &MemoryStore, lanes: &[LaneId], worked: &Mutex<usize>) {
    // Idle for two terms: every lease of somebody who gave up has lapsed by then, and nothing was left.
    let idle = Duration::from_secs(60);
    loop {
        match store.queue().pull("runs", 1, idle).await {
            Ok(leases) if leases.is_empty() => return,
            Ok(leases) => {
                for lease in leases {
                    drive(store, lanes, lease, worked).await;
                }
            }
            Err(_) => {}
        }
    }
}

async fn drive(
    store: &MemoryStore,
    lanes: &[LaneId],
    lease: Box<dyn Lease>,
    worked: &Mutex<usize>,
) {
    let mut of_task = lanes
        .iter()
        .filter(|lane| lane.run.to_string() == lease.task().key);
    let lane = *of_task.next().expect("a task of no run");
    let records = loop {
        if let Ok(records) = store.log().replay(lane.run).await {
            break records;
        }
    };
    if !records.last().is_some_and(is_done) {
        let end = records.last().map_or(Rev::NONE, |stored| stored.rev);
        let claim = [step_started(lease.deliveries())];
        let Ok(Cas::Committed(claimed)) =
            append_surely(store.log(), lane, end, &claim, GIVE_UP).await
        else {
            return;
        };
        *worked.lock() += 1;
        let _ = lease.renew().await;
        let Ok(Cas::Committed(_)) =
            append_surely(store.log(), lane, claimed, &[step_done()], GIVE_UP).await
        else {
            return;
        };
    }
    let _ = lease.done().await;
}

fn step_done() -> Record {
    let step: StepId = "a".parse().unwrap();
    Record::now(Event::StepSucceeded {
        step: StepPath::of(&step),
        output: Held::Inline(serde_json::Value::Null.into()),
        trail: Trail::default(),
    })
}
