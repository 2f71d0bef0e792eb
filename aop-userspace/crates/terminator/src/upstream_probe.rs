//! Probes of an upstream: whether it accepts a connection, or answers a request with success.
//!
//! This module runs one probe and is the only part of a check that speaks HTTP. Its user decides
//! which upstreams are checked, and when.

use std::{io, time::Duration};

use aop_config::{
    HostPattern, HttpUpstream, HttpVersion, SiteConfig, Upstream, UpstreamAddress, UpstreamCheck,
};
use aop_http::{
    RequestHead,
    http1::{self, NameCase},
    http2::{self, End},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    http::limits,
    upstream::{UpstreamStream, connect},
};

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
        let status = match upstream.version {
            HttpVersion::Http1 => get_over_http1(stream, host, path).await,
            HttpVersion::H2c => get_over_http2(stream, host, path).await,
        };
        match status.map_err(|error| format!("GET {path}: {error}"))? {
            200..=399 => Ok(()),
            status => Err(format!("GET {path}: it answers {status}")),
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

/// Sends a GET request, and returns the status of the response.
async fn get_over_http1(mut stream: UpstreamStream, host: &str, path: &str) -> io::Result<u16> {
    let mut output = Vec::new();
    http1::request_line(&mut output, b"GET", path.as_bytes());
    let fields = [("host", host), ("user-agent", AGENT), ("connection", "close")];
    for (name, value) in fields {
        http1::field(&mut output, name.as_bytes(), value.as_bytes(), NameCase::Lower);
    }
    http1::end_of_head(&mut output);
    stream.write_all(&output).await?;
    let mut reader = http1::ResponseReader::new();
    reader.expect(b"GET");
    let mut input = Vec::new();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &input[..];
        while let Some(event) = reader.next(&mut rest).map_err(invalid)? {
            match event {
                http1::MessageEvent::Head if !reader.response().is_interim() => {
                    return Ok(reader.response().status);
                }
                http1::MessageEvent::Head
                | http1::MessageEvent::Data(_)
                | http1::MessageEvent::End => {}
            }
        }
        input.clear();
    }
}

/// The same over HTTP/2.
async fn get_over_http2(mut stream: UpstreamStream, host: &str, path: &str) -> io::Result<u16> {
    let mut connection = http2::Connection::client(limits::CLIENT);
    let mut request = RequestHead {
        method: b"GET".into(),
        scheme: b"http".into(),
        authority: host.as_bytes().into(),
        path: path.as_bytes().into(),
        ..RequestHead::default()
    };
    request.fields.push(b"user-agent", AGENT.as_bytes());
    connection.open(&request, End::Yes);
    let mut input = Vec::new();
    loop {
        let output = std::mem::take(connection.output());
        stream.write_all(&output).await?;
        if stream.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &input[..];
        while let Some(event) = connection.receive(&mut rest, 0).map_err(invalid)? {
            match event {
                http2::StreamEvent::Response { .. } if !connection.response().is_interim() => {
                    return Ok(connection.response().status);
                }
                http2::StreamEvent::Reset { .. } | http2::StreamEvent::Malformed { .. } => {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                http2::StreamEvent::Response { .. }
                | http2::StreamEvent::Request { .. }
                | http2::StreamEvent::Data { .. }
                | http2::StreamEvent::Trailers { .. }
                | http2::StreamEvent::Truncated { .. }
                | http2::StreamEvent::Writable { .. }
                | http2::StreamEvent::GoAway { .. }
                | http2::StreamEvent::Limit { .. } => {}
            }
        }
        let parsed = input.len() - rest.len();
        input.drain(..parsed);
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests;
