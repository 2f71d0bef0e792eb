//! The replacement of a certificate at Cloudflare, as a state machine on disk.
//!
//! [`RollRecord`] is the file, written before and after each change. The pure function [`next`]
//! decides from the record and from [`RollFacts`], which are read anew each time. The caller
//! carries out the [`RollAction`]s; each may be repeated.

mod associations;
mod facts;
mod gather;
mod global_certificate;
mod record;
mod record_file;
mod report;
mod simulate;
mod step;
mod undo;

pub(crate) use associations::KnownAssociations;
pub use facts::{RollFacts, SiteTrust};
pub use gather::{ConfigText, exact_hosts, unused_client_cas};
pub use record::{
    Announced, HostBefore, KnownCertificate, RollBefore, RollError, RollLeaf, RollRecord, RollStep,
    RollTarget, StepTime,
};
pub use record_file::RollRecordError;
pub use report::RollReport;
pub use simulate::plan;
pub use step::{RollAction, RollNext, next};
