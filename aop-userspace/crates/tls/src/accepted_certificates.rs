//! The certificates that a site accepts, so that two generations of its configuration can be
//! compared. Peers that are let in because the site observes do not count.

use std::collections::HashSet;

use aop_config::{
    CertificateRules, CrlScope, OnExpiry, RequiredKey, RequiredSan, Revocation, SpkiPin,
};
use rustls::pki_types::TrustAnchor;

use super::{client_ca::Anchor, revocation::SignedList, revocation_list::RevocationList};

/// The certificates that a site accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcceptedCertificates {
    anchors: HashSet<AnchorKey>,
    san: HashSet<RequiredSan>,
    cn: Option<String>,
    pins: HashSet<SpkiPin>,
    key: Option<RequiredKey>,
    expired_ca: OnExpiry,
    lists: Vec<SignedList>,
    scope: CrlScope,
    crl_expired: OnExpiry,
}

/// An anchor as the verifier sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AnchorKey {
    subject: Vec<u8>,
    public_key: Vec<u8>,
    name_constraints: Option<Vec<u8>>,
}

impl AnchorKey {
    fn new(anchor: &TrustAnchor<'_>) -> Self {
        Self {
            subject: anchor.subject.to_vec(),
            public_key: anchor.subject_public_key_info.to_vec(),
            name_constraints: anchor.name_constraints.as_ref().map(|der| der.to_vec()),
        }
    }
}

impl AcceptedCertificates {
    /// Both structs of rules are taken apart, so that a rule that is forgotten here does not
    /// compile. The lists count by their contents, and resumed sessions are checked by the same
    /// rules.
    pub(crate) fn new(anchors: &[Anchor], rules: &CertificateRules, lists: &[SignedList]) -> Self {
        let CertificateRules { san, cn, pins, key, revocation, expired_ca, resumption: _ } = rules;
        let Revocation { files: _, scope, expired } = revocation;
        Self {
            anchors: anchors.iter().map(|anchor| AnchorKey::new(&anchor.trust)).collect(),
            san: san.iter().cloned().collect(),
            cn: cn.clone(),
            pins: pins.iter().copied().collect(),
            key: *key,
            expired_ca: *expired_ca,
            lists: lists.to_vec(),
            scope: *scope,
            crl_expired: *expired,
        }
    }

    /// Whether it surely accepts every certificate that `other` accepts.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // Taken apart for the same reason. The last three are compared together.
        let Self { anchors, san, cn, pins, key, expired_ca, lists: _, scope: _, crl_expired: _ } =
            self;
        other.anchors.is_subset(anchors)
            && is_as_lax(san, &other.san)
            && is_as_lax(pins, &other.pins)
            && (cn.is_none() || *cn == other.cn)
            && (key.is_none() || *key == other.key)
            && is_as_lax_after_expiry(*expired_ca, other.expired_ca)
            && self.revokes_no_more_than(other)
    }

    fn revokes_no_more_than(&self, other: &Self) -> bool {
        if self.lists.is_empty() {
            return true;
        }
        // A certificate whose issuer has no list is refused, so no issuer's list may be missing
        // now.
        !other.lists.is_empty()
            && other.lists.iter().all(|before| !lists_of(before, &self.lists).is_empty())
            && self.lists.iter().all(|now| {
                let before = lists_of(now, &other.lists);
                // Before, no certificate of an issuer without a list was accepted.
                before.is_empty() || now.list.is_within(&before)
            })
            && (self.scope == CrlScope::Leaf || other.scope == CrlScope::Chain)
            && is_as_lax_after_expiry(self.crl_expired, other.crl_expired)
    }
}

/// Those of `lists` that the signer of `one` signed.
fn lists_of<'a>(one: &SignedList, lists: &'a [SignedList]) -> Vec<&'a RevocationList> {
    lists.iter().filter(|list| list.has_signer_of(one)).map(|list| &*list.list).collect()
}

/// Whether every certificate that matches one of `before` matches one of `now`. An empty set
/// demands nothing.
fn is_as_lax<T: std::hash::Hash + Eq>(now: &HashSet<T>, before: &HashSet<T>) -> bool {
    now.is_empty() || (!before.is_empty() && before.is_subset(now))
}

fn is_as_lax_after_expiry(now: OnExpiry, before: OnExpiry) -> bool {
    now == OnExpiry::Warn || before == OnExpiry::Refuse
}
