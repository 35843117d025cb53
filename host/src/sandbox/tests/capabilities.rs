//! What a guest gets from the host, and what it does not get without a grant.

use std::sync::Arc;
use std::time::Duration;

use super::limits;
use crate::call::{Call as _, Notice, Observer, Request};
use crate::failure::FailureKind;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::sandbox::LinkError;
use crate::sandbox::testing::guest::{ECHO, Guest};
use crate::sandbox::testing::imports::{
    CLI, CLOCKS, CONFIG, ENVIRONMENT, EXIT, LOGGING, PROGRESS, RANDOM, STATE, using, with_fields,
};
use crate::sandbox::testing::{Kennel, ask, failure, listener, request, text};
use crate::units::{Bytes, Span};

/// Answers with the result that a call left at 64: its case as a digit when it is an error, else the text it points to.
const TEXT_AT_64: &str = "(if (result i32) (i32.load8_u (i32.const 64))
    (then (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.load8_u (i32.const 72)))) (call $text (i32.const 512) (i32.const 1)))
    (else (call $text (i32.load (i32.const 72)) (i32.load (i32.const 76)))))";

fn refusal(result: Result<crate::sandbox::Sandbox, LinkError>) -> String {
    match result {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

pub(super) fn lines(notices: &[Notice]) -> Vec<String> {
    let line = |notice: &Notice| match notice {
        Notice::Log(level, source, line) => Some(format!("{level} {source} {line}")),
        _ => None,
    };
    notices.iter().filter_map(line).collect()
}

async fn observed(agent: &crate::sandbox::Sandbox, input: &str) -> Vec<Notice> {
    let (observer, notices) = listener();
    let asked = Request {
        observer,
        ..request(Payload::Text(input.into()))
    };
    agent.call(asked).await.expect("an answer");
    std::mem::take(&mut notices.lock())
}

#[tokio::test]
async fn an_import_that_is_not_granted_is_refused_with_the_line_that_would_allow_it() {
    let kennel = Kennel::new();
    let wat = using(STATE, &[], ECHO);
    let error = refusal(kennel.load("counter", &wat, Limits::default(), ""));
    assert!(
        error.contains("`kennel:agent/state@0.1.0` needs the grant `state`"),
        "{error}"
    );
    assert!(
        error.contains("in kennel.toml:\n        [grants.counter]\n        state = true"),
        "{error}"
    );
    let granted = kennel
        .load("counter", &wat, Limits::default(), "state = true")
        .expect("loaded");
    assert_eq!(text(&granted, "granted").await, "granted");
}

#[tokio::test]
async fn an_unknown_import_and_one_of_another_shape_are_refused_by_name() {
    let kennel = Kennel::new();
    let unknown = r#"(import "evil:host/escape" (instance (export "out" (func))))"#;
    let error = refusal(kennel.load("agent", &using(unknown, &[], ECHO), Limits::default(), ""));
    assert!(
        error.contains("`evil:host/escape` is not an interface that kennel knows"),
        "{error}"
    );
    let sockets = r#"(import "wasi:sockets/network@0.2.0" (instance))"#;
    let error = refusal(kennel.load("agent", &using(sockets, &[], ECHO), Limits::default(), ""));
    assert!(error.contains("is never provided"), "{error}");
    let other = r#"(import "wasi:random/random@0.2.6" (instance (export "get-random-bytes" (func (param "len" u32)))))"#;
    let error = refusal(kennel.load("agent", &using(other, &[], ECHO), Limits::default(), ""));
    assert!(error.contains("does not fit this version"), "{error}");
}

#[tokio::test]
async fn a_component_that_exports_no_handler_is_no_agent() {
    let kennel = Kennel::new();
    let error = refusal(kennel.load("agent", "(component)", Limits::default(), ""));
    assert!(error.contains("is not an agent"), "{error}");
}

#[tokio::test]
async fn what_a_guest_logs_prints_and_complains_about_becomes_lines_of_the_log() {
    let kennel = Kennel::new();
    let log = using(
        LOGGING,
        &[("logging", "log", "(param i32 i32 i32 i32 i32)")],
        &format!(
            "(call $log (i32.const 3) (local.get $in) (i32.const 3) (local.get $in) (local.get $in-len)) {ECHO}"
        ),
    );
    let notices = observed(&kennel.agent(&log), "ocr: \u{1b}[31mblurred").await;
    assert_eq!(lines(&notices), ["WARN ocr ocr: blurred"]);
    let functions = [
        ("stdout", "get-stdout", "(result i32)"),
        (
            "streams",
            "[method]output-stream.blocking-write-and-flush",
            "(param i32 i32 i32 i32)",
        ),
    ];
    let print = "(call $blocking-write-and-flush (call $get-stdout) (local.get $in) (local.get $in-len) (i32.const 64))";
    let agent = kennel.agent(&using(CLI, &functions, &format!("{print} {ECHO}")));
    assert_eq!(
        lines(&observed(&agent, "one\ntwo").await),
        ["INFO stdout one", "INFO stdout two"]
    );
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_counted_and_the_task_goes_on() {
    let kennel = Kennel::new();
    let functions = [
        ("stdout", "get-stdout", "(result i32)"),
        (
            "streams",
            "[method]output-stream.blocking-write-and-flush",
            "(param i32 i32 i32 i32)",
        ),
    ];
    let flood = "(local $n i32) (local $out i32) (local.set $out (call $get-stdout))
        (loop $more
          (call $blocking-write-and-flush (local.get $out) (local.get $in) (local.get $in-len) (i32.const 64))
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20000))))";
    let agent = kennel.agent(&using(CLI, &functions, &format!("{flood} {ECHO}")));
    let lines = lines(&observed(&agent, "a line of no great interest\n").await);
    assert_eq!(lines.len() as u64, Limits::default().log_lines + 1);
    assert!(
        lines
            .last()
            .is_some_and(|last| last.starts_with("WARN kennel 19000 lines dropped")),
        "{:?}",
        lines.last()
    );
}

