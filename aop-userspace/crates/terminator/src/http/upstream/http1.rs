//! An HTTP/1.1 connection to an upstream.
//!
//! It has no task of its own: the task of the peer's connection that uses it polls it, so a request
//! crosses no thread. No task polls an idle connection in the pool; the pool checks whether it is
//! still open before reuse.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::{co_polling::Attention, request_body::Inbound, upstream::pool::Pool};
use crate::upstream::UpstreamStream;

/// A connection, idle or in use.
pub(crate) struct Line {
    sender: SendRequest<Inbound>,
    connection: Connection<TokioIo<UpstreamStream>, Inbound>,
    state: State,
    attention: Attention,
    since: Instant,
    purpose: Purpose,
}

/// Which requests a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Any,
    /// Only the request that it was opened for.
    One,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Standing,
    /// It has ended and must not be polled again.
    Ended,
}

/// A connection whose response is being read.
pub(crate) struct Busy {
    incoming: Incoming,
    line: Option<Line>,
    pool: Arc<Pool>,
}

/// The outcome of sending a request.
pub(crate) enum Sent {
    /// The head of the response.
    Answered(Response<Incoming>),
    /// No byte of the request was written.
    Unsent(Box<Request<Inbound>>),
    /// There will be no response; hyper may give the cause.
    Failed(Option<hyper::Error>),
}

impl Line {
    pub(crate) async fn open(stream: UpstreamStream, purpose: Purpose) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let attention = Attention::new();
        let (state, since) = (State::Standing, Instant::now());
        Ok(Self { sender, connection, state, attention, since, purpose })
    }

    /// How long it has been idle.
    pub(crate) fn rested(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it can take a request, as far as that is known without a write.
    pub(crate) fn stands(&mut self, context: &mut Context<'_>) -> bool {
        let Self { sender, connection, state, attention, .. } = self;
        let polled = attention.poll(context, |context| {
            drive(connection, state, context);
            Poll::Ready(*state == State::Standing && sender.is_ready())
        });
        polled == Poll::Ready(true)
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn send(&mut self, request: Request<Inbound>) -> Sent {
        let mut answer = pin!(self.sender.try_send_request(request));
        let Self { connection, state, attention, .. } = self;
        let sent = poll_fn(|context| {
            attention.poll(context, |context| {
                drive(connection, state, context);
                let polled = answer.as_mut().poll(context);
                match polled.is_pending() && *state == State::Ended {
                    true => Poll::Ready(None),
                    false => polled.map(Some),
                }
            })
        });
        match sent.await {
            Some(Ok(response)) => Sent::Answered(response),
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => Sent::Unsent(Box::new(request)),
                None => Sent::Failed(Some(error.into_error())),
            },
            None => Sent::Failed(None),
        }
    }

    /// The underlying stream, and the bytes that were read beyond the response.
    pub(crate) fn into_parts(self) -> (UpstreamStream, Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

fn drive(
    connection: &mut Connection<TokioIo<UpstreamStream>, Inbound>,
    state: &mut State,
    context: &mut Context<'_>,
) {
    if *state == State::Standing && connection.poll_without_shutdown(context).is_ready() {
        *state = State::Ended;
    }
}

impl Busy {
    /// A connection with a response, whose body may have ended already.
    pub(crate) async fn new(incoming: Incoming, line: Line, pool: Arc<Pool>) -> Self {
        let mut busy = Self { incoming, line: Some(line), pool };
        if busy.incoming.is_end_stream() {
            poll_fn(|context| {
                busy.settle(context);
                Poll::Ready(())
            })
            .await;
        }
        busy
    }

    pub(crate) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let incoming = &mut self.incoming;
        let polled = match &mut self.line {
            None => Pin::new(incoming).poll_frame(context),
            Some(Line { connection, state, attention, .. }) => attention.poll(context, |context| {
                let polled = Pin::new(&mut *incoming).poll_frame(context);
                if polled.is_ready() {
                    return polled;
                }
                drive(connection, state, context);
                Pin::new(&mut *incoming).poll_frame(context)
            }),
        };
        // hyper does not poll past the end of a body with a known length.
        if matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.settle(context);
        }
        polled
    }

    /// Returns the connection to the pool if it can take another request.
    fn settle(&mut self, context: &mut Context<'_>) {
        if let Some(mut line) = self.line.take()
            && line.purpose == Purpose::Any
            && line.stands(context)
        {
            line.since = Instant::now();
            self.pool.put(line);
        }
    }
}
