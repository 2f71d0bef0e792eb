//! Resumes TLS 1.3 sessions without trusting them.
//!
//! A resumed session carries its certificate over from the first handshake, and rustls does not
//! verify it again. A session store therefore belongs to one site and one generation of its
//! configuration: a reload that changes the rules leaves the old sessions behind. A session expires
//! with the first certificate, CA or list that it depends on, and at the latest [`LINEAGE`] after
//! the full handshake that it descends from. The peer then makes a full handshake, which can be
//! refused with an alert. In any case [`authorize`](super::authorize) verifies the certificate
//! again.
//!
//! Each connection has its own [`Desk`]. Its new sessions enter the store only when the connection
//! is permitted, and inherit the age of the session that it resumed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::server::StoresServerSessions;

use super::validity::now;

/// Seconds after a full handshake at which all sessions that descend from it expire.
const LINEAGE: u64 = 12 * 3600;

/// The number of sessions that a site keeps, the newest ones.
const MOST: usize = 1024;

/// The sessions of one generation of a site.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<Vec<u8>, StoredSession>,
    /// The ids of sessions in the order in which they were added, also of those taken since.
    order: VecDeque<Vec<u8>>,
}

struct StoredSession {
    value: Vec<u8>,
    /// Time of the full handshake, in seconds since 1970.
    began: u64,
    /// The last second at which the session may be resumed.
    until: u64,
}

/// The view of one connection on the session store.
#[derive(Debug)]
pub(super) struct Desk {
    sessions: Arc<Sessions>,
    /// Time of the full handshake that the resumed session descends from.
    began: Mutex<Option<u64>>,
    minted: Mutex<Vec<(Vec<u8>, Minted)>>,
}

struct Minted(Vec<u8>);

impl Sessions {
    pub(super) fn desk(self: &Arc<Self>) -> Desk {
        Desk { sessions: self.clone(), began: Mutex::default(), minted: Mutex::default() }
    }

    /// Removes the session `id`, and returns it if it may be resumed at `now`.
    fn take(&self, id: &[u8], now: u64) -> Option<StoredSession> {
        let session = held(&self.0).by_id.remove(id)?;
        (now >= session.began && now <= session.until).then_some(session)
    }

    fn add(&self, id: Vec<u8>, session: StoredSession) {
        let mut held = held(&self.0);
        while held.order.len() >= MOST {
            if let Some(oldest) = held.order.pop_front() {
                held.by_id.remove(&oldest);
            }
        }
        held.order.push_back(id.clone());
        held.by_id.insert(id, session);
    }
}

impl Desk {
    /// Adds the new sessions of this connection to the store, to expire at `end` at the latest.
    pub(super) fn leave(&self, end: u64) {
        self.leave_at(end, now());
    }

    fn leave_at(&self, end: u64, now: u64) {
        let began = held(&self.began).unwrap_or(now);
        let until = end.min(began.saturating_add(LINEAGE));
        for (id, Minted(value)) in held(&self.minted).drain(..) {
            self.sessions.add(id, StoredSession { value, began, until });
        }
    }

    fn take_at(&self, id: &[u8], now: u64) -> Option<Vec<u8>> {
        let session = self.sessions.take(id, now)?;
        let mut began = held(&self.began);
        // A peer may offer several sessions, of which one is resumed; the oldest age counts.
        *began = Some(began.map_or(session.began, |other| other.min(session.began)));
        Some(session.value)
    }
}

impl StoresServerSessions for Desk {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        held(&self.minted).push((id, Minted(value)));
        true
    }

    /// Only TLS 1.2 calls this, which is not resumed.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.take_at(id, now())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Sessions hold secrets, which must not appear in a log.
impl std::fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("until", &self.until).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").finish_non_exhaustive()
    }
}

/// The store stays usable if a thread that held it panicked.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// A connection at `now` that offers the session `offers` and gets the new session `id`.
    /// Returns whether the offered one was resumed.
    fn connection(sessions: &Arc<Sessions>, offers: &[u8], id: &[u8], now: u64, end: u64) -> bool {
        let desk = sessions.desk();
        let resumed = desk.take_at(offers, now).is_some();
        assert!(desk.put(id.to_vec(), b"secret".to_vec()));
        desk.leave_at(end, now);
        resumed
    }

    #[test]
    fn sessions_expire_twelve_hours_after_the_full_handshake_however_often_they_are_renewed() {
        let sessions = Arc::new(Sessions::default());
        assert!(!connection(&sessions, b"", b"0", NOW, u64::MAX));
        let hour = 3600;
        for step in 1_u8..=12 {
            let (last, next) = ([b'0' + step - 1], [b'0' + step]);
            assert!(connection(&sessions, &last, &next, NOW + u64::from(step) * hour, u64::MAX));
        }
        assert!(!connection(&sessions, &[b'0' + 12], b"x", NOW + 12 * hour + 1, u64::MAX));
        // That was a full handshake, so its sessions are new.
        assert!(connection(&sessions, b"x", b"y", NOW + 24 * hour, u64::MAX));
    }

    #[test]
    fn a_session_expires_at_its_end_and_is_resumed_once() {
        let sessions = Arc::new(Sessions::default());
        connection(&sessions, b"", b"a", NOW, NOW + 10);
        assert!(!connection(&sessions, b"a", b"b", NOW + 11, NOW + 100));
        assert!(connection(&sessions, b"b", b"c", NOW + 12, NOW + 100));
        assert!(!connection(&sessions, b"b", b"d", NOW + 12, NOW + 100));
        // After the clock was set back, a session from the future is not resumed.
        assert!(!connection(&sessions, b"d", b"e", NOW, NOW + 100));
    }

    #[test]
    fn new_sessions_cannot_be_resumed_until_their_connection_is_permitted() {
        let sessions = Arc::new(Sessions::default());
        let desk = sessions.desk();
        assert!(desk.put(b"a".to_vec(), b"secret".to_vec()));
        assert!(sessions.desk().take_at(b"a", NOW).is_none());
        drop(desk);
        assert!(sessions.desk().take_at(b"a", NOW).is_none());
    }

    #[test]
    fn a_site_keeps_the_newest_sessions() {
        let sessions = Arc::new(Sessions::default());
        for id in 0..=MOST {
            connection(&sessions, b"", &id.to_be_bytes(), NOW, u64::MAX);
        }
        assert_eq!(held(&sessions.0).by_id.len(), MOST);
        assert!(!connection(&sessions, &0_usize.to_be_bytes(), b"x", NOW, u64::MAX));
        assert!(connection(&sessions, &MOST.to_be_bytes(), b"y", NOW, u64::MAX));
    }

    #[test]
    fn secrets_are_not_shown() {
        let sessions = Arc::new(Sessions::default());
        let desk = sessions.desk();
        assert!(desk.put(b"a".to_vec(), vec![0xAB; 8]));
        let shown = format!("{desk:?}");
        desk.leave_at(NOW, NOW);
        assert!(!shown.contains("171") && !format!("{desk:?}").contains("171"), "{shown}");
    }
}
