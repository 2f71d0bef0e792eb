//! The log in the journal's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one
//! datagram for each event, with the fields of the event and its text.
//!
//! A journal that reads slowly or not at all must not stop serving. An event waits 50 ms for room
//! in the socket; after a wait in vain, no event waits for a second. Lost events are counted, and
//! the next entry reports the number. A Unix socket is all that this needs, so sandboxed processes
//! log the same way.

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use aop_types::{escape_lines, shorten};
use rustix::{
    fs::fstat,
    io::Errno,
    net::{
        AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

const PATH: &str = "/run/systemd/journal/socket";
/// How long an event waits for room.
const SEND_TIMEOUT: Duration = Duration::from_millis(50);
/// How long no event waits after one has waited in vain.
const BACKOFF: Duration = Duration::from_secs(1);
/// Characters of one value that are sent, because the size of a datagram is limited.
const MAX_VALUE: usize = 8192;

/// The layer that sends each event to the journal.
pub(super) struct Journal {
    socket: OwnedFd,
    address: SocketAddrUnix,
    opened: Instant,
    /// No event waits before this time, in milliseconds since `opened`.
    no_wait_until: AtomicU64,
    lost: AtomicU64,
}

impl Journal {
    /// The journal, if standard error is its stream and its socket accepts datagrams.
    pub(super) fn of_stderr() -> Option<Self> {
        if !is_stderr() {
            return None;
        }
        let journal = Self::open().ok()?;
        // The journal ignores an empty datagram. A container may have the stream but not the
        // socket.
        journal.send(&[], SendFlags::DONTWAIT).ok()?;
        Some(journal)
    }

    fn open() -> Result<Self, Errno> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(SEND_TIMEOUT))?;
        let address = SocketAddrUnix::new(PATH)?;
        Ok(Self {
            socket,
            address,
            opened: Instant::now(),
            no_wait_until: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    fn send(&self, entry: &[u8], flags: SendFlags) -> Result<usize, Errno> {
        // Addressed by path each time, because journald may have been restarted.
        sendto(&self.socket, entry, flags | SendFlags::NOSIGNAL, &self.address)
    }

    fn send_entry(&self, mut entry: JournalEntry) {
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 {
            entry.add("AOP_LOST", &lost.to_string());
        }
        let now = self.opened.elapsed();
        let must_not_wait = now < Duration::from_millis(self.no_wait_until.load(Relaxed));
        let flags = if must_not_wait { SendFlags::DONTWAIT } else { SendFlags::empty() };
        if self.send(&entry.bytes, flags).is_err() {
            self.lost.fetch_add(lost + 1, Relaxed);
            if !must_not_wait {
                let until =
                    u64::try_from((now + SEND_TIMEOUT + BACKOFF).as_millis()).unwrap_or(u64::MAX);
                self.no_wait_until.store(until, Relaxed);
            }
        }
    }
}

/// Whether standard error is the journal's stream. `JOURNAL_STREAM` has its device and inode: a
/// shell in between may have redirected standard error (systemd.exec(5)).
pub(super) fn is_stderr() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|it| named == format!("{}:{}", it.st_dev, it.st_ino))
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        self.send_entry(fields.entry(*event.metadata().level()));
    }
}

/// The fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    /// Name, value, and the value as the text shows it.
    others: Vec<(&'static str, String, String)>,
}

impl EventFields {
    fn entry(self, level: Level) -> JournalEntry {
        let mut entry = JournalEntry::default();
        entry.add("PRIORITY", priority(level));
        entry.add("SYSLOG_IDENTIFIER", "aop");
        let mut text = self.message;
        for (name, value, shown) in &self.others {
            text.extend([" ", name, "=", shown]);
            entry.add(&format!("AOP_{}", name.to_ascii_uppercase()), value);
            match *name {
                "outcome" if !["served", "cut"].contains(&value.as_str()) => {
                    entry.add("AOP_REASON", value);
                }
                "peer" => {
                    if let Ok(peer) = value.parse::<SocketAddr>() {
                        entry.add("AOP_ADDRESS", &peer.ip().to_string());
                    }
                }
                _ => {}
            }
        }
        entry.add("MESSAGE", text.trim_start());
        entry
    }

    fn add(&mut self, field: &Field, value: String, shown: String) {
        match field.name() {
            "message" => self.message = value,
            // The origin of a record that a library made with the `log` crate.
            name if name.starts_with("log.") => {}
            name => self.others.push((name, value, shown)),
        }
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), format!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.add(field, value.clone(), value);
    }
}

/// The syslog priority of a level.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The datagram of one event.
#[derive(Default)]
struct JournalEntry {
    bytes: Vec<u8>,
}

impl JournalEntry {
    /// Adds a field. A value of several lines is preceded by its length, so that none of its lines
    /// can pass for a field. Control characters are escaped.
    fn add(&mut self, name: &str, value: &str) {
        let value = escape(value);
        self.bytes.extend(name.bytes());
        if value.contains('\n') {
            self.bytes.push(b'\n');
            self.bytes.extend((value.len() as u64).to_le_bytes());
        } else {
            self.bytes.push(b'=');
        }
        self.bytes.extend(value.bytes());
        self.bytes.push(b'\n');
    }
}

fn escape(value: &str) -> String {
    shorten(escape_lines(value), MAX_VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_value_cannot_pass_for_fields_and_control_characters_are_escaped() {
        let mut entry = JournalEntry::default();
        entry.add("A", "one");
        entry.add("B", "two\nPRIORITY=0");
        entry.add("C", "\u{1b}[31m\u{202e}");
        let expected =
            b"A=one\nB\n\x0e\0\0\0\0\0\0\0two\nPRIORITY=0\nC=\\u{1b}[31m\\u{202e}\n".as_slice();
        assert_eq!(entry.bytes, expected, "{}", String::from_utf8_lossy(&entry.bytes));
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(escape(&"x".repeat(3 * MAX_VALUE)).len(), MAX_VALUE + '…'.len_utf8());
    }
}
