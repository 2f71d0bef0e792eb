//! What is answered, page by page.

use std::{convert::Infallible, sync::Arc};

use hyper::{
    Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName},
};

use super::{pulse::Pulse, readiness::Readiness};
use crate::daemon::Daemon;

/// All pages about one daemon.
pub(super) struct Pages {
    pulse: Pulse,
    readiness: Readiness,
}

impl Pages {
    pub(super) fn new(daemon: Arc<Daemon>, pulse: Pulse) -> Self {
        Self { pulse, readiness: Readiness::of(daemon) }
    }

    /// The page at `path`. Only reading is possible.
    pub(super) async fn answer(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<Response<String>, Infallible> {
        if ![Method::GET, Method::HEAD].contains(method) {
            let refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
            return Ok(with(refused, ALLOW, "GET, HEAD"));
        }
        Ok(match path {
            "/healthz" => match self.pulse.beats().await {
                true => text(StatusCode::OK, "alive"),
                false => text(StatusCode::SERVICE_UNAVAILABLE, "the daemon's loop stands still"),
            },
            "/readyz" => match self.readiness.obstacles().await.as_slice() {
                [] => text(StatusCode::OK, "ready"),
                obstacles => text(StatusCode::SERVICE_UNAVAILABLE, &obstacles.join("\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /healthz and /readyz"),
        })
    }
}

fn text(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(format!("{text}\n"));
    *response.status_mut() = status;
    let response = with(response, CONTENT_TYPE, "text/plain; charset=utf-8");
    with(response, CACHE_CONTROL, "no-store")
}

fn with(mut response: Response<String>, name: HeaderName, value: &'static str) -> Response<String> {
    response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    response
}
