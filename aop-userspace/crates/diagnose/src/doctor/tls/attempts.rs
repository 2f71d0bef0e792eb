//! Attempts that every listener must refuse.

use std::sync::Arc;

use aop_api::Finding;
use aop_tls::{PresentedCertificate, TlsVersion, client};
use aws_lc_rs::error::Unspecified;
use rustls::ClientConfig;

use super::{
    Attacked, Ring,
    der::{common_name, sequence},
    dial::{Answer, Target, Try},
    forgery::{Flaw, Forger, self_signed},
    to_be_refused,
};
use crate::doctor::finding::untried;

/// The record size, in bytes, for a fragmented ClientHello.
const TINY: usize = 7;
/// A host of no site.
const NOBODY: &str = "aop-doctor.invalid";

pub(super) fn look(ring: &Ring<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for attacked in &ring.sites {
        match villains(attacked) {
            Ok(villains) => findings.extend(villains.iter().map(|it| tried(ring, attacked, it))),
            Err(Unspecified) => {
                findings.push(untried("tls", "certificates for the attempts could not be made"));
            }
        }
    }
    findings.extend(nameless(ring));
    findings
}

/// A peer that must be refused.
struct Villain {
    name: &'static str,
    what: &'static str,
    presented: Option<PresentedCertificate>,
    records: Option<usize>,
}

fn villains(attacked: &Attacked<'_>) -> Result<Vec<Villain>, Unspecified> {
    let ca = attacked.site.client_ca_names().next();
    let ca = ca.map_or_else(|| common_name("Client CA"), sequence);
    let forger = Forger::new(ca.clone())?;
    let villain = |name, what, presented| Villain { name, what, presented, records: None };
    Ok(vec![
        villain("no_certificate", "a peer without a certificate", None),
        villain("stranger_ca", "a leaf of another CA", Some(Forger::stranger()?.leaf(Flaw::None)?)),
        villain("forged_ca", "a leaf of a forged client CA", Some(forger.leaf(Flaw::None)?)),
        villain("forged_expired", "a forged, expired leaf", Some(forger.leaf(Flaw::Expired)?)),
        villain("forged_version_1", "a forged v1 leaf", Some(forger.leaf(Flaw::Version1)?)),
        villain("forged_ca_leaf", "a forged leaf with CA:TRUE", Some(forger.leaf(Flaw::Ca)?)),
        villain("self_signed", "a self-signed copy of the client CA", Some(self_signed(ca)?)),
        Villain {
            name: "fragmented",
            what: "a fragmented ClientHello without a certificate",
            presented: None,
            records: Some(TINY),
        },
    ])
}

fn tried(ring: &Ring<'_>, attacked: &Attacked<'_>, villain: &Villain) -> Finding {
    let mut answers = Vec::new();
    for (target, version) in ways(ring) {
        let config = client(villain.presented.as_ref(), Some(version), None);
        let answer = answer(ring, target, config.ok(), |config| Try {
            config,
            name: Some(&attacked.host),
            records: villain.records,
            request: attacked.request(),
        });
        answers.push((format!("{} in {}", target.to, version.name()), answer));
    }
    let about = Some(attacked.site.name().to_string());
    Finding { about, ..to_be_refused(villain.name, villain.what, &answers) }
}

/// Attempts that name no site, and plain HTTP.
fn nameless(ring: &Ring<'_>) -> Vec<Finding> {
    let unnamed = |name: Option<&'static str>, records| {
        let answers = ways(ring).map(|(target, version)| {
            let config = client(None, Some(version), None);
            let how = |config| Try { config, name, records, request: None };
            let answer = answer(ring, target, config.ok(), how);
            (format!("{} in {}", target.to, version.name()), answer)
        });
        answers.collect::<Vec<_>>()
    };
    let plain: Vec<_> =
        ring.targets.iter().map(|target| (target.to.to_string(), ring.in_clear(*target))).collect();
    vec![
        to_be_refused("no_name", "a ClientHello without a server name", &unnamed(None, None)),
        to_be_refused("unknown_name", "an unknown server name", &unnamed(Some(NOBODY), None)),
        to_be_refused(
            "fragmented_no_name",
            "a fragmented ClientHello without a server name",
            &unnamed(None, Some(TINY)),
        ),
        to_be_refused("plain_http", "plain HTTP", &plain),
    ]
}

fn ways<'a>(ring: &'a Ring<'_>) -> impl Iterator<Item = (Target, TlsVersion)> + 'a {
    ring.targets.iter().flat_map(|target| TlsVersion::BOTH.map(|version| (*target, version)))
}

fn answer<'a>(
    ring: &Ring<'_>,
    target: Target,
    config: Option<Arc<ClientConfig>>,
    how: impl FnOnce(Arc<ClientConfig>) -> Try<'a>,
) -> Answer {
    match config {
        Some(config) => ring.attempt(target, &how(config)).answer,
        None => Answer::Unreachable("the TLS client for it could not be built".into()),
    }
}
