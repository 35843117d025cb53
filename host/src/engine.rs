//! The engine: drives a run from its journal to its end.
//!
//! It is handed a plan and the calls of its steps; where these come from, and what stands around them, it does not know. What happened
//! is appended to the journal before it counts. A run is owned by whoever appended last; a queue lease only makes it rare
//! that two try.

mod accept;
mod ask;
mod budget;
pub mod control;
mod drive;
pub mod emit;
pub mod fork;
mod journal;
pub mod replay;
pub mod serve;
pub mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use self::journal::Journal;
pub use self::journal::Reading;
use self::state::{IllegalMove, RunState, StepState};
use crate::call::{Call, Observer};
use crate::failure::Failure;
use crate::id::{AgentName, Digest, EventType, RunId};
use crate::plan::{Plan, StepRef};
use crate::record::{Cause, Event, Held, Outcome, Record};
use crate::store::{Claim, Lease, Put, QUEUE_LIMIT, QueueTask, SharedBackend, StoreError};

/// Appends of a run whose work was dropped that can still be under way: it makes one at a time.
const LATE_APPENDS: u32 = 3;

/// The queue in which every unfinished run has one entry.
pub const RUNS: &str = "runs";

/// Why a run could not be driven on. A step or a run that failed is not one of these: it is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else has taken the run over.
    #[error("run {0} was taken over by another process; this one has stopped working on it")]
    Fenced(RunId),
    /// It was asked to stop, and has.
    #[error("run {0} was stopped before its end")]
    Stopped(RunId),
    /// Somebody else is working on the run.
    #[error("run {0} is being worked on by {1}")]
    Held(RunId, String),
    /// It belongs to other versions of its agents than it would be driven with.
    #[error(
        "run {0} was started with other versions of its agents; `kennel runs resume {0}` goes on with it when these are back"
    )]
    Foreign(RunId),
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(RunId),
    /// The queue of runs is full.
    #[error("too many runs are waiting; try again when some have finished")]
    Full,
    /// The journal makes no sense.
    #[error("run {0}: {1}")]
    Illegal(RunId, IllegalMove),
}

/// Sees records.
pub type Reader = dyn Fn(&Record) + Send + Sync;

/// Who watches a run: both are told best-effort and must not block.
#[derive(Clone, Default)]
pub struct Watch {
    /// Hears progress, logs and retries of the calls.
    pub observer: Observer,
    /// Sees each record once it is durable.
    pub records: Option<Arc<Reader>>,
}

/// The call behind each call step of a plan, with its policies around it.
pub type Calls = HashMap<StepRef, Arc<dyn Call>>;

/// How a run began.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The run.
    pub run: RunId,
    /// The flow's name.
    pub flow: String,
    /// The flow's text.
    pub source: String,
    /// The texts of the flows inside it.
    pub sources: BTreeMap<String, String>,
    /// The agents it may call, with the digests that it was started with.
    pub agents: BTreeMap<AgentName, Digest>,
}

/// An event that a step emits.
#[derive(Debug, Clone)]
pub struct Emission {
    /// The flow whose step it is.
    pub flow: String,
    /// The same whenever the step is executed again.
    pub id: String,
    /// Its type.
    pub event_type: EventType,
    /// Its data.
    pub data: Arc<Value>,
    /// How many events led to it.
    pub hops: u8,
}

/// Takes events that steps emit; the answer comes once they are durable.
pub type Publish = dyn Fn(Emission) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// Accepts runs and drives them. Cheap to clone; clones look for requests to stop together.
#[derive(Clone)]
pub struct Engine {
    backend: SharedBackend,
    give_up: Duration,
    publish: Option<Arc<Publish>>,
    stops: Arc<control::Stops>,
}

/// What became of asking a run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// It has ended, cancelled.
    Cancelled,
    /// Whoever drives it was asked to stop it, and will within moments.
    Asked,
    /// It had ended before.
    Ended,
}

impl Engine {
    /// An engine over `backend`. When the store does not answer, it tries to append for `give_up` before it gives a run up; what was
    /// appended by then stays, and the run can be driven on later.
    pub fn new(backend: SharedBackend, give_up: Duration) -> Self {
        Self {
            backend,
            give_up,
            publish: None,
            stops: Arc::default(),
        }
    }

    /// The same engine, whose steps can emit events through `publish`.
    #[must_use]
    pub fn publishing(self, publish: Arc<Publish>) -> Self {
        Self {
            publish: Some(publish),
            ..self
        }
    }

    /// Accepts a run: once this returns, it is durable and will end, after a crash by whoever resumes it.
    ///
    /// The input must have been checked against the plan's schema.
    pub async fn accept(
        &self,
        plan: &Plan,
        agents: BTreeMap<AgentName, Digest>,
        input: Value,
    ) -> Result<RunId, EngineError> {
        let run = RunId::generate();
        let started = started(plan, agents, input, None);
        Journal::of_new(self, run).append(&[started]).await?;
        self.enqueue_or_forget(run).await?;
        Ok(run)
    }

