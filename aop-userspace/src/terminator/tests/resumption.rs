//! Nothing is resumed: a resumed session would not be judged.

use std::sync::Arc;

use rustls::HandshakeKind;

use super::rig::{Rig, SITE, exchange};
use crate::tls::testing::{BOTH, client};

#[tokio::test]
async fn the_second_handshake_is_a_full_one_and_no_ticket_is_given() {
    let rig = Rig::new().await;
    for version in BOTH {
        let config = client(&rig.server_ca, Some(&rig.client_ca.edge()), &[version]);
        // One configuration, and so one store of sessions, for both.
        let config = Arc::new(config);
        for _ in 0..2 {
            let (mut peer, mut upstream) = rig.pull_as(&config, SITE).await.unwrap();
            exchange(&mut peer, &mut upstream).await;
            let (_, session) = peer.get_ref();
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
            assert_eq!(session.tls13_tickets_received(), 0);
        }
    }
    rig.ledger_when(|ledger| ledger.accepted == 4).await;
}
