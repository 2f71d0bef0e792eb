//! The replacement of a certificate at Cloudflare, as a state machine on disk.

mod record;

pub use record::{
    Announced, HostBefore, HostReport, KnownCertificate, RollBefore, RollError, RollLeaf,
    RollRecord, RollRecordError, RollStep, RollTarget, StepTime,
};
