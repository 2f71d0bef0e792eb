//! The HTTP/2 connection that all requests of a worker to an upstream share.

use std::{future::Future, time::Duration};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Mutex, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::http::{
    denial::Denial,
    request_body::RequestBody,
    serve::{LONGEST_HEAD, STREAM_WINDOW},
    upstream::pool::{RequestTimeouts, denial_for, within_progress},
};
use crate::upstream::UpstreamStream;

/// The largest flow-control window (RFC 9113, 6.9.1).
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// The time for unused connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The connection. It is opened on demand, and again after it has ended.
pub(in crate::http) struct Http2Connection {
    sender: Mutex<Option<SendRequest<RequestBody>>>,
    tasks: ConnectionTasks,
    /// The flow-control window of the connection, for all requests together.
    window: u32,
}

impl Http2Connection {
    /// A connection for at most `requests` at once.
    pub(in crate::http) fn new(tasks: ConnectionTasks, requests: usize) -> Self {
        // The window has room for every request, so that peers that do not read block no others.
        let window = STREAM_WINDOW.saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX));
        Self { sender: Mutex::default(), tasks, window: window.min(LARGEST_WINDOW) }
    }

    /// Sends a request; `connect` opens the connection if there is none.
    pub(in crate::http) async fn send<F>(
        &self,
        mut request: Request<RequestBody>,
        timeouts: RequestTimeouts,
        connect: impl Fn() -> F,
    ) -> Result<Response<Incoming>, Denial>
    where
        F: Future<Output = Result<UpstreamStream, Denial>>,
    {
        let progress = request.body().progress();
        // The second attempt is for a connection that ended before it took the request.
        for _ in 0..2 {
            let mut sender = self.sender(timeouts, &connect).await?;
            let sending = sender.try_send_request(request);
            match within_progress(sending, timeouts.answer, progress.as_deref()).await? {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        let error = error.into_error();
                        tracing::debug!(%error, "no response");
                        return Err(denial_for(progress.as_deref()));
                    }
                },
            }
        }
        Err(Denial::UpstreamBroken)
    }

    async fn sender<F>(
        &self,
        timeouts: RequestTimeouts,
        connect: impl Fn() -> F,
    ) -> Result<SendRequest<RequestBody>, Denial>
    where
        F: Future<Output = Result<UpstreamStream, Denial>>,
    {
        // One request connects, and the others wait for it. The timeout bounds the wait: otherwise
        // each request would wait for all attempts before its own.
        let waiting = timeout(timeouts.connect, self.sender.lock()).await;
        let mut sender = waiting.map_err(|_| Denial::UpstreamLate)?;
        if let Some(open) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(open.clone());
        }
        let stream = TokioIo::new(connect().await?);
        let (opened, connection) = http2::Builder::new(self.tasks.clone())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(self.window)
            .max_header_list_size(LONGEST_HEAD)
            .handshake(stream)
            .await
            .map_err(|_| Denial::UpstreamBroken)?;
        self.tasks.execute(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the shared connection to an upstream failed");
            }
        });
        Ok(sender.insert(opened).clone())
    }
}

/// The tasks of shared connections, and the token that cuts them.
#[derive(Clone, Default)]
pub(in crate::http) struct ConnectionTasks {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl ConnectionTasks {
    /// Waits until all tasks have ended, and cuts the remaining ones after `CLOSE_TIMEOUT`: an
    /// upstream that reads nothing would keep them for ever.
    pub(in crate::http) async fn close(&self) {
        self.tasks.close();
        if timeout(CLOSE_TIMEOUT, self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

impl<F> Executor<F> for ConnectionTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(future));
    }
}
