//! Agents that call agents: what they may spend, how deep, how many, and who holds a slot meanwhile.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{SPIN, limits};
use crate::call::{Call, CallError, Reply, Request, Trail};
use crate::failure::FailureKind;
use crate::health::{Directory, Peer};
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::testing::guest::{ECHO, handle};
use crate::sandbox::testing::imports::{PEERS, using};
use crate::sandbox::testing::{Kennel, ask, failure, request, text};
use crate::slots::{Claim, Sizes, Slots};
use crate::units::Fuel;

const CALL: (&str, &str, &str) = ("peers", "call", "(param i32 i32 i32 i32 i32 i32 i32 i32)");
const CALL_ALL: (&str, &str, &str) = ("peers", "call-all", "(param i32 i32 i32)");

/// Calls the skill that its text input names, with that text. Answers with what the peer answered, or fails as recoverable with
/// what the host said.
pub(super) fn caller() -> String {
    using(PEERS, &[CALL], CALLER)
}

const CALLER: &str = "(call $call (local.get $in) (local.get $in-len) (i32.const 0) (local.get $in) (local.get $in-len) (i32.const 0) (i32.const 0) (i32.const 64))
    ;; The peer's own error lies one case deeper than what the host says.
    (if (i32.and (i32.load8_u (i32.const 64)) (i32.eqz (i32.load8_u (i32.const 68)))) (then
      (return (call $answer (i32.const 1) (i32.const 1) (i32.load (i32.const 76)) (i32.load (i32.const 80))))))
    (call $answer (i32.load8_u (i32.const 64)) (i32.load8_u (i32.const 64)) (i32.load (i32.const 72)) (i32.load (i32.const 76)))";

/// Calls the skill that its text input names nine times at once. Answers with the number of calls that failed.
fn nine_at_once() -> String {
    let body = "(local $n i32) (local $at i32)
        (local.set $at (i32.const 4096))
        (loop $more
          (i32.store (local.get $at) (local.get $in)) (i32.store offset=4 (local.get $at) (local.get $in-len))
          (i32.store8 offset=8 (local.get $at) (i32.const 0))
          (i32.store offset=12 (local.get $at) (local.get $in)) (i32.store offset=16 (local.get $at) (local.get $in-len))
          (local.set $at (i32.add (local.get $at) (i32.const 28)))
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 9))))
        (call $call-all (i32.const 4096) (i32.const 9) (i32.const 64))
        (local.set $at (i32.load (i32.const 64)))
        (local.set $n (i32.const 0))
        (loop $more
          (i32.store8 (i32.const 512) (i32.add (i32.load8_u (i32.const 512)) (i32.load8_u (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 24)))
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.load (i32.const 68)))))
        (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.load8_u (i32.const 512))))
        (call $text (i32.const 512) (i32.const 1))";
    using(PEERS, &[CALL_ALL], body)
}

/// Fills the host's directory: skill, agent, call.
pub(super) fn know(kennel: &Kennel, peers: Vec<(&str, &str, Arc<dyn Call>)>) {
    let mut directory = Directory::default();
    for (skill, agent, call) in peers {
        let peer = Peer {
            agent: agent.parse().expect("a name"),
            description: String::new(),
            call,
            health: Arc::default(),
            breaker: None,
        };
        directory
            .skills
            .entry(skill.parse().expect("a name"))
            .or_default()
            .push(peer);
    }
    kennel.host.directory.store(Arc::new(directory));
}

/// A peer that waits a moment of paused time and remembers how many it was at once and how it was asked.
#[derive(Default)]
struct Script {
    now: AtomicUsize,
    most: AtomicUsize,
    asked: parking_lot::Mutex<Vec<Request>>,
}

impl Call for Script {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let output = request.input.clone();
            self.asked.lock().push(request);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(Reply {
                output,
                trail: Trail::default(),
            })
        })
    }
}

