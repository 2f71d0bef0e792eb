//! Writes the report of this host into etcd, under a lease that each report renews. If the daemon
//! stops reporting, the lease expires, and the fleet sees that the host is silent.
//!
//! A host never overwrites the report of another one: it writes if there is none, or if the one
//! that is there is its own. The condition is part of the transaction that writes.

use std::{
    mem,
    time::{Duration, Instant},
};

use aop_api::OriginReport;
use aop_config::{FleetName, FleetPrefix};
use aop_types::SafeText;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    MAX_REPORT,
    etcd::{Compare, EtcdClient, EtcdError, KeyValue, Operation, RangeRead, Wanted, end_of_prefix},
    keys::HostKeys,
    order_store::{OrderPage, OrderRange},
};

/// The time from its renewal on until a lease expires, and the host counts as silent.
pub const LEASE: Duration = Duration::from_secs(40);
/// A report renews a lease of this age: each second one does, and not each one, which costs etcd as
/// much as the report. So a lease has 16 s left when the next report is due.
const RENEWED_AFTER: Duration = Duration::from_secs(15);
/// Attempts to write one report: the key may expire, or be found to be its own.
const ATTEMPTS: usize = 3;
/// A foreign change of the own report happens once in an upgrade. So many in a row come from
/// another host.
const STOLEN: u32 = 4;
/// More claims of one name than are told.
const MAX_CLAIMS: i64 = 4;

/// The result of an attempt to report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Publication {
    /// etcd took the report.
    Taken {
        /// The bytes of the report.
        bytes: usize,
        /// Another host claims the name.
        rival: Option<Rival>,
        /// The orders that were asked for.
        orders: OrderPage,
    },
    /// Another host reports under this name.
    NameTaken,
}

/// Another host of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rival {
    /// It has another instance number.
    Instance(SafeText<64>),
    /// It has the same one: its disk is a copy.
    Copy,
}

/// The content of `PREFIX/seen/NAME` and of a claim.
#[derive(Serialize)]
struct Seen<'a> {
    instance: &'a str,
    /// When it reported, by its clock.
    at: Timestamp,
}

/// The part of a report that tells whose it is.
#[derive(Deserialize)]
struct Owner {
    instance: SafeText<64>,
}

/// A lease that was renewed, or made, at this moment.
#[derive(Clone, Copy)]
struct Lease {
    id: i64,
    renewed: Instant,
}

/// The lease, and the knowledge of the own key.
#[derive(Default)]
pub(crate) struct Publisher {
    /// The name of the last report.
    name: Option<FleetName>,
    lease: Option<Lease>,
    /// The revision of the last own write; `None` before the first, or if the name is taken.
    revision: Option<i64>,
    /// The changes of the own report by somebody else, in a row.
    stolen: u32,
}

impl Publisher {
    /// Writes `report`, and reads the orders whose numbers are above `orders_above` in the same
    /// transaction.
    pub(crate) async fn publish(
        &mut self,
        etcd: &mut EtcdClient,
        prefix: &FleetPrefix,
        report: &OriginReport,
        orders_above: Option<u64>,
    ) -> Result<Publication, EtcdError> {
        let mut published = self.try_publish(etcd, prefix, report, orders_above).await;
        if let (Err(EtcdError::TooLong), Some(last)) = (&published, orders_above) {
            // etcd took the report. An operator may have written values that are far too long for
            // orders: they are read with reads of their own.
            self.revision = None;
            published = self.try_publish(etcd, prefix, report, None).await;
            if let Ok(Publication::Taken { orders, .. }) = &mut published {
                *orders = OrderRange::above(prefix, last).unread();
            }
        }
        if matches!(published, Err(EtcdError::Refused(_))) {
            // Perhaps it was the lease. After an attempt without an answer it may live: then the
            // next attempt renews it.
            self.lease = None;
        }
        published
    }

