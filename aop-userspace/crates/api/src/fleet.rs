//! The documents of a fleet: the report of a host, as it is in etcd, and what an operator reads of
//! all of them.

mod ordered;
mod origin_report;
mod page;
mod view;

pub use self::{
    ordered::{
        FleetOrdered, FleetOrders, OperatorKeyMade, OrderedHost, OrderedWave, StoppedHost,
        StoredOrder, WavePlan,
    },
    origin_report::{
        OriginReport, ReportedIdentity, ReportedInterface, ReportedList, ReportedSite,
    },
    page::{
        CertificateUse, FleetCell, FleetCertificateRow, FleetEnd, FleetOrderRow, FleetOverview,
        FleetPageData, FleetShare, WaitingHost,
    },
    view::{
        FleetCertificate, FleetHost, FleetHostState, FleetIdentities, FleetLink, FleetLinkState,
        FleetModeSums, FleetReport, FleetSums, HostPulls,
    },
};
