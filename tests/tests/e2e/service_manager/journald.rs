//! The journal: if standard error is connected to systemd's journal, daemon and sandboxed
//! terminator log there, with fields.

use std::collections::HashMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestDaemon, TestUpstream, child, wait};

use crate::stage::{SOON, in_lab, skip};

/// Makes the mounts of this namespace private. If / is not a mount point, as in a chroot, then /run
/// must be one.
const PRIVATE_MOUNTS: &str =
    "{ mount --make-rprivate / 2>/dev/null || mount --make-rprivate /run; }";
const NAMESPACE: [&str; 4] = ["unshare", "--mount", "--propagation", "unchanged"];

/// Gives aop a private /run with the socket of the journal, and claims in JOURNAL_STREAM that
/// standard error leads there. $1 is the folder with the socket.
const UNDER_SYSTEMD: &str = " && mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
     mount --bind \"$1\" /run/systemd/journal && shift && \
     JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

type Entry = HashMap<String, String>;

/// A replacement for journald: it stores the entries that it reads.
struct Journald {
    entries: Arc<Mutex<Vec<Entry>>>,
    is_reading: Arc<AtomicBool>,
    is_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Journald {
    /// Also appends to `log` when that file exists, because the harness waits for messages in it.
    fn listen(folder: &Path, log: PathBuf) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        let path = folder.join("socket");
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let entries: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let (is_reading, is_ended) =
            (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (kept, reading, ending) = (entries.clone(), is_reading.clone(), is_ended.clone());
        let thread = std::thread::spawn(move || {
            let mut datagram = vec![0; 1 << 16];
            while !ending.load(Ordering::SeqCst) {
                if !reading.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                let Ok(length) = socket.recv(&mut datagram) else { continue };
                let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
                if let Ok(mut log) = OpenOptions::new().append(true).open(&log) {
                    log.write_all(text.as_bytes()).expect("the log");
                }
                let fields = text.lines().filter_map(|line| line.split_once('='));
                let entry = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                kept.lock().expect("not poisoned").push(entry.collect());
            }
        });
        Ok(Self { entries, is_reading, is_ended, thread: Some(thread) })
    }

    /// Waits for an entry with these fields and returns it.
    fn wait_for(&self, fields: &[(&str, &str)]) -> Result<Entry> {
        let found = || {
            let entries = self.entries.lock().expect("not poisoned");
            let wait_for = |entry: &&Entry| {
                fields.iter().all(|(name, value)| entry.get(*name).is_some_and(|it| it == value))
            };
            entries.iter().find(wait_for).cloned()
        };
        wait::until(&format!("the journal has {fields:?}"), SOON, found)
            .with_context(|| format!("{:#?}", self.entries.lock().expect("not poisoned")))
    }

    fn is_reading(&self, is_reading: bool) {
        self.is_reading.store(is_reading, Ordering::SeqCst);
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.is_ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread ends");
        }
    }
}

fn with_a_journal(claim: impl FnOnce(&Lab, &mut TestDaemon, Journald) -> Result<()>) {
    in_lab(|lab| {
        let mut apart = std::process::Command::new(NAMESPACE[0]);
        apart.args(&NAMESPACE[1..]).args(["sh", "-c", PRIVATE_MOUNTS]);
        if child::finish(apart, &[], SOON)?.code != 0 {
            // Not a fault of aop: not every container allows a private /run.
            skip("neither / nor /run is a mount point");
            return Ok(());
        }
        let folder = lab.dir().join("journal");
        let journald = Journald::listen(&folder, lab.dir().join("aop-1.log"))?;
        let _upstream = TestUpstream::start(lab)?;
        let mut daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let folder = folder.display().to_string();
        let script = format!("{PRIVATE_MOUNTS}{UNDER_SYSTEMD}");
        daemon.wrap_with(&[&NAMESPACE[..], &["sh", "-c", &script, "sh", &folder]].concat());
        daemon.run()?;
        claim(lab, &mut daemon, journald)
    });
}

fn edge_is_served(lab: &Lab) -> Result<()> {
    Pull::by_edge(lab, IpVersion::V4).must_be_served()?;
    Ok(())
}

#[test]
fn daemon_and_terminator_log_to_the_journal_with_fields_priorities_and_text() {
    with_a_journal(|lab, daemon, journald| {
        let ready = journald.wait_for(&[("AOP_FIREWALL", "true"), ("PRIORITY", "6")])?;
        ensure!(ready["SYSLOG_IDENTIFIER"] == "aop", "{ready:?}");
        ensure!(ready["MESSAGE"].starts_with("ready listeners="), "{ready:?}");

        edge_is_served(lab)?;
        let served =
            journald.wait_for(&[("AOP_OUTCOME", "served"), ("AOP_SITE", "example.com")])?;
        ensure!(!served.contains_key("AOP_REASON"), "{served:?}");
        ensure!(served["AOP_PEER"].starts_with(&served["AOP_ADDRESS"]), "{served:?}");
        ensure!(served["AOP_BYTES_IN"].parse::<u64>()? > 0, "{served:?}");
        let refused = Pull::by_edge(lab, IpVersion::V4).no_certificate().send()?;
        ensure!(refused.refused(), "{refused}");
        let refused = journald.wait_for(&[("AOP_REASON", "certificate_required")])?;
        for word in ["connection closed site=\"example.com\" peer=", "certificate_required"] {
            ensure!(refused["MESSAGE"].contains(word), "{refused:?}");
        }
        // Nothing is on standard error besides.
        let log = daemon.log();
        ensure!(!log.contains(" INFO ") && !log.contains(" WARN "), "{log}");
        daemon.verb(&["mode", "observe"])?.success()?;
        journald.wait_for(&[("PRIORITY", "4")])?;
        Ok(())
    });
}

#[test]
fn a_journal_that_hangs_or_is_gone_delays_nothing_and_losses_are_logged() {
    with_a_journal(|lab, daemon, journald| {
        edge_is_served(lab)?;
        journald.wait_for(&[("AOP_OUTCOME", "served")])?;
        journald.is_reading(false);
        // More than fit in the queue of the socket, whose default is 10 datagrams.
        for _ in 0..40 {
            edge_is_served(lab)?;
        }
        daemon.status()?;
        journald.is_reading(true);
        wait::until("losses are told", SOON, || {
            edge_is_served(lab).ok()?;
            let entries = journald.entries.lock().expect("not poisoned");
            entries.iter().any(|entry| entry.contains_key("AOP_LOST")).then_some(())
        })?;
        drop(journald);
        for _ in 0..3 {
            edge_is_served(lab)?;
        }
        ensure!(daemon.terminator()?.exists());
        daemon.status().map(drop)
    });
}
