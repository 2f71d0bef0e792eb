//! Orders in etcd, read and written by the process.

use aop_config::FleetPrefix;
use serde::{Deserialize, Serialize};

use crate::{
    etcd::{Compare, EtcdClient, EtcdError, Operation, ReadState, end_of_prefix},
    keys,
    orders::{OrderParts, SignedOrder},
};

/// The most orders that are read at once.
const MOST: i64 = 64;

/// Orders, as the parent gets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderPage {
    pub(crate) orders: Vec<OrderParts>,
    /// Keys that hold no order.
    pub(crate) unreadable: usize,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// Reads the orders whose numbers are above `above`.
pub(crate) async fn read(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    above: u64,
    state: ReadState,
) -> Result<OrderPage, EtcdError> {
    let from = keys::order(prefix, above.saturating_add(1));
    let end = end_of_prefix(&keys::orders(prefix));
    let page = etcd.range(from.as_bytes(), &end, MOST, state).await?;
    let order = |value: &[u8]| SignedOrder::from_bytes(value).ok().map(|order| order.to_parts());
    let orders: Vec<_> = page.keys.iter().filter_map(|key| order(&key.value)).collect();
    Ok(OrderPage { unreadable: page.keys.len() - orders.len(), orders, more: page.more })
}

/// Writes an order for so many seconds, if there is none of its number.
pub(crate) async fn write(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    serial: u64,
    value: Vec<u8>,
    seconds: i64,
) -> Result<bool, EtcdError> {
    let key = keys::order(prefix, serial);
    let lease = etcd.grant(seconds).await?;
    let absent = Compare { key: &key, revision: 0 };
    let put = vec![Operation::Put { key: &key, value: value.clone(), lease }];
    let answer = etcd.transaction(Some(absent), put, vec![Operation::Get(&key)]).await?;
    // A call whose answer was lost is made again, and finds what it wrote.
    Ok(answer.met || answer.read.iter().any(|found| found.value == value))
}
