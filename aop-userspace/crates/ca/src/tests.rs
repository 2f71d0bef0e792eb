//! Tests of the crate by itself. Other programs judge its certificates in the end-to-end tests.

mod authority;
mod fitness;
mod keys;
mod requests;

use aop_config::HostPattern;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Ca, CaError, CaOrder, Description, IssuedLeaf, KeyAlgorithm, KeyError, LeafOrder, PrivateKey,
    create, describe,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    names.iter().map(|name| name.parse().expect("a host")).collect()
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key")
}

fn again(key: &PrivateKey) -> PrivateKey {
    let pem = key.to_pem().expect("text");
    read_key(pem.as_bytes()).expect("the same key")
}

fn read_key(text: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(text, || Ok(None))
}

fn order(limits: &[&str], days: u32) -> CaOrder {
    CaOrder { name: "test CA".into(), hosts: hosts(limits), days }
}

/// A CA for these names, and the text of its certificate.
fn ca(limits: &[&str], days: u32) -> (Ca, String) {
    let key = key();
    let pem = create(&order(limits, days), &key, now()).expect("a CA");
    (Ca::open(pem.as_bytes(), key, now()).expect("opened"), pem)
}

fn issue(ca: &Ca, names: &[&str], days: u32) -> Result<IssuedLeaf, CaError> {
    let order = LeafOrder { hosts: hosts(names), days };
    ca.issue(&order, &key().public_key(), now())
}

fn described(text: &str) -> Description {
    describe(text.as_bytes(), now()).expect("described")
}
