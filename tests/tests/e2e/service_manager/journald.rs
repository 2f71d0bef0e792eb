//! Where standard error leads to systemd's journal, the log goes there with its fields: the daemon's, and
//! that of the terminator behind its fence.

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

use crate::stage::{SOON, in_lab};

/// Keeps what is mounted here from everybody else. The root may be no mount point, as behind chroot, and
/// then /run must be one.
const APART: &str = "{ mount --make-rprivate / 2>/dev/null || mount --make-rprivate /run; }";
const NAMESPACE: [&str; 4] = ["unshare", "--mount", "--propagation", "unchanged"];

/// Gives aop a /run of its own with the journal's socket in it, and says that standard error leads
/// there. $1 is the folder that has the socket.
const UNDER_SYSTEMD: &str = " && mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
     mount --bind \"$1\" /run/systemd/journal && shift && \
     JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

type Entry = HashMap<String, String>;

/// In journald's place: keeps what it is told, while it reads.
struct Journald {
    entries: Arc<Mutex<Vec<Entry>>>,
    reads: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Journald {
    /// It writes into `log`, too, once that is there: the daemon is watched by it.
    fn listen(folder: &Path, log: PathBuf) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        let path = folder.join("socket");
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let entries: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let (reads, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (kept, reading, ending) = (entries.clone(), reads.clone(), ends.clone());
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
        Ok(Self { entries, reads, ends, thread: Some(thread) })
    }

    /// The first entry that has these fields.
    fn has(&self, fields: &[(&str, &str)]) -> Result<Entry> {
        let found = || {
            let entries = self.entries.lock().expect("not poisoned");
            let has = |entry: &&Entry| {
                fields.iter().all(|(name, value)| entry.get(*name).is_some_and(|it| it == value))
            };
            entries.iter().find(has).cloned()
        };
        wait::until(&format!("the journal has {fields:?}"), SOON, found)
            .with_context(|| format!("{:#?}", self.entries.lock().expect("not poisoned")))
    }

    fn reads(&self, reads: bool) {
        self.reads.store(reads, Ordering::SeqCst);
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

fn with_a_journal(claim: impl FnOnce(&Lab, &mut TestDaemon, Journald) -> Result<()>) {
    in_lab(|lab| {
        let mut apart = std::process::Command::new(NAMESPACE[0]);
        apart.args(&NAMESPACE[1..]).args(["sh", "-c", APART]);
        if child::finish(apart, &[], SOON)?.code != 0 {
            // Nothing of aop's: not every container lets a test have a /run of its own.
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("a test");
            writeln!(std::io::stderr(), "skipped: {test}: neither / nor /run is a mount point")?;
            return Ok(());
        }
        let folder = lab.dir().join("journal");
        let journald = Journald::listen(&folder, lab.dir().join("aop-1.log"))?;
        let _upstream = TestUpstream::start(lab)?;
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.write(&AopToml::new(lab).text())?;
        let folder = folder.display().to_string();
        let script = format!("{APART}{UNDER_SYSTEMD}");
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
fn daemon_and_terminator_log_into_the_journal_with_fields_priorities_and_a_readable_text() {
    with_a_journal(|lab, daemon, journald| {
        let ready = journald.has(&[("AOP_FIREWALL", "true"), ("PRIORITY", "6")])?;
        ensure!(ready["SYSLOG_IDENTIFIER"] == "aop", "{ready:?}");
        ensure!(ready["MESSAGE"].starts_with("ready listeners="), "{ready:?}");

        edge_is_served(lab)?;
        let served = journald.has(&[("AOP_OUTCOME", "served"), ("AOP_SITE", "example.com")])?;
        ensure!(!served.contains_key("AOP_REASON"), "{served:?}");
        ensure!(served["AOP_PEER"].starts_with(&served["AOP_ADDRESS"]), "{served:?}");
        ensure!(served["AOP_BYTES_IN"].parse::<u64>()? > 0, "{served:?}");
        let refused = Pull::by_edge(lab, IpVersion::V4).no_certificate().send()?;
        ensure!(refused.refused(), "{refused}");
        let refused = journald.has(&[("AOP_REASON", "certificate_required")])?;
        for word in ["connection closed site=\"example.com\" peer=", "certificate_required"] {
            ensure!(refused["MESSAGE"].contains(word), "{refused:?}");
        }
        // Nothing beside it on standard error.
        let log = daemon.log();
        ensure!(!log.contains(" INFO ") && !log.contains(" WARN "), "{log}");
        daemon.verb(&["mode", "observe"])?.success()?;
        journald.has(&[("PRIORITY", "4")])?;
        Ok(())
    });
}

#[test]
fn a_journal_that_hangs_or_is_gone_holds_nobody_up_and_what_was_lost_is_told() {
    with_a_journal(|lab, daemon, journald| {
        edge_is_served(lab)?;
        journald.has(&[("AOP_OUTCOME", "served")])?;
        journald.reads(false);
        // More than any queue of datagrams that a host has by default, of 10.
        for _ in 0..40 {
            edge_is_served(lab)?;
        }
        daemon.status()?;
        journald.reads(true);
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
