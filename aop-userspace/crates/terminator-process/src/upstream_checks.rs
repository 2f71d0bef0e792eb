//! Health checks of upstreams: checks periodically whether the upstreams of sites with an
//! `upstream_check` work.
//!
//! The terminator process does this, not the daemon, since the answers come from the network. The
//! results are only reported: pulls are relayed to an upstream that fails its check as to any
//! other.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_api::UpstreamReport;
use aop_config::{
    HostPattern, HttpUpstream, HttpVersion, SiteConfig, Upstream, UpstreamAddress, UpstreamCheck,
};
use aop_terminator::{UpstreamStream, dial};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::{http1, http2},
    header::{CONNECTION, HOST, USER_AGENT},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// Pause between two rounds of checks.
const ROUND: Duration = Duration::from_secs(5);
/// Time limit of one check.
const PATIENCE: Duration = Duration::from_secs(2);
/// Checks that run at the same time.
const AT_ONCE: usize = 32;

/// The checks of the sites that are served. Dropping it ends them.
pub(super) struct Checks {
    desk: Arc<Desk>,
    _end: DropGuard,
}

#[derive(Default)]
struct Desk {
    book: Mutex<Book>,
    renewed: Notify,
}

/// The checks, the sites that need them, and the results.
#[derive(Default)]
struct Book {
    sites: Vec<(String, String, Question)>,
    asked: HashMap<Question, Asked>,
}

/// The first site that needs a check, and the last result.
struct Asked {
    site: String,
    upstream: String,
    found: Option<Result<(), String>>,
}

/// A check. Several sites often share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Question {
    Connects(UpstreamAddress),
    Answers { upstream: HttpUpstream, host: String, path: String },
}

impl Checks {
    /// Starts the checks of `sites`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn start(sites: &[SiteConfig]) -> Self {
        let (desk, end) = (Arc::new(Desk::default()), CancellationToken::new());
        let checks = Self { desk: desk.clone(), _end: end.clone().drop_guard() };
        checks.follow(sites);
        // The task ends when the checks are dropped.
        TaskTracker::new().spawn(end.run_until_cancelled_owned(desk.tend()));
        checks
    }

    /// Replaces the checks by those of `sites`. Keeps the results of checks that stay.
    pub(super) fn follow(&self, sites: &[SiteConfig]) {
        let check = |site: &SiteConfig| {
            let question = Question::about(site)?;
            Some((site.name.clone(), site.upstream.to_string(), question))
        };
        let sites: Vec<_> = sites.iter().filter_map(check).collect();
        let mut book = self.desk.book();
        let mut asked = HashMap::new();
        for (site, upstream, question) in &sites {
            let known = book.asked.remove(question);
            asked.entry(question.clone()).or_insert_with(|| Asked {
                site: site.clone(),
                upstream: upstream.clone(),
                found: known.and_then(|known| known.found),
            });
        }
        *book = Book { sites, asked };
        drop(book);
        self.desk.renewed.notify_one();
    }

    /// The result for each site with a check.
    pub(super) fn report(&self) -> Vec<UpstreamReport> {
        let book = self.desk.book();
        let report = |(site, upstream, question): &(String, String, Question)| {
            let found = book.asked.get(question).and_then(|asked| asked.found.as_ref());
            UpstreamReport {
                site: site.clone(),
                upstream: upstream.clone(),
                good: found.map(Result::is_ok),
                error: found.and_then(|found| found.clone().err()),
            }
        };
        book.sites.iter().map(report).collect()
    }
}

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        // No holder of the lock leaves a partial change behind, so a poisoned lock is usable.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tend(self: Arc<Self>) {
        loop {
            self.ask_all().await;
            tokio::select! {
                () = sleep(ROUND) => {}
                () = self.renewed.notified() => {}
            }
        }
    }

    async fn ask_all(&self) {
        let questions: Vec<Question> = self.book().asked.keys().cloned().collect();
        let (mut left, mut asking) = (questions.into_iter(), JoinSet::new());
        loop {
            while asking.len() < AT_ONCE
                && let Some(question) = left.next()
            {
                asking.spawn(async move {
                    let answer = question.ask().await;
                    (question, answer)
                });
            }
            match asking.join_next().await {
                None => return,
                Some(Ok((question, answer))) => self.note(&question, answer),
                Some(Err(error)) => tracing::error!("an upstream check did not finish: {error}"),
            }
        }
    }

    fn note(&self, question: &Question, answer: Result<(), String>) {
        let mut book = self.book();
        // A reload may have removed the check in the meantime.
        let Some(Asked { site, upstream, found }) = book.asked.get_mut(question) else { return };
        match (&*found, &answer) {
            (Some(Ok(())) | None, Err(error)) => {
                tracing::warn!(%site, %upstream, %error, "an upstream fails its check");
            }
            (Some(Err(_)), Ok(())) => {
                tracing::info!(%site, %upstream, "an upstream passes its check again");
            }
            (Some(Err(_)), Err(_)) | (Some(Ok(())) | None, Ok(())) => {}
        }
        *found = Some(answer);
    }
}

