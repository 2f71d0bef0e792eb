//! The orders in etcd, and what became of each at which hosts, for an operator.

use aop_api::{FleetOrders, OrderedHost, StoredOrder};
use aop_config::OperatorKey;

use crate::{StoredFleet, StoredOrders};

/// The orders in the order of their numbers. The operators are those that the configuration here
/// names.
#[must_use]
pub fn fleet_orders(
    stored: &StoredOrders,
    fleet: &StoredFleet,
    operators: &[OperatorKey],
) -> FleetOrders {
    let orders = stored.orders.iter().filter_map(|signed| {
        let order = signed.unverified()?;
        Some(StoredOrder {
            genuine: signed.signed_by(operators).is_some(),
            operator: signed.claimed_operator()?.to_string(),
            hosts: hosts_of(order.serial, fleet),
            order,
        })
    });
    let orders: Vec<_> = orders.collect();
    FleetOrders {
        unreadable: stored.unreadable + stored.orders.len() - orders.len(),
        more: stored.more,
        orders,
    }
}

/// The hosts that took the order of this number.
pub(crate) fn hosts_of(serial: u64, fleet: &StoredFleet) -> Vec<OrderedHost> {
    let took = fleet.certain_reports().filter_map(|(name, report)| {
        let order = report.orders.iter().find(|order| order.serial == serial)?;
        Some(OrderedHost {
            host: name.to_string(),
            state: order.state.clone(),
            at: order.at,
            error: order.error.clone(),
        })
    });
    took.collect()
}
