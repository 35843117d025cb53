//! `peers` for guests: agents that call agents, within what the caller itself may still spend.
//!
//! The chain of callers, the budget of calls and the fuel are kept by the host; nothing here comes from the guest but the skill and
//! the input. Linked by hand and not through a trait, because a call takes its fuel from the caller's store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::bindings::kennel::agent::peers as wit;
use super::bindings::kennel::agent::types::{Error, PayloadResult};
use super::tape::{Tape, wire};
use super::task::{Errand, Task};
use super::{Plugin, convert, text};
use crate::call::{Call, CallError, Lineage, Reply, Request};
use crate::failure::{Failure, FailureKind};
use crate::health::{self, Peer, Turn};
use crate::id::{AgentName, SkillName};

/// Peers in one answer of `find`.
const FOUND: usize = 256;
/// Requests in one `call-all`, those that are refused included.
const MOST_AT_ONCE: usize = 1_024;
/// Bytes of a failure's message that a caller is told.
const MESSAGE: usize = 4 << 10;

type Answer = Result<PayloadResult, wit::CallError>;
type Boxed<'a, T> = Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>;

/// Links `kennel:agent/peers`.
pub(super) fn link(linker: &mut Linker<Task>) -> wasmtime::Result<()> {
    let mut peers = linker.instance("kennel:agent/peers@0.1.0")?;
    peers.func_wrap(
        "find",
        |mut store: StoreContextMut<'_, Task>, (skill,): (String,)| {
            Ok((store.data_mut().find(&skill)?,))
        },
    )?;
    peers.func_wrap_async(
        "call",
        |store, (request,): (wit::Request,)| -> Boxed<'_, (Answer,)> {
            Box::new(async move {
                let answer = call_all(store, vec![request]).await?.pop();
                // One request, one answer.
                let nothing = || {
                    Err(wit::CallError::Failed(
                        "the host lost the answer".to_owned(),
                    ))
                };
                Ok((answer.unwrap_or_else(nothing),))
            })
        },
    )?;
    peers.func_wrap_async(
        "call-all",
        |store, (requests,): (Vec<wit::Request>,)| -> Boxed<'_, (Vec<Answer>,)> {
            Box::new(async move { Ok((call_all(store, requests).await?,)) })
        },
    )
}

/// A call that may be made: who is asked, and for what. The one who is asked has its turn from then on, so calls at once are spread.
struct Ready {
    call: Arc<dyn Call>,
    request: Request,
    turn: Turn,
}

/// Makes the calls that are allowed, all at once, and takes what they used from the caller's fuel.
///
/// Each gets an equal share of the fuel that is left, so what one of them may use does not depend on how fast the others are.
async fn call_all(
    mut store: StoreContextMut<'_, Task>,
    requests: Vec<wit::Request>,
) -> wasmtime::Result<Vec<Answer>> {
    let task = store.data_mut();
    task.enter(
        requests
            .iter()
            .map(|request| request.skill.len() + convert::size(&request.input))
            .sum(),
    )?;
    let tape = task.tape();
    let asked = asked(&tape, &requests);
    if let Some(said) = tape.taped::<Vec<(wire::Answer, u64)>>(asked.as_ref())? {
        let ended = said.into_iter().map(|(answer, used)| (heard(answer), used));
        return pay(&mut store, ended.collect());
    }
    // Each that is refused costs the host memory too, which nothing else bounds.
    if requests.len() > MOST_AT_ONCE {
        let message = format!(
            "a call of {} peers at once; {MOST_AT_ONCE} can be asked for",
            requests.len()
        );
        return Err(Failure::new(FailureKind::FanOut, message).into());
    }
    let numbered = requests.into_iter().zip(1..);
    let mut ready: Vec<Result<Ready, Failure>> = numbered
        .map(|(request, nth)| task.prepare(request, nth))
        .collect();
    let fuel = store.get_fuel()?;
    let share = fuel / (ready.iter().filter(|call| call.is_ok()).count() as u64).max(1);
    for call in ready.iter_mut().flatten() {
        call.request.bounds.fuel = Some(share);
    }
    let calls = store.data().calls.clone();
    // The caller waits here and holds nothing that its peers need: its slot is for whoever is polled. Its own deadline, which is
    // theirs too, bounds the wait.
    let ended: Vec<_> = calls.take_time(make(ready)).await;
    tape.put_answer(asked, || {
        let said = ended.iter().map(|(answer, used)| (said(answer), *used));
        said.collect::<Vec<_>>()
    });
    pay(&mut store, ended)
}

/// Takes what the calls used from the caller's fuel.
fn pay(
    store: &mut StoreContextMut<'_, Task>,
    ended: Vec<(Answer, u64)>,
) -> wasmtime::Result<Vec<Answer>> {
    let spent = ended
        .iter()
        .fold(0, |sum: u64, (_, used)| sum.saturating_add(*used));
    let fuel = store.get_fuel()?;
    store.set_fuel(fuel.saturating_sub(spent))?;
    Ok(ended.into_iter().map(|(answer, _)| answer).collect())
}

