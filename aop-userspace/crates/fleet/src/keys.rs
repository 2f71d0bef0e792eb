//! The keys of a fleet in etcd.

use aop_config::{FleetName, FleetPrefix};

/// Where the reports are: `PREFIX/hosts/NAME`, each under the lease of its host.
pub(crate) fn hosts(prefix: &FleetPrefix) -> String {
    format!("{prefix}/hosts/")
}

/// Where each host notes that it has reported: `PREFIX/seen/NAME`, without a lease.
pub(crate) fn seen(prefix: &FleetPrefix) -> String {
    format!("{prefix}/seen/")
}

/// Where a host says that another one has its name: `PREFIX/claims/NAME/INSTANCE`, under a lease.
pub(crate) fn claims(prefix: &FleetPrefix) -> String {
    format!("{prefix}/claims/")
}

/// Where the orders are: `PREFIX/orders/SERIAL`, each under a lease until it ceases to count.
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
