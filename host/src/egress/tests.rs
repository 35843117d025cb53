//! What leaves the host and what does not: a real listener on the loopback counts the bytes it sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Egress, EgressError, ExchangeBounds};
use crate::grants::Origin;

/// A server on the loopback that answers each connection with `reply` and keeps what it was sent.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers with `reply` and, when `then` says so, keeps the connection open for ever.
    async fn start(reply: impl Into<Vec<u8>>, stay: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections, reply) = (
            server.seen.clone(),
            server.connections.clone(),
            reply.into(),
        );
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, reply) = (seen.clone(), reply.clone());
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    seen.lock().extend_from_slice(&buffer[..read]);
                    let _ = stream.write_all(&reply).await;
                    if stay {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        server
    }

    async fn ok() -> Self {
        Self::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false).await
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).into_owned()
    }

    fn untouched(&self) -> bool {
        self.connections.load(Ordering::SeqCst) == 0 && self.seen.lock().is_empty()
    }
}

fn bounds() -> ExchangeBounds {
    ExchangeBounds {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_secs(30),
        gap: Duration::from_secs(10),
        deadline: Instant::now() + Duration::from_secs(60),
        request: 1 << 20,
        response: 1 << 20,
    }
}

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).expect("a request")
}

fn origins(list: &[&str]) -> Vec<Origin> {
    list.iter()
        .map(|origin| origin.parse().expect("an origin"))
        .collect()
}

/// An egress whose names have these addresses, one list after the other, the last one for ever; and how often it was asked.
fn resolving(answers: &'static [&'static [&'static str]]) -> (Egress, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let egress = Egress::with_resolver(Arc::new(move |_, port| {
        let n = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found = answers[n]
            .iter()
            .map(|ip| (ip.parse::<std::net::IpAddr>().expect("an address"), port).into())
            .collect();
        Box::pin(async move { Ok(found) })
    }));
    (egress, asked)
}

async fn send(
    egress: &Egress,
    allowed: &[&str],
    request: Request<Full<Bytes>>,
) -> Result<Bytes, EgressError> {
    let response = egress
        .send(&origins(allowed), &bounds(), request, ())
        .await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn a_request_to_a_granted_address_is_answered() {
    let server = Server::ok().await;
    let body = send(
        &Egress::new(),
        &[&server.origin()],
        get(&format!("{}/a/b?c=d", server.origin())),
    )
    .await;
    assert_eq!(body.expect("an answer"), "hello");
    let seen = server.seen();
    assert!(seen.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)),
        "{seen}"
    );
}

#[tokio::test]
async fn what_is_not_granted_sends_nothing() {
    let server = Server::ok().await;
    let port = server.port;
    let (egress, asked) = resolving(&[&["127.0.0.1"]]);
    let granted = ["https://api.example.com", "http://localhost:1"];
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://127.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://0:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://localhost:{port}"),
        format!("http://localhost.:{port}"),
        format!("http://api.example.com@127.0.0.1:{port}"),
        format!("https://api.example.com:443@127.0.0.1:{port}"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://api.example.com".to_owned(),
        "https://api.example.com:8443".to_owned(),
        "https://api.example.com.evil.example".to_owned(),
        "https://evil.example/https://api.example.com".to_owned(),
    ] {
        // A URL that the HTTP library itself refuses never gets as far as here.
        let Ok(request) = Request::get(&url).body(Full::default()) else {
            continue;
        };
        let error = send(&egress, &granted, request).await.unwrap_err();
        assert!(
            matches!(
                error,
                EgressError::NotGranted(_) | EgressError::BadOrigin(_)
            ),
            "{url}: {error}"
        );
    }
    assert!(server.untouched());
    assert_eq!(
        asked.load(Ordering::SeqCst),
        0,
        "not even a name is looked up"
    );
}

#[tokio::test]
async fn a_granted_name_with_private_addresses_is_not_connected_to() {
    let server = Server::ok().await;
    let origin = format!("http://api.example.com:{}", server.port);
    let (egress, _) = resolving(&[&[
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
    ]]);
    let error = send(&egress, &[&origin], get(&origin)).await.unwrap_err();
    assert!(matches!(error, EgressError::Prohibited(_)), "{error}");
    assert!(server.untouched());
}

