//! An order with its signature, as it is in etcd.

use aop_api::Order;
use aop_config::OperatorKey;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::OperatorSecret;

/// The most bytes of a signed order.
pub const MAX_ORDER: usize = 16 * 1024;

/// Begins the signed bytes, so that no signature of the same key for another purpose counts.
const PURPOSE: &[u8] = b"aop fleet order 1\0";

/// The value of `PREFIX/orders/SERIAL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// The [`Order`] in JSON: the signature is over these bytes.
    order: String,
    /// The public key of the operator.
    operator: String,
    /// The Ed25519 signature (RFC 8032), in base64.
    signature: String,
}

/// A signed order as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderParts {
    order: Vec<u8>,
    operator: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a value is no signed order.
#[derive(Debug, thiserror::Error)]
pub enum OrderFormError {
    /// It is longer than any order.
    #[error("an order of {0} bytes is too long: the bound is {MAX_ORDER}")]
    TooLong(usize),
    /// It is not of the form of an order.
    #[error("not of the form of a signed order: {0}")]
    Malformed(serde_json::Error),
}

impl SignedOrder {
    /// Signs `order`.
    ///
    /// # Errors
    /// The order is too long.
    pub fn sign(order: &Order, secret: &OperatorSecret) -> Result<Self, OrderFormError> {
        let order = serde_json::to_string(order).map_err(OrderFormError::Malformed)?;
        let signed = Self::of_text(order, secret);
        signed.to_bytes()?;
        Ok(signed)
    }

    pub(super) fn of_text(order: String, secret: &OperatorSecret) -> Self {
        let signature = BASE64.encode(&secret.sign(&message(&order)));
        Self { order, operator: secret.public_key().to_string(), signature }
    }

    /// Its value in etcd.
    ///
    /// # Errors
    /// It is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OrderFormError> {
        let bytes = serde_json::to_vec(self).map_err(OrderFormError::Malformed)?;
        if bytes.len() > MAX_ORDER {
            return Err(OrderFormError::TooLong(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a value from etcd. Nothing is known of its signature then.
    ///
    /// # Errors
    /// It is too long, or of another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OrderFormError> {
        if bytes.len() > MAX_ORDER {
            return Err(OrderFormError::TooLong(bytes.len()));
        }
        serde_json::from_slice(bytes).map_err(OrderFormError::Malformed)
    }

    /// Its parts, for the channel between two processes, whose texts are cleaned.
    #[must_use]
    pub fn to_parts(&self) -> OrderParts {
        let Self { order, operator, signature } = self;
        OrderParts {
            order: order.clone().into_bytes(),
            operator: operator.clone().into_bytes(),
            signature: signature.clone().into_bytes(),
        }
    }

    /// The order of these parts; `None` if they are no text.
    #[must_use]
    pub fn from_parts(parts: OrderParts) -> Option<Self> {
        let OrderParts { order, operator, signature } = parts;
        let text = |bytes| String::from_utf8(bytes).ok();
        Some(Self { order: text(order)?, operator: text(operator)?, signature: text(signature)? })
    }

    /// The operator who is said to have signed it; `None` if that is no key.
    #[must_use]
    pub fn claimed_operator(&self) -> Option<OperatorKey> {
        self.operator.parse().ok()
    }

    /// The text of the order, if one of `operators` signed it.
    pub(crate) fn verified(&self, operators: &[OperatorKey]) -> Result<&str, Unverified> {
        let claimed = self.claimed_operator().ok_or(Unverified::NoKey)?;
        let key = operators.iter().find(|key| **key == claimed);
        let key = key.ok_or(Unverified::UnknownOperator(claimed))?;
        let signature = BASE64.decode(self.signature.as_bytes()).unwrap_or_default();
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(&message(&self.order), &signature)
            .map_err(|_| Unverified::WrongSignature(claimed))?;
        Ok(&self.order)
    }

    /// The order, if one of `operators` signed it.
    #[must_use]
    pub fn signed_by(&self, operators: &[OperatorKey]) -> Option<Order> {
        serde_json::from_str(self.verified(operators).ok()?).ok()
    }

    /// The order as it is written, for people: nothing is known of its signature.
    #[must_use]
    pub fn unverified(&self) -> Option<Order> {
        serde_json::from_str(&self.order).ok()
    }
}

/// Why nobody is known to have signed an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    NoKey,
    UnknownOperator(OperatorKey),
    WrongSignature(OperatorKey),
}

fn message(order: &str) -> Vec<u8> {
    [PURPOSE, order.as_bytes()].concat()
}
