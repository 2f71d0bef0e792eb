//! HTTP/2 frames that cost the peer little and a naive server much.

use std::time::Duration;

use aop_http::http2::Limit;
use hyper::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

use super::{
    Application, Rig, SITE,
    application::Frames,
    before_http1,
    client::Client,
    frames::{
        CONTINUATION, DATA, END_OF_BOTH, END_OF_HEADERS, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING,
        PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, error, frame, get, head, opened, parsed,
        until_cut,
    },
};

#[tokio::test]
async fn a_rapid_reset_closes_its_connection_and_others_are_served() {
    let (rig, application) = before_http1().await;
    let stream = opened(&rig).await;
    let received = until_cut(stream, |number| {
        let id = 2 * number + 1;
        [frame(HEADERS, END_OF_BOTH, id, &head()), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    })
    .await;
    // In order, unless the flood goes on.
    assert!(matches!(error(&received), Some(0 | ENHANCE_YOUR_CALM)), "{:?}", error(&received));
    rig.counters_when(|counters| counters.open == 0).await;
    let counters = rig.counters();
    let retired = counters.retired.iter().map(|it| (&*it.site, it.limit, it.count));
    assert_eq!(retired.collect::<Vec<_>>(), [(SITE, Limit::Resets, 1)]);
    assert!(application.asked().len() < 1000, "{}", application.asked().len());
    assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_endless_header_list_closes_the_connection() {
    let (rig, application) = before_http1().await;
    let stream = opened(&rig).await;
    // One literal field of a kilobyte in each frame, and never END_HEADERS.
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x07][..], &[b'y'; 1024]].concat();
    let received = until_cut(stream, |number| match number {
        0 => frame(HEADERS, 0b001, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &field),
    })
    .await;
    assert!(error(&received).is_some(), "{received:?}");
    rig.counters_when(|counters| counters.open == 0).await;
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn a_header_list_that_is_too_long_is_refused_and_the_connection_stays_open() {
    let (rig, application) = before_http1().await;
    let mut client = Client::http2(&rig).await;
    let mut request = Request::get(format!("https://{SITE}/"));
    for number in 0..10 {
        request = request.header(format!("x-long-{number}"), "x".repeat(16_000));
    }
    let refused = client.send(request.body(Frames::default()).unwrap()).await;
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 431));
    assert_eq!(application.connections(), 0);
    assert_eq!(client.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn replies_to_a_peer_that_never_reads_are_bounded() {
    for ask in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let (rig, _application) = before_http1().await;
        let mut stream = opened(&rig).await;
        let many = ask.repeat(1000);
        let mut sent = 0;
        // The peer reads nothing, so a server that queues its replies would accept everything.
        while let Ok(written) = timeout(Duration::from_secs(1), stream.write(&many)).await {
            match written {
                Ok(written) => sent += written,
                Err(_) => break,
            }
            assert!(sent < 64 * 1024 * 1024, "replies are queued without bound");
        }
        assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn no_more_than_two_hundred_requests_are_open_on_a_connection() {
    let (rig, application) = before_http1().await;
    let mut stream = opened(&rig).await;
    let mut asks = Vec::new();
    for number in 0..250 {
        asks.extend(frame(HEADERS, END_OF_BOTH, 2 * number + 1, &head()));
    }
    stream.write_all(&asks).await.unwrap();
    while application.asked().len() < 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(application.asked().len(), 200);
}

/// Floods with `frames` and reads every reply, as a peer that follows the protocol does. Meanwhile
/// another peer is served, and the memory of the process does not grow.
async fn serves_others_during(rig: &Rig, application: &Application, frames: Vec<u8>) {
    let stream = opened(rig).await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut flood = JoinSet::new();
    flood.spawn(async move {
        let mut received = vec![0; 64 * 1024];
        while reading.read(&mut received).await.is_ok_and(|read| read > 0) {}
    });
    flood.spawn(async move {
        let many = frames.repeat(1000);
        while writing.write_all(&many).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut other = Client::http2(rig).await;
    let before = (memory(), application.asked().len());
    for _ in 0..100 {
        assert_eq!(other.get("/").await.unwrap().status(), 200);
    }
    let (after, asked) = (memory(), application.asked().len());
    assert!(after < before.0 + MUCH, "{} to {after} bytes", before.0);
    assert_eq!(asked, before.1 + 100, "the flood reached the application");
}

/// More memory than all other tests use, and less than a stored flood.
const MUCH: usize = 256 * 1024 * 1024;

/// The resident memory of this process, which runs other tests at the same time.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn a_flood_of_empty_frames_does_not_affect_others() {
    let empty = |kind, length| frame(kind, 0, 0, &vec![0; length]);
    for flood in [
        empty(PING, 8),
        empty(SETTINGS, 0),
        // PRIORITY is valid before its stream is open.
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7]),
        // An unknown frame type.
        empty(0x42, 100),
        frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0]),
    ] {
        let (rig, application) = before_http1().await;
        serves_others_during(&rig, &application, flood).await;
    }
}

