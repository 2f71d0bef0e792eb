//! Judges orders. etcd is not trusted: only a signature of a key that the host names counts, once,
//! in time, in order, for this fleet and this host.

use std::{collections::BTreeMap, time::Duration};

use aop_api::{ModeChange, Order, OrderedHosts, RefreshAction, Request, utc_text};
use aop_config::{FleetLabels, FleetName, FleetPrefix, OperatorKey};
use jiff::{SignedDuration, Timestamp};

use super::{SignedOrder, place, signed_order::Unverified};
use crate::NamePattern;

/// The longest time for which an order counts.
pub const MAX_LIFE: Duration = Duration::from_hours(24);
/// The most by which the clock of the operator may be ahead of the host's.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// The facts that a host compares an order with.
#[derive(Clone, Copy, Debug)]
pub struct HostStanding<'a> {
    /// The fleet.
    pub fleet: &'a FleetPrefix,
    /// The name of the host.
    pub name: &'a FleetName,
    /// The labels of the host.
    pub labels: &'a FleetLabels,
    /// The keys whose orders it obeys.
    pub operators: &'a [OperatorKey],
    /// The number of the last order that it took; 0 for none.
    pub last: u64,
    /// The time of the host.
    pub now: Timestamp,
}

/// The judgement of a host on an order.
#[derive(Debug)]
pub enum Judgement {
    /// The host takes it.
    Obey(Box<Order>),
    /// One of the host's operators signed it, and it is not for this host now.
    NotForThisHost,
    /// The host does nothing.
    Ignore(OrderRefusal),
}

/// Why a host ignores an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// The host names no operators.
    #[error("this host obeys nobody: fleet.operators is empty")]
    ObeysNobody,
    /// It names no key.
    #[error("it names no key of an operator")]
    NoKey,
    /// The key is not one of the host's.
    #[error("its key {0} is not in fleet.operators of this host")]
    UnknownOperator(OperatorKey),
    /// The signature does not fit.
    #[error("its signature does not fit: it was altered, or {0} did not sign it")]
    WrongSignature(OperatorKey),
    /// A known operator signed something that this version does not know.
    #[error("this version of aop does not know it: {0}")]
    Unknown(String),
    /// It is for another fleet.
    #[error("it is for the fleet {0}")]
    OtherFleet(String),
    /// It has been replaced, or shown again.
    #[error("its number {serial} is not above {last}, the last order that this host took")]
    NotNewer {
        /// Its number.
        serial: u64,
        /// The last one.
        last: u64,
    },
    /// Its time is over.
    #[error(
        "it counted until {}, which is over by the clock of this host: if it was given just now, \
         compare the clocks",
        utc_text(*.0)
    )]
    Expired(Timestamp),
    /// It is from the future.
    #[error("it was signed at {}, which is in the future: compare the clocks", utc_text(*.0))]
    NotYet(Timestamp),
    /// It counts for too long.
    #[error("it counts for more than 24 hours")]
    TooLong,
    /// It asks for something that no order may.
    #[error("an order cannot ask for it: {0}")]
    Forbidden(&'static str),
}

impl HostStanding<'_> {
    /// Judges `signed`.
    #[must_use]
    pub fn judge(&self, signed: &SignedOrder) -> Judgement {
        match self.try_judge(signed) {
            Ok(order) if self.is_among(&order.hosts) => Judgement::Obey(Box::new(order)),
            Ok(_) => Judgement::NotForThisHost,
            Err(why) => Judgement::Ignore(why),
        }
    }

    /// The order, if its signature, its fleet, its number, its time and its request are good.
    fn try_judge(&self, signed: &SignedOrder) -> Result<Order, OrderRefusal> {
        if self.operators.is_empty() {
            return Err(OrderRefusal::ObeysNobody);
        }
        let text = signed.verified(self.operators).map_err(|why| match why {
            Unverified::NoKey => OrderRefusal::NoKey,
            Unverified::UnknownOperator(key) => OrderRefusal::UnknownOperator(key),
            Unverified::WrongSignature(key) => OrderRefusal::WrongSignature(key),
        })?;
        let order: Order =
            serde_json::from_str(text).map_err(|error| OrderRefusal::Unknown(error.to_string()))?;
        if order.fleet != self.fleet.as_str() {
            return Err(OrderRefusal::OtherFleet(order.fleet));
        }
        if order.serial <= self.last {
            return Err(OrderRefusal::NotNewer { serial: order.serial, last: self.last });
        }
        if order.expires <= self.now {
            return Err(OrderRefusal::Expired(order.expires));
        }
        if order.issued.duration_since(self.now) > MAX_AHEAD {
            return Err(OrderRefusal::NotYet(order.issued));
        }
        if order.expires.duration_since(order.issued).unsigned_abs() > MAX_LIFE {
            return Err(OrderRefusal::TooLong);
        }
        may_be_ordered(&order.request).map_err(OrderRefusal::Forbidden)?;
        Ok(order)
    }

    fn is_among(&self, hosts: &OrderedHosts) -> bool {
        hosts_include(hosts, self.name, self.labels.as_map())
    }
}

/// Whether `hosts` include the host of this name with these labels. A pattern that cannot be read
/// includes nobody.
#[must_use]
pub fn hosts_include(
    hosts: &OrderedHosts,
    name: &FleetName,
    labels: &BTreeMap<String, String>,
) -> bool {
    let OrderedHosts { names, labels: wanted, wave } = hosts;
    let fits = |pattern: &String| {
        pattern.parse::<NamePattern>().is_ok_and(|pattern| pattern.matches(name))
    };
    names.iter().any(fits)
        && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        && wave.is_none_or(|wave| (wave.from..wave.below).contains(&place(name)))
}

/// Whether `request` is one that an order may carry.
///
/// # Errors
/// Why it is not.
pub fn may_be_ordered(request: &Request) -> Result<(), &'static str> {
    match request {
        Request::Mode(ModeChange { force: true, .. }) => {
            Err("--force is for one host: type it there, where its preflight is seen")
        }
        Request::RefreshPrefixes { then: RefreshAction::ApplyShrunk } => {
            Err("a list that lost many prefixes is accepted on each host alone")
        }
        Request::Mode(_)
        | Request::Confirm
        | Request::Open { .. }
        | Request::Close { .. }
        | Request::RefreshPrefixes { then: RefreshAction::Apply }
        | Request::Reload => Ok(()),
        Request::Status
        | Request::Prefixes
        | Request::Identities
        | Request::Peers
        | Request::Strangers
        | Request::RefreshPrefixes { then: RefreshAction::Compare }
        | Request::Upgrade => Err("orders change modes, openings, lists or the configuration"),
    }
}
