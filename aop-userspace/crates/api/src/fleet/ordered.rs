//! The results of an order that was given, and the orders that count now, for an operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Order, OrderState};

/// The answer of a verb that gives an order to a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOrdered {
    /// The waves as they were planned; one without `--waves`.
    pub plan: Vec<WavePlan>,
    /// The waves that were ordered.
    pub waves: Vec<OrderedWave>,
    /// Waves that were not ordered, because one before them stopped, or etcd was away.
    pub waves_left: usize,
    /// Hosts that are meant and do not report, or whose report cannot be read: they obey if they
    /// return in time.
    pub silent: Vec<String>,
    /// Hosts that are as ordered already: in waves those that have the mode, and for `confirm`
    /// those on which nothing waits.
    pub as_ordered: usize,
    /// Hosts that do not serve a site of the order. They are in no wave, and refuse the order.
    pub not_serving: Vec<String>,
    /// Why the verb ended although a host can still take the order or confirm it; `null` where it
    /// did not.
    pub error: Option<String>,
}

/// A wave before it is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WavePlan {
    /// The hosts of the wave that report.
    pub hosts: Vec<String>,
}

/// One wave, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedWave {
    /// The order.
    pub order: Order,
    /// Hosts on which it lasts, or was carried out.
    pub lasting: usize,
    /// Hosts that had not taken it, or on which it waited, when etcd was away for too long.
    pub open: usize,
    /// Hosts of the wave that did not report: they obey if they return before the order ceases to
    /// count.
    pub silent: Vec<String>,
    /// Hosts that stopped the wave.
    pub stopped: Vec<StoppedHost>,
}

/// A host that stopped a wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedHost {
    /// Its name.
    pub host: String,
    /// Why.
    pub why: String,
}

/// The answer of `aop fleet orders`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOrders {
    /// The orders in etcd, in the order of their numbers.
    pub orders: Vec<StoredOrder>,
    /// Keys that hold no order.
    pub unreadable: usize,
    /// Whether there are more orders than are read.
    pub more: bool,
}

/// An order in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOrder {
    /// The order, as it is written.
    pub order: Order,
    /// The public key that is said to have signed it.
    pub operator: String,
    /// Whether one of `fleet.operators` in the configuration here has signed it.
    pub genuine: bool,
    /// The hosts that took it.
    pub hosts: Vec<OrderedHost>,
}

/// A host that took an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedHost {
    /// Its name.
    pub host: String,
    /// The state of the order there.
    pub state: OrderState,
    /// When the host took it, by its own clock.
    pub at: Timestamp,
    /// Why it was refused; `null` where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer of `aop fleet key create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorKeyMade {
    /// The file of the private key.
    pub key_file: String,
    /// The public key, for `fleet.operators`.
    pub operator: String,
    /// Whether the key is under a passphrase.
    pub encrypted: bool,
}
