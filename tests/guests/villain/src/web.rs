//! Harm through `wasi:http`, as no client library would do it.

use kennel_sdk::prelude::*;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, IncomingResponse, Method, OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

/// One request.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Ask {
    authority: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    https: bool,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// What came of a request: the number of bytes of the answer, or the reason why there is none.
pub(crate) fn tell(ask: &Ask) -> Value {
    match send(ask) {
        Ok(bytes) => json!({ "bytes": bytes }),
        Err(reason) => json!({ "refused": reason }),
    }
}

fn send(ask: &Ask) -> Result<u64, String> {
    let waiting = handle(request(ask)?, None).map_err(|error| format!("{error:?}"))?;
    waiting.subscribe().block();
    let answer = waiting.get().ok_or("it is not there")?;
    let answer = answer.map_err(|()| "it was taken")?;
    read(&answer.map_err(|error| format!("{error:?}"))?)
}

fn request(ask: &Ask) -> Result<OutgoingRequest, String> {
    let headers = Fields::new();
    for (name, value) in &ask.headers {
        headers
            .append(name, value.as_bytes())
            .map_err(|error| format!("header: {error:?}"))?;
    }
    let request = OutgoingRequest::new(headers);
    let scheme = if ask.https {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let method = match ask.method.as_deref() {
        None => Method::Get,
        Some(other) => Method::Other(other.to_owned()),
    };
    let set = |what: &'static str| move |()| format!("{what} refused");
    request.set_scheme(Some(&scheme)).map_err(set("scheme"))?;
    request.set_method(&method).map_err(set("method"))?;
    request
        .set_authority(Some(&ask.authority))
        .map_err(set("authority"))?;
    let path = ask.path.as_deref().unwrap_or("/");
    request
        .set_path_with_query(Some(path))
        .map_err(set("path"))?;
    Ok(request)
}

fn read(response: &IncomingResponse) -> Result<u64, String> {
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = 0;
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(read) => bytes += read.len() as u64,
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("body: {:?}", http_error_code(&error)));
            }
        }
    }
}

pub(crate) fn flood(authority: &str, times: u32) -> Value {
    let ask = Ask {
        authority: authority.to_owned(),
        path: None,
        method: None,
        https: false,
        headers: Vec::new(),
    };
    let sent: Vec<_> = (0..times)
        .map(|_| request(&ask).map(|request| handle(request, None)))
        .collect();
    json!(sent.len())
}
