//! Scripted agents for tests: each does what its list says, in order, and everything that happens is written down with its time.
//!
//! A script that is asked more often than its list is long makes the test fail, so no call goes unnoticed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::{AnswerCache, Base, Providers, Shared, stack};
use crate::call::{
    Attempt, Bounds, Call, CallError, Notice, Observer, Reply, Request, Trail, Usage,
};
use crate::failure::{Failure, FailureKind};
use crate::health::Health;
use crate::id::{AgentName, Digest};
use crate::payload::Payload;
use crate::plan::{Cache, CallStep, Callee, CircuitBreaker, Degrade, Fallback, Policy, Retry};
use crate::slots::{Sizes, Slots};

/// What a script does with a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Answers with this text.
    Answer(&'static str),
    /// Fails.
    Fail(FailureKind),
    /// Takes this long, and goes on with the next act.
    Take(Duration),
    /// Waits until [`Script::tell`], and goes on with the next act.
    Hang,
}

/// An agent that follows a list.
pub(super) struct Script {
    agent: AgentName,
    acts: Mutex<VecDeque<Act>>,
    calls: AtomicU32,
    told: Semaphore,
    slots: Arc<Slots>,
    log: Log,
    bounds: Mutex<Vec<Bounds>>,
}

impl Script {
    /// The bounds of each call.
    pub(super) fn bounds(&self) -> Vec<Bounds> {
        self.bounds.lock().clone()
    }

    /// How often it was called.
    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Lets one call that hangs go on, now or when it comes.
    pub(super) fn tell(&self) {
        self.told.add_permits(1);
    }

    /// The acts of one call: up to the answer or the failure that ends it.
    fn part(&self) -> Vec<Act> {
        let mut acts = self.acts.lock();
        let end = |act: &Act| matches!(act, Act::Answer(_) | Act::Fail(_));
        let len = acts.iter().position(end).map_or(acts.len(), |n| n + 1);
        acts.drain(..len).collect()
    }

    async fn perform(&self, request: &Request) -> Result<Arc<Payload>, Failure> {
        for act in self.part() {
            match act {
                Act::Take(time) => sleep(time).await,
                Act::Hang => self.told.acquire().await.expect("open").forget(),
                Act::Answer(text) => {
                    self.note(request.attempt, text);
                    return Ok(Arc::new(Payload::Text(text.into())));
                }
                Act::Fail(kind) => {
                    self.note(request.attempt, kind.label());
                    return Err(Failure::new(kind, format!("as {} says", self.agent)));
                }
            }
        }
        panic!("the script of `{}` has ended", self.agent)
    }

    fn note(&self, attempt: u32, what: &str) {
        let in_flight = self.slots.in_flight();
        let agent = &self.agent;
        self.log.line(format_args!(
            "{agent:<6} attempt {attempt}: {what}, {in_flight} in flight"
        ));
    }
}

impl Call for Script {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.bounds.lock().push(request.bounds);
            let began = Instant::now();
            let result = self.perform(&request).await;
            let attempt = Attempt {
                answers: None,
                agent: self.agent.clone(),
                number: request.attempt,
                failure: result.as_ref().err().cloned(),
                usage: Usage {
                    fuel: 1,
                    wall_us: u64::try_from(began.elapsed().as_micros()).expect("a short test"),
                    ..Usage::default()
                },
            };
            let trail = Trail {
                attempts: vec![attempt],
                ..Trail::default()
            };
            match result {
                Ok(output) => Ok(Reply { output, trail }),
                Err(failure) => Err(CallError { failure, trail }),
            }
        })
    }
}

/// What happened, a line each, with milliseconds since the start.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<String>>, Instant);

impl Log {
    pub(super) fn line(&self, what: std::fmt::Arguments<'_>) {
        let at = self.1.elapsed().as_millis();
        writeln!(self.0.lock(), "{at:04} ms  {what}").expect("a string takes all");
    }

    pub(super) fn text(&self) -> String {
        self.0.lock().clone()
    }
}

/// Scripted agents and what their stacks share.
pub(super) struct House {
    pub(super) providers: Providers,
    pub(super) log: Log,
}

impl House {
    /// As many slots as tasks in flight, and one that waits.
    pub(super) fn new(in_flight: usize) -> Self {
        let in_flight = NonZeroUsize::new(in_flight).expect("at least one");
        let sizes = Sizes {
            slots: in_flight,
            in_flight,
            queue: 1,
        };
        let providers = Providers {
            bases: Default::default(),
            skills: Default::default(),
            shared: Shared {
                cache: Arc::new(AnswerCache::default()),
                slots: Arc::new(Slots::new(sizes)),
                breakers: Arc::default(),
                batches: Arc::default(),
            },
        };
        Self {
            providers,
            log: Log(Arc::default(), Instant::now()),
        }
    }

