//! Raw HTTP/2 frames, for sequences that no client library sends.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    Rig, SITE,
    client::{LONG, edge},
};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_OF_HEADERS: u8 = 0b100;
pub(super) const END_OF_BOTH: u8 = 0b101;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET https://example.com/never` in HPACK, without Huffman coding and dynamic table.
pub(super) fn head() -> Vec<u8> {
    get("/never")
}

/// The same for `path`.
pub(super) fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 11]);
    block.extend(SITE.as_bytes());
    block
}

pub(super) async fn opened(rig: &Rig) -> TlsStream<TcpStream> {
    let mut stream = edge(rig, &["h2"], SITE).await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

/// Sends `frames` until the server closes the connection, and returns all frames of the server.
pub(super) async fn until_cut(
    stream: TlsStream<TcpStream>,
    mut frames: impl FnMut(u32) -> Vec<u8>,
) -> Vec<(u8, Vec<u8>)> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let flooding = async {
        for number in 0..1_000_000 {
            if writing.write_all(&frames(number)).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let listening = async {
        let mut received = Vec::new();
        reading.read_to_end(&mut received).await.ok();
        received
    };
    let received = async {
        tokio::select! {
            () = flooding => Vec::new(),
            received = listening => received,
        }
    };
    parsed(&timeout(6 * LONG, received).await.expect("the server closes the connection"))
}

pub(super) fn parsed(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = rest.get(..length) else { break };
        frames.push((head[3], payload.to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// The error code of the GOAWAY among `frames`.
pub(super) fn error(frames: &[(u8, Vec<u8>)]) -> Option<u8> {
    frames.iter().rev().find(|(kind, _)| *kind == GOAWAY).map(|(_, payload)| payload[7])
}

pub(super) const ENHANCE_YOUR_CALM: u8 = 0xb;
