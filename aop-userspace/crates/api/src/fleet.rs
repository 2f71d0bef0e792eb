//! The documents of a fleet: the report of a host, as it is in etcd, and what an operator reads of
//! all of them.

mod host_report;
mod ordered;
mod view;

pub use self::{
    host_report::{HostReport, ReportedIdentity, ReportedInterface, ReportedList, ReportedSite},
    ordered::{
        FleetOrdered, FleetOrders, OperatorKeyMade, OrderedHost, OrderedWave, StoppedHost,
        StoredOrder,
    },
    view::{
        FleetCertificate, FleetHost, FleetHostState, FleetIdentities, FleetLink, FleetLinkState,
        FleetModeSums, FleetReport, FleetSums, HostPulls,
    },
};
