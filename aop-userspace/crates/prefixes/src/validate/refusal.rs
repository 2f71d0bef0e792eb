//! Why a list is not believed, for the operator who wonders why it was not applied.

use ipnet::IpNet;

/// Why a list is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too few prefixes of a family.
    #[error("{count} {family} prefixes; it has at least {least}")]
    TooFew {
        /// The family.
        family: Family,
        /// How many there are.
        count: usize,
        /// How many there must be.
        least: usize,
    },
    /// Too many prefixes of a family.
    #[error("{count} {family} prefixes; at most {most} are believed")]
    TooMany {
        /// The family.
        family: Family,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A prefix is wider than any CDN's.
    #[error("{prefix} is too wide; the shortest prefix that is believed is /{shortest}")]
    TooBroad {
        /// The prefix.
        prefix: IpNet,
        /// The floor.
        shortest: u8,
    },
    /// All prefixes together are wider than any CDN.
    #[error("the {family} prefixes together cover too much of the Internet")]
    TooWide {
        /// The family.
        family: Family,
    },
    /// A prefix lies in, or around, a network that is not on the Internet.
    #[error("{prefix} reaches into {network} ({purpose}), which is never on the Internet")]
    NotPublic {
        /// The prefix.
        prefix: IpNet,
        /// The network.
        network: &'static str,
        /// What it is for.
        purpose: &'static str,
    },
    /// A prefix that has always been there is not.
    #[error("{0} is missing, which has been on this list for years")]
    CanaryMissing(&'static str),
    /// Too many prefixes would go at once.
    #[error(
        "it would remove {removed} of {of} {family} prefixes at once. If that is right, run \
         `aop prefixes diff`, then `aop prefixes refresh --accept`"
    )]
    Shrunk {
        /// The family.
        family: Family,
        /// How many would go.
        removed: usize,
        /// How many there are now.
        of: usize,
    },
    /// The same edition with other content.
    #[error("it has the etag of the list in force ({0}) and other prefixes")]
    EtagTwice(String),
}

/// An address family, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}
