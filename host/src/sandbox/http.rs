//! `wasi:http` for guests: every request goes through the host's egress, to granted origins only.
//!
//! wasmtime's part is the guest's side of the interface; its own client is not compiled in.

mod taped;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Level;
use wasmtime::component::Linker;
use wasmtime_wasi_http::p2::bindings as p2;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp,
    WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

use super::Plugin;
use super::log::Log;
use super::meter::HostCalls;
use super::tape::{Sent, Tape, wire};
use super::task::Task;
use crate::egress::{EgressError, ExchangeBounds};
use crate::failure::{Failure, FailureKind};

/// Bytes of all headers of one message, as the guest's side counts them. No limit of an operator's: servers stop at less, and nothing
/// that an agent does gets better with more.
const FIELDS: usize = 64 << 10;
/// Bytes of one write to a request's body.
const CHUNK: usize = 64 << 10;

/// Links `wasi:http/types` and `wasi:http/outgoing-handler`.
pub(super) fn link(linker: &mut Linker<Task>) -> wasmtime::Result<()> {
    let options = p2::LinkOptions::default();
    p2::http::types::add_to_linker::<Task, WasiHttp>(linker, &(&options).into(), Task::http)?;
    p2::http::outgoing_handler::add_to_linker::<Task, WasiHttp>(linker, Task::http)
}

/// What one task's requests share. Made at the first of them.
pub(super) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    plugin: Arc<Plugin>,
    calls: Arc<HostCalls>,
    log: Log,
    tape: Arc<Tape>,
    deadline: Instant,
    parallel: Arc<Semaphore>,
    left: u64,
}

impl Task {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.calls.count();
        let (log, tape) = (self.log().clone(), self.tape());
        let Self {
            http,
            table,
            plugin,
            calls,
            errand,
            ..
        } = self;
        let http = http
            .get_or_insert_with(|| Box::new(Http::new(plugin, calls, log, tape, errand.deadline)));
        WasiHttpCtxView {
            hooks: &mut http.hooks,
            table,
            ctx: &mut http.ctx,
        }
    }
}

impl Http {
    fn new(
        plugin: &Arc<Plugin>,
        calls: &Arc<HostCalls>,
        log: Log,
        tape: Arc<Tape>,
        deadline: Instant,
    ) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS);
        let parallel = usize::try_from(plugin.limits.http_parallel)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        let hooks = Hooks {
            calls: calls.clone(),
            log,
            tape,
            deadline,
            parallel: Arc::new(Semaphore::new(parallel)),
            left: plugin.limits.http_requests,
            plugin: plugin.clone(),
        };
        Self { ctx, hooks }
    }
}

