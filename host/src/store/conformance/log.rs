//! What every log must do.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::StreamExt as _;

use super::super::{
    Cas, Cursor, Head, Lane, LaneId, MAX_DEPTH, Rev, RunLog, RunOutcome, StoreError,
};
use super::{Rig, STUCK, new_lane, run_started, run_succeeded, step_started};
use crate::record::{Event, Held, Outcome, Record};

async fn append(log: &dyn RunLog, lane: LaneId, expect: u64, records: &[Record]) -> Cas {
    log.append(lane, Rev(expect), records).await.unwrap()
}

async fn ids(log: &dyn RunLog, lane: LaneId) -> Vec<ulid::Ulid> {
    let records = log.replay(lane.run).await.unwrap();
    records.iter().map(|stored| stored.record.id).collect()
}

pub(super) async fn an_append_needs_the_lanes_present_end(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    assert_eq!(log.head(lane).await, Ok(None));
    let (first, second) = (step_started(1), step_started(2));
    let Cas::Committed(rev) = append(log, lane, 0, std::slice::from_ref(&first)).await else {
        panic!("the first append was refused");
    };
    assert!(rev > Rev::NONE);
    assert_eq!(log.head(lane).await, Ok(Some(Head { rev, id: first.id })));
    let next = append(log, lane, rev.0, std::slice::from_ref(&second)).await;
    assert!(
        matches!(next, Cas::Committed(next) if next > rev),
        "{next:?}"
    );
}

pub(super) async fn pages_follow_each_other_and_the_last_is_short(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let records: Vec<_> = (1..=5).map(step_started).collect();
    append(log, lane, 0, &records).await;
    append(log, new_lane(), 0, &[step_started(1)]).await;
    for size in [1, 2, 5, 9] {
        let (mut read, mut after) = (Vec::new(), Cursor(0));
        loop {
            let page = log.page(lane.run, after, size).await.unwrap();
            after = page.last().map_or(after, |last| last.cursor);
            let short = page.len() < size;
            read.extend(page.into_iter().map(|stored| stored.record));
            if short {
                break;
            }
        }
        assert_eq!(read, records, "{size} at a time");
    }
}

pub(super) async fn a_refused_append_tells_the_end_and_changes_nothing(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    assert_eq!(
        append(log, lane, 7, &[step_started(1)]).await,
        Cas::Conflict(None)
    );
    let mine = step_started(1);
    let Cas::Committed(rev) = append(log, lane, 0, std::slice::from_ref(&mine)).await else {
        panic!("the first append was refused");
    };
    let end = Some(Head { rev, id: mine.id });
    assert_eq!(
        append(log, lane, 0, &[step_started(2)]).await,
        Cas::Conflict(end)
    );
    assert_eq!(append(log, lane, 0, &[]).await, Cas::Conflict(end));
    assert_eq!(append(log, lane, rev.0, &[]).await, Cas::Committed(rev));
    assert_eq!(ids(log, lane).await, [mine.id]);
}

pub(super) async fn an_append_tried_again_is_recognised(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let records = [step_started(1), step_started(2)];
    let first = append(log, lane, 0, &records).await;
    assert!(matches!(first, Cas::Committed(_)));
    assert_eq!(append(log, lane, 0, &records).await, first);
    assert_eq!(ids(log, lane).await, [records[0].id, records[1].id]);
}

pub(super) async fn several_records_are_appended_together_or_not_at_all(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let batches: Vec<_> = (0..20)
        .map(|_| [step_started(1), step_started(2), step_started(3)])
        .collect();
    let answers = join_all(batches.iter().map(|batch| append(log, lane, 0, batch))).await;
    let won: Vec<_> = (0..20)
        .filter(|&n| matches!(answers[n], Cas::Committed(_)))
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    let winner: Vec<_> = batches[won[0]].iter().map(|record| record.id).collect();
    assert_eq!(ids(log, lane).await, winner);
}

