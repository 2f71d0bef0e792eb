//! Attempts that every listener must refuse.

use aop_tls::{PresentedCertificate, ProbeClient, TlsVersion};
use aws_lc_rs::error::Unspecified;

use super::{
    Attack, AttackedSite,
    der::{common_name, sequence},
    dial::{Attempt, AttemptAnswer, Target},
    forged_certificates::{Flaw, ForgedCa, self_signed},
    to_be_refused,
};
use crate::doctor::finding::{CheckFinding, untried};

/// The record size, in bytes, for a fragmented ClientHello.
const TINY: usize = 7;
/// A host of no site.
const UNKNOWN_HOST: &str = "aop-doctor.invalid";

pub(super) fn check(attack: &Attack<'_>) -> Vec<CheckFinding> {
    let mut findings = Vec::new();
    for attacked in &attack.sites {
        match bad_peers(attacked) {
            Ok(bad_peers) => {
                findings.extend(bad_peers.iter().map(|it| tried(attack, attacked, it)))
            }
            Err(Unspecified) => {
                findings.push(untried("tls", "certificates for the attempts could not be made"));
            }
        }
    }
    findings.extend(nameless(attack));
    findings
}

/// A peer that must be refused.
struct BadPeer {
    name: &'static str,
    what: &'static str,
    presented: Option<PresentedCertificate>,
    records: Option<usize>,
}

fn bad_peers(attacked: &AttackedSite<'_>) -> Result<Vec<BadPeer>, Unspecified> {
    let ca = attacked.site.client_ca_names().next();
    let ca = ca.map_or_else(|| common_name("Client CA"), sequence);
    let forged = ForgedCa::new(ca.clone())?;
    let peer = |name, what, presented| BadPeer { name, what, presented, records: None };
    Ok(vec![
        peer("no_certificate", "a peer without a certificate", None),
        peer("stranger_ca", "a leaf of another CA", Some(ForgedCa::stranger()?.leaf(Flaw::None)?)),
        peer("forged_ca", "a leaf of a forged client CA", Some(forged.leaf(Flaw::None)?)),
        peer("forged_expired", "a forged, expired leaf", Some(forged.leaf(Flaw::Expired)?)),
        peer("forged_version_1", "a forged v1 leaf", Some(forged.leaf(Flaw::Version1)?)),
        peer("forged_ca_leaf", "a forged leaf with CA:TRUE", Some(forged.leaf(Flaw::Ca)?)),
        peer("self_signed", "a self-signed copy of the client CA", Some(self_signed(ca)?)),
        BadPeer {
            name: "fragmented",
            what: "a fragmented ClientHello without a certificate",
            presented: None,
            records: Some(TINY),
        },
    ])
}

fn tried(attack: &Attack<'_>, attacked: &AttackedSite<'_>, peer: &BadPeer) -> CheckFinding {
    let mut answers = Vec::new();
    for (target, version) in ways(attack) {
        let client = ProbeClient::new(peer.presented.as_ref(), Some(version), None);
        let answer = answer(attack, target, client.ok(), |client| Attempt {
            client,
            name: Some(&attacked.host),
            records: peer.records,
            request: attacked.request(),
        });
        answers.push((format!("{} in {}", target.to, version.name()), answer));
    }
    to_be_refused(peer.name, peer.what, &answers).about(attacked.site.name())
}

/// Attempts that name no site, and plain HTTP.
fn nameless(attack: &Attack<'_>) -> Vec<CheckFinding> {
    let unnamed = |name: Option<&'static str>, records| {
        let answers = ways(attack).map(|(target, version)| {
            let client = ProbeClient::new(None, Some(version), None);
            let how = |client| Attempt { client, name, records, request: None };
            let answer = answer(attack, target, client.ok(), how);
            (format!("{} in {}", target.to, version.name()), answer)
        });
        answers.collect::<Vec<_>>()
    };
    let plain: Vec<_> = attack
        .targets
        .iter()
        .map(|target| (target.to.to_string(), attack.in_clear(*target)))
        .collect();
    vec![
        to_be_refused("no_name", "a ClientHello without a server name", &unnamed(None, None)),
        to_be_refused("unknown_name", "an unknown server name", &unnamed(Some(UNKNOWN_HOST), None)),
        to_be_refused(
            "fragmented_no_name",
            "a fragmented ClientHello without a server name",
            &unnamed(None, Some(TINY)),
        ),
        to_be_refused("plain_http", "plain HTTP", &plain),
    ]
}

fn ways<'a>(attack: &'a Attack<'_>) -> impl Iterator<Item = (Target, TlsVersion)> + 'a {
    attack.targets.iter().flat_map(|target| TlsVersion::BOTH.map(|version| (*target, version)))
}

fn answer<'a>(
    attack: &Attack<'_>,
    target: Target,
    client: Option<ProbeClient>,
    how: impl FnOnce(ProbeClient) -> Attempt<'a>,
) -> AttemptAnswer {
    match client {
        Some(client) => attack.attempt(target, &how(client)).answer,
        None => AttemptAnswer::Unreachable("the TLS client for it could not be built".into()),
    }
}
