//! Many hosts on one etcd: each reports what it does, and operators see all of them.
//!
//! A process without privilege ([`run_process`]) keeps the connection to etcd and parses its
//! answers; the [`FleetClient`] starts it. Nothing that serves or guards waits for it. etcd is not
//! trusted: an attacker who holds it can hide reports and show false ones, and cannot weaken a
//! host.
//!
//! [`host_report()`] sums a host up, within [`MAX_REPORT`] bytes. [`fleet_report()`],
//! [`fleet_identities()`], [`fleet_orders()`] and [`fleet_overview()`] make what an operator reads
//! of all hosts. These are pure functions.

mod access;
mod client;
mod etcd;
mod forget;
mod identities;
mod keys;
mod order_list;
mod order_store;
mod order_words;
pub mod orders;
mod overview;
mod own_name;
mod pacing;
mod pattern;
mod process;
mod publisher;
mod reader;
mod session;
mod store_warnings;
mod summary;
#[cfg(test)]
mod tests;
mod view;
mod wave_watch;
mod waves;
mod whole_fleet;

pub use access::FleetAccess;
pub use client::{FleetClient, FleetError, PublishOutcome, StoredOrders};
pub use forget::ForgetOutcome;
pub use identities::fleet_identities;
pub use order_list::fleet_orders;
pub use order_words::{hosts_in_words, request_in_words};
pub use overview::{MORE_ORDERS, fleet_overview};
pub use own_name::own_name;
pub use pacing::Pacing;
pub use pattern::NamePattern;
pub use process::run as run_process;
pub use publisher::LEASE;
pub use session::EtcdSession;
pub use summary::{ReportFacts, host_report};
pub use view::{HostFilter, StoredFleet, UnclearReport, fleet_report, report_of_host};
pub use wave_watch::{WaveProgress, WaveWatch};
pub use waves::{PlannedWave, WaveSizes};

/// The longest report, in bytes of JSON. etcd keeps every version of it until it is compacted.
pub const MAX_REPORT: usize = 16 * 1024;
