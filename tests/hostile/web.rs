//! Servers on the loopback that are as bad as servers can be, and the requests of agents that look for one they may not have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use kennel::call::{Notice, Observer, Request};

use crate::case::{Outcome, Struck, claim};
use crate::host::{self, Host, json as json_of, task};

/// Servers for the whole walk.
pub(crate) struct Servers {
    /// Granted to nobody: nothing may ever come here.
    secret: Server,
    /// Granted, and answers: what comes here is counted.
    open: Server,
    /// Granted, and each bad in its own way, with what the operator reads when it is given up.
    bad: Vec<(&'static str, Server, &'static str)>,
}

/// One server.
struct Server {
    port: u16,
    /// Connections so far.
    seen: Arc<AtomicUsize>,
    /// The most that ever stood at once.
    most: Arc<AtomicUsize>,
}

type Behaviour = fn(TcpStream) -> BoxFuture<'static, std::io::Result<()>>;

impl Server {
    /// On the loopback of both kinds of addresses: what looks for the one must not be refused for want of the other.
    async fn start(behaviour: Behaviour) -> Self {
        let four = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = four.local_addr().expect("an address").port();
        let [seen, most] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
        // A machine may have no addresses of the sixth version.
        let six = TcpListener::bind(("::1", port)).await.ok();
        for listener in [Some(four), six].into_iter().flatten() {
            tokio::spawn(serve(listener, behaviour, seen.clone(), most.clone()));
        }
        Self { port, seen, most }
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

async fn serve(
    listener: TcpListener,
    behaviour: Behaviour,
    seen: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
) {
    let standing = Arc::<Mutex<BTreeMap<usize, std::net::TcpStream>>>::default();
    while let Ok((stream, _)) = listener.accept().await {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        let stream = stream.into_std().expect("a stream");
        let now = {
            let mut standing = standing.lock().expect("never poisoned");
            // Those that the client has closed do not stand, whether or not anybody has noticed. On the loopback an end that was sent
            // has come: whoever closes one connection and then opens another is never counted twice.
            standing.retain(|_, one| !is_closed(one));
            standing.insert(number, stream.try_clone().expect("cloned"));
            standing.len()
        };
        most.fetch_max(now, Ordering::Relaxed);
        let stream = TcpStream::from_std(stream).expect("a stream");
        let standing = standing.clone();
        tokio::spawn(async move {
            // A client that goes away is what these servers wait for.
            let _ = behaviour(stream).await;
            standing.lock().expect("never poisoned").remove(&number);
        });
    }
}

/// Whether the client has ended the connection, whatever it has sent before that nobody has read yet.
fn is_closed(stream: &std::net::TcpStream) -> bool {
    let ended = PollFlags::RDHUP;
    let mut polled = [PollFd::new(stream, ended)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let asked = poll(&mut polled, Some(&now)).expect("polled");
    asked > 0 && (polled[0].revents()).intersects(ended | PollFlags::HUP | PollFlags::ERR)
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let kinds: [(&str, &str, Behaviour); 5] = [
            ("silent", "http-first-byte", |stream| silent(stream).boxed()),
            ("no-tls", "http-connect", |stream| silent(stream).boxed()),
            ("drop-by-drop", "http-timeout", |stream| {
                drops(stream).boxed()
            }),
            ("endless", "http-response", |stream| endless(stream).boxed()),
            ("headers", "message head is too large", |stream| {
                headers(stream).boxed()
            }),
        ];
        let mut bad = Vec::new();
        for (name, reason, behaviour) in kinds {
            bad.push((name, Server::start(behaviour).await, reason));
        }
        Self {
            secret: Server::start(|stream| answer(stream).boxed()).await,
            open: Server::start(|stream| answer(stream).boxed()).await,
            bad,
        }
    }

    /// The origins that agents are granted.
    pub(crate) fn granted(&self) -> Vec<String> {
        let bad = self.bad.iter().map(|(name, server, _)| {
            let scheme = if *name == "no-tls" { "https" } else { "http" };
            format!("{scheme}://{}", server.authority())
        });
        let open = format!("http://{}", self.open.authority());
        bad.chain([open, "http://api.example.com".to_owned()])
            .collect()
    }
}

/// A request as small as those here comes in one piece. Who answers before it has come is not even listened to.
async fn take(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0; 4096]).await.map(drop)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    take(&mut stream).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await
}

/// Reads, and says nothing until the client goes away.
async fn silent(mut stream: TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// A byte of a long body ten times a second.
async fn drops(mut stream: TcpStream) -> std::io::Result<()> {
    take(&mut stream).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        .await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A body that has no end.
async fn endless(mut stream: TcpStream) -> std::io::Result<()> {
    take(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 16 << 10]).await?;
    }
}

/// Headers that have no end.
async fn headers(mut stream: TcpStream) -> std::io::Result<()> {
    take(&mut stream).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    loop {
        stream
            .write_all(b"x-more: and more of the same, again and again\r\n")
            .await?;
    }
}

/// How a request ends that the host refuses by itself, without asking anybody: the standard's codes, and what its types do not take.
const REFUSALS: [&str; 9] = [
    "ErrorCode::HttpRequestDenied",
    "ErrorCode::HttpRequestUriInvalid",
    "ErrorCode::HttpRequestMethodInvalid",
    "ErrorCode::HttpRequestUriTooLong",
    "ErrorCode::DestinationIpProhibited",
    "header: ",
    "authority refused",
    "method refused",
    "path refused",
];

