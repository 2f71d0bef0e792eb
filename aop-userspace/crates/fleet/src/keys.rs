//! The keys of a fleet in etcd.

use aop_config::{FleetName, FleetPrefix};

/// The place of the reports: `PREFIX/hosts/NAME`, each under the lease of its host.
pub(crate) fn hosts(prefix: &FleetPrefix) -> String {
    format!("{prefix}/hosts/")
}

/// The place of the note that a host has reported: `PREFIX/seen/NAME`, without a lease.
pub(crate) fn seen(prefix: &FleetPrefix) -> String {
    format!("{prefix}/seen/")
}

/// The place of the note that another host has the name: `PREFIX/claims/NAME/INSTANCE`, under a
/// lease.
pub(crate) fn claims(prefix: &FleetPrefix) -> String {
    format!("{prefix}/claims/")
}

/// The place of the orders: `PREFIX/orders/SERIAL`, each under a lease until it ceases to count.
pub(crate) fn orders(prefix: &FleetPrefix) -> String {
    format!("{prefix}/orders/")
}

/// The key of the order `serial`: in the order of the numbers.
pub(crate) fn order(prefix: &FleetPrefix, serial: u64) -> String {
    format!("{}{serial:020}", orders(prefix))
}

/// The keys of one host.
pub(crate) struct HostKeys {
    pub(crate) report: String,
    pub(crate) seen: String,
    pub(crate) claims: String,
}

impl HostKeys {
    pub(crate) fn of(prefix: &FleetPrefix, name: &FleetName) -> Self {
        Self {
            report: hosts(prefix) + name.as_str(),
            seen: seen(prefix) + name.as_str(),
            claims: format!("{}{name}/", claims(prefix)),
        }
    }

    /// The claim of this instance.
    pub(crate) fn claim(&self, instance: &str) -> String {
        format!("{}{instance}", self.claims)
    }
}
