//! What every backend must do: one set of tests, run over each implementation.
//!
//! A test is a function over a [`Rig`]; the list at the end names each once. A new backend joins with a rig and three lines.

mod answers;
mod blobs;
mod kv;
mod log;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::memory::MemoryStore;
use super::sqlite::{SqliteOptions, SqliteStore};
use super::{Backend, Lane, LaneId};
use crate::id::{Digest, RunId, StepId, StepPath};
use crate::record::{Event, Held, Outcome, Record};

/// The most tasks in a queue of every rig.
const LIMIT: usize = 16;
/// Longer than anything here takes: a test that is still waiting then has failed.
const STUCK: Duration = Duration::from_secs(60);

/// A backend under test, and a way to let time pass for its leases.
trait Rig {
    /// An empty backend whose queues hold [`LIMIT`] tasks.
    fn new() -> Self;
    /// The backend.
    fn store(&self) -> &dyn Backend;
    /// Lets time pass.
    async fn pass(&self, time: Duration);
}

struct MemoryRig(MemoryStore);

impl Rig for MemoryRig {
    fn new() -> Self {
        Self(MemoryStore::new().with_queue_limit(LIMIT))
    }

    fn store(&self) -> &dyn Backend {
        &self.0
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

struct SqliteRig {
    store: SqliteStore,
    clock: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl Rig for SqliteRig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let hand = Arc::clone(&clock);
        let options = SqliteOptions {
            queue_limit: LIMIT,
            clock: Arc::new(move || hand.load(Ordering::Relaxed)),
            // So that only a wake-up can end a wait in time.
            poll: Duration::from_secs(3600),
            ..SqliteOptions::default()
        };
        Self {
            store: SqliteStore::open_with(dir.path(), options).unwrap(),
            clock,
            _dir: dir,
        }
    }

    fn store(&self) -> &dyn Backend {
        &self.store
    }

    async fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }
}

/// A record that says nothing in particular.
pub(super) fn step_started(attempt: u32) -> Record {
    let step: StepId = "a".parse().unwrap();
    Record::now(Event::StepStarted {
        step: StepPath::of(&step),
        attempt,
    })
}

/// The first record of a run.
pub(super) fn run_started(flow: &str) -> Record {
    Record::now(Event::RunStarted {
        flow: flow.into(),
        digest: Digest::of(b"flow"),
        source: "kennel: 1".into(),
        agents: BTreeMap::new(),
        input: Held::Inline(serde_json::json!({ "n": [1, 2.5, "x"] }).into()),
        sources: BTreeMap::new(),
        event: None,
        forked_from: None,
    })
}

/// The last record of a run that went well.
pub(super) fn run_succeeded() -> Record {
    let output = Held::Inline(serde_json::Value::Null.into());
    Record::now(Event::RunFinished {
        outcome: Outcome::Succeeded { output },
    })
}

/// The own lane of a new run.
pub(super) fn new_lane() -> LaneId {
    LaneId {
        run: RunId::generate(),
        lane: Lane::Run,
    }
}

macro_rules! instantiate {
    ($rig:ident, #[$test:meta], $($group:ident::$name:ident,)*) => {
        $(#[$test]
        async fn $name() {
            super::$group::$name(<super::$rig as super::Rig>::new()).await;
        })*
    };
}

macro_rules! conformance {
    ($backend:ident, $rig:ident, #[$test:meta]) => {
        mod $backend {
            instantiate! {
                $rig, #[$test],
                log::an_append_needs_the_lanes_present_end,
                log::pages_follow_each_other_and_the_last_is_short,
                log::a_refused_append_tells_the_end_and_changes_nothing,
                log::an_append_tried_again_is_recognised,
                log::several_records_are_appended_together_or_not_at_all,
                log::of_many_racers_for_one_place_one_wins,
                log::lanes_of_one_run_do_not_contend,
                log::a_replay_sees_everything_committed_before_in_order,
                log::records_come_back_as_they_were_written,
                log::a_value_too_deep_to_be_read_back_is_refused,
                log::a_tail_gives_old_records_and_then_new_ones_in_order,
                log::a_tail_of_one_run_starts_after_its_cursor,
                log::a_long_tail_passes_its_page_size,
                log::runs_are_listed_newest_first_with_their_outcome,
                log::a_purged_run_is_gone_and_its_cursors_are_not_used_again,
                queue::a_task_is_handed_out_once_while_its_lease_holds,
                queue::a_lapsed_lease_is_handed_out_again,
                queue::a_renewed_lease_holds_for_another_term,
                queue::a_lease_lost_to_somebody_else_cannot_be_renewed_nor_end_the_task,
                queue::a_lapsed_lease_that_nobody_took_can_still_be_used,
                queue::a_finished_task_is_gone,
                queue::a_task_tried_later_waits_for_its_delay,
                queue::a_delayed_task_is_not_handed_out_before_its_time,
                queue::a_key_is_in_a_queue_once_and_free_again_afterwards,
                queue::a_full_queue_pushes_back_and_others_do_not_notice,
                queue::higher_priorities_go_first_and_the_oldest_first_among_equals,
                queue::a_pull_takes_no_more_than_asked_for,
                queue::a_waiting_pull_is_woken_by_a_put,
                queue::a_waiting_pull_is_woken_by_a_retry,
                queue::a_pull_gives_up_after_its_wait,
                queue::many_pullers_share_tasks_without_overlap,
                queue::a_claim_takes_a_free_task_before_it_is_due,
                queue::a_claim_is_refused_while_the_holder_lives,
                queue::a_claim_takes_over_a_lapsed_lease,
                queue::a_claim_of_nothing_finds_nothing,
                queue::a_body_that_is_too_large_is_refused,
                queue::room_tells_what_a_put_would_answer_and_puts_nothing,
                queue::a_cleared_queue_is_empty_whatever_stood_in_it,
                kv::a_value_comes_back_with_its_format_and_revision,
                kv::a_change_needs_what_was_expected,
                kv::revisions_grow_over_a_deletion,
                kv::of_many_racers_on_one_revision_one_wins,
                kv::increments_are_never_lost,
                kv::an_increment_refuses_overflow_and_what_is_not_a_number,
                kv::the_quota_of_keys_is_exact,
                kv::the_quota_of_bytes_is_exact,
                kv::a_namespace_over_its_quota_can_shrink,
                kv::keys_come_in_byte_order_page_by_page,
                kv::namespaces_do_not_see_each_other,
                kv::every_change_is_in_the_history_with_who_made_it,
                kv::a_large_value_is_one_blob_however_often_it_comes_back,
                kv::the_present_state_follows_from_its_history,
                kv::of_each_key_only_the_newest_changes_are_kept,
                kv::a_namespace_of_the_host_has_no_history,
                kv::a_key_of_the_host_outlives_any_number_of_changes,
                kv::keys_that_come_and_go_do_not_grow_the_history_for_ever,
                kv::values_of_the_past_take_no_more_than_the_quota_allows,
                kv::a_key_whose_past_went_with_others_keeps_its_newest_changes,
                kv::a_large_value_that_is_refused_leaves_no_blob,
                blobs::bytes_are_kept_once_and_come_back_on_both_sides_of_the_boundary,
                blobs::what_was_never_put_is_not_there,
                blobs::a_hint_reaches_those_who_listen_to_its_prefix,
                answers::an_answer_of_any_form_comes_back_with_its_age,
                answers::a_newer_answer_takes_the_place_of_an_older_one,
            }
        }
    };
}

conformance!(memory, MemoryRig, #[tokio::test(start_paused = true)]);
conformance!(sqlite, SqliteRig, #[tokio::test]);