    /// Adds an agent that does `acts`.
    pub(super) fn agent(
        &mut self,
        agent: &str,
        acts: impl IntoIterator<Item = Act>,
    ) -> Arc<Script> {
        let script = Arc::new(Script {
            agent: name(agent),
            acts: Mutex::new(acts.into_iter().collect()),
            calls: AtomicU32::new(0),
            told: Semaphore::new(0),
            slots: self.providers.shared.slots.clone(),
            log: self.log.clone(),
            bounds: Mutex::default(),
        });
        self.base(agent, script.clone());
        script
    }

    /// Adds an agent that is something else than a script.
    pub(super) fn base(&mut self, agent: &str, call: Arc<dyn Call>) {
        let digest = Digest::of(agent.as_bytes());
        let base = Base::new(digest, call);
        self.providers.bases.insert(name(agent), base);
    }

    /// Says that an agent has a skill.
    pub(super) fn skill(&mut self, skill: &str, agent: &str) {
        let skill = skill.parse().expect("a name");
        let agents = self.providers.skills.entry(skill).or_default();
        agents.insert(name(agent), String::new());
    }

    /// How an agent fares.
    pub(super) fn health(&self, agent: &str) -> Arc<Health> {
        self.providers.bases[&name(agent)].health.clone()
    }

    /// The stack of `step`.
    pub(super) fn stack(&self, step: &CallStep) -> Arc<dyn Call> {
        stack(step, &self.providers).expect("every agent is there")
    }

    /// A request whose retries are written down.
    pub(super) fn request(&self, input: &str) -> Request {
        let log = self.log.clone();
        let slots = self.providers.shared.slots.clone();
        let listener = move |_: Option<&_>, agent: &AgentName, notice: Notice| {
            if let Notice::Retry(attempt, failure, wait) = notice {
                let in_flight = slots.in_flight();
                let kind = failure.kind;
                log.line(format_args!(
                    "{agent:<6} attempt {attempt} was {kind}: again in {wait:?}, {in_flight} in flight"
                ));
            }
        };
        Request {
            observer: Observer::new(Arc::new(listener)),
            ..Request::new("task", Arc::new(Payload::Text(input.into())))
        }
    }
}

pub(super) fn name(text: &str) -> AgentName {
    text.parse().expect("a name")
}

/// A call of `agent` without any policy.
pub(super) fn step(agent: &str) -> CallStep {
    CallStep::of(name(agent))
}

/// A call of whoever has `skill`, without any policy.
pub(super) fn skilled(skill: Option<&str>) -> CallStep {
    CallStep {
        callee: Callee::Skilled,
        skill: skill.map(|skill| skill.parse().expect("a name")),
        policy: Policy::default(),
    }
}

impl CallStep {
    pub(super) fn timeout(mut self, millis: u64) -> Self {
        self.policy.timeout = Some(Duration::from_millis(millis));
        self
    }

    /// Tries `attempts` times with exact waits of 100 ms, 200 ms and so on.
    pub(super) fn retry(mut self, attempts: u32) -> Self {
        self.policy.retry = Some(Retry {
            attempts,
            jitter: false,
            ..Retry::default()
        });
        self
    }

    pub(super) fn cache(mut self, ttl_secs: u64) -> Self {
        self.policy.cache = Some(Cache {
            ttl: Duration::from_secs(ttl_secs),
            key: None,
        });
        self
    }

    /// Opens after `failures` in a row, for so many seconds.
    pub(super) fn breaker(mut self, failures: u32, open_for_secs: u64) -> Self {
        self.policy.circuit_breaker = Some(CircuitBreaker {
            failures,
            open_for: Duration::from_secs(open_for_secs),
            ..CircuitBreaker::default()
        });
        self
    }

    pub(super) fn degrade(mut self, above: f64, to: &str) -> Self {
        let to = Box::new(step(to));
        self.policy.degrade = Some(Degrade { above, to });
        self
    }

    pub(super) fn fallback(mut self, other: CallStep) -> Self {
        self.policy.fallback.push(Fallback {
            call: Box::new(other),
            with: None,
        });
        self
    }
}

/// A result in a few words: the answer, where it came from, and each attempt.
pub(super) fn told(result: &Result<Reply, CallError>) -> String {
    let (mut text, trail) = match result {
        Ok(reply) => (format!("{:?}", reply.output), &reply.trail),
        Err(error) => (format!("failed: {}", error.failure.kind), &error.trail),
    };
    if let Some(age) = trail.cached {
        write!(text, ", cached {age:?} ago").expect("a string takes all");
    }
    if let Some(agent) = &trail.fell_back_to {
        write!(text, ", by {agent}").expect("a string takes all");
    }
    if let Some(agent) = &trail.degraded_to {
        write!(text, ", degraded to {agent}").expect("a string takes all");
    }
    for attempt in &trail.attempts {
        let how = match &attempt.failure {
            None => "ok",
            Some(failure) => failure.kind.label(),
        };
        write!(text, "; {} {} {how}", attempt.agent, attempt.number).expect("a string takes all");
    }
    text
}
