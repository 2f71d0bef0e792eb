//! Why a request was not answered by the upstream: a closed list of names and what the peer is told.
//!
//! The names are stable, as those of [`Refusal`](aop_tls::Refusal) are. The texts name nothing
//! of what lies behind the terminator.

use hyper::StatusCode;

use super::strict::Fault;

/// Why a request was not answered by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Denial {
    /// It could be read in two ways, or in none.
    BadRequest,
    /// Its head is too large.
    HeadTooLarge,
    /// It names no host, two, or something that is none.
    BadHost,
    /// It names a host that does not belong to the site of the connection's server name.
    HostMismatch,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream closed the connection, or answered with something that is not HTTP.
    UpstreamBroken,
    /// As many requests as are allowed are with the upstream already.
    UpstreamBusy,
    /// The upstream took no connection, or began no answer, in time.
    UpstreamLate,
    /// This process has no file descriptor for a connection to the upstream.
    NoDescriptor,
    /// What the upstream is to be told does not fit into a PROXY header.
    ProxyTooLong,
    /// Its peer has proven nothing: it was let in while the site observed, which it does no more.
    Unproven,
    /// It was being answered, and nothing moved in either direction for too long: it was broken off.
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

    /// What an operator can do, where there is something.
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
                 HTTP/1.1, h2c:// is HTTP/2 in clear",
            ),
            Self::UpstreamBusy => {
                Some("find out why the application is slow, or raise site.http.requests")
            }
            Self::UpstreamLate => Some(
                "the application is slow: limits.deadline is for connecting, site.http.answer until \
                 its answer begins",
            ),
            Self::NoDescriptor => Some("raise the limit of open files (systemd: LimitNOFILE=)"),
            Self::Stalled => Some(
                "the peer stopped reading or the application stopped writing, for site.http.stall",
            ),
            Self::ProxyTooLong => {
                Some("leave proxy_certificate out: version 1 or a shorter header fits")
            }
            Self::Unproven => Some(
                "the site observed when the peer was let in, and does no more; its next connection is \
                 refused for the right reason",
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
            // Nobody gets to read it where an answer had begun.
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
            Self::UpstreamBroken => "The application gave no proper answer.\n",
            Self::UpstreamBusy => "The application has too many requests at once.\n",
            Self::UpstreamLate => "The application did not answer in time.\n",
            Self::NoDescriptor => "The server is short of resources.\n",
            Self::ProxyTooLong => "The application cannot be told who connected.\n",
            Self::Unproven => "The connection was opened without the right certificate.\n",
            Self::Stalled => "The request stood still for too long.\n",
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