pub(super) async fn of_many_racers_for_one_place_one_wins(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let mut expect = 0;
    for _ in 0..5 {
        let records: Vec<_> = (0..16).map(step_started).collect();
        let tries = records
            .iter()
            .map(|record| append(log, lane, expect, std::slice::from_ref(record)));
        let answers = join_all(tries).await;
        let won = answers
            .iter()
            .filter(|answer| matches!(answer, Cas::Committed(_)));
        assert_eq!(won.count(), 1, "{answers:?}");
        let head = log.head(lane).await.unwrap().unwrap();
        for answer in answers {
            assert!(
                matches!(answer, Cas::Committed(rev) if rev == head.rev)
                    || answer == Cas::Conflict(Some(head))
            );
        }
        expect = head.rev.0;
    }
    assert_eq!(ids(log, lane).await.len(), 5);
}

pub(super) async fn lanes_of_one_run_do_not_contend(rig: impl Rig) {
    let (log, own) = (rig.store().log(), new_lane());
    let lanes: Vec<_> = (0..40)
        .map(|n| LaneId {
            lane: Lane::Step(n),
            ..own
        })
        .chain([own])
        .collect();
    let racers = lanes.iter().flat_map(|&lane| {
        (0..2).map(move |n| async move { (lane, append(log, lane, 0, &[step_started(n)]).await) })
    });
    let answers = join_all(racers).await;
    for lane in lanes {
        let won = answers
            .iter()
            .filter(|(of, answer)| *of == lane && matches!(answer, Cas::Committed(_)));
        assert_eq!(won.count(), 1, "in {lane:?}");
    }
    assert_eq!(ids(log, own).await.len(), 41);
}

pub(super) async fn a_replay_sees_everything_committed_before_in_order(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let step = LaneId {
        lane: Lane::Step(3),
        ..lane
    };
    assert_eq!(log.replay(lane.run).await, Ok(Vec::new()));
    let mut written = Vec::new();
    for n in 0..10_u32 {
        let record = step_started(n);
        let to = if n % 2 == 0 { lane } else { step };
        let end = log.head(to).await.unwrap().map_or(0, |head| head.rev.0);
        append(log, to, end, std::slice::from_ref(&record)).await;
        written.push((to, record.id));
        let replay = log.replay(lane.run).await.unwrap();
        let read: Vec<_> = replay
            .iter()
            .map(|stored| (stored.lane, stored.record.id))
            .collect();
        assert_eq!(read, written);
        assert!(replay.is_sorted_by(|a, b| a.cursor < b.cursor));
    }
}

pub(super) async fn records_come_back_as_they_were_written(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let records = [
        run_started("flow \"quoted\" ü\u{0}"),
        step_started(1),
        run_succeeded(),
    ];
    append(log, lane, 0, &records).await;
    let read: Vec<_> = log.replay(lane.run).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|stored| stored.record).collect();
    assert_eq!(read, records);
}

pub(super) async fn a_value_too_deep_to_be_read_back_is_refused(rig: impl Rig) {
    let log = rig.store().log();
    let nested = |levels| {
        let inner = (1..levels).fold(serde_json::json!([]), |value, n| match n % 2 {
            0 => serde_json::json!([value]),
            _ => serde_json::json!({ "a": value }),
        });
        let mut record = run_succeeded();
        record.event = Event::RunFinished {
            outcome: Outcome::Succeeded {
                output: Held::Inline(inner.into()),
            },
        };
        record
    };
    let (lane, deepest) = (new_lane(), nested(MAX_DEPTH));
    append(log, lane, 0, std::slice::from_ref(&deepest)).await;
    assert_eq!(log.replay(lane.run).await.unwrap()[0].record, deepest);
    let refused = log.append(lane, Rev(1), &[nested(MAX_DEPTH + 1)]).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
}

pub(super) async fn a_tail_gives_old_records_and_then_new_ones_in_order(rig: impl Rig) {
    let (log, a, b) = (rig.store().log(), new_lane(), new_lane());
    let records: Vec<_> = (0..6).map(step_started).collect();
    append(log, a, 0, &records[0..2]).await;
    let mut tail = log.tail(Cursor(0), None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(tail.next().await.unwrap().unwrap());
    }
    // The tail waits already when the next one is written.
    let write = async {
        tokio::task::yield_now().await;
        append(log, b, 0, &records[2..4]).await;
        let end = log.head(a).await.unwrap().unwrap().rev;
        append(log, a, end.0, &records[4..6]).await;
    };
    let read = async {
        for _ in 0..4 {
            seen.push(tail.next().await.unwrap().unwrap());
        }
    };
    let both = async { tokio::join!(read, write) };
    tokio::time::timeout(STUCK, both)
        .await
        .expect("the tail was not woken");
    let ids: Vec<_> = seen.iter().map(|stored| stored.record.id).collect();
    assert_eq!(
        ids,
        records.iter().map(|record| record.id).collect::<Vec<_>>()
    );
    assert!(seen.is_sorted_by(|x, y| x.cursor < y.cursor));
}

