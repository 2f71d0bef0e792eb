//! Asks the upstreams of sites that want it, again and again, whether they are there.
//!
//! It is here, and not in the daemon, since their answers come from the network. Nothing depends on
//! them but what is told: pulls are relayed to an upstream that fails its check as to any other.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_api::UpstreamReport;
use aop_config::{
    Address, HostPattern, HttpUpstream, HttpVersion, SiteConfig, Upstream, UpstreamCheck,
};
use aop_terminator::{Connected, dial};
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

/// How often each is asked.
const ROUND: Duration = Duration::from_secs(5);
/// For the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Asked at a time.
const AT_ONCE: usize = 32;

/// The checks of the sites that are served. They end when this is dropped.
pub(super) struct Checks {
    desk: Arc<Desk>,
    _end: DropGuard,
}

#[derive(Default)]
struct Desk {
    book: Mutex<Book>,
    renewed: Notify,
}

/// What is asked, for which sites, and what came of it.
#[derive(Default)]
struct Book {
    sites: Vec<(String, String, Question)>,
    asked: HashMap<Question, Asked>,
}

/// What is asked in the name of a site, and what came of it last.
struct Asked {
    site: String,
    upstream: String,
    found: Option<Result<(), String>>,
}

/// Sites often share what is to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Question {
    Connects(Address),
    Answers { upstream: HttpUpstream, host: String, path: String },
}

impl Checks {
    /// Begins to ask.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn start(sites: &[SiteConfig]) -> Self {
        let (desk, end) = (Arc::new(Desk::default()), CancellationToken::new());
        let checks = Self { desk: desk.clone(), _end: end.clone().drop_guard() };
        checks.follow(sites);
        // Whoever drops the checks ends it.
        TaskTracker::new().spawn(end.run_until_cancelled_owned(desk.tend()));
        checks
    }

    /// From now on those of `sites` are asked; what is known of them stays.
    pub(super) fn follow(&self, sites: &[SiteConfig]) {
        let about = |site: &SiteConfig| {
            let question = Question::about(site)?;
            Some((site.name.clone(), site.upstream.to_string(), question))
        };
        let sites: Vec<_> = sites.iter().filter_map(about).collect();
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

    /// How the upstreams stand.
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
        // Each change of it is whole.
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
                Some(Err(error)) => tracing::error!("an upstream was not checked: {error}"),
            }
        }
    }

    fn note(&self, question: &Question, answer: Result<(), String>) {
        let mut book = self.book();
        // A reload may have taken it away meanwhile.
        let Some(Asked { site, upstream, found }) = book.asked.get_mut(question) else { return };
        match (&*found, &answer) {
            (Some(Ok(())) | None, Err(error)) => {
                tracing::warn!(%site, %upstream, %error, "an upstream fails its check");
            }
            (Some(Err(_)), Ok(())) => tracing::info!(%site, %upstream, "an upstream is back"),
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
            // The configuration asks no path of what takes bytes.
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
        let asking = async {
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
        timeout(PATIENCE, asking).await.unwrap_or_else(late)
    }
}

/// The host that is asked for: the site's first, without a star.
fn host(hosts: &[HostPattern]) -> String {
    match hosts.first() {
        Some(HostPattern::Exact(host) | HostPattern::Below(host)) => host.to_string(),
        None => String::new(),
    }
}

const AGENT: &str = concat!("aop/", env!("CARGO_PKG_VERSION"), " (upstream check)");

async fn over_http1(
    stream: Connected,
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
        // Then the answer is there, or none will come.
        _ = connection => answer.await?,
    })
}

async fn over_http2(
    stream: Connected,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let tasks = Tied::default();
    let (mut sender, connection) = http2::handshake(tasks.clone(), TokioIo::new(stream)).await?;
    tasks.execute(async move {
        // What went wrong is told by the answer.
        connection.await.ok();
    });
    let uri = Uri::builder().scheme("http").authority(host).path_and_query(path).build()?;
    let request = Request::get(uri).header(USER_AGENT, AGENT).body(String::new())?;
    Ok(sender.send_request(request).await?)
}

/// The tasks of one connection, which end with it.
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
