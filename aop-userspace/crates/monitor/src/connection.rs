//! One connection of a client: one request, one page. All that knows HTTP is here.

use std::{io, sync::Arc, time::Duration};

use aop_http::{
    BodyLength, RequestHead, ResponseHead,
    http1::{MessageEvent, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    listener::MonitorStream,
    page::{PageStatus, Pages, TEXT},
};

/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const LONGEST: Duration = Duration::from_secs(10);
/// Greatest size of a head in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

pub(super) async fn answer(stream: Box<dyn MonitorStream>, pages: Arc<impl Pages>) {
    // A client that hangs or disconnects is no error of the daemon.
    match timeout(LONGEST, serve(stream, &*pages)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}

async fn serve(mut stream: Box<dyn MonitorStream>, pages: &impl Pages) -> io::Result<()> {
    let mut server = Server::default();
    let (response, body) = match timeout(HEAD, head(&mut stream, &mut server)).await? {
        Ok(()) => response(server.request_mut(), pages).await,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            with_text(400, &error.to_string())
        }
        Err(error) => return Err(error),
    };
    let method = server.request_mut().method.clone();
    server.close_after_response();
    server.respond(&response, &method);
    server.send_data(body.as_bytes());
    stream.write_all(server.output()).await?;
    stream.shutdown().await
}

/// Reads the head of a request.
async fn head(stream: &mut Box<dyn MonitorStream>, server: &mut Server) -> io::Result<()> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let (mut buffer, mut total) = ([0; 2048], 0);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        total += read;
        if total > LONGEST_HEAD {
            return Err(invalid("the head is too large".to_owned()));
        }
        let mut rest = &buffer[..read];
        let event = server.receive(&mut rest);
        if event.map_err(|malformed| invalid(malformed.to_string()))? == Some(MessageEvent::Head) {
            return Ok(());
        }
    }
}

/// Answers a request. Only reading is possible.
async fn response(request: &RequestHead, pages: &impl Pages) -> (ResponseHead, String) {
    if !matches!(&request.method[..], b"GET" | b"HEAD") {
        let (mut refused, text) = with_text(405, "only GET and HEAD");
        refused.fields.push(b"allow", b"GET, HEAD");
        return (refused, text);
    }
    let path = request.path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let page = match path {
        b"/healthz" => pages.health().await,
        b"/readyz" => pages.readiness().await,
        b"/metrics" => {
            let accept = request.fields.first(b"accept").map(str::from_utf8);
            pages.metrics(accept.and_then(Result::ok).unwrap_or_default()).await
        }
        _ => return with_text(404, "there are /healthz, /readyz and /metrics"),
    };
    let status = match page.status {
        PageStatus::Good => 200,
        PageStatus::Unavailable => 503,
        PageStatus::Failed => 500,
    };
    with_body(status, page.content_type, page.body)
}

fn with_text(status: u16, text: &str) -> (ResponseHead, String) {
    with_body(status, TEXT, format!("{text}\n"))
}

fn with_body(status: u16, content_type: &str, body: String) -> (ResponseHead, String) {
    let length = body.len();
    let mut response =
        ResponseHead { status, body: BodyLength::Known(length as u64), ..ResponseHead::default() };
    response.fields.push(b"cache-control", b"no-store");
    response.fields.push(b"content-type", content_type.as_bytes());
    response.fields.push(b"content-length", length.to_string().as_bytes());
    (response, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Page;

    struct TestPages;

    impl Pages for TestPages {
        async fn health(&self) -> Page {
            Page::text(PageStatus::Good, "alive")
        }

        async fn readiness(&self) -> Page {
            Page::text(PageStatus::Unavailable, "draining")
        }

        async fn metrics(&self, accept: &str) -> Page {
            Page { status: PageStatus::Failed, content_type: "text/x", body: accept.to_owned() }
        }
    }

    async fn ask(method: &str, path: &str) -> (ResponseHead, String) {
        let mut request = RequestHead::default();
        request.method.extend_from_slice(method.as_bytes());
        request.path.extend_from_slice(path.as_bytes());
        request.fields.push(b"accept", b"a format");
        response(&request, &TestPages).await
    }

    #[tokio::test]
    async fn each_path_has_its_page() {
        for (path, status, kind, body) in [
            ("/healthz", 200, "text/plain; charset=utf-8", "alive\n"),
            ("/readyz?full", 503, "text/plain; charset=utf-8", "draining\n"),
            ("/metrics", 500, "text/x", "a format"),
        ] {
            let (response, text) = ask("GET", path).await;
            assert_eq!((response.status, text.as_str()), (status, body));
            let first = |name: &str| response.fields.first(name.as_bytes());
            assert_eq!(first("content-type"), Some(kind.as_bytes()));
            assert_eq!(first("cache-control"), Some(&b"no-store"[..]));
        }
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        assert_eq!(ask("GET", "/").await.0.status, 404);
        let (response, _) = ask("POST", "/healthz").await;
        let allowed = response.fields.first(b"allow");
        assert_eq!((response.status, allowed), (405, Some(&b"GET, HEAD"[..])));
    }

    #[tokio::test]
    async fn each_connection_has_one_answer_and_malformed_requests_have_their_reason() {
        for (request, head, body) in [
            ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", "200 OK", "alive\n"),
            ("HEAD /healthz HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\n"),
            ("GET /healthz HTTP/1.1\n\n", "400 Bad Request", "a line does not end in CR LF\n"),
        ] {
            let (mut client, stream) = tokio::io::duplex(4096);
            client.write_all(request.as_bytes()).await.unwrap();
            serve(Box::new(stream), &TestPages).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {head}\r\n")), "{answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert!(answer.ends_with(body) && answer.matches("HTTP/1.1").count() == 1, "{answer}");
        }
    }
}
