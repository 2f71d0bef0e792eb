//! Probes of an upstream: whether it accepts a connection, or answers a request with success.
//!
//! This module runs one probe and is the only part of a check that speaks HTTP. Its user decides
//! which upstreams are checked, and when.

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use aop_config::{
    HostPattern, HttpUpstream, HttpVersion, SiteConfig, Upstream, UpstreamAddress, UpstreamCheck,
};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::{http1, http2},
    header::{CONNECTION, HOST, USER_AGENT},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::timeout};

use super::upstream::{UpstreamStream, connect};

/// The time limit of one probe.
const TIMEOUT: Duration = Duration::from_secs(2);

const AGENT: &str = concat!("aop/", env!("CARGO_PKG_VERSION"), " (upstream check)");

/// A probe of an upstream. Several sites often share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProbe {
    /// Connects, and sends nothing.
    Connect(UpstreamAddress),
    /// Sends a GET request and expects a status of success or redirection.
    Request {
        /// The upstream and its protocol.
        upstream: HttpUpstream,
        /// The host of the request.
        host: String,
        /// The path of the request.
        path: String,
    },
}

impl UpstreamProbe {
    /// The probe that `site` is configured for, if any.
    #[must_use]
    pub fn for_site(site: &SiteConfig) -> Option<Self> {
        Some(match (site.check.as_ref()?, &site.upstream) {
            (UpstreamCheck::Answers(path), Upstream::Http(http)) => Self::Request {
                upstream: http.upstream.clone(),
                host: host(&site.hosts),
                path: path.clone(),
            },
            (UpstreamCheck::Connects, Upstream::Http(http)) => {
                Self::Connect(http.upstream.address.clone())
            }
            // The configuration allows no path for an upstream that takes bytes.
            (UpstreamCheck::Connects | UpstreamCheck::Answers(_), Upstream::Bytes(address)) => {
                Self::Connect(address.clone())
            }
        })
    }

    /// Runs the probe for at most two seconds.
    ///
    /// # Errors
    /// The reason why the upstream fails, for the operator.
    pub async fn run(&self) -> Result<(), String> {
        let late = |_| Err(format!("no answer within {TIMEOUT:?}"));
        timeout(TIMEOUT, self.run_unlimited()).await.unwrap_or_else(late)
    }

    async fn run_unlimited(&self) -> Result<(), String> {
        let address = match self {
            Self::Connect(address) => address,
            Self::Request { upstream, .. } => &upstream.address,
        };
        let stream =
            connect(address).await.map_err(|error| format!("it cannot be reached: {error}"))?;
        let Self::Request { upstream, host, path } = self else { return Ok(()) };
        let response = match upstream.version {
            HttpVersion::Http1 => get_over_http1(stream, host, path).await,
            HttpVersion::H2c => get_over_http2(stream, host, path).await,
        };
        let status = response.map_err(|error| format!("GET {path}: {error}"))?.status();
        if status.is_success() || status.is_redirection() {
            Ok(())
        } else {
            Err(format!("GET {path}: it answers {}", status.as_u16()))
        }
    }
}

/// The host of the request: the first host of the site, without a star.
fn host(hosts: &[HostPattern]) -> String {
    match hosts.first() {
        Some(HostPattern::Exact(host) | HostPattern::Below(host)) => host.to_string(),
        None => String::new(),
    }
}

async fn get_over_http1(
    stream: UpstreamStream,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(String::new())?;
    let (mut response, connection) = (pin!(sender.send_request(request)), pin!(connection));
    Ok(tokio::select! {
        response = &mut response => response?,
        // The connection ended: the response has arrived, or none will.
        _ = connection => response.await?,
    })
}

async fn get_over_http2(
    stream: UpstreamStream,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
    let tasks = ProbeTasks::default();
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
struct ProbeTasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for ProbeTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.lock().spawn(future);
    }
}

#[cfg(test)]
mod tests;
