//! How the terminator stands, in the words of the status document.

use crate::{
    channel::Report,
    config::Live,
    control::{Handshakes, Identity, Refused, Requests, peer_list, timestamp},
    firewall::PeerReading,
    terminator::LedgerSnapshot,
};

/// Identities that one report holds; the latest of each site first.
const MOST_IDENTITIES: usize = 10_000;

pub(super) fn report(ledger: LedgerSnapshot, peers: &[PeerReading], live: &Live) -> Report {
    let sites: Vec<String> = live.sites.iter().map(|site| site.name.clone()).collect();
    let refused = ledger.refused.into_iter().map(|refused| Refused {
        site: refused.site.to_string(),
        reason: refused.refusal.name().to_owned(),
        count: refused.count,
    });
    let handshakes = Handshakes {
        accepted: ledger.accepted,
        would_refuse: ledger.would_refuse,
        refused: refused.collect(),
    };
    let denied = ledger.denied.into_iter().map(|denied| Refused {
        site: denied.site.to_string(),
        reason: denied.denial.name().to_owned(),
        count: denied.count,
    });
    let requests = Requests { relayed: ledger.relayed, refused: denied.collect() };
    let identities = ledger.identities.into_iter().take(MOST_IDENTITIES).map(|sighting| Identity {
        site: sighting.site.to_string(),
        subject: sighting.identity.subject,
        issuer: sighting.identity.issuer,
        spki_sha256: sighting.identity.spki_sha256,
        serial: sighting.identity.serial,
        not_after: timestamp(sighting.identity.not_after),
        first_seen: timestamp(sighting.first_seen),
        last_seen: timestamp(sighting.last_seen),
        pulls: sighting.pulls,
    });
    Report {
        open: ledger.open,
        handshakes,
        requests,
        identities: identities.collect(),
        peers: peer_list(peers, &sites),
        peers_total: peers.len(),
    }
}
