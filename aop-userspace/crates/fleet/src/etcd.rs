//! A client of etcd's API v3: gRPC over HTTP/2, with the few calls that a fleet needs.
//!
//! Used in the process without privilege alone. The answers are bounded, and their texts are made
//! safe.

mod client;
mod connection;
mod error;
mod messages;

pub(crate) use self::{
    client::{Compare, EtcdClient, Operation, RangeRead, Wanted, end_of_prefix},
    error::{EtcdError, FULL},
    messages::KeyValue,
};
