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

/// Captures the log of this thread while the guard lives.
pub(super) fn capture_log() -> (Lines, DefaultGuard) {
    static GLOBAL: Once = Once::new();
    // tracing caches whether any subscriber is interested in a line. A global subscriber keeps
    // other tests from caching that none is.
    GLOBAL.call_once(|| {
        let sink = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        tracing::subscriber::set_global_default(sink).unwrap();
    });
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn each_connection_logs_one_closing_line_and_no_peer_can_forge_another() {
    let (lines, _guard) = capture_log();
    let rig = Rig::new().await;
    let leaf = rig.client_ca.leaf(|params| {
        params.distinguished_name.push(DnType::CommonName, "a\n\u{1b}[31mINFO forged");
    });
    let (mut peer, mut upstream) = rig.pull_as(&rig.client(Some(&leaf)), SITE).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    drop((peer, upstream));
    rig.counters_when(|counters| counters.open == 0).await;
    rig.alert(&rig.client(Some(&Leaf::self_signed())), SITE).await;
    rig.counters_when(|counters| counters.open == 0).await;

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
    for part in ["outcome=\"ca_as_leaf\"", "fault=\"operator\"", "help=\"", "aop ca issue --ca"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_logs_few_lines_and_is_counted_in_full() {
    let (lines, _guard) = capture_log();
    let rig = Rig::new().await;
    for number in 1..=200 {
        drop(TcpStream::connect(rig.address).await.unwrap());
        rig.refusals_counted("-", Refusal::PeerGone, number).await;
    }
    rig.serve(&rig.edge(), SITE).await;
    rig.counters_when(|counters| counters.open == 0).await;
    // The line about omissions comes within a second, or at the end of the service.
    let drained = rig.service.drain(std::time::Duration::from_secs(10)).await;
    assert_eq!(drained, crate::Drained::Complete);
    let logged = lines.closing().iter().filter(|line| line.contains("peer_gone")).count();
    let more = lines.with(" more connections refused for peer_gone");
    let left_out: usize = more
        .iter()
        .filter_map(|line| {
            line.split(" more connections").next()?.rsplit(' ').next()?.parse::<usize>().ok()
        })
        .sum();
    assert!(!more.is_empty() && logged >= 50, "{logged} lines, {more:?}");
    assert_eq!(logged + left_out, 200, "{more:?}");
    assert_eq!(lines.closing().iter().filter(|line| line.contains("served")).count(), 1);
}
