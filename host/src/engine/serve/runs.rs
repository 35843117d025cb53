//! The runs of a flow that are at work: begun, stopped together, and told as they end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::tally::Tally;
use super::{Ended, Fleet, Serving, Teller, Told};
use crate::delivery::Taken;
use crate::engine::accept::Accepted;
use crate::engine::state::RunState;
use crate::engine::{Engine, EngineError};
use crate::event::CloudEvent;
use crate::id::RunId;
use crate::store::{LEASE_TERM, StoreError};

/// When an event comes again for which there was no room in the queue of runs.
const PUT_OFF: Duration = Duration::from_secs(1);
/// When a run that the store broke off is tried again.
const GOES_ON: Duration = Duration::from_secs(5);
/// Runs that are remembered while their event is put off. One more may find its journal begun with other versions of its agents.
const MOST_PUT_OFF: usize = 1_000;

/// How long they are remembered: by then every other process that could have taken the event has had its turn.
const PUT_OFF_FOR: Duration = Duration::from_secs(4 * LEASE_TERM.as_secs());

/// What a run comes from.
pub(super) enum Cause {
    /// An event from the flow's queue.
    Delivered(Box<Taken>),
    /// An event of a recording.
    Recorded(Box<CloudEvent>),
    /// An earlier process, which has accepted it with these agents.
    Left(RunId, Arc<Fleet>),
}

/// Runs at work, and what has become of those before.
pub(super) struct Runs<'a> {
    engine: &'a Engine,
    serving: &'a Serving,
    at_work: JoinSet<Done>,
    /// Runs that may be in their journal already, though their event comes again, and what they began with.
    put_off: PutOff,
    stop: CancellationToken,
    pub(super) tally: Tally,
    tell: &'a mut Teller<'a>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(engine: &'a Engine, serving: &'a Serving, tell: &'a mut Teller<'a>) -> Self {
        Self {
            engine,
            serving,
            at_work: JoinSet::new(),
            put_off: PutOff::default(),
            stop: CancellationToken::new(),
            tally: Tally::default(),
            tell,
        }
    }

    /// How many more may begin.
    pub(super) fn free(&self) -> usize {
        let parallel = self.serving.parallel.max(1);
        parallel.saturating_sub(self.at_work.len())
    }

    pub(super) fn are_idle(&self) -> bool {
        self.at_work.is_empty()
    }

    pub(super) fn tell(&mut self, told: Told<'_>) {
        (self.tell)(told);
    }

    /// Counts an event that has come; whether the flow has a handler for it.
    pub(super) fn handles(&mut self, event: &CloudEvent) -> bool {
        self.tally.events += 1;
        let handles = self.serving.types.contains_key(&event.event_type);
        self.tally.ignored += u64::from(!handles);
        handles
    }

    /// Begins a run beside the others.
    pub(super) fn begin(&mut self, cause: Cause) {
        let (run, event) = match &cause {
            Cause::Delivered(taken) => (taken.run(), Some(taken.event().clone())),
            Cause::Recorded(event) => (RunId::generate(), Some(CloudEvent::clone(event))),
            Cause::Left(run, _) => (*run, None),
        };
        let fleet = match &cause {
            Cause::Left(_, fleet) => fleet.clone(),
            Cause::Delivered(_) | Cause::Recorded(_) => {
                let before = self.put_off.take(run);
                before.unwrap_or_else(|| self.serving.fleet.load_full())
            }
        };
        let told = event.as_ref();
        self.tell(Told::Began { run, event: told });
        let work = Work {
            engine: self.engine.clone(),
            serving: self.serving.clone(),
            fleet: fleet.clone(),
            stop: self.stop.clone(),
            run,
        };
        let (event, since) = (event.map(Arc::new), Instant::now());
        // A task of its own: a guest that computes keeps no other run from going on.
        self.at_work.spawn(async move {
            let (how, put_off) = match work.done(cause).await {
                Ok(state) => (Ok(state), None),
                Err(Undone::PutOff(error)) => (Err(error), Some(fleet)),
                Err(Undone::Broken(error)) => (Err(error), None),
            };
            let took = since.elapsed();
            let ended = Ended {
                run,
                event,
                took,
                how,
            };
            (ended, put_off)
        });
    }

    /// Waits for the next run to end; for ever when none is at work.
    pub(super) async fn next(&mut self) -> Result<Done, JoinError> {
        match self.at_work.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Counts and tells what became of a run.
    pub(super) fn ended(&mut self, ended: Result<Done, JoinError>) {
        match ended {
            Ok((ended, put_off)) => {
                if let Some(fleet) = put_off {
                    self.put_off.keep(ended.run, fleet);
                }
                self.tally.count(&ended);
                self.tell(Told::Ended(&ended));
            }
            // Calls have a net of their own; what comes through it is a fault of the engine, and of this run alone.
            Err(error) => {
                self.tally.unfinished += 1;
                self.tell(Told::Trouble(&format!("a run broke off: {error}")));
            }
        }
    }

    /// Stops every run, and waits until each was given back.
    pub(super) async fn stop(mut self) -> Tally {
        self.stop.cancel();
        while let Some(ended) = self.at_work.join_next().await {
            self.ended(ended);
        }
        self.tally
    }
}

