//! Cloudflare's API for origin-pull certificates: what it says, and how to change it.
//!
//! A process without privilege holds the token, talks to the API and parses its answers
//! ([`run_process`]). The [`Client`] starts it and has a function for each call; the pure functions
//! of [`Call`] build URL, method and body. An [`ApiError`] tells a refusal from a failure that
//! passes, and both from a change whose answer was lost.
//!
//! [`SiteCollector`] puts what Cloudflare says beside what this host believes and what arrives, and
//! the pure function [`findings()`] names every disagreement with its cure.

mod answer;
mod call;
mod client;
mod collect;
mod error;
mod findings;
mod judge;
mod model;
mod own_certificates;
mod pace;
mod process;
mod renewal;
mod roll;
mod secret;
mod token;
mod transport;

pub use call::{Call, HttpCall, HttpMethod};
pub use client::Client;
pub use collect::SiteCollector;
pub use error::{ApiError, ApiMessage, RefusalCure};
pub use findings::findings;
pub use judge::LeafVerdict;
pub use model::{
    AssociationChange, CertificateId, CertificateLevel, HostAssociation, LeafFacts, TokenStatus,
    UploadedCertificate, Zone, ZoneId,
};
pub use own_certificates::OwnCertificates;
pub use process::run as run_process;
pub use renewal::{InUse, RenewalRecord, RenewalTask, SiteRenewal, in_use};
pub use roll::{
    Announced, ConfigText, HostBefore, KnownCertificate, RollAction, RollBefore, RollError,
    RollFacts, RollLeaf, RollNext, RollRecord, RollRecordError, RollReport, RollStep, RollTarget,
    SiteTrust, StepTime, exact_hosts, next as next_of_roll, plan as plan_of_roll,
    unused_client_cas,
};
pub use secret::{ApiToken, CertificateAndKey, SecretText};
pub use token::{TokenError, find_token, token_place};