fn asked(tape: &Tape, requests: &[wit::Request]) -> Option<super::tape::Asked> {
    let skills: Vec<_> = requests
        .iter()
        .map(|request| request.skill.as_str())
        .collect();
    let parts = requests.iter().flat_map(|request| {
        let [kind, bytes] = wire::parts(&request.input);
        [request.skill.as_bytes(), kind, bytes]
    });
    tape.asked("peers.call", &skills.join(", "), &parts.collect::<Vec<_>>())
}

fn said(answer: &Answer) -> wire::Answer {
    answer.as_ref().map(Into::into).map_err(Into::into)
}

fn heard(answer: wire::Answer) -> Answer {
    answer.map(Into::into).map_err(Into::into)
}

/// The answers in the order of the calls, each with the fuel it used.
async fn make(mut ready: Vec<Result<Ready, Failure>>) -> Vec<(Answer, u64)> {
    if ready.len() == 1 {
        // A single call stays on the caller's thread: waking another one costs as much as a small task.
        return match ready.pop() {
            Some(Ok(ready)) => vec![told(ready.made().await)],
            Some(Err(refused)) => vec![(Err(wit::CallError::Refused(refused.to_string())), 0)],
            None => Vec::new(),
        };
    }
    let one = async |ready: Result<Ready, Failure>| match ready {
        Ok(ready) => {
            // A set of one: dropping it stops the peer, so a caller that is stopped leaves nothing running.
            let mut peer = JoinSet::new();
            peer.spawn(ready.made());
            match peer.join_next().await {
                Some(Ok(ended)) => told(ended),
                Some(Err(_)) | None => {
                    let message = "host-error: the peer's task panicked in the host".to_owned();
                    (Err(wit::CallError::Failed(message)), 0)
                }
            }
        }
        Err(refused) => (Err(wit::CallError::Refused(refused.to_string())), 0),
    };
    futures_util::future::join_all(ready.into_iter().map(one)).await
}

impl Ready {
    async fn made(self) -> Result<Reply, CallError> {
        let Self {
            call,
            request,
            turn,
        } = self;
        let ended = call.call(request).await;
        drop(turn);
        ended
    }
}

/// What the caller is told about how its peer's task ended.
fn told(ended: Result<Reply, CallError>) -> (Answer, u64) {
    let error = match ended {
        Ok(reply) => return (Ok(convert::result(reply.output)), reply.trail.usage().fuel),
        Err(error) => error,
    };
    let used = error.trail.usage().fuel;
    let message = |failure: &Failure| text::line(&failure.message, MESSAGE).into_owned();
    let failure = &error.failure;
    let told = match failure.kind {
        FailureKind::InvalidInput => wit::CallError::Agent(Error::InvalidInput(message(failure))),
        FailureKind::Recoverable => wit::CallError::Agent(Error::Recoverable(message(failure))),
        FailureKind::Fatal => wit::CallError::Agent(Error::Fatal(message(failure))),
        FailureKind::Denied
        | FailureKind::CallDepth
        | FailureKind::CallCycle
        | FailureKind::FanOut
        | FailureKind::BreakerOpen
        | FailureKind::Overloaded
        | FailureKind::Cancelled => {
            wit::CallError::Refused(format!("{}: {}", failure.kind, message(failure)))
        }
        FailureKind::OutOfFuel
        | FailureKind::Deadline
        | FailureKind::OutOfMemory
        | FailureKind::StackOverflow
        | FailureKind::Trapped
        | FailureKind::AbiViolation
        | FailureKind::TooMuchData
        | FailureKind::Handles
        | FailureKind::OutputTooLarge
        | FailureKind::Quota
        | FailureKind::Exit
        | FailureKind::HostError => {
            wit::CallError::Failed(format!("{}: {}", failure.kind, message(failure)))
        }
    };
    (Err(told), used)
}

impl Task {
    fn find(&mut self, skill: &str) -> wasmtime::Result<Vec<wit::Peer>> {
        self.enter(skill.len())?;
        let tape = self.tape();
        let asked = tape.asked("peers.find", skill, &[skill.as_bytes()]);
        if let Some(said) = tape.taped::<Vec<wire::Peer>>(asked.as_ref())? {
            return Ok(said.into_iter().map(Into::into).collect());
        }
        let found = self.look_up(skill);
        tape.put_answer(asked, || {
            found.iter().map(wire::Peer::from).collect::<Vec<_>>()
        });
        Ok(found)
    }

    fn look_up(&self, skill: &str) -> Vec<wit::Peer> {
        let Ok(skill) = self.plugin.granted(skill) else {
            return Vec::new();
        };
        let peers = self.with_skill(&skill).unwrap_or_default();
        let callable = health::ranked(peers)
            .into_iter()
            .filter(|peer| !self.errand.waits(&self.plugin, &peer.agent))
            .take(FOUND);
        let found = callable.map(|peer| wit::Peer {
            name: peer.agent.to_string(),
            skill: skill.to_string(),
            description: peer.description.clone(),
        });
        found.collect()
    }

