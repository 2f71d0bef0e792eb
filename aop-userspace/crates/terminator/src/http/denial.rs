//! The reasons for which a request gets no whole response of the upstream, as one table: for each
//! its stable name, its status code, the text that the peer gets, and the remedy for the operator.
//!
//! To add a reason, add a row: the table makes the enum, and a row without one of the columns does
//! not compile. The names are stable, as those of [`Refusal`](aop_tls::Refusal). The texts reveal
//! nothing about the systems behind the terminator.

use aop_http::Fault;

macro_rules! denials {
    ($(
        $(#[$doc:meta])*
        $variant:ident {
            name: $name:literal,
            status: $status:literal,
            text: $text:literal,
            help: $help:expr,
        }
    )+) => {
        /// Why a request got no whole response of the upstream.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Denial {
            $($(#[$doc])* $variant,)+
        }

        impl Denial {
            /// All reasons, in the order of their numbers.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The status code of the response.
            pub(super) const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }

            /// The body of the response.
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Whether it is the answer to the request. Otherwise the response had begun, or the
            /// peer waits for none.
            pub(super) const fn is_answer(self) -> bool {
                !matches!(self, Self::Stalled | Self::Incomplete | Self::Aborted)
            }

            /// The remedy for an operator, if there is one.
            pub(super) const fn help(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => $help,)+
                }
            }
        }
    };
}

denials! {
    /// The request is ambiguous or malformed.
    BadRequest {
        name: "bad_request",
        status: 400,
        text: "The request is malformed.\n",
        help: None,
    }
    /// The request's head is too large.
    HeadTooLarge {
        name: "head_too_large",
        status: 431,
        text: "The request's head is too large.\n",
        help: None,
    }
    /// The request names no host, two hosts, or an invalid one.
    BadHost {
        name: "bad_host",
        status: 400,
        text: "The request must name one host, in one way.\n",
        help: None,
    }
    /// The request names a host that does not belong to the site of the connection's server name.
    HostMismatch {
        name: "host_mismatch",
        status: 421,
        text: "The request names a host that this connection was not opened for.\n",
        help: Some(
            "if the host is yours, add it to the site's hosts, or to site.http.also_hosts",
        ),
    }
    /// The upstream could not be reached.
    UpstreamUnreachable {
        name: "upstream_unreachable",
        status: 502,
        text: "The application cannot be reached.\n",
        help: Some("start the application, or correct the site's upstream"),
    }
    /// The upstream closed the connection, or did not answer in HTTP.
    UpstreamBroken {
        name: "upstream_broken",
        status: 502,
        text: "The application sent no valid response.\n",
        help: Some(
            "the application closed the connection, or speaks another protocol: http:// is \
             HTTP/1.1, h2c:// is HTTP/2 without TLS",
        ),
    }
    /// The upstream has as many open requests as the site allows.
    UpstreamBusy {
        name: "upstream_busy",
        status: 503,
        text: "The application has too many requests at once.\n",
        help: Some("find out why the application is slow, or raise site.http.requests"),
    }
    /// The upstream has as many open tunnels and event streams as the site allows.
    TunnelsBusy {
        name: "tunnels_busy",
        status: 503,
        text: "The application has too many WebSockets and event streams open.\n",
        help: Some("raise site.http.tunnels if the application can serve more"),
    }
    /// The upstream did not accept a connection, or did not begin a response, in time.
    UpstreamLate {
        name: "upstream_late",
        status: 504,
        text: "The application did not respond in time.\n",
        help: Some(
            "the application is slow: limits.deadline bounds the connect, site.http.answer the \
             time until the response begins",
        ),
    }
    /// This process has no file descriptor for a connection to the upstream.
    NoDescriptor {
        name: "no_descriptor",
        status: 503,
        text: "The server is short of resources.\n",
        help: Some("raise the limit of open files (systemd: LimitNOFILE=)"),
    }
    /// The PROXY header for the upstream would be too long.
    ProxyTooLong {
        name: "proxy_too_long",
        status: 500,
        text: "The information about the client is too long to forward.\n",
        help: Some("remove proxy_certificate: a header without the certificate fits"),
    }
    /// The site does not accept the peer now. It did when the peer connected: it observed, or it
    /// trusted another certificate.
    Unauthenticated {
        name: "unproven",
        status: 403,
        text: "The connection was opened without the certificate that is right now.\n",
        help: Some(
            "the peer connected while the site observed, or trusted another certificate; the \
             peer's next connection is logged with the exact reason",
        ),
    }
    /// The progress timeout of the response expired, and the request was aborted. The peer never
    /// sees the status: its response has begun.
    Stalled {
        name: "stalled",
        status: 504,
        text: "The request made no progress for too long.\n",
        help: Some(
            "for the time in site.http.stall, the peer stopped reading or the application stopped \
             writing",
        ),
    }
    /// The response had begun, and the upstream ended it before it was complete, or sent a part
    /// that is invalid. The peer sees that it is incomplete.
    Incomplete {
        name: "incomplete",
        status: 502,
        text: "The application sent an incomplete response.\n",
        help: Some("the application ended its response early: read its log"),
    }
    /// The request ended before its response was complete, and the upstream was not at fault: the
    /// peer reset it, or the peer's connection was lost or cut.
    Aborted {
        name: "aborted",
        status: 499,
        text: "The request was aborted.\n",
        help: None,
    }
}

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        if fault == Fault::TooLarge { Self::HeadTooLarge } else { Self::BadRequest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_reasons_has_a_row_for_every_denial() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reasons.md");
        let page = std::fs::read_to_string(page).expect("the page can be read");
        for denial in Denial::ALL {
            let row = format!("\n| `{}` | ", denial.name());
            assert!(page.contains(&row), "docs/reasons.md lacks a row for {}", denial.name());
        }
    }
}
