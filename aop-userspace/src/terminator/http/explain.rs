//! What a refused peer is told where its site explains: one and the same answer to every request.
//!
//! No permit and no warrant come here, so nothing can get on to an upstream from here.

use std::{convert::Infallible, time::Duration};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

use super::streams::Streams;
use crate::tls::{Protocol, Refusal};

/// How long a refused peer is listened to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of a refused peer at a time: anybody can be one.
const LONGEST_HEAD: usize = 64 * 1024;
const LONGEST_BODY: u32 = 64 * 1024;

/// Answers the requests of a refused peer, for a moment, with the reason.
pub(in crate::terminator) async fn explain(
    stream: TlsStream<TcpStream>,
    protocol: Protocol,
    site: &str,
    refusal: Refusal,
) {
    let text = document(site, refusal);
    let service = service_fn(move |_: Request<Incoming>| {
        let mut response = Response::new(text.clone());
        *response.status_mut() = StatusCode::FORBIDDEN;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if protocol == Protocol::Http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let io = TokioIo::new(stream);
    let streams = Streams::default();
    let told = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            let builder = builder.max_buf_size(LONGEST_HEAD);
            timeout(PATIENCE, builder.serve_connection(io, service)).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(streams.clone());
            let builder = builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(10)
                .initial_stream_window_size(LONGEST_BODY)
                .initial_connection_window_size(LONGEST_BODY);
            timeout(PATIENCE, builder.serve_connection(io, service)).await
        }
    };
    streams.end();
    if let Ok(Err(error)) = told {
        tracing::trace!(%error, "a refused peer did not listen");
    }
}

/// Names and words of ours alone, so nothing in it needs escaping but quotes.
fn document(site: &str, refusal: Refusal) -> String {
    let help = refusal.help().unwrap_or("see the log of aop");
    format!(
        "{{\"refused\":\"{refusal}\",\"site\":\"{site}\",\"fault\":\"{}\",\"help\":\"{}\"}}\n",
        refusal.whose().name(),
        help.replace('"', "\\\""),
    )
}
