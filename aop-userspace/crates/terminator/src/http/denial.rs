//! The reasons for which aop answers a request instead of the upstream, each with its name, its
//! status code and its text.
//!
//! The names are stable, as those of [`Refusal`](aop_tls::Refusal). The texts reveal nothing
//! about the systems behind the terminator.

use hyper::StatusCode;

use super::smuggling_guard::Fault;

/// Why aop answered a request instead of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Denial {
    /// The request is ambiguous or malformed.
    BadRequest,
    /// The request's head is too large.
    HeadTooLarge,
    /// The request names no host, two hosts, or an invalid one.
    BadHost,
    /// The request names a host that does not belong to the site of the connection's server name.
    HostMismatch,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream closed the connection, or did not answer in HTTP.
    UpstreamBroken,
    /// The upstream has as many open requests as the site allows.
    UpstreamBusy,
    /// The upstream did not accept a connection, or did not begin a response, in time.
    UpstreamLate,
    /// This process has no file descriptor for a connection to the upstream.
    NoDescriptor,
    /// The PROXY header for the upstream would be too long.
    ProxyTooLong,
    /// The peer is unauthenticated: it connected while the site observed, and the site now
    /// enforces.
    Unproven,
    /// The progress timeout of the response expired, and the request was aborted.
    Stalled,
}

impl Denial {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::BadHost => "bad_host",
            Self::HostMismatch => "host_mismatch",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamBroken => "upstream_broken",
            Self::UpstreamBusy => "upstream_busy",
            Self::UpstreamLate => "upstream_late",
            Self::NoDescriptor => "no_descriptor",
            Self::ProxyTooLong => "proxy_too_long",
            Self::Unproven => "unproven",
            Self::Stalled => "stalled",
        }
    }

    /// The remedy for an operator, if there is one.
    pub(super) const fn help(self) -> Option<&'static str> {
        match self {
            Self::HostMismatch => {
                Some("if the host is yours, add it to the site's hosts, or to site.http.also_hosts")
            }
            Self::UpstreamUnreachable => {
                Some("start the application, or correct the site's upstream")
            }
            Self::UpstreamBroken => Some(
                "the application closed the connection, or speaks another protocol: http:// is \
                 HTTP/1.1, h2c:// is HTTP/2 without TLS",
            ),
            Self::UpstreamBusy => {
                Some("find out why the application is slow, or raise site.http.requests")
            }
            Self::UpstreamLate => Some(
                "the application is slow: limits.deadline bounds the connect, site.http.answer the \
                 time until the response begins",
            ),
            Self::NoDescriptor => Some("raise the limit of open files (systemd: LimitNOFILE=)"),
            Self::Stalled => Some(
                "for the time in site.http.stall, the peer stopped reading or the application \
                 stopped writing",
            ),
            Self::ProxyTooLong => {
                Some("remove proxy_certificate: a header without the certificate fits")
            }
            Self::Unproven => Some(
                "the peer connected without the right certificate while the site observed; the \
                 site now enforces, and the peer's next connection is logged with the exact reason",
            ),
            Self::BadRequest | Self::HeadTooLarge | Self::BadHost => None,
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::BadHost => StatusCode::BAD_REQUEST,
            Self::Unproven => StatusCode::FORBIDDEN,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HostMismatch => StatusCode::MISDIRECTED_REQUEST,
            Self::UpstreamUnreachable | Self::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Self::UpstreamBusy | Self::NoDescriptor => StatusCode::SERVICE_UNAVAILABLE,
            // The peer of a stalled request never sees this status: its response has begun.
            Self::UpstreamLate | Self::Stalled => StatusCode::GATEWAY_TIMEOUT,
            Self::ProxyTooLong => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is malformed.\n",
            Self::HeadTooLarge => "The request's head is too large.\n",
            Self::BadHost => "The request must name one host, in one way.\n",
            Self::HostMismatch => {
                "The request names a host that this connection was not opened for.\n"
            }
            Self::UpstreamUnreachable => "The application cannot be reached.\n",
            Self::UpstreamBroken => "The application sent no valid response.\n",
            Self::UpstreamBusy => "The application has too many requests at once.\n",
            Self::UpstreamLate => "The application did not respond in time.\n",
            Self::NoDescriptor => "The server is short of resources.\n",
            Self::ProxyTooLong => "The information about the client is too long to forward.\n",
            Self::Unproven => "The connection was opened without the right certificate.\n",
            Self::Stalled => "The request made no progress for too long.\n",
        }
    }
}

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge => Self::HeadTooLarge,
            Fault::BareLineEnd
            | Fault::ControlCharacter
            | Fault::FoldedLine
            | Fault::FieldName
            | Fault::RequestLine
            | Fault::Length
            | Fault::Encoding
            | Fault::LengthAndEncoding
            | Fault::TooOld
            | Fault::Chunk => Self::BadRequest,
        }
    }
}
