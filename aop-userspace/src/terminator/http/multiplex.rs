//! The one connection of HTTP/2 that all requests to an upstream share.

use std::future::Future;

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::{
    denial::Denial,
    inbound::Inbound,
    pool::{Patience, blame, in_time},
    serve::LONGEST_HEAD,
};
use crate::terminator::upstream::Connected;

/// The connection, opened when it is wanted and again after it has ended.
pub(super) struct Multiplex {
    sender: Mutex<Option<SendRequest<Inbound>>>,
    tasks: TaskTracker,
}

impl Multiplex {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self { sender: Mutex::default(), tasks }
    }

    /// Sends a request, over a connection that `connect` makes if there is none.
    pub(super) async fn send<F>(
        &self,
        mut request: Request<Inbound>,
        patience: Patience,
        connect: impl Fn() -> F,
    ) -> Result<Response<Incoming>, Denial>
    where
        F: Future<Output = Result<Connected, Denial>>,
    {
        let progress = request.body().progress();
        // Once more, where the connection had ended before it took the request.
        for _ in 0..2 {
            let mut sender = self.sender(&connect).await?;
            let sending = sender.try_send_request(request);
            match in_time(sending, patience.answer, progress.as_deref()).await? {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        let error = error.into_error();
                        tracing::debug!(%error, "no answer");
                        return Err(blame(progress.as_deref()));
                    }
                },
            }
        }
        Err(Denial::UpstreamBroken)
    }

    async fn sender<F>(&self, connect: impl Fn() -> F) -> Result<SendRequest<Inbound>, Denial>
    where
        F: Future<Output = Result<Connected, Denial>>,
    {
        let mut sender = self.sender.lock().await;
        if let Some(standing) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(standing.clone());
        }
        let stream = TokioIo::new(connect().await?);
        let (fresh, connection) = http2::Builder::new(Spawner(self.tasks.clone()))
            .timer(TokioTimer::new())
            .max_header_list_size(LONGEST_HEAD)
            .handshake(stream)
            .await
            .map_err(|_| Denial::UpstreamBroken)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the shared connection to an upstream broke");
            }
        });
        Ok(sender.insert(fresh).clone())
    }
}

/// hyper's way to the tracker.
#[derive(Clone)]
struct Spawner(TaskTracker);

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
