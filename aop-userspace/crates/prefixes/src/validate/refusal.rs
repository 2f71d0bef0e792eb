//! Why a fetched list was not applied, for the operator.

pub use aop_common::AddressFamily;
use ipnet::IpNet;

/// Why a list does not pass validation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListRefusal {
    /// Too few prefixes of a family.
    #[error("the list has {count} {family} prefixes; at least {least} are expected")]
    TooFew {
        /// The family.
        family: AddressFamily,
        /// Their number.
        count: usize,
        /// The least number.
        least: usize,
    },
    /// Too many prefixes of a family.
    #[error("the list has {count} {family} prefixes; at most {most} are accepted")]
    TooMany {
        /// The family.
        family: AddressFamily,
        /// Their number.
        count: usize,
        /// The largest number.
        most: usize,
    },
    /// A prefix is wider than any of a CDN.
    #[error("{prefix} is too wide; the shortest prefix that is accepted is /{shortest}")]
    TooBroad {
        /// The prefix.
        prefix: IpNet,
        /// The shortest accepted length.
        shortest: u8,
    },
    /// All prefixes together cover more than any CDN has.
    #[error("the {family} prefixes together cover too much of the Internet")]
    TooWide {
        /// The family.
        family: AddressFamily,
    },
    /// A prefix overlaps a network that is not on the Internet.
    #[error("{prefix} overlaps {network} ({purpose}), which is never on the Internet")]
    NotPublic {
        /// The prefix.
        prefix: IpNet,
        /// The network.
        network: &'static str,
        /// Its purpose.
        purpose: &'static str,
    },
    /// A prefix is missing that has always been on the list.
    #[error("{0} is missing, although it has been on this list for years")]
    CanaryMissing(&'static str),
    /// The list would remove too many prefixes at once.
    #[error(
        "it would remove {removed} of {of} {family} prefixes at once. If that is right, run \
         `aop prefixes diff`, then `aop prefixes refresh --accept`"
    )]
    Shrunk {
        /// The family.
        family: AddressFamily,
        /// How many would be removed.
        removed: usize,
        /// How many are in force.
        of: usize,
    },
    /// The etag is unchanged, but the content is not.
    #[error("it has the etag of the list in force ({0}), but other prefixes")]
    EtagTwice(String),
}