#[tokio::test]
async fn an_agent_calls_another_and_pays_for_it() {
    let kennel = Kennel::new();
    let count = "(local $n i32) (loop $more (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))";
    let peer: Arc<dyn Call> = Arc::new(
        kennel
            .load(
                "peer",
                &handle(&format!("{count} {ECHO}")),
                Limits::default(),
                "",
            )
            .expect("loaded"),
    );
    let alone = peer
        .call(request(Payload::Text("translate".into())))
        .await
        .expect("an answer")
        .trail
        .usage()
        .fuel;
    know(&kennel, vec![("translate", "peer", peer)]);
    let agent = kennel
        .load(
            "caller",
            &caller(),
            Limits::default(),
            "peers = ['translate']",
        )
        .expect("loaded");
    let reply = ask(&agent, "translate").await.expect("an answer");
    assert_eq!(*reply.output, Payload::Text("translate".into()));
    let used = reply.trail.usage().fuel;
    assert!(
        used > alone && used < alone + 10_000,
        "{used} of which {alone} is the peer's"
    );
}

#[tokio::test]
async fn a_peer_is_told_who_asks_and_until_when() {
    let kennel = Kennel::new();
    let script = Arc::new(Script::default());
    know(&kennel, vec![("translate", "peer", script.clone())]);
    let agent = kennel
        .load(
            "caller",
            &caller(),
            Limits::default(),
            "peers = ['translate']",
        )
        .expect("loaded");
    let deadline = Instant::now() + Duration::from_secs(7);
    let asked = Request {
        deadline: Some(deadline),
        ..request(Payload::Text("translate".into()))
    };
    agent.call(asked).await.expect("an answer");
    let asked = script.asked.lock();
    assert_eq!(asked[0].deadline, Some(deadline));
    assert_eq!(&*asked[0].task_id, "task-1/1");
    assert_eq!(
        asked[0]
            .lineage
            .callers
            .iter()
            .map(|agent| agent.as_str())
            .collect::<Vec<_>>(),
        ["caller"]
    );
    assert!(
        asked[0]
            .bounds
            .fuel
            .is_some_and(|fuel| fuel < Limits::default().fuel.0)
    );
}

#[tokio::test]
async fn a_skill_that_is_not_granted_is_refused_with_the_line_that_would_allow_it() {
    let kennel = Kennel::new();
    let script = Arc::new(Script::default());
    know(&kennel, vec![("translate", "peer", script.clone())]);
    let agent = kennel
        .load("caller", &caller(), Limits::default(), "peers = ['ocr']")
        .expect("loaded");
    let message = failure(&agent, "translate").await.message;
    assert_eq!(
        message,
        "denied: `caller` may not call `translate`; to allow it, write in kennel.toml:  [grants.caller]  peers = [\"translate\"]"
    );
    assert!(
        failure(&agent, "ocr")
            .await
            .message
            .contains("no agent that is loaded")
    );
    assert!(script.asked.lock().is_empty());
}