/// Fleets of runs whose events come again. An event that does not come again to this process must not hold a plugin for ever.
#[derive(Default)]
struct PutOff(BTreeMap<RunId, (Instant, Arc<Fleet>)>);

impl PutOff {
    fn keep(&mut self, run: RunId, fleet: Arc<Fleet>) {
        self.forget();
        if self.0.len() < MOST_PUT_OFF {
            self.0.insert(run, (Instant::now(), fleet));
        }
    }

    fn take(&mut self, run: RunId) -> Option<Arc<Fleet>> {
        self.forget();
        self.0.remove(&run).map(|(_, fleet)| fleet)
    }

    fn forget(&mut self) {
        self.0.retain(|_, (since, _)| since.elapsed() < PUT_OFF_FOR);
    }
}

/// A run that is no longer driven, and what it would begin with again.
pub(super) type Done = (Ended, Option<Arc<Fleet>>);

/// Why a run was not driven to its end.
enum Undone {
    /// It was not accepted, as far as is known; its event comes again.
    PutOff(EngineError),
    /// It was.
    Broken(EngineError),
}

impl From<EngineError> for Undone {
    fn from(error: EngineError) -> Self {
        Self::Broken(error)
    }
}

/// One run to be done.
struct Work {
    engine: Engine,
    serving: Serving,
    fleet: Arc<Fleet>,
    stop: CancellationToken,
    run: RunId,
}

impl Work {
    /// Accepts the run, if it was not, and drives it.
    async fn done(self, cause: Cause) -> Result<Option<RunState>, Undone> {
        match cause {
            Cause::Left(..) => {}
            Cause::Recorded(event) => drop(self.accept(&event).await?),
            Cause::Delivered(taken) => match self.accept(taken.event()).await {
                Ok(Accepted::New | Accepted::Open) => self.mark(*taken).await,
                Ok(Accepted::Ended) => {
                    taken.accepted().await.map_err(EngineError::from)?;
                    return Ok(None);
                }
                Ok(Accepted::Foreign) => {
                    self.mark(*taken).await;
                    return Err(EngineError::Foreign(self.run).into());
                }
                Err(error) => {
                    // The event comes again in any case, at the latest when its lease lapses.
                    let _ = taken.later(PUT_OFF).await;
                    return Err(Undone::PutOff(error));
                }
            },
        }
        Ok(self.drive().await?)
    }

    async fn accept(&self, event: &CloudEvent) -> Result<Accepted, EngineError> {
        let (plan, agents) = (&self.serving.plan, self.fleet.agents.clone());
        let accepted = self.engine.accept_event(plan, agents, self.run, event);
        accepted.await
    }

    /// The run is accepted, marked or not: without the mark the event comes again and finds it.
    async fn mark(&self, taken: Taken) {
        if let Err(error) = taken.accepted().await {
            tracing::warn!("run {}: its event could not be marked: {error}", self.run);
        }
    }

    /// Drives the run to its end. While the store takes nothing, it is tried again: nobody else would.
    async fn drive(self) -> Result<Option<RunState>, EngineError> {
        let Serving { plan, watch, .. } = &self.serving;
        let (run, mut broke_off) = (self.run, false);
        loop {
            let stop = self.stop.cancelled();
            let calls = &self.fleet.calls;
            let driven = self.engine.drive(run, plan.clone(), calls, watch, stop);
            match driven.await {
                Ok(state) => return Ok(Some(state)),
                // What broke off may hold it until its lease lapses.
                Err(EngineError::Held(..)) if broke_off => {}
                Err(EngineError::Held(..)) => return Ok(None),
                Err(EngineError::Store(StoreError::Unavailable(why))) => {
                    tracing::warn!("run {run} goes on when the store does: {why}");
                    broke_off = true;
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = tokio::time::sleep(GOES_ON) => {}
                () = self.stop.cancelled() => return Err(EngineError::Stopped(run)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Calls;

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_event_never_comes_again_lets_its_plugins_go() {
        let fleet = Arc::new(Fleet {
            calls: Calls::new(),
            agents: BTreeMap::new(),
        });
        let [came, never, later] = std::array::from_fn(|_| RunId::generate());
        let mut put_off = PutOff::default();
        put_off.keep(came, fleet.clone());
        put_off.keep(never, fleet.clone());
        assert!(
            put_off
                .take(came)
                .is_some_and(|old| Arc::ptr_eq(&old, &fleet))
        );
        tokio::time::advance(PUT_OFF_FOR).await;
        assert_eq!(Arc::strong_count(&fleet), 2);
        assert!(put_off.take(later).is_none());
        assert_eq!(Arc::strong_count(&fleet), 1, "the last was let go");
    }
}