#[tokio::test]
async fn empty_data_frames_are_not_stored() {
    let (rig, _application) = before_http1().await;
    let mut stream = opened(&rig).await;
    let mut post = get("/stall");
    post[0] = 0x83;
    stream.write_all(&frame(HEADERS, END_OF_HEADERS, 1, &post)).await.unwrap();
    let many = frame(DATA, 0, 1, &[]).repeat(100_000);
    let before = memory();
    for _ in 0..50 {
        if stream.write_all(&many).await.is_err() {
            break;
        }
    }
    assert!(memory() < before + MUCH, "{before} to {} bytes", memory());
    assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_peer_that_provokes_stream_resets_loses_its_connection() {
    type Provoke = fn(u32) -> Vec<u8>;
    let provoking: [(&str, Provoke); 3] = [
        ("a window update of zero", |id| frame(WINDOW_UPDATE, 0, id, &[0; 4])),
        ("a window beyond the largest", |id| {
            frame(WINDOW_UPDATE, 0, id, &0x7fff_ffff_u32.to_be_bytes())
        }),
        ("data after END_STREAM", |id| frame(DATA, 0, id, b"x")),
    ];
    for (what, provoke) in provoking {
        let (rig, application) = before_http1().await;
        let received = until_cut(opened(&rig).await, |number| {
            let id = 2 * number + 1;
            [frame(HEADERS, END_OF_BOTH, id, &head()), provoke(id)].concat()
        })
        .await;
        assert!(error(&received).is_some(), "{what}: {received:?}");
        rig.counters_when(|counters| counters.open == 0).await;
        assert!(application.asked().len() < 1000, "{what}: {}", application.asked().len());
        assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_window_of_one_byte_gets_its_byte_and_delays_no_other_peer() {
    let (rig, _application) = before_http1().await;
    let mut stream = opened(&rig).await;
    // INITIAL_WINDOW_SIZE is 0. Then one byte at a time.
    stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    for number in 0..100 {
        let id = 2 * number + 1;
        let ask = frame(HEADERS, END_OF_BOTH, id, &get("/large"));
        let one = frame(WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
        stream.write_all(&[ask, one].concat()).await.unwrap();
    }
    let mut other = Client::http2(&rig).await;
    assert_eq!(other.get("/").await.unwrap().status(), 200);
    let mut received = Vec::new();
    let has_data =
        |bytes: &[u8]| parsed(bytes).iter().any(|(kind, data)| *kind == DATA && data == b"x");
    while !has_data(&received) {
        let mut more = vec![0; 64 * 1024];
        let read = timeout(Duration::from_secs(10), stream.read(&mut more)).await.unwrap().unwrap();
        assert!(read > 0, "the connection was closed");
        received.extend_from_slice(&more[..read]);
    }
    assert!(parsed(&received).iter().all(|(kind, _)| *kind != GOAWAY));
}

#[tokio::test]
async fn a_small_header_block_that_decodes_to_a_huge_list_is_refused() {
    let (rig, application) = before_http1().await;
    let mut stream = opened(&rig).await;
    // One field of 3,000 bytes enters the HPACK table; 200 references of one byte repeat it.
    let field = [&[0x40, 1, b'x', 0x7f, 0xb9, 0x16][..], &[b'y'; 3000]].concat();
    let block = [head(), field, vec![0xbe; 200]].concat();
    stream.write_all(&frame(HEADERS, END_OF_BOTH, 1, &block)).await.unwrap();
    let mut received = Vec::new();
    let answered = |bytes: &[u8]| {
        parsed(bytes).iter().any(|(kind, _)| [HEADERS, RST_STREAM, GOAWAY].contains(kind))
    };
    while !answered(&received) {
        let mut more = vec![0; 64 * 1024];
        let read = timeout(Duration::from_secs(10), stream.read(&mut more)).await.unwrap().unwrap();
        received.extend_from_slice(&more[..read]);
    }
    assert_eq!(application.connections(), 0);
    assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn wrong_lengths_and_fields_of_http_1_do_not_reach_the_application() {
    let literal = |name: &str, value: &str| {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        [
            &[0, u8::try_from(name.len()).unwrap()],
            name,
            &[u8::try_from(value.len()).unwrap()],
            value,
        ]
        .concat()
    };
    let shapes = [
        vec![("content-length", "5")],
        vec![("content-length", "0"), ("content-length", "5")],
        vec![("content-length", "+0")],
        vec![("transfer-encoding", "chunked")],
        vec![("connection", "x-own")],
        vec![("te", "gzip")],
        vec![(":path", "/again")],
        vec![("Upper", "case")],
    ];
    for fields in shapes {
        let (rig, application) = before_http1().await;
        let mut stream = opened(&rig).await;
        let encoded: Vec<u8> =
            fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let block = [get("/"), encoded].concat();
        stream.write_all(&frame(HEADERS, END_OF_BOTH, 1, &block)).await.unwrap();
        let mut received = Vec::new();
        let refused = |bytes: &[u8]| {
            parsed(bytes).iter().any(|(kind, _)| [RST_STREAM, GOAWAY].contains(kind))
        };
        while !refused(&received) {
            let mut more = vec![0; 4096];
            let read = timeout(Duration::from_secs(10), stream.read(&mut more)).await;
            let read = read.unwrap_or_else(|_| panic!("{fields:?}: {:?}", parsed(&received)));
            let read = read.unwrap();
            assert!(read > 0, "{fields:?}: {:?}", parsed(&received));
            received.extend_from_slice(&more[..read]);
        }
        assert_eq!(application.connections(), 0, "{fields:?}");
    }
}
