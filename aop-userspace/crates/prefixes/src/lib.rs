//! The admitted prefixes: their sources, their validation, and the admitted set.
//!
//! A list is accepted or refused as a whole. [`at_start`] finds a list without the network;
//! `read_source` reads or fetches the source and returns what would change, without applying it. An
//! unprivileged process fetches lists, and a fetched list must pass [`validate`]; files and inline
//! lists are the operator's own and are not validated. [`Admission`] is the set that judges packets
//! and handshakes. It includes prefixes that have left the list and still drain.

mod document;
mod errand;
mod error;
mod fetch;
mod list;
mod messages;
mod snapshot;
mod source;
mod stored;
pub mod validate;

pub use document::DocumentError;
use document::Form;
pub use errand::run as run_fetch_process;
pub use error::PrefixError;
pub use list::{CurrentList, ListOrigin, PrefixList};
pub use snapshot::snapshot;
pub use source::read_source;
pub use source::{Proposal, StartList, at_start};
pub use stored::{StoredError, save};
pub use validate::{ListChange, ListRefusal, RemovalLimit};
