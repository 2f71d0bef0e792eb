//! Orders to many hosts, and what became of them on one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Request, names::stable_names};

/// An order to the hosts of a fleet. An operator signs these bytes, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The place of the fleet in etcd: an order for one fleet is none for another.
    pub fleet: String,
    /// Its number. A host obeys no order whose number is not above the last one that it took.
    pub serial: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it ceases to count.
    pub expires: Timestamp,
    /// The hosts that it is for.
    pub hosts: OrderedHosts,
    /// The request, as a host gets it on its control socket.
    pub request: Request,
}

/// The hosts that an order is for: every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderedHosts {
    /// Names, in which `*` stands for any characters and `?` for one. If empty, no host.
    pub names: Vec<String>,
    /// Labels that a host must all have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The wave of the host; `null`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<Wave>,
}

/// A part of a fleet. The first 32 bits of the SHA-256 of its name give each host a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The first place that belongs to it.
    pub from: u64,
    /// The first place behind it.
    pub below: u64,
}

/// An order that a host took, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderResult {
    /// The number of the order.
    pub serial: u64,
    /// The public key of the operator who signed it.
    pub operator: String,
    /// When the host took it, by its own clock.
    pub at: Timestamp,
    /// The state of the order.
    pub state: OrderState,
    /// Why it was refused; `null` where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

stable_names! {
    /// The state of an order on a host.
    OrderState {
        /// The host carries it out.
        Begun = "begun",
        /// The host refused it, or aop ended while it carried it out: `error` says which.
        Refused = "refused",
        /// The new mode waits for a confirmation.
        Waiting = "waiting",
        /// The modes are as the order asked, and nothing waits.
        Lasting = "lasting",
        /// The modes are not, or no longer, as the order asked.
        TakenBack = "taken_back",
        /// It was carried out, and set no mode.
        Done = "done",
    }
}

/// The operator and the number of an order, in the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedBy {
    /// The number of the order.
    pub serial: u64,
    /// The public key of the operator.
    pub operator: String,
}
