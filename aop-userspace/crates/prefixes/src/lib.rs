//! The admitted prefixes: where they come from, whether they are believed, and who they admit.
//!
//! A list is taken as a whole or refused as a whole. [`at_start`] finds one without the network,
//! `read_anew` reads or fetches the source and says what would change, and touches nothing.
//! A list is fetched by a process without privilege, and must pass [`validate`]; files and inline lists are the operator's own word.
//! [`Admission`] is the set that packets and handshakes are judged by, including prefixes that left
//! the list and still drain.

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
pub use errand::run as run_errand;
pub use error::PrefixError;
pub use list::{Held, List, Origin};
pub use snapshot::snapshot;
pub use source::read_anew;
pub use source::{Found, Proposal, at_start};
pub use stored::{StoredError, save};
pub use validate::{Change, Refusal, Shrink};