#[tokio::test]
async fn an_agent_is_never_called_while_it_waits() {
    let kennel = Kennel::new();
    let granted = "peers = ['first', 'second']";
    let load = |name| {
        Arc::new(
            kennel
                .load(name, &caller(), Limits::default(), granted)
                .expect("loaded"),
        )
    };
    let (first, second) = (load("first"), load("second"));
    // Each calls the skill `first`: the second asks the first, which waits.
    know(
        &kennel,
        vec![
            ("first", "first", first.clone()),
            ("first", "second", second),
        ],
    );
    let message = failure(&first, "first").await.message;
    assert!(
        message.contains(
            "call-cycle: every agent that has the skill `first` waits for this call itself"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn agents_call_agents_only_so_deep() {
    let kennel = Kennel::new();
    let deep = limits(|l| l.call_depth = 3);
    let names = ["a", "b", "c", "d", "e", "f"];
    let agents: Vec<_> = names
        .iter()
        .map(|name| {
            Arc::new(
                kennel
                    .load(name, &caller(), deep.clone(), "peers = ['on']")
                    .expect("loaded"),
            )
        })
        .collect();
    let calls = agents
        .iter()
        .zip(names)
        .map(|(agent, name)| ("on", name, agent.clone() as Arc<dyn Call>))
        .collect();
    know(&kennel, calls);
    let message = failure(&agents[0], "on").await.message;
    assert!(
        message.contains("call-depth: agents called agents 4 deep; `limits.call-depth` allows 3"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_bounded_and_calls_below_one_root_counted() {
    let kennel = Kennel::new();
    let script = Arc::new(Script::default());
    know(&kennel, vec![("translate", "peer", script.clone())]);
    let narrow = limits(|l| l.call_parallel = 3);
    let agent = kennel
        .load("narrow", &nine_at_once(), narrow, "peers = ['translate']")
        .expect("loaded");
    assert_eq!(text(&agent, "translate").await, "6", "refused of nine");
    assert_eq!(script.most.load(Ordering::SeqCst), 3, "at once");
    let few = limits(|l| l.calls = 5);
    let agent = kennel
        .load("few", &nine_at_once(), few, "peers = ['translate']")
        .expect("loaded");
    assert_eq!(text(&agent, "translate").await, "4", "refused of nine");
    assert_eq!(script.asked.lock().len(), 3 + 5);
}

#[tokio::test]
async fn a_peer_cannot_use_more_fuel_than_its_caller_has_left() {
    let kennel = Kennel::new();
    let spinner = Arc::new(
        kennel
            .load("spinner", &handle(SPIN), Limits::default(), "")
            .expect("loaded"),
    );
    know(&kennel, vec![("spin", "spinner", spinner)]);
    let poor = limits(|l| l.fuel = Fuel(3_000_000));
    let agent = kennel
        .load("caller", &caller(), poor, "peers = ['spin']")
        .expect("loaded");
    let error = ask(&agent, "spin").await.unwrap_err();
    assert_eq!(
        (error.failure.kind, error.trail.usage().fuel),
        (FailureKind::OutOfFuel, 3_000_000)
    );
}

#[tokio::test]
async fn a_peer_ends_with_its_caller_s_deadline() {
    let kennel = Kennel::new();
    let spinner = Arc::new(
        kennel
            .load("spinner", &handle(SPIN), Limits::default(), "")
            .expect("loaded"),
    );
    know(&kennel, vec![("spin", "spinner", spinner)]);
    for wat in [caller(), nine_at_once()] {
        let agent = kennel
            .load("caller", &wat, Limits::default(), "peers = ['spin']")
            .expect("loaded");
        let deadline = Some(Instant::now() + Duration::from_millis(20));
        let error = agent
            .call(Request {
                deadline,
                ..request(Payload::Text("spin".into()))
            })
            .await
            .unwrap_err();
        // The peer's end reaches the caller at the same moment as its own.
        assert!(error.failure.to_string().contains("deadline: "), "{error}");
    }
}

/// The stack that agents of a real host have around them: let in, and with a slot whenever they are polled.
struct Limited(Arc<dyn Call>, Arc<Slots>);

impl Call for Limited {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let claim = Claim {
                agent: "any".parse().expect("a name"),
                priority: request.priority,
            };
            let admitted = self.1.admit(claim, request.lineage.callers.len()).await;
            let admitted = admitted.expect("room");
            let deadline = request.deadline;
            admitted.execute(deadline, self.0.call(request)).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn one_slot_is_enough_for_a_caller_and_its_peers() {
    let kennel = Kennel::new();
    let slots = Arc::new(Slots::new(Sizes {
        slots: NonZeroUsize::MIN,
        in_flight: NonZeroUsize::MIN,
        queue: 0,
    }));
    let peer = kennel.load("peer", &handle(ECHO), Limits::default(), "");
    let peer = Arc::new(peer.expect("loaded"));
    know(
        &kennel,
        vec![("translate", "peer", Arc::new(Limited(peer, slots.clone())))],
    );
    for wat in [caller(), nine_at_once()] {
        let agent = kennel.load("caller", &wat, Limits::default(), "peers = ['translate']");
        let agent = Limited(Arc::new(agent.expect("loaded")), slots.clone());
        let asked = request(Payload::Text("translate".into()));
        agent.call(asked).await.expect("an answer, and no deadlock");
        assert_eq!(slots.in_flight(), 0);
    }
}
