//! The response to a refused peer if its site explains refusals: the same for every request.
//!
//! This module gets neither a permit nor a warrant, so it cannot reach an upstream.

use std::time::Duration;

use aop_http::{RequestHead, ResponseHead, http2::End};
use aop_tls::{PeerProtocol, PeerStream, Refusal};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    exchange::answer,
    limits,
    peer::{Peer, PeerEvent},
};

/// How long a refused peer is served.
const SERVED_FOR: Duration = Duration::from_secs(10);

/// The size of one read: small, because anybody can be a refused peer.
const READ: usize = 16 * 1024;

/// Answers the requests of a refused peer with the reason, for at most `SERVED_FOR`.
pub(crate) async fn explain_refusal(
    stream: PeerStream,
    protocol: PeerProtocol,
    site: &str,
    refusal: Refusal,
    detail: &str,
) {
    let text = document(site, refusal, detail);
    let peer = match protocol {
        PeerProtocol::Http1 => Peer::http1(),
        PeerProtocol::Http2 => Peer::http2(limits::REFUSED),
    };
    if let Ok(Err(error)) = timeout(SERVED_FOR, Box::pin(explain(stream, peer, &text))).await {
        tracing::trace!(%error, "a refused peer did not read the explanation");
    }
}

async fn explain(mut stream: PeerStream, mut peer: Peer, text: &str) -> std::io::Result<()> {
    let (mut input, mut response) = (Vec::new(), ResponseHead::default());
    let mut request = RequestHead::default();
    answer(&mut response, 403, b"application/json", text);
    loop {
        let output = std::mem::take(peer.output());
        stream.write_all(&output).await?;
        stream.flush().await?;
        if peer.is_finished() {
            return stream.shutdown().await;
        }
        if stream.read_buf(&mut input).await? == 0 || input.len() > 4 * READ {
            return Ok(());
        }
        let mut rest = &input[..];
        // The time of a whole connection is far below the period of any rate.
        loop {
            let event = match peer.receive(&mut rest, 0) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(fault) => {
                    peer.fail(&fault);
                    let last = std::mem::take(peer.output());
                    stream.write_all(&last).await?;
                    return stream.shutdown().await;
                }
            };
            match event {
                PeerEvent::Request(id, _) => {
                    peer.take_request(&mut request);
                    if let Peer::Http1(server) = &mut peer {
                        server.close_after_response();
                    }
                    peer.respond(id, &response, &request.method);
                    let head = request.method == b"HEAD";
                    let body = if head { &[][..] } else { text.as_bytes() };
                    if !(head && matches!(peer, Peer::Http2(_))) {
                        peer.send(id, body, End::Yes);
                    }
                }
                PeerEvent::Data(id, bytes, _) => peer.consumed(id, bytes.len()),
                PeerEvent::End(..)
                | PeerEvent::Truncated(_)
                | PeerEvent::Reset(..)
                | PeerEvent::Malformed(..)
                | PeerEvent::Writable(_)
                | PeerEvent::Retired(_)
                | PeerEvent::Nothing => {}
            }
        }
        let parsed = input.len() - rest.len();
        input.drain(..parsed);
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
