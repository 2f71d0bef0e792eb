//! The peers that ask the machine for its site, and the outcomes.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// A server of Cloudflare, asking by itself, with its certificate if it was given one.
    Edge,
    /// A person who asks Cloudflare.
    Visitor,
    /// An address that the documents put into `firewall.extra`. It has no certificate.
    Monitor,
    /// An address in no prefix, without a certificate.
    Stranger,
}

impl Peer {
    pub(super) const ALL: [Self; 4] = [Self::Edge, Self::Visitor, Self::Monitor, Self::Stranger];

    pub(super) fn addresses(self) -> [&'static str; 2] {
        match self {
            Self::Edge => ["173.245.48.7", "2400:cb00::7"],
            Self::Visitor => ["198.18.0.80", "2001:db8:1::80"],
            Self::Monitor => ["192.0.2.10", "2001:db8::10"],
            Self::Stranger => ["198.51.100.66", "2001:db8:bad::66"],
        }
    }

    pub(super) fn address(self, family: Family) -> &'static str {
        let [v4, v6] = self.addresses();
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    pub(super) fn asks_edge(self) -> bool {
        self == Self::Visitor
    }

    pub(super) fn has_certificate(self) -> bool {
        self == Self::Edge
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The application answered.
    Page,
    /// No packet came back.
    Silence,
    /// TCP connected, and no HTTP answer came.
    Refusal,
    /// Another HTTP status: from the edge, 502 stands for Cloudflare's 52x.
    Status(String),
    /// Something else, by curl's exit code.
    Failure(i32),
}

impl Outcome {
    pub(super) fn of_curl(exit: i32, code: &str) -> Self {
        match (exit, code) {
            (0, "200") => Self::Page,
            (0, other) => Self::Status(other.to_owned()),
            (28, _) => Self::Silence,
            // A TLS alert, an empty answer, a reset.
            (35 | 52 | 56, _) => Self::Refusal,
            (other, _) => Self::Failure(other),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page => write!(out, "the page"),
            Self::Silence => write!(out, "silence"),
            Self::Refusal => write!(out, "a refusal"),
            Self::Status(code) => write!(out, "HTTP status {code}"),
            Self::Failure(exit) => write!(out, "curl's exit code {exit}"),
        }
    }
}
