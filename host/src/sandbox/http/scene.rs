//! Two exchanges at once with a server that is slow at every stage, for the test that meets every limit.
//!
//! The clock is a paused one, so nobody waits: finding the address takes a second, the head of the answer another, and the second half
//! of its body a third.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use wasmtime_wasi_http::{Error, WasiHttpHooks as _};

use super::Http;
use crate::call::Notice;
use crate::egress::Egress;
use crate::failure::{Failure, FailureKind};
use crate::limits::Limits;
use crate::sandbox::log::Log;
use crate::sandbox::meter::HostCalls;
use crate::sandbox::tape::Tape;
use crate::sandbox::testing::guest::{ECHO, handle};
use crate::sandbox::testing::{Kennel, listener};

const SECOND: Duration = Duration::from_secs(1);

/// How many exchanges of two the server saw at the same time, or why one of them failed, in the words of a task; and what the operator
/// read of it. Each sends five bytes and is sent eight.
pub(in crate::sandbox) async fn two_exchanges(
    limits: Limits,
) -> (Result<usize, Failure>, Vec<Notice>) {
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = port.local_addr().expect("an address");
    let most = Arc::new(AtomicUsize::new(0));
    tokio::spawn(serve(port, most.clone()));
    let mut kennel = Kennel::new();
    let host = Arc::get_mut(&mut kennel.host).expect("no agent is loaded yet");
    host.egress = Egress::with_resolver(Arc::new(move |_, _| {
        Box::pin(async move {
            sleep(SECOND).await;
            Ok(vec![address])
        })
    }));
    let origin = format!("http://localhost:{}", address.port());
    let granted = format!("http = ['{origin}']");
    let agent = kennel
        .load("agent", &handle(ECHO), limits, &granted)
        .expect("loaded");
    let calls = HostCalls::new(100);
    let (observer, notices) = listener();
    let log = Log::new(&agent.plugin.agent, &observer, &agent.plugin.limits);
    let end = Instant::now() + 60 * SECOND;
    let mut http = Http::new(&agent.plugin, &calls, log, Arc::new(Tape::off()), end);
    let (one, two) = (exchange(&mut http, &origin), exchange(&mut http, &origin));
    let (one, two) = tokio::join!(one, two);
    let failed = calls.exceeded().or(one.err()).or(two.err());
    let ended = failed.map_or_else(|| Ok(most.load(Ordering::SeqCst)), Err);
    let told = notices.lock().clone();
    (ended, told)
}

/// Posts five bytes, and reads the whole answer.
fn exchange(http: &mut Http, url: &str) -> impl Future<Output = Result<(), Failure>> + use<> {
    let body = Full::new(Bytes::from("fives"))
        .map_err(|never| match never {})
        .boxed_unsync();
    let request = http::Request::post(url).body(body).expect("a request");
    let io = Box::new(async { Ok(()) });
    let sent = http.hooks.send_request(request, None, io);
    async move {
        let body = async {
            let (response, io) = std::pin::Pin::from(sent).await?;
            let body = response.into_body().collect().await?.to_bytes();
            std::pin::Pin::from(io).await?;
            Ok(body)
        };
        let body = body.await.map_err(|error| failure(&error))?;
        assert_eq!(body, "halfhalf");
        Ok(())
    }
}

async fn serve(listener: TcpListener, most: Arc<AtomicUsize>) {
    let now = Arc::new(AtomicUsize::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        let (now, most) = (now.clone(), most.clone());
        tokio::spawn(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Who has had enough goes away in the middle of it.
            let _ = answer(stream).await;
            now.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096]).await?;
    sleep(SECOND).await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nhalf";
    stream.write_all(head).await?;
    sleep(SECOND).await;
    stream.write_all(b"half").await
}

/// What a task would fail with.
fn failure(error: &Error) -> Failure {
    let kind = match error {
        Error::ConnectionTimeout | Error::ConnectionReadTimeout | Error::HttpResponseTimeout => {
            FailureKind::Deadline
        }
        Error::HttpRequestBodySize(_) | Error::HttpResponseBodySize(_) => FailureKind::TooMuchData,
        // A task that makes too many requests is ended, and that says why.
        _ => FailureKind::HostError,
    };
    Failure::new(kind, error.to_string())
}
