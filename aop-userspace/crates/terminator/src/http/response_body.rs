//! The response body: the upstream's body as it arrives, or a short text of aop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{
    Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::OwnedSemaphorePermit;

use super::{denial::Denial, request_handler::OpenRequest, upstream::RespondingConnection};

/// The body of a response. Dropping it ends the request.
pub(super) struct ResponseBody {
    source: BodySource,
    _slot: Option<OwnedSemaphorePermit>,
    open: OpenRequest,
}

/// The source of the bytes.
pub(super) enum BodySource {
    /// A text of aop.
    Text(Option<Bytes>),
    /// An HTTP/1 connection, which this body polls.
    Http1(Box<RespondingConnection>),
    /// A stream of a shared HTTP/2 connection.
    Http2(Incoming),
}

impl ResponseBody {
    pub(super) fn new(
        source: BodySource,
        slot: Option<OwnedSemaphorePermit>,
        open: OpenRequest,
    ) -> Self {
        Self { source, _slot: slot, open: open.begin() }
    }

    /// An empty body.
    pub(super) fn empty(open: OpenRequest) -> Self {
        Self::new(BodySource::Text(None), None, open)
    }

    /// A plain text with the reason for which the upstream did not answer.
    pub(super) fn denied(denial: Denial, open: OpenRequest) -> Response<Self> {
        let text = Bytes::from_static(denial.text().as_bytes());
        let mut response = Response::new(Self::new(BodySource::Text(Some(text)), None, open));
        *response.status_mut() = denial.status();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.source {
            BodySource::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            BodySource::Http1(responding) => responding.poll_frame(context),
            BodySource::Http2(incoming) => Pin::new(incoming).poll_frame(context),
        };
        if polled.is_ready() {
            self.open.record_progress();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            BodySource::Text(text) => text.is_none(),
            BodySource::Http1(responding) => responding.incoming().is_end_stream(),
            BodySource::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            BodySource::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64)
            }
            BodySource::Http1(responding) => responding.incoming().size_hint(),
            BodySource::Http2(incoming) => incoming.size_hint(),
        }
    }
}