#[tokio::test]
async fn the_last_words_of_a_guest_stand_in_its_failure() {
    let kennel = Kennel::new();
    let functions = [
        ("stderr", "get-stderr", "(result i32)"),
        (
            "streams",
            "[method]output-stream.blocking-write-and-flush",
            "(param i32 i32 i32 i32)",
        ),
    ];
    let complain = "(call $blocking-write-and-flush (call $get-stderr) (local.get $in) (local.get $in-len) (i32.const 64)) unreachable";
    let failure = failure(
        &kennel.agent(&using(CLI, &functions, complain)),
        "page 7 is missing",
    )
    .await;
    assert_eq!(failure.kind, FailureKind::Trapped);
    assert!(
        failure
            .message
            .ends_with("its last words: page 7 is missing"),
        "{failure}"
    );
}

pub(super) const REPORT: (&str, &str, &str) = ("progress", "report", "(param i32 f32 i32 i32)");
pub(super) const REPORT_ONCE: &str =
    "(call $report (i32.const 1) (f32.const 0.5) (local.get $in) (local.get $in-len))";

#[tokio::test]
async fn progress_reaches_whoever_listens() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&using(
        PROGRESS,
        &[REPORT],
        &format!("{REPORT_ONCE} {ECHO}"),
    ));
    let notices = observed(&agent, "page 3\nof 6").await;
    assert!(
        matches!(&notices[..], [Notice::Progress(Some(done), note)] if *done == 0.5 && note == "page 3 of 6"),
        "{notices:?}"
    );
    assert_eq!(
        ask(&agent, "")
            .await
            .expect("an answer")
            .trail
            .usage()
            .host_calls,
        1
    );
}

#[tokio::test]
async fn a_host_function_that_panics_fails_its_task_and_no_other() {
    let kennel = Kennel::new();
    let agent = kennel.agent(&using(
        PROGRESS,
        &[REPORT],
        &format!("{REPORT_ONCE} {ECHO}"),
    ));
    let observer = Observer::new(Arc::new(|_, _, _| panic!("a listener with a bug")));
    let asked = Request {
        observer,
        ..request(Payload::Text("x".into()))
    };
    let failure = agent.call(asked).await.unwrap_err().failure;
    assert_eq!(failure.kind, FailureKind::HostError);
    assert!(
        failure.message.contains("a listener with a bug"),
        "{failure}"
    );
    assert_eq!(text(&agent, "unharmed").await, "unharmed");
}

#[tokio::test]
async fn calls_into_the_host_have_a_quota_in_our_own_and_in_wasi_s_functions() {
    let kennel = Kennel::new();
    let few = || limits(|l| l.host_calls = 10);
    let own = using(
        PROGRESS,
        &[REPORT],
        &format!("(loop $again {REPORT_ONCE} (br $again)) unreachable"),
    );
    let error = ask(&kennel.load("own", &own, few(), "").expect("loaded"), "")
        .await
        .unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Quota);
    assert_eq!(
        error.trail.usage().host_calls,
        11,
        "ended at the first call beyond the quota"
    );
    let wasi = using(
        CLOCKS,
        &[("clock", "now", "(result i64)")],
        "(loop $again (drop (call $now)) (br $again)) unreachable",
    );
    let error = ask(&kennel.load("wasi", &wasi, few(), "").expect("loaded"), "")
        .await
        .unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::Quota);
    assert!(error.trail.usage().fuel < 10_000_000, "ended soon after");
}

