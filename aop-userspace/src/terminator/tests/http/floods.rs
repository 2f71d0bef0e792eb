//! HTTP/2 frames that cost the peer little and a careless server much.

use std::time::Duration;

use hyper::Request;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    SITE,
    application::Frames,
    before_http1,
    client::Client,
    frames::{
        CONTINUATION, END_OF_BOTH, ENHANCE_YOUR_CALM, HEADERS, PING, RST_STREAM, SETTINGS, error,
        frame, head, opened, until_cut,
    },
};

#[tokio::test]
async fn a_rapid_reset_is_cut_off_and_others_are_served() {
    let (rig, application) = before_http1().await;
    let stream = opened(&rig).await;
    let heard = until_cut(stream, |number| {
        let id = 2 * number + 1;
        [frame(HEADERS, END_OF_BOTH, id, &head()), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    })
    .await;
    assert_eq!(error(&heard), Some(ENHANCE_YOUR_CALM), "{heard:?}");
    rig.ledger_when(|ledger| ledger.open == 0).await;
    assert!(application.asked().len() < 1000, "{}", application.asked().len());
    assert_eq!(Client::http2(&rig).await.get("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_list_of_headers_without_end_is_cut_off() {
    let (rig, application) = before_http1().await;
    let stream = opened(&rig).await;
    // One literal field of a kilobyte in each frame, and no last frame.
    let field = [&[0x00, 1, b'x', 0x7f, 0x81, 0x07][..], &[b'y'; 1024]].concat();
    let heard = until_cut(stream, |number| match number {
        0 => frame(HEADERS, 0b001, 1, &head()),
        _ => frame(CONTINUATION, 0, 1, &field),
    })
    .await;
    assert!(error(&heard).is_some(), "{heard:?}");
    rig.ledger_when(|ledger| ledger.open == 0).await;
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn a_list_of_headers_that_is_too_long_is_refused_and_the_rest_goes_on() {
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
async fn a_peer_that_asks_and_never_reads_is_not_answered_without_bound() {
    for ask in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let (rig, _application) = before_http1().await;
        let mut stream = opened(&rig).await;
        let many = ask.repeat(1000);
        let mut sent = 0;
        // Nothing is read, so a server that queues its answers would take it all.
        while let Ok(written) = timeout(Duration::from_secs(1), stream.write(&many)).await {
            match written {
                Ok(written) => sent += written,
                Err(_) => break,
            }
            assert!(sent < 64 * 1024 * 1024, "answers are queued without bound");
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
