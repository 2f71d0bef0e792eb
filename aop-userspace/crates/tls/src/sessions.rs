//! Resumes TLS 1.3 sessions without trusting them.
//!
//! A resumed session carries its certificate over from the first handshake, and rustls does not
//! verify it again. A session store therefore belongs to one site and one generation of its
//! configuration: a reload that changes the rules leaves the old sessions behind. A session expires
//! with the first certificate, CA or list that it depends on, and at the latest [`MAX_AGE`] after
//! the full handshake that it descends from. The peer then makes a full handshake, which can be
//! refused with an alert. In any case [`authorize`](super::authorize) verifies the certificate
//! again.
//!
//! Each connection has its own [`ConnectionSessions`]. Its new sessions enter the store only when
//! the connection is permitted, and inherit the age of the session that it resumed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use aop_types::unix_seconds;
use parking_lot::Mutex;
use rustls::server::StoresServerSessions;

/// Seconds after a full handshake at which all sessions that descend from it expire.
const MAX_AGE: u64 = 12 * 3600;

/// The number of sessions that a site keeps, the newest ones.
const MAX_SESSIONS: usize = 1024;

/// The sessions of one generation of a site.
#[derive(Debug, Default)]
pub(crate) struct SessionStore(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    by_id: HashMap<Vec<u8>, StoredSession>,
    /// The ids of sessions in the order in which they were added, also of those taken since.
    order: VecDeque<Vec<u8>>,
}

struct StoredSession {
    value: Vec<u8>,
    /// Time of the full handshake, in seconds since 1970.
    full_handshake_at: u64,
    /// The last second at which the session may be resumed.
    until: u64,
}

/// The view of one connection on the session store.
#[derive(Debug)]
pub(crate) struct ConnectionSessions {
    store: Arc<SessionStore>,
    /// Time of the full handshake that the resumed session descends from.
    full_handshake_at: Mutex<Option<u64>>,
    new: Mutex<Vec<(Vec<u8>, NewSession)>>,
}

struct NewSession(Vec<u8>);

impl SessionStore {
    /// The view of a new connection.
    pub(crate) fn open(self: &Arc<Self>) -> ConnectionSessions {
        ConnectionSessions {
            store: self.clone(),
            full_handshake_at: Mutex::default(),
            new: Mutex::default(),
        }
    }

    /// Removes the session `id`, and returns it if it may be resumed at `now`.
    fn take(&self, id: &[u8], now: u64) -> Option<StoredSession> {
        let session = self.0.lock().by_id.remove(id)?;
        (session.full_handshake_at..=session.until).contains(&now).then_some(session)
    }

    fn add(&self, id: Vec<u8>, session: StoredSession) {
        let mut store = self.0.lock();
        while store.order.len() >= MAX_SESSIONS
            && let Some(oldest) = store.order.pop_front()
        {
            store.by_id.remove(&oldest);
        }
        store.order.push_back(id.clone());
        store.by_id.insert(id, session);
    }
}

impl ConnectionSessions {
    /// Adds the new sessions of this connection to the store, to expire at `end` at the latest.
    pub(crate) fn commit(&self, end: u64) {
        self.commit_at(end, unix_seconds());
    }

    fn commit_at(&self, end: u64, now: u64) {
        let full_handshake_at = self.full_handshake_at.lock().unwrap_or(now);
        let until = end.min(full_handshake_at.saturating_add(MAX_AGE));
        for (id, NewSession(value)) in self.new.lock().drain(..) {
            self.store.add(id, StoredSession { value, full_handshake_at, until });
        }
    }

    fn take_at(&self, id: &[u8], now: u64) -> Option<Vec<u8>> {
        let session = self.store.take(id, now)?;
        let mut oldest = self.full_handshake_at.lock();
        // A peer may offer several sessions, of which one is resumed; the oldest age counts.
        let this = session.full_handshake_at;
        *oldest = Some(oldest.map_or(this, |other| other.min(this)));
        Some(session.value)
    }
}

