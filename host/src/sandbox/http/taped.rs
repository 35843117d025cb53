//! HTTP exchanges on the tape: a request's body is digested as it is sent, an answer is kept as it comes, and comes again from there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use wasmtime_wasi_http::{Error, WasiBody};

use super::super::tape::wire::{self, Fault};
use super::super::tape::{Asked, Exchange, Tape, first_eight};
use super::Io;

/// What is asked for by a request, but for its body.
pub(super) fn asked(tape: &Tape, request: &http::Request<WasiBody>) -> Option<Asked> {
    let uri = request.uri().to_string();
    let method = request.method().as_str();
    let headers = request.headers().iter();
    let headers = headers.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
    let args: Vec<_> = [method.as_bytes(), uri.as_bytes()]
        .into_iter()
        .chain(headers)
        .collect();
    tape.asked(&format!("http {method}"), &uri, &args)
}

/// A request's body whose bytes are digested on their way.
pub(super) fn digested(body: WasiBody, tape: &Arc<Tape>, request: u32) -> WasiBody {
    let mut body = Outgoing {
        body,
        tape: tape.clone(),
        request,
        sum: Some(Sha256::new()),
    };
    body.end_if_over();
    body.boxed_unsync()
}

struct Outgoing {
    body: WasiBody,
    tape: Arc<Tape>,
    request: u32,
    /// Until the end.
    sum: Option<Sha256>,
}

impl Outgoing {
    fn end(&mut self) {
        if let Some(sum) = self.sum.take() {
            self.tape.put_body(self.request, first_eight(sum));
        }
    }

    fn end_if_over(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(sum)) = (frame.data_ref(), &mut self.sum) {
                    sum.update(data);
                }
                self.end_if_over();
            }
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that is kept as it comes.
pub(super) fn kept(
    response: http::Response<WasiBody>,
    tape: &Arc<Tape>,
    request: u32,
) -> http::Response<WasiBody> {
    tape.put_head(request, || {
        wire::Head::Response(response.status().as_u16(), fields(response.headers()))
    });
    response.map(|body| {
        let body = Incoming {
            body,
            tape: tape.clone(),
            request,
            looks: 0,
        };
        body.boxed_unsync()
    })
}

struct Incoming {
    body: WasiBody,
    tape: Arc<Tape>,
    request: u32,
    /// How often the guest looked for the next piece without waiting, and found nothing.
    looks: u32,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let frame = match &polled {
            Poll::Pending => {
                self.looks += u32::from(only_looks(cx));
                return Poll::Pending;
            }
            Poll::Ready(None) => wire::Frame::End,
            Poll::Ready(Some(Err(error))) => wire::Frame::Fault(fault(error)),
            Poll::Ready(Some(Ok(frame))) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => wire::Frame::Data(data.clone()),
                (None, Some(trailers)) => wire::Frame::Trailers(fields(trailers)),
                (None, None) => wire::Frame::Data(Bytes::new()),
            },
        };
        let looks = std::mem::take(&mut self.looks);
        self.tape.put_frame(self.request, looks, frame);
        polled
    }
}

/// Whether whoever polls does not wait. A guest that reads without waiting sees whether something is there; one that waits does not.
fn only_looks(cx: &Context<'_>) -> bool {
    cx.waker().will_wake(Waker::noop())
}

/// The answer to a request as it was kept. The request's body is compared with the one that was sent then.
pub(super) async fn again(
    request: http::Request<WasiBody>,
    exchange: Exchange,
    tape: &Arc<Tape>,
) -> Result<(http::Response<WasiBody>, Io), Error> {
    let Exchange { head, frames, body } = exchange;
    let (expected, first) = match body {
        Some((digest, first)) => (Some(digest), first),
        None => (None, false),
    };
    let (url, tape) = (request.uri().to_string(), tape.clone());
    let incoming = Taped {
        frames,
        tape: tape.clone(),
    };
    let sent = async move { compare(request.into_body(), expected, &url, &tape).await };
    let io: Io = if first {
        sent.await;
        Box::new(async { Ok(()) })
    } else {
        Box::new(async move {
            sent.await;
            Ok(())
        })
    };
    match head {
        // The attempt ended before an answer came.
        None => std::future::pending().await,
        Some(wire::Head::Fault(fault)) => Err(error(fault)),
        Some(wire::Head::Response(status, headers)) => {
            let mut response = http::Response::new(incoming.boxed_unsync());
            *response.status_mut() =
                http::StatusCode::from_u16(status).map_err(|_| Error::HttpProtocolError)?;
            *response.headers_mut() = map(headers);
            Ok((response, io))
        }
    }
}

