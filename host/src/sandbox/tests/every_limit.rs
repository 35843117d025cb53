//! Every limit there is, lowered until a guest meets it. A limit without a line here fails the test, so none is read and forgotten.

use super::capabilities::{REPORT, REPORT_ONCE, SUBSCRIBE, lines, sleeper};
use super::events::emits;
use super::stored::{counter, setter, writes_twice};
use crate::call::{Call as _, Request};
use crate::failure::FailureKind;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::testing::guest::{ECHO, Guest, handle};
use crate::sandbox::testing::imports::{CLOCKS, LOGGING, PROGRESS, RANDOM, using};
use crate::sandbox::testing::{Kennel, listener, request};

/// How a guest ends that meets a limit.
enum Met {
    /// It fails, with the kind that belongs to the limit.
    Fails,
    /// It is told, and answers with this.
    Told(&'static str),
    /// It answers, and its log ends with this.
    Log(&'static str),
}

const DROPPED: &str = "WARN kennel 1 lines dropped: the task logged more than `limits.log` or `limits.log-lines` allows";

/// For the limit `key`: a value with which the guest does not get by, the guest, its input, and its end. `None` when other tests
/// meet the limit; they are named.
fn line(key: &str) -> Option<(&'static str, String, &'static str, Met)> {
    use Met::{Fails, Log, Told};
    Some(match key {
        "fuel" => ("1000", handle(&times(1_000, "")), "", Fails),
        "timeout" => ("'2s'", sleeper(1, 3, ECHO), "", Fails),
        "memory" => ("'192KiB'", grows(), "", Fails),
        "table-elements" => ("9", has_a_table_of_ten(), "", Fails),
        "host-call-timeout" => ("'2s'", sleeper(1, 3, ECHO), "", Fails),
        "host-calls" => ("4", reports_five_times(), "", Fails),
        "host-call-data" => ("16", reports_five_times(), "more than sixteen", Fails),
        "host-data" => ("16", reports_five_times(), "less", Fails),
        "output" => ("4", handle(ECHO), "fives", Fails),
        "handles" => ("5", holds_ten_handles(), "", Fails),
        "log" => ("8", logs(), "more than eight", Log(DROPPED)),
        "log-lines" => ("0", logs(), "a line", Log(DROPPED)),
        "log-line" => ("6", logs(), "cut here", Log("WARN cut cut…")),
        "random" => ("15", takes_sixteen_random_bytes(), "", Fails),
        "state-key" => ("2", counter(), "key", Told("e2")),
        "state-value" => ("4", setter(), "fives", Told("12")),
        "state-keys" => ("0", counter(), "key", Told("e2")),
        "state" => ("4", setter(), "fives", Told("12")),
        "blobs" => ("9", writes_twice(), "fives", Fails),
        // sandbox::tests::tape: an_attempt_that_is_told_too_much_goes_on_and_cannot_be_replayed
        "tape" => return None,
        "events" => ("1", emits(2), "a", Fails),
        "event" => ("4", emits(1), "a five", Fails),
        // sandbox::http: a_task_that_makes_too_many_requests_is_ended
        "http-requests" => return None,
        // sandbox::http: beyond_the_parallel_requests_one_waits_until_another_s_body_is_done
        "http-parallel" => return None,
        // egress: bodies_beyond_their_limits_are_cut_off
        "http-request" | "http-response" => return None,
        // egress: a_name_that_is_looked_up_for_ever_is_given_up, a_server_that_stalls_is_given_up_at_each_stage
        "http-connect" | "http-timeout" => return None,
        // sandbox::tests::peers: agents_call_agents_only_so_deep
        "call-depth" => return None,
        // sandbox::tests::peers: calls_at_once_are_bounded_and_calls_below_one_root_counted
        "call-parallel" | "calls" => return None,
        unknown => panic!("no test meets the limit `{unknown}`"),
    })
}

#[tokio::test(start_paused = true)]
async fn every_limit_is_met_by_a_guest_that_gets_by_with_the_default() {
    for (key, kind) in Limits::KEYS {
        let Some((value, wat, input, met)) = line(key) else {
            continue;
        };
        let low: Limits = toml::from_str(&format!("{key} = {value}")).expect("a limit");
        let end = task(&wat, low, input).await;
        assert!(met.is(*kind, &end), "{key} = {value}: {end:?}");
        let end = task(&wat, Limits::default(), input).await;
        assert!(end.answer.is_ok() && !met.is(*kind, &end), "{key}: {end:?}");
    }
}

/// How a task ended.
#[derive(Debug)]
struct End {
    answer: Result<Payload, FailureKind>,
    /// The last line of its log.
    log: Option<String>,
}

impl Met {
    fn is(&self, kind: FailureKind, end: &End) -> bool {
        match self {
            Self::Fails => end.answer == Err(kind),
            Self::Told(text) => end.answer == Ok(Payload::Text((*text).into())),
            Self::Log(line) => end.answer.is_ok() && end.log.as_deref() == Some(*line),
        }
    }
}

/// Runs one task in a kennel of its own.
async fn task(wat: &str, limits: Limits, input: &str) -> End {
    let kennel = Kennel::new();
    let agent = kennel
        .load("agent", wat, limits, "state = true\nevents = ['a']")
        .expect("loaded");
    let (observer, notices) = listener();
    let asked = Request {
        observer,
        ..request(Payload::Text(input.into()))
    };
    let answer = agent.call(asked).await;
    let log = lines(&notices.lock()).pop();
    End {
        answer: answer
            .map(|reply| reply.output.as_ref().clone())
            .map_err(|error| error.failure.kind),
        log,
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
