//! Client CAs for authenticated origin pulls, and the leaves that they sign.
//!
//! [`create`] makes a CA, [`Ca::open`] takes one up again, and [`Ca::issue`] signs the certificate
//! that a CDN is to present: for a [`PrivateKey`] made here, or for the key in a
//! [`SigningRequest`] made elsewhere. [`describe()`] says what a file holds and whether it fits its
//! purpose.
//!
//! This crate turns bytes into bytes: it reads no file, asks for no passphrase and prints nothing.
//! Private keys and passphrases are overwritten in memory when they are dropped.

mod algorithm;
mod authority;
mod describe;
mod error;
mod fitness;
mod key;
mod key_file;
mod names;
mod request;
#[cfg(test)]
mod tests;

pub use algorithm::KeyAlgorithm;
pub use authority::{
    Ca, CaOrder, DEFAULT_CA_NAME, IssuedLeaf, LeafOrder, MAX_CA_DAYS, MAX_LEAF_DAYS, check_ca,
    create, default_ca_name,
};
pub use describe::{DescribedCertificate, DescribedKey, DescribedRequest, Description, describe};
pub use error::{CaError, KeyError, RequestError};
pub use fitness::Fitness;
pub use key::{PrivateKey, PublicKey};
pub use key_file::{Passphrase, SecretDer, key_pem};
pub use names::NameConstraints;
pub use request::{SigningRequest, make_request};
