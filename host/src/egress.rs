//! Egress: the one way out of the host over HTTP, for agents and for the host itself.
//!
//! A request goes to a granted origin, at an address that was resolved and checked here, within time and size, and nowhere else. It
//! follows no redirect, decompresses nothing, keeps no connection, and speaks HTTP/1.1.

mod address;
mod body;
mod connect;
mod error;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri, header};
use http_body::Body;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use self::body::ResponseBody;
pub use self::error::EgressError;

use self::body::RequestBody;
use self::connect::Connector;
use crate::grants::Origin;

/// Bytes of the path and query of a URL: what servers take. No limit of an operator's, like the two below.
const URL: usize = 8 << 10;
/// Bytes of all headers of a response, and how many there may be.
const HEADER_BYTES: usize = 64 << 10;
const HEADERS: usize = 100;

/// Headers that belong to the connection or that we write ourselves. Whatever the caller puts there is dropped. `authorization` and
/// `cookie` are the caller's own business: what an agent knows, it may tell the origins it is granted.
static OURS: [HeaderName; 12] = [
    header::HOST,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
];

/// Finds the addresses of a host name.
pub type Resolver =
    dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The bounds of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeBounds {
    /// Until the connection stands, name resolution and TLS included.
    pub connect: Duration,
    /// From the request to the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of the response's body.
    pub gap: Duration,
    /// When everything must be over.
    pub deadline: Instant,
    /// Bytes of the request's body.
    pub request: u64,
    /// Bytes of the response's body.
    pub response: u64,
}

/// Sends requests. Cloning is cheap.
#[derive(Clone)]
pub struct Egress {
    connector: Connector,
}

impl Egress {
    /// Resolves names as the operating system does.
    pub fn new() -> Self {
        Self::with_resolver(Arc::new(|name, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        }))
    }

    /// Resolves names with `resolve`. Its answers are checked like any other.
    pub fn with_resolver(resolve: Arc<Resolver>) -> Self {
        Self {
            connector: Connector::new(resolve),
        }
    }

    /// Where [`send`](Self::send) would connect to, in this order: for tests that try many requests without sending one.
    ///
    /// # Errors
    /// What it would fail with before it connects.
    #[doc(hidden)]
    pub async fn would_reach<B>(
        &self,
        allowed: &[Origin],
        request: &Request<B>,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let origin = check(allowed, request)?;
        self.connector.addresses(&origin).await
    }

    /// Sends `request` when its origin is one of `allowed`, and gives the response as soon as its head is there. `held` is let go once
    /// the connection is closed, and no sooner: whoever counts connections counts with it.
    ///
    /// # Errors
    /// When the request may not be sent, nobody answers in time, or the answer breaks the rules. Before a connection stands,
    /// nothing has been sent to anybody.
    pub async fn send<B>(
        &self,
        allowed: &[Origin],
        bounds: &ExchangeBounds,
        request: Request<B>,
        held: impl Send + 'static,
    ) -> Result<Response<ResponseBody>, EgressError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let origin = check(allowed, &request)?;
        let by = bounds.deadline.min(Instant::now() + bounds.connect);
        let stream = timeout_at(by, self.connector.connect(&origin))
            .await
            .map_err(|_| EgressError::ConnectTimeout)??;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| EgressError::of_hyper(&error))?;
        // A set of one: dropping the response's body closes the connection.
        let mut driver = JoinSet::new();
        // In this order they are dropped, also when the task is cut off before it has begun.
        let driven = (connection, held);
        driver.spawn(async move {
            let (connection, _held) = driven;
            // The sender and the body are told what goes wrong here.
            let _ = connection.await;
        });
        let by = bounds.deadline.min(Instant::now() + bounds.first_byte);
        let request = rebuild(request, &origin, bounds.request)?;
        let response = timeout_at(by, sender.send_request(request))
            .await
            .map_err(|_| EgressError::FirstByteTimeout)?;
        let response = response.map_err(|error| EgressError::of_hyper(&error))?;
        Ok(response.map(|incoming| ResponseBody::new(incoming, driver, bounds)))
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}

/// The origin that the request is for, when it may go there.
fn check<B>(allowed: &[Origin], request: &Request<B>) -> Result<Origin, EgressError> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(EgressError::Method(request.method().clone()));
    }
    let uri = request.uri();
    if uri
        .path_and_query()
        .is_some_and(|path| path.as_str().len() > URL)
    {
        return Err(EgressError::UrlTooLong);
    }
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(EgressError::NoOrigin);
    };
    let origin = Origin::of(&format!("{scheme}://{authority}/"))?;
    if allowed.contains(&origin) {
        Ok(origin)
    } else {
        Err(EgressError::NotGranted(origin))
    }
}

/// The request as it goes on the wire: built anew from parts, so that nothing but these parts comes from the caller.
fn rebuild<B>(
    request: Request<B>,
    origin: &Origin,
    limit: u64,
) -> Result<Request<RequestBody<B>>, EgressError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let mut rebuilt = Request::new(RequestBody::new(body, limit));
    *rebuilt.method_mut() = parts.method;
    *rebuilt.uri_mut() = Uri::try_from(path).map_err(|_| EgressError::NoOrigin)?;
    let headers = rebuilt.headers_mut();
    headers.insert(header::HOST, host(origin)?);
    copy(&parts.headers, headers);
    Ok(rebuilt)
}

fn host(origin: &Origin) -> Result<HeaderValue, EgressError> {
    let text = origin.to_string();
    let host = text.split_once("://").map_or("", |(_, host)| host);
    HeaderValue::from_str(host).map_err(|_| EgressError::NoOrigin)
}

fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if !OURS.contains(name) {
            to.append(name.clone(), value.clone());
        }
    }
}
