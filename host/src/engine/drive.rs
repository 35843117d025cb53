//! The loop that drives one run: decide, append, begin, wait, and again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::budget::Purse;
use super::control::{self, Answer};
use super::journal::Journal;
use super::state::{Decision, IllegalMove, RunState};
use super::{Calls, Emission, Engine, EngineError, Watch};
use crate::call::{CallError, Reply, Trail};
use crate::expr;
use crate::failure::{Failure, FailureKind};
use crate::id::{EventType, StepPath};
use crate::payload::{BlobRef, Payload, is_deeper};
use crate::plan::{CallStep, Kind, OnExceeded};
use crate::record::{Event, Held};

/// An append that takes so long is one that waits for a disk or a network.
const WORTH_SPARING: Duration = Duration::from_micros(200);
/// What has ended waits so long for the next to end: the least that a timer can measure.
const MOMENT: Duration = Duration::from_millis(1);
/// And at most so long for all that do, however close they follow each other.
const GATHERING: Duration = Duration::from_millis(10);

/// A call to begin, once its beginning was appended.
struct Begin {
    path: StepPath,
    /// Evaluated when it was decided, and not again: an expression copies what it takes. After a resume it may fail.
    input: Result<Arc<Value>, Failure>,
}

/// What has become of a leaf.
enum Ended {
    Called(StepPath, Result<Reply, CallError>),
    Emitted(StepPath, String, EventType, Result<(), Failure>),
    Answered(StepPath, Option<Answer>),
}

/// One run at work.
pub(super) struct Driver<'a> {
    pub(super) engine: &'a Engine,
    journal: Journal,
    pub(super) state: RunState,
    pub(super) purse: Purse,
    pub(super) calls: &'a Calls,
    pub(super) watch: &'a Watch,
    /// How long the last append took.
    append_took: Duration,
}

type InFlight = FuturesUnordered<BoxFuture<'static, Ended>>;