    /// Checks the call that is the `nth` at once and counts it; the reason when it may not be made.
    fn prepare(&mut self, request: wit::Request, nth: u64) -> Result<Ready, Failure> {
        let limit = self.plugin.limits.call_parallel;
        if nth > limit {
            let message = format!("`limits.call-parallel` allows {limit} calls at once");
            return Err(Failure::new(FailureKind::FanOut, message));
        }
        let skill = self.plugin.granted(&request.skill)?;
        let depth = self.errand.lineage.callers.len() as u64 + 1;
        let limit = self.plugin.limits.call_depth;
        if depth > limit {
            let message =
                format!("agents called agents {depth} deep; `limits.call-depth` allows {limit}");
            return Err(Failure::new(FailureKind::CallDepth, message));
        }
        let (call, turn) = self.peer(&skill)?;
        let input = convert::payload(request.input)?;
        self.take_call()?;
        self.peer_calls += 1;
        let Errand {
            task_id,
            lineage,
            deadline,
            observer,
            priority,
            ..
        } = &self.errand;
        let mut child = Request::new(format!("{task_id}/{}", self.peer_calls), Arc::new(input));
        child.skill = Some(skill);
        child.deadline = Some(*deadline);
        child.observer = observer.clone();
        child.priority = *priority;
        child.lineage = Lineage {
            run: lineage.run,
            hops: lineage.hops,
            callers: lineage
                .callers
                .iter()
                .chain([&self.plugin.agent])
                .cloned()
                .collect(),
            calls_left: lineage.calls_left.clone(),
        };
        Ok(Ready {
            call,
            request: child,
            turn,
        })
    }

    /// The agents that have the skill.
    fn with_skill(&self, skill: &SkillName) -> Option<&[Peer]> {
        let directory = self.peers.as_ref()?;
        directory.skills.get(skill).map(Vec::as_slice)
    }

    /// The best agent that has the skill and does not itself wait for this one.
    fn peer(&self, skill: &SkillName) -> Result<(Arc<dyn Call>, Turn), Failure> {
        let peers = self.with_skill(skill).ok_or_else(|| {
            let message = format!("no agent that is loaded has the skill `{skill}`");
            Failure::new(FailureKind::Denied, message)
        })?;
        let waits = |agent: &AgentName| self.errand.waits(&self.plugin, agent);
        let (peer, turn) = health::choose(skill, peers, waits)?;
        Ok((peer.call.clone(), turn))
    }

    /// The calls of peers that this task may lead to, when nobody called it.
    fn most_calls(&self) -> u64 {
        let limit = self.plugin.limits.calls;
        let asked = self.errand.bounds.calls;
        // The task itself is one of those.
        asked.map_or(limit, |calls| calls.saturating_sub(1).min(limit))
    }

    /// The calls of peers that this task has led to, at every depth; none for a peer itself, whose calls are its first caller's.
    pub(super) fn calls_below(&self) -> u64 {
        let lineage = &self.errand.lineage;
        let left = lineage.calls_left.as_ref();
        let left = left.filter(|_| lineage.callers.is_empty());
        left.map_or(0, |left| {
            self.most_calls()
                .saturating_sub(left.load(Ordering::Relaxed))
        })
    }

    /// Takes one call from the budget of the whole tree; the first caller of a tree sets it.
    fn take_call(&mut self) -> Result<(), Failure> {
        let most = self.most_calls();
        let left = self
            .errand
            .lineage
            .calls_left
            .get_or_insert_with(|| Arc::new(AtomicU64::new(most)));
        match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        }) {
            Ok(_) => Ok(()),
            Err(_) => {
                let message = "the calls that began with one task have used up their number; `limits.calls` bounds them together, and the `budget` of a flow";
                Err(Failure::new(FailureKind::FanOut, message))
            }
        }
    }
}

impl Errand {
    /// Whether `peer` is the caller itself or waits for it.
    fn waits(&self, caller: &Plugin, peer: &AgentName) -> bool {
        *peer == caller.agent || self.lineage.callers.contains(peer)
    }
}

impl Plugin {
    fn granted(&self, skill: &str) -> Result<SkillName, Failure> {
        let refuse = |reason: String| Failure::new(FailureKind::Denied, reason);
        let skill: SkillName = skill
            .parse()
            .map_err(|error: crate::id::IdError| refuse(error.to_string()))?;
        if self.effective.peers.contains(&skill) {
            return Ok(skill);
        }
        let agent = &self.agent;
        Err(refuse(format!(
            "`{agent}` may not call `{skill}`; to allow it, write in kennel.toml:  [grants.{agent}]  peers = [\"{skill}\"]"
        )))
    }
}
