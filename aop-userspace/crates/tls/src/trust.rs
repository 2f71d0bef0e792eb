//! The certificates that a site accepts, so that two generations of its configuration can be
//! compared. Peers that are let in because the site observes do not count.

use std::collections::HashSet;

use aop_config::{
    CertificateRules, CrlScope, OnExpiry, RequiredKey, RequiredSan, Revocation, SpkiPin,
};
use rustls::pki_types::TrustAnchor;

use super::{anchors::Anchor, crl::Revoked};

/// The certificates that a site accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trust {
    anchors: HashSet<Key>,
    san: HashSet<RequiredSan>,
    cn: Option<String>,
    pins: HashSet<SpkiPin>,
    key: Option<RequiredKey>,
    expired_ca: OnExpiry,
    revoked: Revoked,
    scope: CrlScope,
    crl_expired: OnExpiry,
}

/// An anchor as the verifier sees it: subject, public key and name constraints.
type Key = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

impl Trust {
    pub(super) fn of(anchors: &[Anchor], rules: &CertificateRules, revoked: Revoked) -> Self {
        let key = |anchor: &TrustAnchor<'_>| {
            let constraints = anchor.name_constraints.as_ref().map(|der| der.to_vec());
            (anchor.subject.to_vec(), anchor.subject_public_key_info.to_vec(), constraints)
        };
        // Names every field, so that a new rule does not compile until it is compared.
        let CertificateRules {
            san,
            cn,
            pins,
            key: kind_of_key,
            revocation: Revocation { files: _, scope, expired },
            expired_ca,
            resumption: _,
        } = rules;
        Self {
            anchors: anchors.iter().map(|anchor| key(&anchor.trust)).collect(),
            san: san.iter().cloned().collect(),
            cn: cn.clone(),
            pins: pins.iter().copied().collect(),
            key: *kind_of_key,
            expired_ca: *expired_ca,
            revoked,
            scope: *scope,
            crl_expired: *expired,
        }
    }

    /// Whether it surely accepts every certificate that `other` accepts.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.anchors.is_subset(&self.anchors)
            && admits(&self.san, &other.san)
            && admits(&self.pins, &other.pins)
            && (self.cn.is_none() || self.cn == other.cn)
            && (self.key.is_none() || self.key == other.key)
            && tolerates(self.expired_ca, other.expired_ca)
            && self.revokes_no_more_than(other)
    }

    fn revokes_no_more_than(&self, other: &Self) -> bool {
        if self.revoked.is_empty() {
            return true;
        }
        // A certificate whose issuer has no list is refused, so no issuer's list may be missing
        // now.
        !other.revoked.is_empty()
            && other.revoked.keys().all(|issuer| self.revoked.contains_key(issuer))
            && self.revoked.iter().all(|(issuer, now)| {
                // Before, no certificate of an issuer without a list was accepted.
                other.revoked.get(issuer).is_none_or(|before| now.is_subset(before))
            })
            && (self.scope == CrlScope::Leaf || other.scope == CrlScope::Chain)
            && tolerates(self.crl_expired, other.crl_expired)
    }
}

/// Whether every certificate that matches one of `before` matches one of `now`. An empty set
/// demands nothing.
fn admits<T: std::hash::Hash + Eq>(now: &HashSet<T>, before: &HashSet<T>) -> bool {
    now.is_empty() || (!before.is_empty() && before.is_subset(now))
}

fn tolerates(now: OnExpiry, before: OnExpiry) -> bool {
    now == OnExpiry::Warn || before == OnExpiry::Refuse
}
