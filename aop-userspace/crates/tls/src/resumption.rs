//! Resuming TLS 1.3 sessions without believing them.
//!
//! A resumed session brings its certificate along from the first handshake, and rustls judges it no
//! more. So a store of sessions belongs to one site and one generation of its configuration: what a
//! reload changes is never met by a session from before. What time changes ends a session at a
//! moment that is known when it is made, and every session [`LINEAGE`] after the full handshake that
//! it descends from; the peer then makes a full handshake, and a refusal is a proper one. And
//! [`authorize`](super::authorize) has the certificate judged again, whatever this store says.
//!
//! Each connection has a [`Desk`] of its own. What is minted there comes into the store only when
//! the connection is permitted, and carries the age of what was taken there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::server::StoresServerSessions;

use super::validity::now;

/// Seconds from a full handshake until nothing that descends from it is resumed.
const LINEAGE: u64 = 12 * 3600;

/// Sessions that a site keeps; the newest.
const MOST: usize = 1024;

/// The sessions of one generation of a site.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<Vec<u8>, Session>,
    /// Of each session that was ever added and perhaps taken since, the oldest first.
    order: VecDeque<Vec<u8>>,
}

struct Session {
    value: Vec<u8>,
    /// When the full handshake was, in seconds since 1970.
    began: u64,
    /// The last second at which it may be resumed.
    until: u64,
}

/// What one connection takes from the store, and may leave there.
#[derive(Debug)]
pub(super) struct Desk {
    sessions: Arc<Sessions>,
    /// When the full handshake was from which what was taken here descends.
    began: Mutex<Option<u64>>,
    minted: Mutex<Vec<(Vec<u8>, Minted)>>,
}

struct Minted(Vec<u8>);

impl Sessions {
    pub(super) fn desk(self: &Arc<Self>) -> Desk {
        Desk { sessions: self.clone(), began: Mutex::default(), minted: Mutex::default() }
    }

    /// The session `id`, if it may be resumed at `now`. It is resumed once.
    fn take(&self, id: &[u8], now: u64) -> Option<Session> {
        let session = held(&self.0).by_id.remove(id)?;
        (now >= session.began && now <= session.until).then_some(session)
    }

    fn add(&self, id: Vec<u8>, session: Session) {
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
    /// Leaves what was minted here in the store, to be resumed until `end` at the latest.
    pub(super) fn leave(&self, end: u64) {
        self.leave_at(end, now());
    }

    fn leave_at(&self, end: u64, now: u64) {
        let began = held(&self.began).unwrap_or(now);
        let until = end.min(began.saturating_add(LINEAGE));
        for (id, Minted(value)) in held(&self.minted).drain(..) {
            self.sessions.add(id, Session { value, began, until });
        }
    }

    fn take_at(&self, id: &[u8], now: u64) -> Option<Vec<u8>> {
        let session = self.sessions.take(id, now)?;
        let mut began = held(&self.began);
        // Of several that a peer offers, one is resumed; the oldest age counts.
        *began = Some(began.map_or(session.began, |other| other.min(session.began)));
        Some(session.value)
    }
}

impl StoresServerSessions for Desk {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        held(&self.minted).push((id, Minted(value)));
        true
    }

    /// Asked by TLS 1.2 alone, which is not resumed.
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

/// Sessions hold secrets, which no log may show.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("until", &self.until).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").finish_non_exhaustive()
    }
}

/// The store stays usable whatever happened to a thread that held it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// A connection that resumes what `offers`, if it may at `now`, and mints `id`.
    fn connection(sessions: &Arc<Sessions>, offers: &[u8], id: &[u8], now: u64, end: u64) -> bool {
        let desk = sessions.desk();
        let resumed = desk.take_at(offers, now).is_some();
        assert!(desk.put(id.to_vec(), b"secret".to_vec()));
        desk.leave_at(end, now);
        resumed
    }

    #[test]
    fn a_lineage_ends_twelve_hours_after_its_full_handshake_however_often_it_is_renewed() {
        let sessions = Arc::new(Sessions::default());
        assert!(!connection(&sessions, b"", b"0", NOW, u64::MAX));
        let hour = 3600;
        for step in 1_u8..=12 {
            let (last, next) = ([b'0' + step - 1], [b'0' + step]);
            assert!(connection(&sessions, &last, &next, NOW + u64::from(step) * hour, u64::MAX));
        }
        assert!(!connection(&sessions, &[b'0' + 12], b"x", NOW + 12 * hour + 1, u64::MAX));
        // That was a full handshake, with which another lineage begins.
        assert!(connection(&sessions, b"x", b"y", NOW + 24 * hour, u64::MAX));
    }

    #[test]
    fn a_session_ends_with_what_vouches_for_it_and_is_resumed_once() {
        let sessions = Arc::new(Sessions::default());
        connection(&sessions, b"", b"a", NOW, NOW + 10);
        assert!(!connection(&sessions, b"a", b"b", NOW + 11, NOW + 100));
        assert!(connection(&sessions, b"b", b"c", NOW + 12, NOW + 100));
        assert!(!connection(&sessions, b"b", b"d", NOW + 12, NOW + 100));
        // A clock that was set back resumes nothing of its future.
        assert!(!connection(&sessions, b"d", b"e", NOW, NOW + 100));
    }

    #[test]
    fn what_a_connection_minted_is_nothing_until_it_is_permitted() {
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
