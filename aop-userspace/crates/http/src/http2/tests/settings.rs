//! SETTINGS (RFC 9113, 6.5), on both sides.

use super::*;

#[test]
fn the_peers_settings_are_known_when_they_have_arrived() {
    let mut wire = Wire::new(Connection::client(ConnectionConfig::default()));
    assert!(!wire.connection.has_settings());
    // The first SETTINGS may let the caller go on, others only with a larger value.
    let settings = frame(SETTINGS, 0, 0, &[]);
    assert_eq!(wire.sees(&settings), [Seen::Writable(None)]);
    assert!(wire.connection.has_settings());
    assert_eq!(wire.sees(&settings), []);
}

#[test]
fn a_server_announces_extended_connect_where_it_is_configured() {
    for (extended_connect, value) in [(ExtendedConnect::Refused, 0), (ExtendedConnect::Accepted, 1)]
    {
        let config = ConnectionConfig { extended_connect, ..ConnectionConfig::default() };
        let mut wire = Wire::new(Connection::server(config));
        let settings = wire.sent().remove(0);
        assert_eq!((settings.kind, settings.payload.len()), (SETTINGS, 24));
        assert!(settings.payload.chunks(6).any(|found| found == setting(8, value)));
    }
}

#[test]
fn the_table_of_the_encoder_has_the_size_that_the_peer_allows() {
    let mut wire = Wire::server();
    wire.sees(&frame(SETTINGS, 0, 0, &setting(1, 0)));
    wire.get(1);
    wire.sent();
    wire.respond(1, 200, End::Yes);
    // RFC 7541, 6.3: the change of the size comes first.
    assert_eq!(wire.sent()[0].payload, [0x20, 0x88]);
}

#[test]
fn more_streams_and_the_first_settings_let_the_caller_go_on() {
    let mut wire = Wire::new(Connection::client(ConnectionConfig::default()));
    let mut sees = |streams| wire.sees(&frame(SETTINGS, 0, 0, &setting(3, streams)));
    // Fewer than the caller may have open before.
    assert_eq!(sees(50), [Seen::Writable(None)]);
    assert_eq!(sees(50), []);
    assert_eq!(sees(51), [Seen::Writable(None)]);
    assert_eq!(sees(2), []);
}
