//! One connection of a client: one request, one page. All that knows HTTP is here.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

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
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let pages = pages.clone();
                async move { Ok::<_, Infallible>(response(&request, &*pages).await) }
            }),
        );
    // A client that hangs or disconnects is no error of the daemon.
    match timeout(LONGEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}

/// Answers a request. Only reading is possible.
async fn response<B>(request: &Request<B>, pages: &impl Pages) -> Response<String> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = with_text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let page = match request.uri().path() {
        "/healthz" => pages.health().await,
        "/readyz" => pages.readiness().await,
        "/metrics" => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            pages.metrics(accept.unwrap_or_default()).await
        }
        _ => return with_text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics"),
    };
    let status = match page.status {
        PageStatus::Good => StatusCode::OK,
        PageStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        PageStatus::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    with_body(status, page.content_type, page.body)
}

fn with_text(status: StatusCode, text: &str) -> Response<String> {
    with_body(status, TEXT, format!("{text}\n"))
}

fn with_body(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
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

    async fn ask(method: Method, path: &str) -> (u16, Response<String>) {
        let request = Request::builder().method(method).uri(path).header(ACCEPT, "a format");
        let response = response(&request.body(()).unwrap(), &TestPages).await;
        (response.status().as_u16(), response)
    }

    #[tokio::test]
    async fn each_path_has_its_page() {
        for (path, status, kind, body) in [
            ("/healthz", 200, "text/plain; charset=utf-8", "alive\n"),
            ("/readyz?full", 503, "text/plain; charset=utf-8", "draining\n"),
            ("/metrics", 500, "text/x", "a format"),
        ] {
            let (answered, response) = ask(Method::GET, path).await;
            assert_eq!((answered, response.body().as_str()), (status, body));
            assert_eq!(response.headers()[CONTENT_TYPE], kind);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        assert_eq!(ask(Method::GET, "/").await.0, 404);
        let (answered, response) = ask(Method::POST, "/healthz").await;
        assert_eq!((answered, &response.headers()[ALLOW]), (405, &"GET, HEAD".parse().unwrap()));
    }
}
