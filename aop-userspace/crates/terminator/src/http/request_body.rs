//! The body of a request on its way to the upstream.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::headers;

/// A request's body.
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    /// `None` for an empty body.
    progress: Option<Arc<BodyProgress>>,
}

/// The progress of a body.
#[derive(Debug, Default)]
pub(super) struct BodyProgress {
    frames: AtomicU64,
    broken: AtomicBool,
}

impl BodyProgress {
    /// The number of frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Whether the body failed: the peer left, or sent a malformed body.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        let incoming = Some(incoming).filter(|incoming| !incoming.is_end_stream());
        let progress = incoming.as_ref().map(|_| Arc::default());
        Self { incoming, progress }
    }

    pub(super) fn empty() -> Self {
        Self { incoming: None, progress: None }
    }

    pub(super) fn progress(&self) -> Option<Arc<BodyProgress>> {
        self.progress.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, progress } = &mut *self;
        let Some(incoming) = incoming else { return Poll::Ready(None) };
        let mut frame = ready!(Pin::new(incoming).poll_frame(context));
        if let Some(progress) = progress {
            match &frame {
                Some(Ok(_)) => drop(progress.frames.fetch_add(1, Relaxed)),
                Some(Err(_)) => progress.broken.store(true, Relaxed),
                None => {}
            }
        }
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            headers::clean_trailers(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
