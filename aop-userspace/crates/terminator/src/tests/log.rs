//! The closing line.

use std::{
    io,
    sync::{Arc, Mutex, Once},
};

use aop_tls::{Refusal, testing::Leaf};
use rcgen::DnType;
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::rig::{Rig, SITE, exchange};

#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// The closing lines so far.
    pub(super) fn closing(&self) -> Vec<String> {
        self.with("connection closed")
    }

    pub(super) fn with(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).map(Into::into).collect()
    }
}

/// What this thread logs from now on, while the guard lives.
pub(super) fn listen() -> (Lines, DefaultGuard) {
    static DEAF: Once = Once::new();
    // With a subscriber for all threads no other test makes tracing take a line for one that nobody
    // wants to hear, which it remembers.
    DEAF.call_once(|| {
        let deaf = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        tracing::subscriber::set_global_default(deaf).unwrap();
    });
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn each_connection_ends_in_one_line_and_no_peer_writes_a_second() {
    let (lines, _guard) = listen();
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(|params| {
        params.distinguished_name.push(DnType::CommonName, "a\n\u{1b}[31mINFO forged");
    });
    let (mut peer, mut upstream) = rig.pull_as(&rig.client(Some(&leaf)), SITE).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    drop((peer, upstream));
    rig.ledger_when(|ledger| ledger.open == 0).await;
    rig.alert(&rig.client(Some(&Leaf::self_signed())), SITE).await;
    rig.ledger_when(|ledger| ledger.open == 0).await;

    let closing = lines.closing();
    let [served, refused] = &closing[..] else { panic!("{closing:#?}") };
    for part in [
        "site=\"example.com\"",
        "peer=127.0.0.1:",
        "outcome=\"served\"",
        "bytes_in=8",
        "bytes_out=8",
        "duration_ms=",
    ] {
        assert!(served.contains(part), "{part} in {served}");
    }
    assert!(served.contains("u{1b}[31mINFO forged") && !served.contains('\u{1b}'), "{served}");
    for part in ["outcome=\"ca_as_leaf\"", "fault=\"operator\"", "help=\"", "openssl x509 -req"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_told_in_few_lines_and_counted_in_full() {
    let (lines, _guard) = listen();
    let rig = Rig::new().await;
    for number in 1..=200 {
        drop(TcpStream::connect(rig.address).await.unwrap());
        rig.booked("-", Refusal::PeerGone, number).await;
    }
    rig.serve(&rig.edge(), SITE).await;
    rig.ledger_when(|ledger| ledger.open == 0).await;
    // The rest comes within the next second, or with the end.
    let drained = rig.service.drain(std::time::Duration::from_secs(10)).await;
    assert_eq!(drained, crate::Drained::Complete);
    let told = lines.closing().iter().filter(|line| line.contains("peer_gone")).count();
    let more = lines.with(" more refused for peer_gone");
    let left_out: usize = more
        .iter()
        .filter_map(|line| {
            line.split(" more refused").next()?.rsplit(' ').next()?.parse::<usize>().ok()
        })
        .sum();
    assert!(!more.is_empty() && told >= 50, "{told} lines, {more:?}");
    assert_eq!(told + left_out, 200, "{more:?}");
    assert_eq!(lines.closing().iter().filter(|line| line.contains("served")).count(), 1);
}