async fn compare(mut body: WasiBody, expected: Option<u64>, url: &str, tape: &Tape) {
    let mut sum = Sha256::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            sum.update(data);
        }
    }
    if expected.is_some_and(|expected| expected != first_eight(sum)) {
        tape.diverges(format!(
            "the body of the request to {url} is not the one that was recorded"
        ));
    }
}

/// A body from the tape.
struct Taped {
    frames: VecDeque<(u32, wire::Frame)>,
    tape: Arc<Tape>,
}

impl Body for Taped {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some((looks, _)) = self.frames.front_mut()
            && *looks > 0
            && only_looks(cx)
        {
            *looks -= 1;
            return Poll::Pending;
        }
        Poll::Ready(match self.frames.pop_front() {
            Some((_, wire::Frame::Data(data))) => Some(Ok(Frame::data(data))),
            Some((_, wire::Frame::Trailers(trailers))) => Some(Ok(Frame::trailers(map(trailers)))),
            Some((_, wire::Frame::Fault(fault))) => Some(Err(error(fault))),
            Some((_, wire::Frame::End)) => None,
            None => {
                let how = "it reads more of an HTTP answer than the recorded attempt did";
                self.tape.diverges(how.to_owned());
                Some(Err(Error::HttpProtocolError))
            }
        })
    }
}

fn fields(headers: &http::HeaderMap) -> wire::Fields {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), Bytes::copy_from_slice(value.as_bytes()))
    };
    headers.iter().map(field).collect()
}

/// Fields that were headers once are headers again.
fn map(fields: wire::Fields) -> http::HeaderMap {
    let header = |(name, value): (String, Bytes)| {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, http::HeaderValue::from_maybe_shared(value).ok()?))
    };
    let mut headers = http::HeaderMap::new();
    for (name, value) in fields.into_iter().filter_map(header) {
        headers.append(name, value);
    }
    headers
}

/// What a guest is told about an error, as far as this host makes errors.
pub(super) fn fault(error: &Error) -> Fault {
    match error {
        Error::HttpRequestDenied => Fault::Denied,
        Error::HttpRequestUriInvalid => Fault::Uri,
        Error::HttpRequestMethodInvalid => Fault::Method,
        Error::HttpRequestUriTooLong => Fault::UriTooLong,
        Error::DestinationNotFound => Fault::NotFound,
        Error::DnsTimeout => Fault::DnsTimeout,
        Error::DestinationIpProhibited => Fault::Prohibited,
        Error::ConnectionRefused => Fault::Refused,
        Error::DestinationUnavailable => Fault::Unavailable,
        Error::TlsProtocolError => Fault::Tls,
        Error::ConnectionTimeout => Fault::ConnectTimeout,
        Error::ConnectionReadTimeout => Fault::ReadTimeout,
        Error::HttpResponseTimeout => Fault::Timeout,
        Error::HttpRequestBodySize(size) => Fault::RequestTooLarge(*size),
        Error::HttpResponseBodySize(size) => Fault::ResponseTooLarge(*size),
        Error::ConnectionLimitReached => Fault::TooMany,
        _ => Fault::Protocol,
    }
}

fn error(fault: Fault) -> Error {
    match fault {
        Fault::Denied => Error::HttpRequestDenied,
        Fault::Uri => Error::HttpRequestUriInvalid,
        Fault::Method => Error::HttpRequestMethodInvalid,
        Fault::UriTooLong => Error::HttpRequestUriTooLong,
        Fault::NotFound => Error::DestinationNotFound,
        Fault::DnsTimeout => Error::DnsTimeout,
        Fault::Prohibited => Error::DestinationIpProhibited,
        Fault::Refused => Error::ConnectionRefused,
        Fault::Unavailable => Error::DestinationUnavailable,
        Fault::Tls => Error::TlsProtocolError,
        Fault::ConnectTimeout => Error::ConnectionTimeout,
        Fault::ReadTimeout => Error::ConnectionReadTimeout,
        Fault::Timeout => Error::HttpResponseTimeout,
        Fault::RequestTooLarge(size) => Error::HttpRequestBodySize(size),
        Fault::ResponseTooLarge(size) => Error::HttpResponseBodySize(size),
        Fault::TooMany => Error::ConnectionLimitReached,
        Fault::Protocol => Error::HttpProtocolError,
    }
}