    async fn enqueue_or_forget(&self, run: RunId) -> Result<(), EngineError> {
        if let Err(error) = self.enqueue(run).await {
            // A run that was refused must not be found and executed later.
            self.backend.log().purge(run).await?;
            return Err(error);
        }
        Ok(())
    }

    /// Stops a run for good: at once when nobody drives it, through whoever does otherwise. `by` is told in the journal.
    pub async fn cancel(
        &self,
        run: RunId,
        plan: Arc<Plan>,
        by: &str,
    ) -> Result<Stopping, EngineError> {
        match self.claim(run, &plan).await {
            Ok(Claimed::Ended(_)) => Ok(Stopping::Ended),
            Ok(Claimed::Ours(lease)) => {
                let stopping = self.end_cancelled(run, plan, by).await;
                match &stopping {
                    Ok(_) => lease.done().await?,
                    // It is as open as before, so it must be found again.
                    Err(_) => lease.retry(Duration::ZERO).await?,
                }
                stopping
            }
            Err(EngineError::Held(..)) => {
                control::ask_to_stop(self.backend.as_ref(), run, by).await?;
                Ok(Stopping::Asked)
            }
            Err(error) => Err(error),
        }
    }

    async fn end_cancelled(
        &self,
        run: RunId,
        plan: Arc<Plan>,
        by: &str,
    ) -> Result<Stopping, EngineError> {
        let mut tries = 0;
        loop {
            let (mut journal, _, state) = self.open(run, plan.clone()).await?;
            if state.outcome().is_some() {
                self.forget_words(&state).await?;
                return Ok(Stopping::Ended);
            }
            let outcome = Outcome::Cancelled { by: by.to_owned() };
            match journal.append(&[Event::RunFinished { outcome }]).await {
                Ok(_) => {
                    self.forget_words(&state).await?;
                    return Ok(Stopping::Cancelled);
                }
                // An append that was under way when the work was dropped may still come through; then the end is another one.
                Err(EngineError::Fenced(_)) if tries < LATE_APPENDS => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// What people have said to a run that has ended is of no use any more.
    async fn forget_words(&self, state: &RunState) -> Result<(), EngineError> {
        let asks = |step: &&StepState| {
            matches!(
                state.plan().step(step.step).kind,
                crate::plan::Kind::Approve(_)
            )
        };
        let asked = state.steps().filter(asks).map(|step| step.path.clone());
        let asked: Vec<_> = asked.collect();
        control::forget(self.backend.as_ref(), state.run(), asked).await?;
        Ok(())
    }

    /// Drives `run` to its end, from wherever it stands, unless `stop` ends first. Returns its last state; its outcome may be a failure.
    ///
    /// Steps may be executed twice after a crash; the task id stays the same. When `stop` ends, every call of the run is stopped and the
    /// run is given back at once; when this future is dropped, it is given back when its lease lapses.
    pub async fn drive(
        &self,
        run: RunId,
        plan: Arc<Plan>,
        calls: &Calls,
        watch: &Watch,
        stop: impl Future<Output = ()>,
    ) -> Result<RunState, EngineError> {
        let lease = match self.claim(run, &plan).await? {
            Claimed::Ours(lease) => lease,
            Claimed::Ended(state) => return Ok(*state),
        };
        // Read only now: whoever had the run before can append no more without being noticed.
        let (journal, accepted, state) = self.open(run, plan.clone()).await?;
        if state.outcome().is_some() {
            // Whoever ended it may have been lost before it could forget them.
            self.forget_words(&state).await?;
            lease.done().await?;
            return Ok(state);
        }
        let driven = {
            let work = drive::Driver::new(self, journal, state, accepted, calls, watch).run();
            tokio::select! {
                driven = work => driven.map(Ok),
                () = keep(lease.as_ref()) => Err(EngineError::Fenced(run)),
                by = self.stops.asked(&self.backend, run) => Ok(Err(by)),
                () = stop => Err(EngineError::Stopped(run)),
            }
        };
        // The work is dropped by now, and with it every call.
        let driven = match driven {
            Ok(Err(by)) => match self.end_cancelled(run, plan.clone(), &by).await {
                Ok(_) => self.open(run, plan).await.map(|(_, _, state)| state),
                Err(error) => Err(error),
            },
            Ok(Ok(state)) => self.forget_words(&state).await.map(|()| state),
            Err(error) => Err(error),
        };
        match driven {
            Ok(_) => lease.done().await?,
            // The work is dropped by now; nobody else should have to wait for the lease to lapse.
            Err(_) => lease.retry(Duration::ZERO).await?,
        }
        driven
    }

    /// Reads the journal of `run`. One without records is that of no run.
    pub fn read(&self, run: RunId) -> Reading {
        Reading::of(self, run, journal::PAGE)
    }

    /// How `run` began.
    pub async fn beginning(&self, run: RunId) -> Result<Beginning, EngineError> {
        let first = Reading::of(self, run, 1).next().await?;
        match first.map(|record| record.event) {
            Some(Event::RunStarted {
                flow,
                source,
                sources,
                agents,
                ..
            }) => Ok(Beginning {
                run,
                flow,
                source,
                sources,
                agents,
            }),
            Some(_) => Err(StoreError::Damaged(format!("run {run} has no beginning")).into()),
            None => Err(EngineError::Unknown(run)),
        }
    }

    /// Where `run`, which follows `plan`, stands.
    pub async fn state(&self, run: RunId, plan: Arc<Plan>) -> Result<RunState, EngineError> {
        Ok(self.open(run, plan).await?.2)
    }

    /// The journal, when the run was accepted, and where it stands.
    async fn open(
        &self,
        run: RunId,
        plan: Arc<Plan>,
    ) -> Result<(Journal, Option<Timestamp>, RunState), EngineError> {
        let mut accepted = None;
        let mut state = RunState::new(plan, run);
        let journal = Journal::open(self, run, |record| {
            accepted.get_or_insert(record.at);
            state
                .check(&record.event)
                .map_err(|illegal| EngineError::Illegal(run, illegal))?;
            state.apply(&record.event);
            Ok(())
        });
        Ok((journal.await?, accepted, state))
    }

    /// The entry of `run` in the queue, for this process alone. One that was lost is put there again, unless the run has ended.
    async fn claim(&self, run: RunId, plan: &Arc<Plan>) -> Result<Claimed, EngineError> {
        loop {
            match self.backend.queue().claim(RUNS, &run.to_string()).await? {
                Claim::Taken(lease) => return Ok(Claimed::Ours(lease)),
                Claim::Held(who) => return Err(EngineError::Held(run, who)),
                Claim::Absent => {
                    let (_, _, state) = self.open(run, plan.clone()).await?;
                    if state.outcome().is_some() {
                        return Ok(Claimed::Ended(Box::new(state)));
                    }
                    self.enqueue(run).await?;
                }
            }
        }
    }

    async fn enqueue(&self, run: RunId) -> Result<(), EngineError> {
        let task = QueueTask {
            key: run.to_string(),
            priority: 2,
            delay: Duration::ZERO,
            body: Bytes::new(),
        };
        let queue = self.backend.queue();
        let mut put = queue.put(RUNS, task.clone()).await?;
        if put == Put::Full && self.sweep().await? > 0 {
            put = queue.put(RUNS, task).await?;
        }
        match put {
            Put::Queued | Put::Duplicate => Ok(()),
            Put::Full => Err(EngineError::Full),
        }
    }

    /// Takes runs that have ended out of the queue: whoever was lost right after the last record could not. Returns how many they were.
    async fn sweep(&self) -> Result<usize, EngineError> {
        let mut swept = 0;
        for lease in self
            .backend
            .queue()
            .pull(RUNS, QUEUE_LIMIT, Duration::ZERO)
            .await?
        {
            let ended = match lease.task().key.parse() {
                Ok(run) => self.has_ended(run).await?,
                Err(_) => false,
            };
            match ended {
                true => lease.done().await?,
                false => lease.retry(Duration::ZERO).await?,
            }
            swept += usize::from(ended);
        }
        Ok(swept)
    }

    async fn has_ended(&self, run: RunId) -> Result<bool, EngineError> {
        let mut reading = self.read(run);
        while let Some(record) = reading.next().await? {
            if matches!(record.event, Event::RunFinished { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The first record of a run.
fn started(
    plan: &Plan,
    agents: BTreeMap<AgentName, Digest>,
    input: Value,
    cause: Option<Cause>,
) -> Event {
    Event::RunStarted {
        flow: plan.name.clone(),
        digest: plan.digest,
        source: plan.source.clone(),
        agents,
        input: Held::Inline(Arc::new(input)),
        sources: plan.sources.clone(),
        event: cause.map(Arc::new),
        forked_from: None,
    }
}

/// What came of claiming a run.
enum Claimed {
    /// It is this process's to drive.
    Ours(Box<dyn Lease>),
    /// There is nothing left to drive.
    Ended(Box<RunState>),
}

/// Renews the lease until it is lost. A store that does not answer is not a loss: appends decide who owns the run.
async fn keep(lease: &dyn Lease) {
    loop {
        tokio::time::sleep(lease.term() / 3).await;
        if let Ok(false) = lease.renew().await {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
