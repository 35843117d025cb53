//! What is known about an agent, from the ends of its tasks.

use super::quarantine::FAULTS;
use super::*;
use crate::call::{Attempt, Trail, Usage};
use crate::payload::Payload;
use FailureKind as F;

pub(super) fn request() -> Request {
    Request::new("task", Arc::new(Payload::Text("?".into())))
}

/// The end of a task that took so many microseconds.
pub(super) fn end(micros: u64, failure: Option<F>) -> Result<Reply, CallError> {
    let failure = failure.map(|kind| Failure::new(kind, "as it says"));
    let attempt = Attempt {
        agent: "a".parse().expect("a name"),
        number: 1,
        failure: failure.clone(),
        answers: None,
        usage: Usage {
            fuel: 7,
            wall_us: micros,
            queue_us: 3,
            ..Usage::default()
        },
    };
    let trail = Trail {
        attempts: vec![attempt],
        ..Trail::default()
    };
    match failure {
        None => Ok(Reply {
            output: Arc::new(Payload::Text("!".into())),
            trail,
        }),
        Some(failure) => Err(CallError { failure, trail }),
    }
}

pub(super) fn task(health: &Arc<Health>, micros: u64, failure: Option<F>) {
    let watch = health.admit(&request(), None).expect("it is let through");
    watch.saw(&[end(micros, failure)]);
}

#[tokio::test(start_paused = true)]
async fn everything_that_ends_is_counted() {
    let health = Arc::new(Health::default());
    for _ in 0..3 {
        task(&health, 100, None);
    }
    task(&health, 100, Some(F::InvalidInput));
    let report = health.report();
    assert_eq!(report.tally.completed(), 4);
    assert_eq!(report.tally.success_rate(), Some(0.75));
    assert_eq!(report.tally.failed, [(F::InvalidInput, 1)].into());
    assert_eq!((report.tally.fuel, report.tally.queue_us), (28, 12));
    assert_eq!(report.in_flight, 0);
    assert_eq!(
        report.last_failure.map(|last| last.failure.kind),
        Some(F::InvalidInput)
    );
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_is_the_agent_s_fault_or_it_is_not() {
    for &kind in F::ALL {
        let health = Arc::new(Health::default());
        for _ in 0..FAULTS {
            task(&health, 60_000_000, Some(kind)); // as long as a task may take
        }
        let fault = matches!(
            kind,
            F::OutOfFuel
                | F::Deadline
                | F::OutOfMemory
                | F::StackOverflow
                | F::Trapped
                | F::AbiViolation
                | F::Exit
                | F::TooMuchData
                | F::Handles
                | F::OutputTooLarge
                | F::Quota
        );
        assert_eq!(health.refuses().is_some(), fault, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_counts_each_task_but_its_sandbox_once() {
    let health = Arc::new(Health::default());
    let watch = health.admit(&request(), None).expect("it is let through");
    let many: Vec<_> = (0..2 * FAULTS).map(|_| end(1, Some(F::Trapped))).collect();
    watch.saw(&many);
    assert_eq!(health.refuses(), None);
    assert_eq!(health.report().tally.completed(), u64::from(2 * FAULTS));
}

#[tokio::test(start_paused = true)]
async fn who_has_less_to_do_stands_better_then_who_is_likely_to_answer_sooner() {
    let [idle, quick, failing, busy] = [(); 4].map(|()| Arc::new(Health::default()));
    task(&quick, 1_000, None);
    task(&failing, 500, Some(F::Fatal));
    task(&busy, 1, None);
    let _under_way = busy.admit(&request(), None).expect("it is let through");
    let standings = [&idle, &quick, &failing, &busy].map(|health| health.standing());
    assert!(standings.is_sorted(), "{standings:?}");
}
