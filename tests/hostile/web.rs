//! Servers on the loopback that are as bad as servers can be, and the requests of agents that look for one they may not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::case::{Outcome, Struck, claim};
use crate::host::Host;

/// Servers for the whole walk.
pub(crate) struct Servers {
    /// Granted to nobody: nothing may ever come here.
    secret: Server,
    /// Granted, and answers: what comes here is counted.
    open: Server,
    /// Granted, and each bad in its own way.
    bad: Vec<(&'static str, Server)>,
}

/// One server.
struct Server {
    port: u16,
    /// Connections so far, and those that stand.
    seen: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    /// The most that ever stood at once.
    most: Arc<AtomicUsize>,
}

type Behaviour = fn(TcpStream) -> BoxFuture<'static, std::io::Result<()>>;

impl Server {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let [seen, open, most] = [(); 3].map(|()| Arc::<AtomicUsize>::default());
        let (counted, standing, peak) = (seen.clone(), open.clone(), most.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                peak.fetch_max(
                    standing.fetch_add(1, Ordering::Relaxed) + 1,
                    Ordering::Relaxed,
                );
                let standing = standing.clone();
                tokio::spawn(async move {
                    // A client that goes away is what these servers wait for.
                    let _ = behaviour(stream).await;
                    standing.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self {
            port,
            seen,
            open,
            most,
        }
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let kinds: [(&str, Behaviour); 5] = [
            ("silent", |stream| silent(stream).boxed()),
            ("no-tls", |stream| silent(stream).boxed()),
            ("drop-by-drop", |stream| drops(stream).boxed()),
            ("endless", |stream| endless(stream).boxed()),
            ("headers", |stream| headers(stream).boxed()),
        ];
        let mut bad = Vec::new();
        for (name, behaviour) in kinds {
            bad.push((name, Server::start(behaviour).await));
        }
        Self {
            secret: Server::start(|stream| answer(stream).boxed()).await,
            open: Server::start(|stream| answer(stream).boxed()).await,
            bad,
        }
    }

    /// The origins that agents are granted.
    pub(crate) fn granted(&self) -> Vec<String> {
        let bad = self.bad.iter().map(|(name, server)| {
            let scheme = if *name == "no-tls" { "https" } else { "http" };
            format!("{scheme}://{}", server.authority())
        });
        let open = format!("http://{}", self.open.authority());
        bad.chain([open, "http://api.example.com".to_owned()])
            .collect()
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    // A request as small as those here comes in one piece.
    let _ = stream.read(&mut [0; 4096]).await?;
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
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'x'; 16 << 10]).await?;
    }
}

/// Headers that have no end.
async fn headers(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    loop {
        stream
            .write_all(b"x-more: and more of the same, again and again\r\n")
            .await?;
    }
}

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
        claim(told["refused"].is_string(), || {
            format!("{ask} came to {told}")
        })?;
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

/// Asks all the bad servers at once.
pub(crate) async fn slow(host: &Host) -> Struck {
    let each = host.servers.bad.iter().map(async |(name, server)| {
        let ask = json!({ "authority": server.authority(), "https": *name == "no-tls" });
        let told = host.answer("dawdler", &json!({ "web": [ask] })).await?;
        let told = &told[0]["refused"];
        claim(told.is_string(), || format!("`{name}` came to {told}"))?;
        Ok(format!("{name}: {}", told.as_str().unwrap_or_default()))
    });
    let told: Result<Vec<_>, String> = futures_util::future::join_all(each)
        .await
        .into_iter()
        .collect();
    let told = told?;
    Ok(Outcome::held(format!("{} servers", told.len())))
}

/// Sends ten thousand requests and waits for none of them.
pub(crate) async fn flood(host: &Host) -> Struck {
    let (_, silent) = &host.servers.bad[0];
    // Those of the strike before are closed by now, but the server may not have noticed, nor even accepted all of them.
    let closed = async {
        let mut quiet = 0;
        while quiet < 50 {
            let open = silent.open.load(Ordering::Relaxed);
            quiet = if open > 0 { 0 } else { quiet + 1 };
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(5), closed).await;
    claim(closed.is_ok(), || "connections stay open".to_owned())?;
    silent.most.store(0, Ordering::Relaxed);
    let input = json!({ "web-flood": [silent.authority(), 10_000] });
    let ended = host.ask("flooder", &input).await;
    let most = silent.most.load(Ordering::Relaxed);
    // Eight at a time, as the host counts. When the task ends, some that waited take the places of those that were let go before they are
    // let go themselves, and the server still sees both.
    claim((1..=32).contains(&most), || {
        format!("{most} connections at once")
    })?;
    let note = format!("at most {most} connections at once");
    Ok(Outcome {
        note,
        ..Outcome::of_call(&ended)
    })
}
