//! Tests of the client CA that is shown for a chain.

use rcgen::{DistinguishedName, DnType, DnValue};

use super::rules::anchor;
use crate::{
    CaScope, IssuingCa,
    client_ca::{Anchor, BUILT_IN},
    cloudflare_ca,
    issuing_ca::find,
    testing::Authority,
};

/// A CA with the published name of Cloudflare's, and another key.
fn namesake() -> Authority {
    Authority::with("ignored", |params| {
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "CloudFlare, Inc."),
            (DnType::OrganizationalUnitName, "Origin Pull"),
            (DnType::LocalityName, "San Francisco"),
            (DnType::StateOrProvinceName, "California"),
            (DnType::CommonName, "origin-pull.cloudflare.net"),
        ] {
            let value = DnValue::PrintableString(value.try_into().unwrap());
            params.distinguished_name.push(kind, value);
        }
    })
}

#[test]
fn a_chain_leads_to_the_anchor_with_the_name_of_its_last_issuer() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let between = ca.intermediate("between");
    let below = between.intermediate("below");
    let named = |authority: &Authority, name: &str| Anchor {
        name: name.into(),
        ..anchor(authority, u64::MAX)
    };
    let anchors = [named(&other, "other.pem"), named(&ca, "ca.pem")];
    let own = Some(IssuingCa { name: "ca.pem".into(), scope: CaScope::Own });
    assert_eq!(find(&ca.edge().chain, &anchors), own);
    let leaf = below.edge().chain[0].clone();
    let chain = [leaf, between.certificate.clone(), below.certificate.clone()];
    assert_eq!(find(&chain, &anchors), own, "the order of intermediates does not matter");
    assert_eq!(find(&chain[..2], &anchors), None);
    assert_eq!(find(&[], &anchors), None);
    // A loop of names.
    let [one, two] = [ca.intermediate("one"), ca.intermediate("two")];
    let crossed = [two.intermediate("one").certificate, one.intermediate("two").certificate];
    let chain = [vec![one.edge().chain[0].clone()], crossed.to_vec()].concat();
    assert_eq!(find(&chain, &anchors), None);
}

#[test]
fn only_cloudflares_own_key_makes_an_anchor_global() {
    let namesake = namesake();
    let chain = namesake.edge().chain;
    let global = Anchor { trust: cloudflare_ca::anchor(), ..anchor(&namesake, u64::MAX) };
    let found =
        |anchor: Anchor| find(&chain, &[Anchor { name: BUILT_IN.into(), ..anchor }]).unwrap().scope;
    assert_eq!(found(global), CaScope::CloudflareGlobal);
    assert_eq!(found(anchor(&namesake, u64::MAX)), CaScope::Own);
    assert_eq!([CaScope::CloudflareGlobal, CaScope::Own].map(CaScope::name), ["global", "own"]);
}