/// Looks for a server that was not granted, under every name that leads there; and says things to one that was that no client may.
pub(crate) async fn ssrf(host: &Host) -> Struck {
    let (secret, open) = (&host.servers.secret, &host.servers.open);
    let port = secret.port;
    let granted = open.authority();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "169.254.169.254",
        "api.example.com@127.0.0.1",
        "api.example.com:80@127.0.0.1",
        "127.0.0.1%00.example.com",
        "api.example.com.",
        "①②⑦.0.0.1",
    ];
    let places = hosts
        .iter()
        .map(|host| json!({ "authority": format!("{host}:{port}") }));
    let odd = [
        json!({ "authority": format!("127.0.0.1:{port}"), "path": "/" }),
        json!({ "authority": "api.example.com:abc" }),
        json!({ "authority": "" }),
        json!({ "authority": format!("127.0.0.1:{port}"), "https": true }),
        json!({ "authority": granted, "method": "CONNECT" }),
        json!({ "authority": granted, "method": "TRACE" }),
        json!({ "authority": granted, "method": "GET / HTTP/1.1\r\nx: y\r\n\r\nGET" }),
        json!({ "authority": granted, "path": "/ HTTP/1.1\r\nx: y\r\n\r\n" }),
        json!({ "authority": granted, "path": format!("/{}", "a".repeat(10_000)) }),
        json!({ "authority": granted, "headers": [["x-a", "b\r\nx-c: d"]] }),
        json!({ "authority": granted, "headers": [["transfer-encoding", "chunked"]] }),
        json!({ "authority": granted, "headers": [["host", format!("127.0.0.1:{port}")]] }),
        json!({ "authority": granted, "headers": [["content-length", "5"], ["content-length", "6"]] }),
    ];
    let asks: Vec<Value> = places.chain(odd).collect();
    let before = (
        secret.seen.load(Ordering::Relaxed),
        open.seen.load(Ordering::Relaxed),
    );
    let told = host.answer("surfer", &json!({ "web": asks })).await?;
    for (ask, told) in asks.iter().zip(told.as_array().ok_or("no list")?) {
        let why = told["refused"].as_str().unwrap_or_default();
        // For what it is, and not because nobody answered there.
        let by_rule = REFUSALS.iter().any(|rule| why.starts_with(rule));
        claim(by_rule, || format!("{ask} came to {told}"))?;
    }
    let after = (
        secret.seen.load(Ordering::Relaxed),
        open.seen.load(Ordering::Relaxed),
    );
    claim(before == after, || {
        format!("connections went from {before:?} to {after:?}")
    })?;
    // Not because nothing works: the same server answers an honest request.
    let fine = host
        .answer("surfer", &json!({ "web": [{ "authority": granted }] }))
        .await?;
    claim(fine[0]["bytes"] == 2, || {
        format!("an honest request came to {fine}")
    })?;
    // A path in absolute form stays a path: it goes to the granted server and nowhere else.
    let absolute =
        json!({ "web": [{ "authority": granted, "path": format!("http://127.0.0.1:{port}/") }] });
    host.answer("surfer", &absolute).await?;
    let gone = secret.seen.load(Ordering::Relaxed);
    claim(gone == before.0, || {
        format!("{gone} connections to what is not granted")
    })?;
    Ok(Outcome::held(format!(
        "{} requests, 0 connections",
        asks.len()
    )))
}

/// Asks all the bad servers at once; each is given up for its own reason, which the operator reads.
pub(crate) async fn slow(host: &Host) -> Struck {
    let each = host.servers.bad.iter().map(async |(name, server, reason)| {
        let ask = json!({ "authority": server.authority(), "https": *name == "no-tls" });
        let said = Arc::<Mutex<String>>::default();
        let hear = said.clone();
        let observer = Observer::new(Arc::new(move |_, _, notice| {
            if let Notice::Log(_, _, line) = notice {
                hear.lock().expect("never poisoned").push_str(&line);
            }
        }));
        let asked = Request {
            observer,
            ..task(json_of(&json!({ "web": [ask] })))
        };
        let reply = host.agent("dawdler").call(asked).await;
        let told = host::read(&reply.map_err(|error| error.to_string())?)?;
        let said = said.lock().expect("never poisoned").clone();
        claim(told[0]["refused"].is_string(), || {
            format!("`{name}` came to {told}")
        })?;
        claim(said.contains(reason), || format!("`{name}`: {said}"))
    });
    for held in futures_util::future::join_all(each).await {
        held?;
    }
    let servers = host.servers.bad.len();
    Ok(Outcome::held(format!(
        "{servers} servers, each for its own reason"
    )))
}

/// Sends ten thousand requests and waits for none of them.
pub(crate) async fn flood(host: &Host) -> Struck {
    let (_, silent, _) = &host.servers.bad[0];
    silent.most.store(0, Ordering::Relaxed);
    let input = json!({ "web-flood": [silent.authority(), 10_000] });
    let ended = host.ask("flooder", &input).await;
    let most = silent.most.load(Ordering::Relaxed);
    claim(most == 8, || format!("{most} connections at once"))?;
    let note = format!("at most {most} connections at once");
    Ok(Outcome {
        note,
        ..Outcome::of_call(&ended)
    })
}
