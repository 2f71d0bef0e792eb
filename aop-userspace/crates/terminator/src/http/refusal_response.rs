//! The response to a refused peer if its site explains refusals: the same for every request.
//!
//! This module gets neither a permit nor a warrant, so it cannot reach an upstream.

use std::{convert::Infallible, time::Duration};

use aop_tls::{PeerProtocol, PeerStream, Refusal};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::time::timeout;

use super::stream_tasks::StreamTasks;

/// How long a refused peer is served.
const SERVED_FOR: Duration = Duration::from_secs(10);

/// Small buffers, because anybody can be a refused peer.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: u32 = 64 * 1024;

/// Answers the requests of a refused peer with the reason, for at most `SERVED_FOR`.
pub(crate) async fn explain_refusal(
    stream: PeerStream,
    protocol: PeerProtocol,
    site: &str,
    refusal: Refusal,
    detail: &str,
) {
    let text = document(site, refusal, detail);
    let service = service_fn(move |_: Request<Incoming>| {
        let mut response = Response::new(text.clone());
        *response.status_mut() = StatusCode::FORBIDDEN;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if protocol == PeerProtocol::Http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let io = TokioIo::new(stream);
    let streams = StreamTasks::default();
    let served = match protocol {
        PeerProtocol::Http1 => {
            let mut builder = http1::Builder::new();
            let builder = builder.max_buf_size(MAX_HEAD);
            timeout(SERVED_FOR, builder.serve_connection(io, service)).await
        }
        PeerProtocol::Http2 => {
            let mut builder = http2::Builder::new(streams.clone());
            let builder = builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(10)
                .initial_stream_window_size(MAX_BODY)
                .initial_connection_window_size(MAX_BODY);
            timeout(SERVED_FOR, builder.serve_connection(io, service)).await
        }
    };
    streams.abort_all();
    if let Ok(Err(error)) = served {
        tracing::trace!(%error, "a refused peer did not read the explanation");
    }
}

/// The explanation. It is public, so it names only the rule, the peer's own certificate and the
/// remedy.
#[derive(Serialize)]
struct RefusalExplanation<'a> {
    refused: &'static str,
    site: &'a str,
    fault: &'static str,
    detail: &'a str,
    help: &'static str,
}

/// The explanation as one line of JSON.
fn document(site: &str, refusal: Refusal, detail: &str) -> String {
    let explanation = RefusalExplanation {
        refused: refusal.name(),
        site,
        fault: refusal.responsible().name(),
        detail,
        help: refusal.help().unwrap_or("see aop's log"),
    };
    // Text always serializes.
    let text = serde_json::to_string(&explanation).unwrap_or_default();
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_of_a_certificate_stays_one_json_string() {
        let detail = "CN=\"a\\\",\"refused\":\"\n\u{1b}é";
        let text = document("example.com", Refusal::CnMismatch, detail);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["detail"], &json["refused"]), (&detail.into(), &"cn_mismatch".into()));
        assert_eq!(text.lines().count(), 1);
    }
}