#[tokio::test]
async fn bytes_handed_to_the_host_have_a_quota_for_one_call_and_for_all() {
    let kennel = Kennel::new();
    let wat = using(
        PROGRESS,
        &[REPORT],
        &format!("(loop $again {REPORT_ONCE} (br $again)) unreachable"),
    );
    let one = kennel
        .load(
            "one",
            &wat,
            limits(|l| l.host_call_data = Bytes(1 << 10)),
            "",
        )
        .expect("loaded");
    assert_eq!(
        failure(&one, &"x".repeat(4 << 10)).await.kind,
        FailureKind::TooMuchData
    );
    let all = kennel
        .load("all", &wat, limits(|l| l.host_data = Bytes(10 << 10)), "")
        .expect("loaded");
    let error = ask(&all, &"x".repeat(1 << 10)).await.unwrap_err();
    assert_eq!(
        (error.failure.kind, error.trail.usage().host_calls),
        (FailureKind::Quota, 11)
    );
}

#[tokio::test]
async fn an_agent_reads_its_own_settings() {
    let kennel = Kennel::new();
    // `result<option<string>, error>` at 64: case, then at 68 the option's case, at 72 and 76 the text.
    let body =
        format!("(call $get (local.get $in) (local.get $in-len) (i32.const 64)) {TEXT_AT_64}");
    let agent = kennel.agent(&using(
        CONFIG,
        &[("config", "get", "(param i32 i32 i32)")],
        &body,
    ));
    assert_eq!(text(&agent, "greeting").await, "hello");
    assert_eq!(text(&agent, "other agents' secrets").await, "");
}

#[tokio::test]
async fn a_guest_sees_the_granted_variables_of_the_operator_s_process_and_no_others() {
    let kennel = Kennel::new();
    // The value of the only variable; nothing when there is none.
    let body = "(call $get-environment (i32.const 64))
        (if (i32.eqz (i32.load (i32.const 68))) (then (return (call $text (i32.const 512) (i32.const 0)))))
        (if (i32.ne (i32.load (i32.const 68)) (i32.const 1)) (then unreachable))
        (call $text (i32.load offset=8 (i32.load (i32.const 64))) (i32.load offset=12 (i32.load (i32.const 64))))";
    let wat = using(
        ENVIRONMENT,
        &[("environment", "get-environment", "(param i32)")],
        body,
    );
    assert_eq!(text(&kennel.agent(&wat), "").await, "");
    let granted = "env = ['PATH', 'NO_SUCH_VARIABLE_IS_SET']";
    let agent = kennel
        .load("agent", &wat, Limits::default(), granted)
        .expect("loaded");
    assert_eq!(
        text(&agent, "").await,
        std::env::var("PATH").expect("every shell sets it")
    );
}

#[tokio::test]
async fn leaving_through_exit_is_not_an_answer_whatever_the_code() {
    let kennel = Kennel::new();
    for status in [0, 1] {
        let body = format!("(call $exit (i32.const {status})) unreachable");
        let agent = kennel.agent(&using(EXIT, &[("exit", "exit", "(param i32)")], &body));
        let failure = failure(&agent, "").await;
        assert_eq!(failure.kind, FailureKind::Exit);
        assert!(
            failure.message.contains(&format!("code {status}")),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn clocks_are_coarse_and_random_bytes_bounded() {
    let kennel = Kennel::new();
    let body = format!(
        "(if (i64.ne (i64.rem_u (call $now) (i64.const 1000000)) (i64.const 0)) (then unreachable)) {ECHO}"
    );
    let agent = kennel.agent(&using(CLOCKS, &[("clock", "now", "(result i64)")], &body));
    assert_eq!(text(&agent, "coarse").await, "coarse");
    let random = |len| {
        let body = format!("(call $get-random-bytes (i64.const {len}) (i32.const 64)) {ECHO}");
        using(
            RANDOM,
            &[("random", "get-random-bytes", "(param i64 i32)")],
            &body,
        )
    };
    assert_eq!(
        text(&kennel.agent(&random(64 << 10)), "enough").await,
        "enough"
    );
    assert_eq!(
        failure(&kennel.agent(&random((64 << 10) + 1)), "")
            .await
            .kind,
        FailureKind::Quota
    );
}

pub(super) const BLOCK: (&str, &str, &str) = ("poll", "[method]pollable.block", "(param i32)");
pub(super) const SUBSCRIBE: (&str, &str, &str) =
    ("clock", "subscribe-duration", "(param i64) (result i32)");

#[tokio::test(start_paused = true)]
async fn a_guest_that_sleeps_for_ever_ends_at_its_deadline() {
    let kennel = Kennel::new();
    let sleep = "(call $block (call $subscribe-duration (i64.const -1))) unreachable";
    let wat = using(CLOCKS, &[SUBSCRIBE, BLOCK], sleep);
    let patient = limits(|l| l.host_call_timeout = Span(Duration::from_secs(600)));
    let agent = kennel.load("agent", &wat, patient, "").expect("loaded");
    let started = tokio::time::Instant::now();
    assert_eq!(failure(&agent, "").await.kind, FailureKind::Deadline);
    assert_eq!(
        started.elapsed().as_secs(),
        Limits::default().timeout.0.as_secs()
    );
}

/// Sleeps `times` times for `secs` seconds each, and does `then`.
pub(super) fn sleeper(times: u32, secs: u64, then: &str) -> String {
    let nanos = secs * 1_000_000_000;
    let sleep = format!(
        "(local $n i32) (loop $more (call $block (call $subscribe-duration (i64.const {nanos})))
          (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times})))) {then}"
    );
    using(CLOCKS, &[SUBSCRIBE, BLOCK], &sleep)
}