#[tokio::test]
async fn an_answer_that_changes_between_look_ups_does_not_lead_to_the_loopback() {
    let server = Server::ok().await;
    let origin = format!("http://localhost:{}", server.port);
    let (egress, asked) = resolving(&[&["127.0.0.1"], &["10.0.0.1"]]);
    // The first look-up is the only one, and what it found is what is connected to.
    assert_eq!(
        send(&egress, &[&origin], get(&origin))
            .await
            .expect("an answer"),
        "hello"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let error = send(&egress, &[&origin], get(&origin)).await.unwrap_err();
    assert!(matches!(error, EgressError::Prohibited(_)), "{error}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connect_and_trace_are_refused() {
    let server = Server::ok().await;
    for method in [Method::CONNECT, Method::TRACE] {
        let mut request = get(&server.origin());
        *request.method_mut() = method;
        let error = send(&Egress::new(), &[&server.origin()], request)
            .await
            .unwrap_err();
        assert!(matches!(error, EgressError::Method(_)), "{error}");
    }
    assert!(server.untouched());
}

#[tokio::test]
async fn headers_of_the_connection_are_ours_and_the_others_pass() {
    let server = Server::ok().await;
    let request = Request::get(server.origin())
        .header("host", "evil.example")
        .header("transfer-encoding", "chunked")
        .header("proxy-authorization", "secret")
        .header("upgrade", "h2c")
        .header("authorization", "Bearer mine")
        .body(Full::default())
        .expect("a request");
    send(&Egress::new(), &[&server.origin()], request)
        .await
        .expect("an answer");
    let seen = server.seen();
    assert!(seen.contains("authorization: Bearer mine\r\n"), "{seen}");
    for ours in ["evil.example", "chunked", "secret", "h2c"] {
        assert!(!seen.contains(ours), "{ours}: {seen}");
    }
}

/// Looks, when it is let go, whether the connection is closed on the other side.
struct Lookout {
    other: Arc<Mutex<Option<std::net::TcpStream>>>,
    closed: Arc<Mutex<Option<bool>>>,
}

impl Drop for Lookout {
    fn drop(&mut self) {
        let other = self.other.lock().take();
        // Nothing to read and no end would be an error: it does not block.
        *self.closed.lock() = other.map(|other| matches!(other.peek(&mut [0]), Ok(0)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_counts_connections_is_told_when_one_is_closed_and_no_sooner() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let (other, closed) = (Arc::<Mutex<_>>::default(), Arc::<Mutex<_>>::default());
    let lookout = Lookout {
        other: other.clone(),
        closed: closed.clone(),
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 4096]).await.expect("a request");
        let stream = stream.into_std().expect("a stream");
        *other.lock() = Some(stream.try_clone().expect("cloned"));
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nx";
        std::io::Write::write_all(&mut &stream, head).expect("sent");
    });
    let response = Egress::new()
        .send(&origins(&[&origin]), &bounds(), get(&origin), lookout)
        .await
        .expect("a head");
    assert_eq!(*closed.lock(), None, "it stands");
    drop(response);
    while closed.lock().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*closed.lock(), Some(true));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let reply =
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(reply, false).await;
    let allowed = origins(&[&server.origin()]);
    let response = Egress::new()
        .send(&allowed, &bounds(), get(&server.origin()), ())
        .await
        .expect("an answer");
    assert_eq!(response.status(), 302);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bodies_beyond_their_limits_are_cut_off() {
    let server = Server::start(
        "HTTP/1.1 200 OK\r\ncontent-length: 2097152\r\n\r\n".to_owned() + &"x".repeat(2 << 20),
        false,
    )
    .await;
    let error = send(&Egress::new(), &[&server.origin()], get(&server.origin()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::ResponseTooLarge(_)), "{error}");
    let request = Request::post(server.origin())
        .body(Full::from(vec![b'x'; 2 << 20]))
        .expect("a request");
    let error = send(&Egress::new(), &[&server.origin()], request)
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::RequestTooLarge(_)), "{error}");
}

#[tokio::test]
async fn a_head_beyond_its_limit_breaks_the_exchange() {
    let reply = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(10 << 20));
    let server = Server::start(reply, false).await;
    let error = send(&Egress::new(), &[&server.origin()], get(&server.origin()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Protocol(_)), "{error}");
}

/// Time is paused and jumps when nothing else is left to do, so each wait ends at its bound and no test waits.
#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_is_given_up_at_each_stage() {
    let silent = Server::start("", true).await;
    let error = send(&Egress::new(), &[&silent.origin()], get(&silent.origin()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::FirstByteTimeout), "{error}");
    let tls = format!("https://127.0.0.1:{}", silent.port);
    let error = send(&Egress::new(), &[&tls], get(&tls)).await.unwrap_err();
    assert!(matches!(error, EgressError::ConnectTimeout), "{error}");
    let half = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true).await;
    let error = send(&Egress::new(), &[&half.origin()], get(&half.origin()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Stalled), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_looked_up_for_ever_is_given_up() {
    let egress = Egress::with_resolver(Arc::new(|_, _| Box::pin(std::future::pending())));
    let error = send(&egress, &["https://a.example"], get("https://a.example"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::DnsTimeout(_)), "{error}");
}
