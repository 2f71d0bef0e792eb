//! The pages of the monitor.

use std::{convert::Infallible, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName},
};

use super::{
    liveness::LivenessProbe,
    metrics::{Format, Metrics},
    readiness::Readiness,
};
use crate::Daemon;

/// All pages of one daemon.
pub(super) struct Pages {
    probe: LivenessProbe,
    readiness: Readiness,
    metrics: Metrics,
}

impl Pages {
    pub(super) fn new(daemon: Arc<Daemon>, probe: LivenessProbe) -> Self {
        let metrics = Metrics::new(Arc::clone(&daemon));
        Self { probe, readiness: Readiness::new(daemon), metrics }
    }

    /// Answers a request. Only reading is possible.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
    ) -> Result<Response<String>, Infallible> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
            return Ok(with(refused, ALLOW, "GET, HEAD"));
        }
        Ok(match request.uri().path() {
            "/healthz" => match self.probe.is_answered().await {
                true => text(StatusCode::OK, "alive"),
                false => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "the daemon's main loop does not answer")
                }
            },
            "/readyz" => match self.readiness.obstacles().await.as_slice() {
                [] => text(StatusCode::OK, "ready"),
                obstacles => text(StatusCode::SERVICE_UNAVAILABLE, &obstacles.join("\n")),
            },
            "/metrics" => {
                let format = Format::accepted(request.headers().get(ACCEPT));
                let ready = self.readiness.obstacles().await.is_empty();
                match self.metrics.page(format, ready).await {
                    Ok(page) => with(plain(page), CONTENT_TYPE, format.content_type()),
                    Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
                }
            }
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics"),
        })
    }
}

fn text(status: StatusCode, text: &str) -> Response<String> {
    let mut response = plain(format!("{text}\n"));
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn plain(body: String) -> Response<String> {
    with(Response::new(body), CACHE_CONTROL, "no-store")
}

fn with(mut response: Response<String>, name: HeaderName, value: &'static str) -> Response<String> {
    response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    response
}
