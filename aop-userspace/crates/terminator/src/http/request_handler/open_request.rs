//! An open request: counted from its head until its response body is dropped.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use hyper::http::HeaderValue;

use super::HttpRequestHandler;
use crate::http::{progress_timeout::ResponseProgress, request_body::BodyProgress};

/// An open request.
pub(in crate::http) struct OpenRequest {
    handler: Arc<HttpRequestHandler>,
    /// The progress of its body, if it has one.
    pub(super) upload: Option<Arc<BodyProgress>>,
    /// Its CF-Ray: Cloudflare's identifier of the request.
    pub(super) ray: Option<HeaderValue>,
    /// The host of a refused request, escaped for the log.
    pub(super) host: Option<String>,
    /// The progress of its response, once that has begun.
    progress: Option<Arc<ResponseProgress>>,
}

impl OpenRequest {
    /// A request of `handler` that begins.
    pub(super) fn new(handler: Arc<HttpRequestHandler>, ray: Option<HeaderValue>) -> Self {
        handler.open.fetch_add(1, Relaxed);
        Self { handler, upload: None, ray, host: None, progress: None }
    }

    /// The same request, now that its response begins.
    pub(in crate::http) fn begin(mut self) -> Self {
        self.handler.responding.fetch_add(1, Relaxed);
        self.progress = Some(self.handler.responses.begin(self.upload.take(), self.ray.clone()));
        self
    }

    /// Records progress: the peer took a part of the response.
    pub(in crate::http) fn record_progress(&self) {
        if let Some(progress) = &self.progress {
            progress.record_progress();
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let handler = &self.handler;
        if let Some(progress) = &self.progress {
            handler.responses.end(progress);
            handler.responding.fetch_sub(1, Relaxed);
        }
        let now = handler.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        handler.idle_since.store(now, Relaxed);
        handler.open.fetch_sub(1, Relaxed);
    }
}