    async fn try_publish(
        &mut self,
        etcd: &mut EtcdClient,
        prefix: &FleetPrefix,
        report: &OriginReport,
        orders_above: Option<u64>,
    ) -> Result<Publication, EtcdError> {
        let refused = |why: String| EtcdError::refused(&why);
        let name: FleetName = report.name.parse().map_err(refused)?;
        self.leave_other_name(etcd, prefix, &name).await?;
        let keys = HostKeys::of(prefix, &name);
        let value = serde_json::to_vec(report).map_err(|error| refused(error.to_string()))?;
        if value.len() > MAX_REPORT {
            return Err(refused(format!("a report of {} bytes is too long", value.len())));
        }
        let seen = Seen { instance: &report.instance, at: report.at };
        let seen = serde_json::to_vec(&seen).map_err(|error| refused(error.to_string()))?;
        let lease = self.living_lease(etcd).await?;
        let known = self.revision.is_some_and(|revision| revision != 0);
        let orders = orders_above.map(|last| OrderRange::above(prefix, last));
        let mut stolen = false;
        for _ in 0..ATTEMPTS {
            let claim = keys.claim(&report.instance);
            let mut success = vec![
                Operation::Put { key: &keys.report, value: value.clone(), lease },
                Operation::Put { key: &keys.seen, value: seen.clone(), lease: 0 },
                Operation::Delete(&claim),
                Operation::GetRange(
                    &keys.claims,
                    end_of_prefix(&keys.claims),
                    MAX_CLAIMS,
                    Wanted::Keys,
                ),
            ];
            success.extend(orders.as_ref().map(OrderRange::operation));
            let condition =
                Compare { key: &keys.report, revision: self.revision.unwrap_or_default() };
            let failure = vec![Operation::Get(&keys.report)];
            let mut answer = etcd.transaction(Some(condition), success, failure).await?;
            if answer.met {
                self.revision = Some(answer.revision);
                self.stolen = if stolen { self.stolen + 1 } else { 0 };
                let rival = self.rival(&answer.take_read(0), &keys);
                let RangeRead { keys, more } = answer.take_read(1);
                let orders = OrderPage::of(&keys, more);
                return Ok(Publication::Taken { bytes: value.len(), rival, orders });
            }
            match answer.keys().next() {
                // It has expired.
                None => self.revision = Some(0),
                Some(found) => match owner(found) {
                    Some(owner) if *owner.instance == *report.instance => {
                        stolen = known;
                        self.revision = Some(found.mod_revision);
                    }
                    Some(_) | None => {
                        self.revision = None;
                        let put = Operation::Put { key: &claim, value: seen, lease };
                        etcd.transaction(None, vec![put], Vec::new()).await?;
                        return Ok(Publication::NameTaken);
                    }
                },
            }
        }
        Err(EtcdError::refused("the report was changed again and again while it was written"))
    }

    /// Deletes what this host wrote under another name, so that the fleet does not see it twice.
    async fn leave_other_name(
        &mut self,
        etcd: &mut EtcdClient,
        prefix: &FleetPrefix,
        name: &FleetName,
    ) -> Result<(), EtcdError> {
        let former = self.name.replace(name.clone());
        let Some(former) = former.filter(|former| former != name) else { return Ok(()) };
        // The lease is let go, so that the report expires even if it cannot be deleted.
        let Self { revision, .. } = mem::take(self);
        self.name = Some(name.clone());
        let keys = HostKeys::of(prefix, &former);
        let Some(revision) = revision.filter(|revision| *revision != 0) else { return Ok(()) };
        let own = Compare { key: &keys.report, revision };
        let delete = vec![Operation::Delete(&keys.report), Operation::Delete(&keys.seen)];
        match etcd.transaction(Some(own), delete, Vec::new()).await {
            // The roles in etcd may not let it.
            Ok(_) | Err(EtcdError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A lease that lives until the next report, and longer.
    async fn living_lease(&mut self, etcd: &mut EtcdClient) -> Result<i64, EtcdError> {
        let renewed = Instant::now();
        if let Some(lease) = &mut self.lease {
            if lease.renewed.elapsed() < RENEWED_AFTER {
                return Ok(lease.id);
            }
            if etcd.keep_alive(lease.id).await? {
                lease.renewed = renewed;
                return Ok(lease.id);
            }
        }
        let id = etcd.grant(LEASE).await?;
        self.lease = Some(Lease { id, renewed });
        Ok(id)
    }

    fn rival(&self, claims: &RangeRead, keys: &HostKeys) -> Option<Rival> {
        let claim = |found: &KeyValue| {
            let key = String::from_utf8_lossy(&found.key);
            key.strip_prefix(&keys.claims).map(|instance| Rival::Instance(SafeText::new(instance)))
        };
        let copy = (self.stolen >= STOLEN).then_some(Rival::Copy);
        claims.keys.iter().find_map(claim).or(copy)
    }
}

fn owner(found: &KeyValue) -> Option<Owner> {
    serde_json::from_slice(&found.value).ok()
}
