//! Every limit there is, lowered until somebody meets it. A limit without a line here fails the test, so none is read and forgotten.

use std::sync::Arc;

use super::capabilities::{REPORT, REPORT_ONCE, SUBSCRIBE, lines, sleeper};
use super::card::{presents_after_sleep, presents_after_work};
use super::events::emits;
use super::files::explorer;
use super::peers::{caller, know};
use super::stored::{counter, setter, writes_twice};
use crate::call::{Answers, Call as _, Request};
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::http::scene::two_exchanges;
use crate::sandbox::testing::guest::{ECHO, Guest, handle};
use crate::sandbox::testing::imports::{CLOCKS, LOGGING, PROGRESS, RANDOM, using};
use crate::sandbox::testing::{Kennel, listener, request};

/// What happens under a limit.
enum Scene {
    /// A guest is given this text.
    Task(String, &'static str),
    /// A guest is asked to present itself.
    Card(String),
    /// An agent calls another, which answers with what it is given.
    Peers,
    /// Two HTTP exchanges at once, with a server that is slow at every stage.
    Http,
}

/// How a scene ends that meets the limit.
enum Met {
    /// It fails, with the kind that belongs to the limit.
    Fails,
    /// The guest is told by the interface's own error, and answers with it.
    Told(&'static str),
    /// The guest is told, and the words begin with the kind that belongs to the limit.
    Refused,
    /// It answers, and its log ends with this.
    Log(&'static str),
    /// It answers, and cannot be replayed.
    Forgets,
    /// It goes on with this, and nobody fails: one waits for another.
    Waits(&'static str),
}

/// What the guest of a scene is granted.
const EVERYTHING: &str =
    "state = true\nevents = ['a']\nfiles = [{ path = 'data', access = 'write' }]";
const DROPPED: &str = "WARN kennel 1 lines dropped: the task logged more than `limits.log` or `limits.log-lines` allows";

/// For the limit `key`: a value with which the scene does not get by, the scene, and its end.
fn line(key: &str) -> (&'static str, Scene, Met) {
    use Met::{Fails, Forgets, Log, Refused, Told, Waits};
    use Scene::{Card, Http, Peers, Task};
    match key {
        "fuel" => ("1000", Task(handle(&times(1_000, "")), ""), Fails),
        "timeout" => ("'2s'", Task(sleeper(1, 3, ECHO), ""), Fails),
        "describe-fuel" => ("1000", Card(presents_after_work()), Fails),
        "describe-timeout" => ("'500ms'", Card(presents_after_sleep()), Fails),
        "memory" => ("'192KiB'", Task(grows(), ""), Fails),
        "table-elements" => ("9", Task(has_a_table_of_ten(), ""), Fails),
        "host-call-timeout" => ("'2s'", Task(sleeper(1, 3, ECHO), ""), Fails),
        "host-calls" => ("4", Task(reports_five_times(), ""), Fails),
        "host-call-data" => ("16", Task(reports_five_times(), "more than sixteen"), Fails),
        "host-data" => ("16", Task(reports_five_times(), "less"), Fails),
        "output" => ("4", Task(handle(ECHO), "fives"), Fails),
        "handles" => ("5", Task(holds_ten_handles(), ""), Fails),
        "log" => ("8", Task(logs(), "more than eight"), Log(DROPPED)),
        "log-lines" => ("0", Task(logs(), "a line"), Log(DROPPED)),
        "log-line" => ("6", Task(logs(), "cut here"), Log("WARN cut cut…")),
        "tape" => ("1", Task(counter(), "key"), Forgets),
        "random" => ("15", Task(takes_sixteen_random_bytes(), ""), Fails),
        "state-key" => ("2", Task(counter(), "key"), Told("e2")),
        "state-value" => ("4", Task(setter(), "fives"), Told("12")),
        "state-keys" => ("0", Task(counter(), "key"), Told("e2")),
        "state" => ("4", Task(setter(), "fives"), Told("12")),
        "files" => ("4", Task(explorer(), "gnew"), Told("no")),
        "file-count" => ("0", Task(explorer(), "cnew"), Told("no")),
        "blobs" => ("9", Task(writes_twice(), "fives"), Fails),
        "events" => ("1", Task(emits(2), "a"), Fails),
        "event" => ("4", Task(emits(1), "a five"), Fails),
        "http-requests" => ("1", Http, Fails),
        "http-parallel" => ("1", Http, Waits("1")),
        "http-request" => ("4", Http, Fails),
        "http-response" => ("7", Http, Fails),
        "http-connect" | "http-first-byte" | "http-gap" => ("'500ms'", Http, Fails),
        "http-timeout" => ("'2500ms'", Http, Fails),
        "call-depth" | "call-parallel" | "calls" => ("0", Peers, Refused),
        unknown => panic!("nothing meets the limit `{unknown}`"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_limit_is_met_by_what_gets_by_with_the_default() {
    for (key, kind) in Limits::KEYS {
        let (value, scene, met) = line(key);
        let low: Limits = toml::from_str(&format!("{key} = {value}")).expect("a limit");
        let end = scene.play(low).await;
        assert!(met.is(*kind, &end), "{key} = {value}: {end:?}");
        if let (Scene::Http, Some(line)) = (&scene, &end.log) {
            assert!(line.contains(&format!("`limits.{key}`")), "{line}");
        }
        let end = scene.play(Limits::default()).await;
        assert!(end.answer.is_ok() && !met.is(*kind, &end), "{key}: {end:?}");
    }
}

/// How a scene ended.
#[derive(Debug)]
struct End {
    answer: Result<String, Failure>,
    /// The last line of the log.
    log: Option<String>,
    /// Whether what the host answered was too much to be kept.
    lost: bool,
}

impl Met {
    fn is(&self, kind: FailureKind, end: &End) -> bool {
        match (self, &end.answer) {
            (Self::Fails, Err(failure)) => failure.kind == kind,
            (Self::Refused, Err(failure)) => failure.message.starts_with(&format!("{kind}: ")),
            (Self::Told(text) | Self::Waits(text), Ok(answer)) => answer == text,
            (Self::Log(line), Ok(_)) => end.log.as_deref() == Some(*line),
            (Self::Forgets, Ok(_)) => end.lost,
            _ => false,
        }
    }
}

impl Scene {
    /// Plays it in a kennel of its own.
    async fn play(&self, limits: Limits) -> End {
        let kennel = Kennel::new();
        match self {
            Self::Task(wat, input) => task(&kennel, wat, limits, EVERYTHING, input).await,
            Self::Card(wat) => {
                let agent = kennel.load("agent", wat, limits, "").expect("loaded");
                let card = Box::pin(agent.describe()).await;
                End {
                    answer: card
                        .map(|card| card.expect("it has one").name.to_string())
                        .map_err(|error| error.failure),
                    log: None,
                    lost: false,
                }
            }
            Self::Peers => {
                know(
                    &kennel,
                    vec![("on", "peer", Arc::new(kennel.agent(&handle(ECHO))))],
                );
                task(&kennel, &caller(), limits, "peers = ['on']", "on").await
            }
            Self::Http => {
                let (ended, notices) = Box::pin(two_exchanges(limits)).await;
                End {
                    answer: ended.map(|at_once| at_once.to_string()),
                    log: lines(&notices).pop(),
                    lost: false,
                }
            }
        }
    }
}

/// Gives an agent one task.
async fn task(kennel: &Kennel, wat: &str, limits: Limits, grants: &str, input: &str) -> End {
    let agent = kennel.load("agent", wat, limits, grants).expect("loaded");
    let (observer, notices) = listener();
    let asked = Request {
        observer,
        ..request(Payload::Text(input.into()))
    };
    let answer = agent.call(asked).await;
    let log = lines(&notices.lock()).pop();
    match answer {
        Err(error) => End {
            answer: Err(error.failure),
            log,
            lost: false,
        },
        Ok(reply) => {
            let Payload::Text(text) = &*reply.output else {
                panic!("not a text: {:?}", reply.output)
            };
            let attempts = &reply.trail.attempts;
            End {
                answer: Ok(text.clone()),
                log,
                lost: attempts
                    .iter()
                    .any(|attempt| matches!(attempt.answers, Some(Answers::Lost(_)))),
            }
        }
    }
}

/// The body of a guest that does `what` so many times, and answers with its input.
fn times(times: u32, what: &str) -> String {
    format!(
        "(local $n i32) (loop $more {what}
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times})))) {ECHO}"
    )
}

fn grows() -> String {
    let grow = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))";
    handle(&format!("{grow} {ECHO}"))
}

fn has_a_table_of_ten() -> String {
    Guest {
        fields: "(table 10 funcref)",
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
}

fn reports_five_times() -> String {
    using(PROGRESS, &[REPORT], &times(5, REPORT_ONCE))
}

fn holds_ten_handles() -> String {
    let take = "(drop (call $subscribe-duration (i64.const 1)))";
    using(CLOCKS, &[SUBSCRIBE], &times(10, take))
}

/// Logs its input as a warning; where it comes from are the first three bytes.
fn logs() -> String {
    let log = "(call $log (i32.const 3) (local.get $in) (i32.const 3) (local.get $in) (local.get $in-len))";
    let functions = [("logging", "log", "(param i32 i32 i32 i32 i32)")];
    using(LOGGING, &functions, &format!("{log} {ECHO}"))
}

fn takes_sixteen_random_bytes() -> String {
    let functions = [("random", "get-random-bytes", "(param i64 i32)")];
    let body = format!("(call $get-random-bytes (i64.const 16) (i32.const 64)) {ECHO}");
    using(RANDOM, &functions, &body)
}
