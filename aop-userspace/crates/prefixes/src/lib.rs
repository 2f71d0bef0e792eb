//! The admitted prefixes: where lists come from, and whether they are believed.
//!
//! A list is accepted or refused as a whole. [`at_start`] finds a list without the network;
//! [`read_source`] reads or fetches the source and returns what would change, without applying it.
//! An unprivileged process fetches lists ([`run_fetch_process`]), and a fetched list must pass
//! [`validate`]; files and inline lists are the operator's own and are not validated. What the
//! prefixes mean for a packet is the business of `aop_types::Admission`.

mod document;
mod error;
mod fetch;
mod fetch_process;
mod list;
mod messages;
mod snapshot;
mod source;
mod stored;
pub mod validate;

use aop_types::SafeText;
pub use document::DocumentError;
pub use error::PrefixError;
pub use fetch_process::run as run_fetch_process;
pub use list::{CurrentList, ListOrigin, PrefixList};
pub use snapshot::snapshot;
pub use source::{Proposal, StartList, at_start, read_source};
pub use stored::{StoredError, save};
pub use validate::{ListChange, ListRefusal, RemovalLimit};

/// Text from the network within a message.
type ShortText = SafeText<200>;

/// An error text from the fetch process.
type ErrorText = SafeText<2000>;

/// The identifier of a version of a list, as its source gives it.
type EtagText = SafeText<200>;