pub(super) async fn a_tail_of_one_run_starts_after_its_cursor(rig: impl Rig) {
    let (log, mine, other) = (rig.store().log(), new_lane(), new_lane());
    append(log, other, 0, &[step_started(0)]).await;
    append(log, mine, 0, &[step_started(1), step_started(2)]).await;
    append(log, other, 1, &[step_started(0)]).await;
    let first = log.replay(mine.run).await.unwrap()[0].cursor;
    let last = step_started(3);
    let end = log.head(mine).await.unwrap().unwrap().rev;
    append(log, mine, end.0, std::slice::from_ref(&last)).await;
    let tail = log.tail(first, Some(mine.run)).await.unwrap();
    let seen: Vec<_> = tail.take(2).map(Result::unwrap).collect().await;
    assert!(
        seen.iter()
            .all(|stored| stored.lane == mine && stored.cursor > first)
    );
    assert_eq!(seen[1].record, last);
}

pub(super) async fn a_long_tail_passes_its_page_size(rig: impl Rig) {
    let (log, lane) = (rig.store().log(), new_lane());
    let records: Vec<_> = (0..200).map(step_started).collect();
    append(log, lane, 0, &records).await;
    let tail = log.tail(Cursor(0), Some(lane.run)).await.unwrap();
    let seen: Vec<_> = tail
        .take(200)
        .map(|stored| stored.unwrap().record)
        .collect()
        .await;
    assert_eq!(seen, records);
}

pub(super) async fn runs_are_listed_newest_first_with_their_outcome(rig: impl Rig) {
    let log = rig.store().log();
    let mut lanes: Vec<_> = (0..5).map(|_| new_lane()).collect();
    lanes.sort_by_key(|lane| std::cmp::Reverse(lane.run));
    let started = run_started("daily");
    append(log, lanes[0], 0, &[started.clone(), run_succeeded()]).await;
    let mut step = step_started(1);
    step.at = started.at + Duration::from_secs(5);
    append(log, lanes[1], 0, &[started.clone(), step.clone()]).await;
    for &lane in &lanes[2..] {
        append(log, lane, 0, &[run_started("nightly")]).await;
    }
    let all = log.runs(None, 10).await.unwrap();
    let order: Vec<_> = all.iter().map(|line| line.run).collect();
    assert_eq!(order, lanes.iter().map(|lane| lane.run).collect::<Vec<_>>());
    assert_eq!(all[0].outcome, Some(RunOutcome::Succeeded));
    assert_eq!((all[1].outcome, all[1].flow.as_str()), (None, "daily"));
    assert_eq!((all[1].started, all[1].updated), (started.at, step.at));
    let older = log.runs(Some(lanes[1].run), 2).await.unwrap();
    assert_eq!(older, all[2..4]);
}

pub(super) async fn a_purged_run_is_gone_and_its_cursors_are_not_used_again(rig: impl Rig) {
    let (log, lane, kept) = (rig.store().log(), new_lane(), new_lane());
    append(log, kept, 0, &[run_started("kept")]).await;
    append(log, lane, 0, &[run_started("gone"), step_started(1)]).await;
    let last = log.replay(lane.run).await.unwrap()[1].cursor;
    log.purge(lane.run).await.unwrap();
    assert_eq!(log.replay(lane.run).await, Ok(Vec::new()));
    assert_eq!(log.head(lane).await, Ok(None));
    let left = log.runs(None, 10).await.unwrap();
    assert_eq!(
        left.iter().map(|line| line.run).collect::<Vec<_>>(),
        [kept.run]
    );
    append(log, kept, 1, &[step_started(1)]).await;
    assert!(log.replay(kept.run).await.unwrap()[1].cursor > last);
}
