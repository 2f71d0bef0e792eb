//! Orders in etcd, read and written by the process.

use std::time::Duration;

use aop_config::FleetPrefix;
use serde::{Deserialize, Serialize};

use crate::{
    etcd::{Compare, EtcdClient, EtcdError, KeyValue, Operation, end_of_prefix},
    keys,
    orders::{OrderParts, SignedOrder},
};

/// The most orders that are read at once.
const MOST: i64 = 64;

/// Orders, as the parent gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderPage {
    pub(crate) orders: Vec<OrderParts>,
    /// Keys that hold no order.
    pub(crate) unreadable: usize,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// The keys of the orders whose numbers are above one.
pub(crate) struct OrderRange {
    from: String,
    end: Vec<u8>,
}

impl OrderRange {
    pub(crate) fn above(prefix: &FleetPrefix, above: u64) -> Self {
        Self {
            from: keys::order(prefix, above.saturating_add(1)),
            end: end_of_prefix(&keys::orders(prefix)),
        }
    }

    /// The read of these orders, as a step of a transaction.
    pub(crate) fn operation(&self) -> Operation<'_> {
        Operation::GetRange(&self.from, self.end.clone(), MOST)
    }
}

impl OrderPage {
    pub(crate) fn of(keys: &[KeyValue], more: bool) -> Self {
        let order = |key: &KeyValue| Some(SignedOrder::from_bytes(&key.value).ok()?.to_parts());
        let orders: Vec<_> = keys.iter().filter_map(order).collect();
        Self { unreadable: keys.len() - orders.len(), orders, more }
    }
}

/// Reads the orders whose numbers are above `above`.
pub(crate) async fn read(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    above: u64,
) -> Result<OrderPage, EtcdError> {
    let OrderRange { from, end } = OrderRange::above(prefix, above);
    let page = etcd.range(from.as_bytes(), &end, MOST, 0).await?;
    Ok(OrderPage::of(&page.keys, page.more))
}

/// Writes an order for this time, if there is none of its number.
pub(crate) async fn write(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    serial: u64,
    value: Vec<u8>,
    life: Duration,
) -> Result<bool, EtcdError> {
    let key = keys::order(prefix, serial);
    let lease = etcd.grant(life).await?;
    let absent = Compare { key: &key, revision: 0 };
    let put = vec![Operation::Put { key: &key, value: value.clone(), lease }];
    let answer = etcd.transaction(Some(absent), put, vec![Operation::Get(&key)]).await?;
    // A call whose answer was lost is made again, and finds what it wrote.
    Ok(answer.met || answer.keys().any(|found| found.value == value))
}