impl StoresServerSessions for ConnectionSessions {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        self.new.lock().push((id, NewSession(value)));
        true
    }

    /// Only TLS 1.2 calls this, which is not resumed.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.take_at(id, unix_seconds())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// SessionStore hold secrets, which must not appear in a log.
impl std::fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSession").field("until", &self.until).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// A connection at `now` that offers the session `offers` and gets the new session `id`.
    /// Returns whether the offered one was resumed.
    fn connection(store: &Arc<SessionStore>, offers: &[u8], id: &[u8], now: u64, end: u64) -> bool {
        let connection = store.open();
        let resumed = connection.take_at(offers, now).is_some();
        assert!(connection.put(id.to_vec(), b"secret".to_vec()));
        connection.commit_at(end, now);
        resumed
    }

    #[test]
    fn sessions_expire_twelve_hours_after_the_full_handshake_however_often_they_are_renewed() {
        let store = Arc::new(SessionStore::default());
        assert!(!connection(&store, b"", b"0", NOW, u64::MAX));
        let hour = 3600;
        for step in 1_u8..=12 {
            let (last, next) = ([b'0' + step - 1], [b'0' + step]);
            assert!(connection(&store, &last, &next, NOW + u64::from(step) * hour, u64::MAX));
        }
        assert!(!connection(&store, &[b'0' + 12], b"x", NOW + 12 * hour + 1, u64::MAX));
        // That was a full handshake, so its sessions are new.
        assert!(connection(&store, b"x", b"y", NOW + 24 * hour, u64::MAX));
    }

    #[test]
    fn a_session_expires_at_its_end_and_is_resumed_once() {
        let store = Arc::new(SessionStore::default());
        connection(&store, b"", b"a", NOW, NOW + 10);
        assert!(!connection(&store, b"a", b"b", NOW + 11, NOW + 100));
        assert!(connection(&store, b"b", b"c", NOW + 12, NOW + 100));
        assert!(!connection(&store, b"b", b"d", NOW + 12, NOW + 100));
        // After the clock was set back, a session from the future is not resumed.
        assert!(!connection(&store, b"d", b"e", NOW, NOW + 100));
    }

    #[test]
    fn new_sessions_cannot_be_resumed_until_their_connection_is_permitted() {
        let store = Arc::new(SessionStore::default());
        let connection = store.open();
        assert!(connection.can_cache());
        assert!(connection.put(b"a".to_vec(), b"secret".to_vec()));
        assert!(store.open().take_at(b"a", NOW).is_none());
        drop(connection);
        assert!(store.open().take_at(b"a", NOW).is_none());
    }

    #[test]
    fn a_session_is_not_found_for_tls_1_2() {
        let store = Arc::new(SessionStore::default());
        connection(&store, b"", b"a", NOW, u64::MAX);
        assert_eq!(store.open().get(b"a"), None);
        assert!(store.open().take_at(b"a", NOW).is_some());
    }

    #[test]
    fn a_site_keeps_the_newest_sessions() {
        let store = Arc::new(SessionStore::default());
        for id in 0..=MAX_SESSIONS {
            connection(&store, b"", &id.to_be_bytes(), NOW, u64::MAX);
        }
        assert_eq!(store.0.lock().by_id.len(), MAX_SESSIONS);
        assert!(!connection(&store, &0_usize.to_be_bytes(), b"x", NOW, u64::MAX));
        assert!(connection(&store, &MAX_SESSIONS.to_be_bytes(), b"y", NOW, u64::MAX));
    }

    #[test]
    fn secrets_are_not_shown() {
        let store = Arc::new(SessionStore::default());
        let connection = store.open();
        assert!(connection.put(b"a".to_vec(), vec![0xAB; 8]));
        let shown = format!("{connection:?}");
        assert!(shown.contains("NewSession") && !shown.contains("171"), "{shown}");
        connection.commit_at(NOW, NOW);
        let shown = format!("{connection:?}");
        assert!(shown.contains("until: 1000000") && !shown.contains("171"), "{shown}");
    }
}