impl<'a> Driver<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        journal: Journal,
        state: RunState,
        accepted: Option<Timestamp>,
        calls: &'a Calls,
        watch: &'a Watch,
    ) -> Self {
        let purse = Purse::new(state.plan().budget, accepted);
        Self {
            engine,
            journal,
            state,
            purse,
            calls,
            watch,
            append_took: Duration::ZERO,
        }
    }

    /// To the end of the run. What has ended and what begins next share one append, so a sequence costs one commit a step.
    pub(super) async fn run(mut self) -> Result<RunState, EngineError> {
        let mut events = Vec::new();
        let mut in_flight = InFlight::new();
        // Whoever drove the run before has left these behind; the append of their new beginning fences it.
        let mut begin = Vec::new();
        for path in self.state.running() {
            if !matches!(self.kind(&path), Some(Kind::Approve(_))) {
                self.happen(&mut events, started(&self.state, &path))?;
            }
            begin.push(Begin {
                input: self.state.input_of(&path),
                path,
            });
        }
        loop {
            begin.extend(self.decide(&mut events)?);
            if let Some(outcome) = self.state.conclusion() {
                self.happen(&mut events, Event::RunFinished { outcome })?;
                self.append(&mut events).await?;
                return Ok(self.state);
            }
            self.append(&mut events).await?;
            self.begin(std::mem::take(&mut begin), &mut in_flight)
                .await?;
            // Everything that is done by now, or is about to be, goes into the same append.
            let Some(mut answer) = in_flight.next().await else {
                return Err(EngineError::Illegal(self.state.run(), IllegalMove::stuck()));
            };
            let first = Instant::now();
            loop {
                let event = self.ended(answer).await?;
                self.happen(&mut events, event)?;
                match self.soon(&mut in_flight, first).await {
                    Some(next) => answer = next,
                    None => break,
                }
            }
        }
    }

    /// What ends next, if it does so at once, or within a moment where an append takes long enough to be worth sparing: as `commit_delay`
    /// of databases, but only while something is in flight, and never over a store in memory.
    async fn soon(&self, in_flight: &mut InFlight, first: Instant) -> Option<Ended> {
        let at_once = in_flight.next().now_or_never().flatten();
        let waits = self.append_took >= WORTH_SPARING && first.elapsed() < GATHERING;
        if at_once.is_some() || in_flight.is_empty() || !waits {
            return at_once;
        }
        timeout(MOMENT, in_flight.next()).await.ok().flatten()
    }

    /// Decides about every call that waits, until none does; returns those to begin.
    fn decide(&mut self, events: &mut Vec<Event>) -> Result<Vec<Begin>, EngineError> {
        let mut begin = Vec::new();
        loop {
            let ready = self.state.ready();
            if ready.is_empty() {
                return Ok(begin);
            }
            for (step, decision) in ready {
                let event = match decision {
                    Decision::Start => match self.start(&step) {
                        Ok((input, event)) => {
                            begin.push(Begin {
                                path: step,
                                input: Ok(input),
                            });
                            event
                        }
                        Err(failure) => Event::StepFailed {
                            step,
                            failure,
                            trail: Trail::default(),
                        },
                    },
                    Decision::Skip => Event::StepSkipped { step },
                    Decision::Fail(failure) => Event::StepFailed {
                        step,
                        failure,
                        trail: Trail::default(),
                    },
                };
                self.happen(events, event)?;
            }
        }
    }

    /// What a leaf that may begin gets, and the event that says so. A question to a person carries its own end, so that whoever
    /// resumes the run waits no longer.
    fn start(&self, path: &StepPath) -> Result<(Arc<Value>, Event), Failure> {
        let input = self.state.input_of(path)?;
        let plan = self.state.plan().clone();
        let step = self.state.step(path).map(|state| plan.step(state.step));
        match step.map(|step| &step.kind) {
            Some(Kind::Approve(approve)) => {
                let message = self.state.evaluate(path, &approve.message)?;
                let message = match message.as_ref() {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let own = approve.timeout.map(|timeout| {
                    Timestamp::now()
                        .checked_add(timeout)
                        .unwrap_or(Timestamp::MAX)
                });
                let until = own.into_iter().chain(self.purse.end()).min();
                let step = path.clone();
                let asked = Event::ApprovalAsked {
                    step,
                    message,
                    until,
                };
                Ok((input, asked))
            }
            Some(Kind::Call(call)) => {
                let under_way = self.state.calls_under_way();
                match self.purse.exceeded(self.state.spent(), under_way) {
                    Some(failure) if !self.degrades(call) => Err(failure),
                    _ => Ok((input, started(&self.state, path))),
                }
            }
            _ => Ok((input, started(&self.state, path))),
        }
    }

    /// Whether a call goes to a cheaper agent when the budget is used up.
    pub(super) fn degrades(&self, call: &CallStep) -> bool {
        let beyond = self.state.plan().budget.on_exceeded;
        beyond == OnExceeded::Degrade && call.policy.degrade.is_some()
    }

    fn kind(&self, path: &StepPath) -> Option<&Kind> {
        let state = self.state.step(path)?;
        Some(&self.state.plan().step(state.step).kind)
    }

    /// Lets an event happen in the state; it counts once it was appended. An append that fails gives up the state with it.
    fn happen(&mut self, events: &mut Vec<Event>, event: Event) -> Result<(), EngineError> {
        self.state
            .check(&event)
            .map_err(|illegal| EngineError::Illegal(self.state.run(), illegal))?;
        self.state.apply(&event);
        events.push(event);
        Ok(())
    }

    async fn append(&mut self, events: &mut Vec<Event>) -> Result<(), EngineError> {
        if events.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let records = self.journal.append(events).await?;
        self.append_took = begun.elapsed();
        events.clear();
        if let Some(told) = &self.watch.records {
            records.iter().for_each(|record| told(record));
        }
        Ok(())
    }

    /// Begins calls. One that is alone stays on this task, which saves two wake-ups; several are spread over the workers.
    async fn begin(&self, steps: Vec<Begin>, in_flight: &mut InFlight) -> Result<(), EngineError> {
        let alone = steps.len() == 1 && in_flight.is_empty();
        for Begin { path, input } in steps {
            let work = match self.kind(&path) {
                Some(Kind::Approve(_)) => self.listen(path),
                Some(Kind::Emit(event_type)) => self.emit(path, event_type.clone(), input),
                _ => match self.request(&path, input).await? {
                    Err(failure) => {
                        let trail = Trail::default();
                        ready(Ended::Called(path, Err(CallError { failure, trail }))).boxed()
                    }
                    Ok((call, request)) => {
                        let work =
                            async move { Ended::Called(path, settled(call.call(request)).await) };
                        if alone { work.boxed() } else { spread(work) }
                    }
                },
            };
            in_flight.push(work);
        }
        Ok(())
    }

    /// Waits for a person.
    fn listen(&self, path: StepPath) -> BoxFuture<'static, Ended> {
        let (backend, run) = (self.engine.backend.clone(), self.state.run());
        let until = self.state.step(&path).and_then(|step| step.until);
        async move {
            let answer = control::answered(backend.as_ref(), run, &path, until).await;
            Ended::Answered(path, answer)
        }
        .boxed()
    }

    fn emit(
        &self,
        path: StepPath,
        event_type: EventType,
        data: Result<Arc<Value>, Failure>,
    ) -> BoxFuture<'static, Ended> {
        let id = format!("{}/{path}", self.state.run());
        let flow = self.state.plan().name.clone();
        let hops = self.state.hops();
        let publish = self.engine.publish.clone();
        async move {
            let emitted = match (data, publish) {
                (Err(failure), _) => Err(failure),
                (_, None) => {
                    let why = "this host takes no events";
                    Err(Failure::new(FailureKind::HostError, why))
                }
                (Ok(data), Some(publish)) => {
                    let emission = Emission {
                        flow,
                        id: id.clone(),
                        event_type: event_type.clone(),
                        data,
                        hops,
                    };
                    publish(emission).await
                }
            };
            Ended::Emitted(path, id, event_type, emitted)
        }
        .boxed()
    }

    async fn ended(&self, ended: Ended) -> Result<Event, EngineError> {
        let (step, answer) = match ended {
            Ended::Called(step, answer) => (step, answer),
            Ended::Emitted(step, id, event_type, Ok(())) => {
                return Ok(Event::EventEmitted {
                    step,
                    id,
                    event_type,
                });
            }
            Ended::Emitted(step, _, _, Err(failure)) => {
                let trail = Trail::default();
                return Ok(Event::StepFailed {
                    step,
                    failure,
                    trail,
                });
            }
            Ended::Answered(step, answer) => return Ok(self.answered(step, answer)),
        };
        match answer {
            Ok(Reply { output, trail }) => Ok(match self.value(&output).await? {
                Ok(value) => Event::StepSucceeded {
                    step,
                    output: Held::Inline(Arc::new(value)),
                    trail,
                },
                Err(failure) => Event::StepFailed {
                    step,
                    failure,
                    trail,
                },
            }),
            Err(CallError { failure, trail }) => Ok(Event::StepFailed {
                step,
                failure,
                trail,
            }),
        }
    }

    fn answered(&self, step: StepPath, answer: Option<Answer>) -> Event {
        let default = match self.kind(&step) {
            Some(Kind::Approve(approve)) => approve.default,
            _ => None,
        };
        let (approved, by, note) = match answer {
            Some(answer) => (Some(answer.approved), answer.by, answer.note),
            None => (default, "the step's default".to_owned(), None),
        };
        Event::ApprovalAnswered {
            step,
            approved,
            by,
            note,
        }
    }

    async fn value(&self, output: &Payload) -> Result<Result<Value, Failure>, EngineError> {
        Ok(match output {
            Payload::Text(text) => Ok(Value::String(text.clone())),
            Payload::Json(text) => readable(text),
            Payload::Blob(blob) => {
                let digest = self.engine.backend.blobs().put(blob.bytes.clone()).await?;
                let size = blob.bytes.len() as u64;
                Ok(BlobRef {
                    digest,
                    media_type: blob.media_type.clone(),
                    size,
                }
                .to_value())
            }
        })
    }
}

