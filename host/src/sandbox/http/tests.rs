//! The host's side of `wasi:http`, without a guest: a real server on the loopback.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::call::{Answers, Bounds, Notice, Observer};
use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::sandbox::testing::guest::{ECHO, handle};
use crate::sandbox::testing::{Kennel, listener};

/// A server on the loopback that answers `ok`, and its origin.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    });
    origin
}

fn agent(limits: Limits, origin: &str) -> Sandbox {
    Kennel::new()
        .load(
            "agent",
            &handle(ECHO),
            limits,
            &format!("http = ['{origin}']"),
        )
        .expect("loaded")
}

/// The HTTP side of one task of `agent`, with the counter that can end the task.
fn task(agent: &Sandbox, observer: &Observer) -> (Http, Arc<HostCalls>) {
    taped(agent, observer, Tape::off())
}

fn taped(agent: &Sandbox, observer: &Observer, tape: Tape) -> (Http, Arc<HostCalls>) {
    let plugin = &agent.plugin;
    let calls = HostCalls::new(100);
    let log = Log::new(&plugin.agent, observer, &plugin.limits);
    (
        Http::new(
            plugin,
            &calls,
            log,
            Arc::new(tape),
            Instant::now() + Duration::from_secs(60),
        ),
        calls,
    )
}

async fn get(http: &mut Http, url: &str) -> Result<http::Response<WasiBody>, Error> {
    let body = Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed_unsync();
    let request = http::Request::get(url).body(body).expect("a request");
    let sent = http
        .hooks
        .send_request(request, None, Box::new(async { Ok(()) }));
    std::pin::Pin::from(sent)
        .await
        .map(|(response, _)| response)
}

#[tokio::test]
async fn a_request_goes_to_a_granted_origin_and_the_operator_reads_why_another_did_not() {
    let origin = server().await;
    let agent = agent(Limits::default(), &origin);
    let (observer, notices) = listener();
    let (mut http, _) = task(&agent, &observer);
    let response = get(&mut http, &origin).await.expect("an answer");
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes(),
        "ok"
    );
    let error = get(&mut http, "http://api.example.com/secret")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    let notices = notices.lock();
    let [Notice::Log(_, _, line)] = &notices[..] else {
        panic!("{notices:?}")
    };
    assert!(
        line.ends_with("in kennel.toml:  [grants.agent]  http = [\"http://api.example.com\"]"),
        "{line}"
    );
}

#[tokio::test]
async fn a_task_that_makes_too_many_requests_is_ended() {
    let origin = server().await;
    let agent = agent(
        Limits {
            http_requests: 1,
            ..Limits::default()
        },
        &origin,
    );
    let (mut http, calls) = task(&agent, &Observer::default());
    get(&mut http, &origin).await.expect("an answer");
    assert_eq!(calls.exceeded(), None);
    assert!(get(&mut http, &origin).await.is_err());
    assert_eq!(
        calls.exceeded().map(|failure| failure.kind),
        Some(FailureKind::Quota)
    );
}

#[tokio::test]
async fn beyond_the_parallel_requests_one_waits_until_another_s_body_is_done() {
    let origin = server().await;
    let agent = agent(
        Limits {
            http_parallel: 1,
            ..Limits::default()
        },
        &origin,
    );
    let (mut http, _) = task(&agent, &Observer::default());
    let parallel = http.hooks.parallel.clone();
    let first = get(&mut http, &origin).await.expect("an answer");
    assert_eq!(parallel.available_permits(), 0, "held by the body");
    drop(first);
    // Whoever waits has its turn once the connection is closed.
    get(&mut http, &origin).await.expect("an answer");
}

/// Posts `text` and reads the whole answer.
async fn exchange(http: &mut Http, url: &str, text: &'static str) -> Result<(u16, Bytes), Error> {
    let body = http_body_util::Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync();
    let request = http::Request::post(url).body(body).expect("a request");
    let hooks = &mut http.hooks;
    let sent = hooks.send_request(request, None, Box::new(async { Ok(()) }));
    let (response, io) = std::pin::Pin::from(sent).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    std::pin::Pin::from(io).await?;
    Ok((status, body))
}

#[tokio::test]
async fn exchanges_come_again_from_the_tape_and_nothing_is_sent() {
    let origin = server().await;
    let agent = agent(Limits::default(), &origin);
    let tape = Tape::record(agent.plugin.limits.tape, Bounds::default());
    let (mut http, _) = taped(&agent, &Observer::default(), tape);
    let answer = exchange(&mut http, &origin, "hello").await.expect("sent");
    assert_eq!(answer, (200, Bytes::from("ok")));
    let elsewhere = "http://elsewhere.example/";
    assert!(exchange(&mut http, elsewhere, "x").await.is_err());
    let Some(Answers::Inline(recorded)) = http.hooks.tape.recorded() else {
        panic!("nothing was recorded")
    };

    let replay = || {
        let (tape, _) = Tape::play(Some(&recorded)).expect("readable");
        let (http, calls) = taped(&agent, &Observer::default(), tape);
        // Whatever would really be sent now fails.
        http.hooks.parallel.close();
        (http, calls)
    };
    let (mut http, calls) = replay();
    let again = exchange(&mut http, &origin, "hello").await.expect("taped");
    assert_eq!(again, answer);
    let error = exchange(&mut http, elsewhere, "x").await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    assert_eq!(
        (calls.exceeded(), http.hooks.tape.divergence()),
        (None, None)
    );

    let (mut http, calls) = replay();
    assert!(exchange(&mut http, elsewhere, "x").await.is_err());
    let failure = calls.exceeded().expect("it is ended");
    assert!(
        failure
            .message
            .contains("call 1 was `http POST http://127.0.0.1"),
        "{failure}"
    );

    let (mut http, _) = replay();
    exchange(&mut http, &origin, "other").await.expect("taped");
    let how = http.hooks.tape.divergence().expect("noticed");
    assert!(how.contains("body of the request"), "{how}");
}