fn host_calls_take(millis: u64) -> Limits {
    limits(|l| l.host_call_timeout = Span(Duration::from_millis(millis)))
}

#[tokio::test(start_paused = true)]
async fn a_host_call_of_wasi_s_is_bounded_in_time_as_our_own() {
    let kennel = Kennel::new();
    let agent = |times, secs| {
        let wat = sleeper(times, secs, ECHO);
        kennel
            .load("agent", &wat, host_calls_take(2_000), "")
            .expect("loaded")
    };
    let started = tokio::time::Instant::now();
    let failure = failure(&agent(1, 3), "").await;
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert!(
        failure.message.contains("`limits.host-call-timeout`"),
        "{failure}"
    );
    assert_eq!(started.elapsed().as_secs(), 2);
    // Each call has its own time.
    assert_eq!(text(&agent(5, 1), "rested").await, "rested");
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn time_in_a_guest_s_own_code_is_none_in_a_host_call() {
    let kennel = Kennel::new();
    let spin = "(loop $for-ever (br $for-ever)) unreachable";
    let mut limits = host_calls_take(1);
    limits.fuel = crate::units::Fuel(200_000_000);
    let wat = sleeper(1, 0, spin);
    let agent = kennel.load("agent", &wat, limits, "").expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::OutOfFuel);
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_take_longer_than_other_host_calls() {
    let kennel = Kennel::new();
    let peer = kennel.agent(&sleeper(5, 1, ECHO));
    super::peers::know(&kennel, vec![("rest", "sleeper", Arc::new(peer))]);
    let caller = super::peers::caller();
    let agent = kennel
        .load(
            "caller",
            &caller,
            host_calls_take(2_000),
            "peers = ['rest']",
        )
        .expect("loaded");
    assert_eq!(text(&agent, "rest").await, "rest");
}

#[tokio::test]
async fn a_guest_that_hoards_handles_is_stopped() {
    let kennel = Kennel::new();
    let hoard =
        "(loop $again (drop (call $subscribe-duration (i64.const 1))) (br $again)) unreachable";
    let agent = kennel
        .load(
            "agent",
            &using(CLOCKS, &[SUBSCRIBE], hoard),
            limits(|l| l.handles = 100),
            "",
        )
        .expect("loaded");
    let error = ask(&agent, "").await.unwrap_err();
    assert_eq!(
        error.failure.kind,
        FailureKind::Handles,
        "{}",
        error.failure
    );
    assert!(
        error.trail.usage().host_calls <= 102,
        "{}",
        error.trail.usage().host_calls
    );
}

#[tokio::test]
async fn a_realloc_that_calls_the_host_is_a_violation() {
    let kennel = Kennel::new();
    let wat = Guest {
        imports: EXIT,
        lowered: r#"(alias export $exit "exit" (func $exit)) (core func $exit-core (canon lower (func $exit)))
          (core module $bad (import "host" "exit" (func $exit (param i32)))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (call $exit (i32.const 0)) (i32.const 0)))
          (core instance $bad (instantiate $bad (with "host" (instance (export "exit" (func $exit-core))))))"#,
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
    .replace(r#"(realloc (core func $libc "realloc"))"#, r#"(realloc (core func $bad "realloc"))"#);
    assert_eq!(
        failure(&kennel.agent(&wat), "some input").await.kind,
        FailureKind::AbiViolation
    );
}

#[tokio::test]
async fn a_host_call_in_a_start_function_counts_as_any_other() {
    let kennel = Kennel::new();
    let fields = "(func $begin (loop $again (call $report (i32.const 0) (f32.const 0) (i32.const 0) (i32.const 0)) (br $again))) (start $begin)";
    let wat = with_fields(PROGRESS, &[REPORT], fields, ECHO);
    let agent = kennel
        .load("agent", &wat, limits(|l| l.host_calls = 10), "")
        .expect("loaded");
    assert_eq!(failure(&agent, "").await.kind, FailureKind::Quota);
}
