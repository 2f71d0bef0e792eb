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

use crate::http::{co_polling::CoPolling, request_body::RequestBody, upstream::pool::Pool};
use crate::upstream::UpstreamStream;

/// A connection, idle or in use.
pub(in crate::http) struct Http1Connection {
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<UpstreamStream>, RequestBody>,
    state: ConnectionState,
    co_polling: CoPolling,
    since: Instant,
    reuse: Reuse,
}

/// Whether more than one request may use a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Reuse {
    Allowed,
    Forbidden,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    Open,
    /// It has ended and must not be polled again.
    Ended,
}

/// A connection whose response is being read.
pub(in crate::http) struct RespondingConnection {
    incoming: Incoming,
    connection: Option<Http1Connection>,
    pool: Arc<Pool>,
}

/// The outcome of sending a request.
pub(in crate::http) enum SendOutcome {
    /// The head of the response.
    Responded(Response<Incoming>),
    /// No byte of the request was written.
    Unsent(Box<Request<RequestBody>>),
    /// There will be no response; hyper may give the cause.
    Failed(Option<hyper::Error>),
}

impl Http1Connection {
    pub(in crate::http) async fn open(stream: UpstreamStream, reuse: Reuse) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let co_polling = CoPolling::new();
        let (state, since) = (ConnectionState::Open, Instant::now());
        Ok(Self { sender, connection, state, co_polling, since, reuse })
    }

    /// How long it has been idle.
    pub(in crate::http) fn idle_time(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it can take a request, as far as that is known without a write.
    pub(in crate::http) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        let Self { sender, connection, state, co_polling, .. } = self;
        let polled = co_polling.poll(context, |context| {
            drive(connection, state, context);
            Poll::Ready(*state == ConnectionState::Open && sender.is_ready())
        });
        polled == Poll::Ready(true)
    }

    /// Sends a request and waits for the head of the response.
    pub(in crate::http) async fn send(&mut self, request: Request<RequestBody>) -> SendOutcome {
        let mut answer = pin!(self.sender.try_send_request(request));
        let Self { connection, state, co_polling, .. } = self;
        let sent = poll_fn(|context| {
            co_polling.poll(context, |context| {
                drive(connection, state, context);
                let polled = answer.as_mut().poll(context);
                match polled.is_pending() && *state == ConnectionState::Ended {
                    true => Poll::Ready(None),
                    false => polled.map(Some),
                }
            })
        });
        match sent.await {
            Some(Ok(response)) => SendOutcome::Responded(response),
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => SendOutcome::Unsent(Box::new(request)),
                None => SendOutcome::Failed(Some(error.into_error())),
            },
            None => SendOutcome::Failed(None),
        }
    }

    /// The underlying stream, and the bytes that were read beyond the response.
    pub(in crate::http) fn into_parts(self) -> (UpstreamStream, Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

fn drive(
    connection: &mut Connection<TokioIo<UpstreamStream>, RequestBody>,
    state: &mut ConnectionState,
    context: &mut Context<'_>,
) {
    if *state == ConnectionState::Open && connection.poll_without_shutdown(context).is_ready() {
        *state = ConnectionState::Ended;
    }
}

impl RespondingConnection {
    /// A connection with a response, whose body may have ended already.
    pub(in crate::http) async fn new(
        incoming: Incoming,
        connection: Http1Connection,
        pool: Arc<Pool>,
    ) -> Self {
        let mut responding = Self { incoming, connection: Some(connection), pool };
        if responding.incoming.is_end_stream() {
            poll_fn(|context| {
                responding.return_to_pool(context);
                Poll::Ready(())
            })
            .await;
        }
        responding
    }

    pub(in crate::http) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    pub(in crate::http) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let incoming = &mut self.incoming;
        let polled = match &mut self.connection {
            None => Pin::new(incoming).poll_frame(context),
            Some(Http1Connection { connection, state, co_polling, .. }) => {
                co_polling.poll(context, |context| {
                    let polled = Pin::new(&mut *incoming).poll_frame(context);
                    if polled.is_ready() {
                        return polled;
                    }
                    drive(connection, state, context);
                    Pin::new(&mut *incoming).poll_frame(context)
                })
            }
        };
        // hyper does not poll past the end of a body with a known length.
        if matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.return_to_pool(context);
        }
        polled
    }

    /// Returns the connection to the pool if it can take another request.
    fn return_to_pool(&mut self, context: &mut Context<'_>) {
        if let Some(mut connection) = self.connection.take()
            && connection.reuse == Reuse::Allowed
            && connection.is_usable(context)
        {
            connection.since = Instant::now();
            self.pool.put(connection);
        }
    }
}