impl Question {
    fn about(site: &SiteConfig) -> Option<Self> {
        Some(match (site.check.as_ref()?, &site.upstream) {
            (UpstreamCheck::Answers(path), Upstream::Http(http)) => Self::Answers {
                upstream: http.upstream.clone(),
                host: host(&site.hosts),
                path: path.clone(),
            },
            (UpstreamCheck::Connects, Upstream::Http(http)) => {
                Self::Connects(http.upstream.address.clone())
            }
            // The configuration allows no path for an upstream that takes bytes.
            (UpstreamCheck::Connects | UpstreamCheck::Answers(_), Upstream::Bytes(address)) => {
                Self::Connects(address.clone())
            }
        })
    }

    async fn ask(&self) -> Result<(), String> {
        let address = match self {
            Self::Connects(address) => address,
            Self::Answers { upstream, .. } => &upstream.address,
        };
        let check = async {
            let stream =
                dial(address).await.map_err(|error| format!("it cannot be reached: {error}"))?;
            let Self::Answers { upstream, host, path } = self else { return Ok(()) };
            let answer = match upstream.version {
                HttpVersion::Http1 => over_http1(stream, host, path).await,
                HttpVersion::H2c => over_http2(stream, host, path).await,
            };
            let status = answer.map_err(|error| format!("GET {path}: {error}"))?.status();
            match status.is_success() || status.is_redirection() {
                true => Ok(()),
                false => Err(format!("GET {path}: it answers {}", status.as_u16())),
            }
        };
        let late = |_| Err(format!("no answer within {PATIENCE:?}"));
        timeout(PATIENCE, check).await.unwrap_or_else(late)
    }
}

/// The host of the request: the first host of the site, without a star.
fn host(hosts: &[HostPattern]) -> String {
    match hosts.first() {
        Some(HostPattern::Exact(host) | HostPattern::Below(host)) => host.to_string(),
        None => String::new(),
    }
}

const AGENT: &str = concat!("aop/", env!("CARGO_PKG_VERSION"), " (upstream check)");

async fn over_http1(
    stream: UpstreamStream,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(String::new())?;
    let (mut answer, connection) = (pin!(sender.send_request(request)), pin!(connection));
    Ok(tokio::select! {
        answer = &mut answer => answer?,
        // The connection ended: the answer has arrived, or none will.
        _ = connection => answer.await?,
    })
}

async fn over_http2(
    stream: UpstreamStream,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let tasks = Tied::default();
    let (mut sender, connection) = http2::handshake(tasks.clone(), TokioIo::new(stream)).await?;
    tasks.execute(async move {
        // The request reports the same error.
        connection.await.ok();
    });
    let uri = Uri::builder().scheme("http").authority(host).path_and_query(path).build()?;
    let request = Request::get(uri).header(USER_AGENT, AGENT).body(String::new())?;
    Ok(sender.send_request(request).await?)
}

/// The tasks of one connection. Dropping the last handle ends them.
#[derive(Clone, Default)]
struct Tied(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tied
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
    }
}

#[cfg(test)]
mod tests;
