//! One connection of a client: one request, one page. All that knows HTTP is here.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use aop_config::StatusPage;
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
    page::{Pages, TEXT},
    request_host::names_this_host,
    status_page::{DATA_PATH, DATA_POLICY, PAGE, PAGE_POLICY, PAGE_TYPE},
};

/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const LONGEST: Duration = Duration::from_secs(10);
/// Greatest size of a head in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// The result of one request.
type Response = (ResponseHead, Cow<'static, str>);

pub(super) async fn answer(
    stream: Box<dyn MonitorStream>,
    pages: Arc<impl Pages>,
    page: StatusPage,
) {
    // A client that hangs or disconnects is no error of the daemon.
    match timeout(LONGEST, serve(stream, &*pages, page)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}

async fn serve(
    mut stream: Box<dyn MonitorStream>,
    pages: &impl Pages,
    page: StatusPage,
) -> io::Result<()> {
    let mut server = Server::default();
    let (response, body) = match timeout(HEAD, head(&mut stream, &mut server)).await? {
        Ok(()) => response(server.request_mut(), pages, page).await,
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
async fn response(request: &RequestHead, pages: &impl Pages, served: StatusPage) -> Response {
    if !matches!(&request.method[..], b"GET" | b"HEAD") {
        let (mut refused, text) = with_text(405, "only GET and HEAD");
        refused.fields.push(b"allow", b"GET, HEAD");
        return (refused, text);
    }
    let path = request.path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let page = match (path, served) {
        (b"/healthz", _) => pages.health().await,
        (b"/readyz", _) => pages.readiness().await,
        (b"/metrics", _) => {
            let accept = request.fields.first(b"accept").map(str::from_utf8);
            pages.metrics(accept.and_then(Result::ok).unwrap_or_default()).await
        }
        (b"/" | DATA_PATH, StatusPage::Served) if !names_this_host(request) => {
            return with_text(421, FOREIGN_HOST);
        }
        (b"/", StatusPage::Served) => {
            return with_policy(with_body(200, PAGE_TYPE, PAGE), &PAGE_POLICY);
        }
        (DATA_PATH, StatusPage::Served) => {
            let data = pages.overview().await;
            let response = with_body(data.status.code(), data.content_type, data.body);
            return with_policy(response, DATA_POLICY);
        }
        (b"/", StatusPage::Off) => return with_text(404, NO_PAGE),
        (_, _) => return with_text(404, "there are /healthz, /readyz and /metrics"),
    };
    with_body(page.status.code(), page.content_type, page.body)
}

/// The answer to a page of another site that reaches this one (DNS rebinding), or to a user who
/// reaches it by a name of their own.
const FOREIGN_HOST: &str = "the status page is only for requests to this host itself: open it as \
                            http://localhost, http://127.0.0.1 or http://[::1], with the port";
const NO_PAGE: &str = "there are /healthz, /readyz and /metrics; with monitor.page = true there is \
                       a status page here";

fn with_text(status: u16, text: &str) -> Response {
    with_body(status, TEXT, format!("{text}\n"))
}

fn with_body(status: u16, content_type: &str, body: impl Into<Cow<'static, str>>) -> Response {
    let body = body.into();
    let length = body.len();
    let mut response =
        ResponseHead { status, body: BodyLength::Known(length as u64), ..ResponseHead::default() };
    response.fields.push(b"cache-control", b"no-store");
    response.fields.push(b"content-type", content_type.as_bytes());
    response.fields.push(b"content-length", length.to_string().as_bytes());
    response.fields.push(b"x-content-type-options", b"nosniff");
    (response, body)
}

/// Adds what a browser may do with the response.
fn with_policy((mut response, body): Response, policy: &str) -> Response {
    response.fields.push(b"content-security-policy", policy.as_bytes());
    response.fields.push(b"cross-origin-resource-policy", b"same-origin");
    response.fields.push(b"referrer-policy", b"no-referrer");
    (response, body)
}
