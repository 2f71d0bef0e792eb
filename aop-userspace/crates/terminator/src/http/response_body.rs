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

use super::{denial::Denial, request_handler::Open, upstream::Busy};

/// The body of a response. Dropping it ends the request.
pub(super) struct Answer {
    source: Source,
    _slot: Option<OwnedSemaphorePermit>,
    open: Open,
}

/// The source of the bytes.
pub(super) enum Source {
    /// A text of aop.
    Text(Option<Bytes>),
    /// An HTTP/1 connection, which this body polls.
    Line(Box<Busy>),
    /// A stream of a shared HTTP/2 connection.
    Stream(Incoming),
}

impl Answer {
    pub(super) fn new(source: Source, slot: Option<OwnedSemaphorePermit>, open: Open) -> Self {
        Self { source, _slot: slot, open: open.begin() }
    }

    /// An empty body.
    pub(super) fn empty(open: Open) -> Self {
        Self::new(Source::Text(None), None, open)
    }

    /// A plain text with the reason for which the upstream did not answer.
    pub(super) fn denied(denial: Denial, open: Open) -> Response<Self> {
        let text = Bytes::from_static(denial.text().as_bytes());
        let mut response = Response::new(Self::new(Source::Text(Some(text)), None, open));
        *response.status_mut() = denial.status();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.source {
            Source::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Source::Line(busy) => busy.poll_frame(context),
            Source::Stream(incoming) => Pin::new(incoming).poll_frame(context),
        };
        if polled.is_ready() {
            self.open.beat();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Text(text) => text.is_none(),
            Source::Line(busy) => busy.incoming().is_end_stream(),
            Source::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Source::Line(busy) => busy.incoming().size_hint(),
            Source::Stream(incoming) => incoming.size_hint(),
        }
    }
}