/// JSON that expressions and the journal can hold.
fn readable(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str(text) {
        Ok(value) if is_deeper(&value, expr::MAX_DEPTH) => Err(Failure::new(
            FailureKind::OutputTooLarge,
            format!(
                "the output is nested more than {} levels deep; keep deeper things as text or in a blob",
                expr::MAX_DEPTH
            ),
        )),
        Ok(value) => Ok(value),
        Err(error) => Err(Failure::new(
            FailureKind::AbiViolation,
            format!("the output is not JSON: {error}"),
        )),
    }
}

fn started(state: &RunState, path: &StepPath) -> Event {
    let begun = state.step(path).map_or(0, |step| step.begun);
    Event::StepStarted {
        step: path.clone(),
        attempt: begun + 1,
    }
}

/// A panic above the sandbox is a fault of the host in this one step, and ends nothing else.
async fn settled(call: BoxFuture<'_, Result<Reply, CallError>>) -> Result<Reply, CallError> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::new(
            FailureKind::HostError,
            "the host panicked while it handled the step",
        )),
    }
}

/// On the workers; stopped when the returned future is dropped.
fn spread(work: impl Future<Output = Ended> + Send + 'static) -> BoxFuture<'static, Ended> {
    let handle = AbortOnDropHandle::new(tokio::spawn(work));
    async move {
        match handle.await {
            Ok(answer) => answer,
            // `settled` catches panics and nobody aborts the task but the drop of this future.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    .boxed()
}
