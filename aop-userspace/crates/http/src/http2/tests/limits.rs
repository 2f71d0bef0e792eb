//! Peers that cause too much load.

use super::*;

/// Feeds `bytes`, as often as `times`, and returns the limits that were reported.
fn repeat(wire: &mut Wire, times: usize, bytes: &[u8]) -> Result<Vec<Limit>, ConnectionError> {
    let mut limits = Vec::new();
    for _ in 0..times {
        for seen in wire.feed(bytes)? {
            if let Seen::Limit(limit) = seen {
                limits.push(limit);
            }
        }
    }
    Ok(limits)
}

#[test]
fn a_rapid_reset_retires_the_connection_in_order_and_a_flood_ends_it() {
    let mut wire = Wire::server();
    wire.post(1);
    let mut stream = 1;
    let mut rapid = |wire: &mut Wire, times| {
        let mut limits = Vec::new();
        for _ in 0..times {
            stream += 2;
            let headers = wire.headers(ENDS, stream, GET);
            limits.extend(repeat(
                wire,
                1,
                &[headers, frame(RST_STREAM, 0, stream, &[0; 4])].concat(),
            )?);
        }
        Ok::<_, ConnectionError>(limits)
    };
    assert_eq!(rapid(&mut wire, 400), Ok(vec![]));
    assert_eq!(wire.sent(), []);
    assert_eq!(rapid(&mut wire, 1), Ok(vec![Limit::Resets]));
    let sent = wire.sent();
    assert_eq!((sent[0].kind, sent[0].number()), (GOAWAY, 803));
    assert_eq!(sent[0].payload[4..], [0; 4]);
    // New streams are refused, the open one goes on.
    assert_eq!(rapid(&mut wire, 1), Ok(vec![]));
    assert_eq!(wire.resets(), [(805, ErrorCode::RefusedStream)]);
    wire.respond(1, 200, End::Yes);
    assert!(!wire.connection.is_shut_down());
    assert_eq!(wire.sees(&frame(DATA, 1, 1, b"x")), [Seen::Data(1, b"x".to_vec(), true)]);
    assert!(wire.connection.is_shut_down());
    let error = rapid(&mut wire, 4_000).unwrap_err();
    assert_eq!(error.code, ErrorCode::EnhanceYourCalm);
}

#[test]
fn each_flood_has_its_limit() {
    let zero = [0; 8];
    let floods = [
        (Limit::EmptyData, 200, frame(DATA, 0, 1, &[])),
        (Limit::Pings, 200, frame(PING, 0, 0, &zero)),
        (Limit::Settings, 49, frame(SETTINGS, 0, 0, &[])),
        (Limit::IgnoredFrames, 4_000, frame(PRIORITY, 0, 1, &zero[..5])),
        (Limit::IgnoredFrames, 4_000, frame(0x20, 0, 1, &[])),
        (Limit::SmallUpdates, 4_000, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        (Limit::LateFrames, 10_000, frame(DATA, 0, 3, b"x")),
        (Limit::LateFrames, 10_000, frame(RST_STREAM, 0, 3, &zero[..4])),
    ];
    for (limit, size, frame) in floods {
        let mut wire = Wire::server();
        wire.post(1);
        wire.post(3);
        wire.connection.reset(id(3), ErrorCode::Cancel);
        assert_eq!(repeat(&mut wire, size, &frame), Ok(vec![]), "{limit:?}");
        assert_eq!(repeat(&mut wire, 10, &frame), Ok(vec![limit]));
        let error = repeat(&mut wire, size * 10, &frame).unwrap_err();
        assert_eq!((error.code, error.reason), (ErrorCode::EnhanceYourCalm, limit.name()));
    }
}

#[test]
fn updates_of_256_bytes_are_not_small() {
    let mut wire = Wire::server();
    for (by, limits) in [(256_u32, vec![]), (255, vec![Limit::SmallUpdates])] {
        let update = frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes());
        assert_eq!(repeat(&mut wire, 4_001, &update), Ok(limits));
    }
}

#[test]
fn streams_with_errors_are_limited_together() {
    let mut wire = Wire::server();
    let mut limits = Vec::new();
    for number in 0..67 {
        let stream = number * 6 + 1;
        let malformed = wire.headers(ENDS, stream, &[("x", "y")]);
        // Resets that the peer provokes.
        let post = wire.headers(END_HEADERS, stream + 2, POST);
        let zero = frame(WINDOW_UPDATE, 0, stream + 2, &[0; 4]);
        let get = wire.headers(ENDS, stream + 4, GET);
        let data = frame(DATA, 0, stream + 4, b"x");
        let bytes = [malformed, post, zero, get, data].concat();
        limits.extend(repeat(&mut wire, 1, &bytes).unwrap());
        wire.connection.reset(id(stream), ErrorCode::ProtocolError);
    }
    assert_eq!(limits, [Limit::Faults]);
}

#[test]
fn a_steady_peer_lives_for_ever() {
    let mut wire = Wire::server();
    for number in 0..20_000 {
        let stream = number * 2 + 1;
        wire.now += 10;
        let headers = wire.headers(END_HEADERS, stream, POST);
        let reset = frame(RST_STREAM, 0, stream, &[0; 4]);
        let ping = frame(PING, 0, 0, &[0; 8]);
        let seen = wire.sees(&[headers, reset, ping].concat());
        assert_eq!(seen.len(), 2);
        wire.connection.output.clear();
    }
}