impl Hooks {
    /// Counts a request. A task that makes too many is ended, not answered: it would only ask again.
    fn take(&mut self) -> Result<(), Error> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let limit = self.plugin.limits.http_requests;
                let message = format!(
                    "the task made more than {limit} HTTP requests; `limits.http-requests` bounds that"
                );
                self.calls.stop(Failure::new(FailureKind::Quota, message));
                Err(Error::HttpRequestDenied)
            }
        }
    }

    fn bounds(&self, options: RequestOptions) -> ExchangeBounds {
        let limits = &self.plugin.limits;
        // An agent may shorten its waits and not lengthen them.
        let shorter =
            |asked: Option<Duration>, own: Duration| asked.map_or(own, |asked| asked.min(own));
        ExchangeBounds {
            connect: shorter(options.connect_timeout, limits.http_connect.0),
            first_byte: shorter(options.first_byte_timeout, limits.http_first_byte.0),
            gap: shorter(options.between_bytes_timeout, limits.http_gap.0),
            deadline: self.deadline.min(Instant::now() + limits.http_timeout.0),
            request: limits.http_request.0,
            response: limits.http_response.0,
        }
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name))
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Sending {
        let taken = self.take();
        let bounds = self.bounds(options.unwrap_or_default());
        let (plugin, parallel, log) =
            (self.plugin.clone(), self.parallel.clone(), self.log.clone());
        let (tape, calls) = (self.tape.clone(), self.calls.clone());
        let number = match tape.sends(taped::asked(&tape, &request)) {
            Sent::Live(number) => number,
            Sent::Taped(exchange) => {
                return Box::new(async move {
                    taken?;
                    taped::again(request, exchange, &tape).await
                });
            }
            Sent::Diverged(failure) => {
                calls.stop(failure);
                return Box::new(async { Err(Error::HttpRequestDenied) });
            }
        };
        let request = match number {
            Some(number) => request.map(|body| taped::digested(body, &tape, number)),
            None => request,
        };
        Box::new(async move {
            taken?;
            // Beyond the number of parallel requests, one waits until another's body has gone and its connection is closed.
            let permit = parallel
                .acquire_owned()
                .await
                .map_err(|_| Error::ConnectionLimitReached)?;
            let permit = Arc::new(permit);
            let sent = plugin
                .host
                .egress
                .send(&plugin.effective.http, &bounds, request, permit.clone())
                .await;
            let response = sent.map_err(|error| {
                let error = refused(&plugin, &log, error);
                if let Some(number) = number {
                    tape.put_head(number, || wire::Head::Fault(taped::fault(&error)));
                }
                error
            })?;
            let response = response.map(|body| {
                let body = body.map_err(move |error| refused(&plugin, &log, error));
                body.map_frame(move |frame| {
                    let _held = &permit;
                    frame
                })
                .boxed_unsync()
            });
            let response = match number {
                Some(number) => taped::kept(response, &tape, number),
                None => response,
            };
            Ok((response, Box::new(async { Ok(()) }) as Io))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

/// Tells the operator why an exchange failed; the guest learns no more than the standard's error code.
fn refused(plugin: &Plugin, log: &Log, error: EgressError) -> Error {
    let agent = &plugin.agent;
    let message = match &error {
        EgressError::NotGranted(origin) => {
            format!(
                "{error}; to allow it, write in kennel.toml:  [grants.{agent}]  http = [\"{origin}\"]"
            )
        }
        other => match bound(other) {
            Some(key) => {
                format!("{other}; `limits.{key}` bounds that, where the agent asked for no less")
            }
            None => other.to_string(),
        },
    };
    log.message(Level::WARN, "http", &message);
    of_egress(error)
}

/// The limit that an exchange met, if it met one.
fn bound(error: &EgressError) -> Option<&'static str> {
    match error {
        EgressError::ConnectTimeout => Some("http-connect"),
        EgressError::FirstByteTimeout => Some("http-first-byte"),
        EgressError::Stalled => Some("http-gap"),
        EgressError::Timeout => Some("http-timeout"),
        EgressError::RequestTooLarge(_) => Some("http-request"),
        EgressError::ResponseTooLarge(_) => Some("http-response"),
        EgressError::NotGranted(_)
        | EgressError::BadOrigin(_)
        | EgressError::NoOrigin
        | EgressError::Method(_)
        | EgressError::UrlTooLong
        | EgressError::NotFound(..)
        | EgressError::DnsTimeout(_)
        | EgressError::Prohibited(_)
        | EgressError::Connect(_)
        | EgressError::Tls(_)
        | EgressError::Protocol(_) => None,
    }
}

fn of_egress(error: EgressError) -> Error {
    match error {
        EgressError::NotGranted(_) => Error::HttpRequestDenied,
        EgressError::BadOrigin(_) | EgressError::NoOrigin => Error::HttpRequestUriInvalid,
        EgressError::Method(_) => Error::HttpRequestMethodInvalid,
        EgressError::UrlTooLong => Error::HttpRequestUriTooLong,
        EgressError::NotFound(..) => Error::DestinationNotFound,
        EgressError::DnsTimeout(_) => Error::DnsTimeout,
        EgressError::Prohibited(_) => Error::DestinationIpProhibited,
        EgressError::Connect(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            _ => Error::DestinationUnavailable,
        },
        EgressError::Tls(_) => Error::TlsProtocolError,
        EgressError::ConnectTimeout => Error::ConnectionTimeout,
        EgressError::FirstByteTimeout | EgressError::Stalled => Error::ConnectionReadTimeout,
        EgressError::Timeout => Error::HttpResponseTimeout,
        EgressError::RequestTooLarge(limit) => Error::HttpRequestBodySize(Some(limit)),
        EgressError::ResponseTooLarge(limit) => Error::HttpResponseBodySize(Some(limit)),
        EgressError::Protocol(_) => Error::HttpProtocolError,
    }
}

#[cfg(test)]
pub(super) mod scene;
#[cfg(test)]
mod tests;
