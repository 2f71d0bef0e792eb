//! Orders in etcd, read and written by the process.

use std::time::Duration;

use aop_config::FleetPrefix;
use serde::{Deserialize, Serialize};

use crate::{
    etcd::{Compare, EtcdClient, EtcdError, KeyValue, Operation, Wanted, end_of_prefix},
    keys,
    orders::{OrderParts, SignedOrder},
};

/// The most orders of a page.
const MOST: i64 = 64;

/// The orders to read: a page of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OrdersFrom {
    /// Those whose numbers are above this one.
    Above(u64),
    /// Those from this key on, as the page before names it.
    Key(Vec<u8>),
}

/// Orders, as the parent gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderPage {
    pub(crate) orders: Vec<OrderParts>,
    /// Keys that hold no order.
    pub(crate) unreadable: usize,
    /// The first key of the next page, if one follows.
    pub(crate) next: Option<Vec<u8>>,
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
        Operation::GetRange(&self.from, self.end.clone(), MOST, Wanted::Values)
    }

    /// No order of the range, and all of them on the next page.
    pub(crate) fn unread(&self) -> OrderPage {
        OrderPage { next: Some(self.from.clone().into_bytes()), ..OrderPage::default() }
    }
}

impl OrderPage {
    pub(crate) fn of(keys: &[KeyValue], more: bool) -> Self {
        let order = |key: &KeyValue| Some(SignedOrder::from_bytes(&key.value).ok()?.to_parts());
        let orders: Vec<_> = keys.iter().filter_map(order).collect();
        // The key itself and the smallest character are the next key.
        let next = keys.last().filter(|_| more).map(|last| [&*last.key, &[0]].concat());
        Self { unreadable: keys.len() - orders.len(), orders, next }
    }
}

/// Reads a page of orders.
pub(crate) async fn read(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    from: OrdersFrom,
) -> Result<OrderPage, EtcdError> {
    let from = match from {
        OrdersFrom::Above(above) => OrderRange::above(prefix, above).from.into_bytes(),
        OrdersFrom::Key(key) => key,
    };
    let end = end_of_prefix(&keys::orders(prefix));
    let page = etcd.range(&from, &end, Wanted::Values, MOST, 0).await?;
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
