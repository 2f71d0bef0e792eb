//! Emergency openings: networks that an operator admits for a time. They expire by the clock, and
//! are stored in `paths.state/openings.json`, so that a restart knows when.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aop_api::Opening;
use ipnet::IpNet;
use jiff::Timestamp;

const NAME: &str = "openings.json";
/// How many at a time.
const MOST: usize = 32;

/// The openings in force, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Openings {
    open: Vec<(Opening, Instant)>,
    /// Why the file cannot be read or written.
    pub(super) trouble: Option<String>,
}

impl Openings {
    /// The stored openings that are still in force, and the networks of those that have expired. If
    /// the wall clock is before the start of an opening, the clock cannot be trusted, and the
    /// opening counts as expired.
    pub(super) fn load(state: &Path, (wall, own): (Timestamp, Instant)) -> (Self, Vec<IpNet>) {
        let (kept, trouble) = match stored(state) {
            Ok(kept) => (kept, None),
            Err(error) => {
                tracing::warn!("{error}");
                (Vec::new(), Some(error))
            }
        };
        let mut found = Self { open: Vec::new(), trouble };
        let mut ended = Vec::new();
        for opening in kept {
            let left = opening.until.duration_since(wall);
            let left = Duration::try_from(left).ok().filter(|_| opening.since <= wall);
            match left.filter(|left| !left.is_zero()) {
                Some(left) => found.open.push((opening, own + left.min(Opening::LONGEST))),
                None => ended.push(opening.network),
            }
        }
        (found, ended)
    }

    /// The networks of all openings.
    pub(super) fn networks(&self) -> Vec<IpNet> {
        self.open.iter().map(|(opening, _)| opening.network).collect()
    }

    /// The openings, for documents.
    pub(super) fn entries(&self) -> Vec<Opening> {
        self.open.iter().map(|(opening, _)| opening.clone()).collect()
    }

    /// Adds an opening of `network` for `seconds` from now on. It replaces an earlier one of the
    /// same network.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub(super) fn with(
        &self,
        network: IpNet,
        seconds: u64,
        (wall, own): (Timestamp, Instant),
    ) -> Result<Self, String> {
        Opening::check(network, seconds)?;
        let (network, time) = (network.trunc(), Duration::from_secs(seconds));
        let mut after = self.without(&[network]);
        if after.open.len() >= MOST {
            return Err(format!(
                "there are {MOST} openings already; close one (`aop open --list`)"
            ));
        }
        let until = wall.checked_add(time).map_err(|error| error.to_string())?;
        after.open.push((Opening { network, since: wall, until }, own + time));
        Ok(after)
    }

    /// The openings but for those of `networks`.
    pub(super) fn without(&self, networks: &[IpNet]) -> Self {
        let open = self.open.iter().filter(|(it, _)| !networks.contains(&it.network));
        Self { open: open.cloned().collect(), trouble: self.trouble.clone() }
    }

    /// The networks of the openings that have expired, by the wall clock or the monotonic clock.
    pub(super) fn expired(&self, (wall, own): (Timestamp, Instant)) -> Vec<IpNet> {
        let over = self.open.iter().filter(|(it, end)| wall >= it.until || own >= *end);
        over.map(|(opening, _)| opening.network).collect()
    }

    /// Writes the openings to the file in `state`.
    pub(super) fn store(&mut self, state: &Path) {
        let openings = self.entries();
        let kept = match openings.is_empty() {
            true => aop_storage::remove(state, NAME),
            false => serde_json::to_vec_pretty(&openings)
                .map_err(Into::into)
                .and_then(|text| aop_storage::write(state, NAME, &text)),
        };
        self.trouble = kept.err().map(|error| {
            format!(
                "{}: cannot store the openings of `aop open`: {error}. A restart would lose them. \
                 Correct paths.state, its permissions or its disk",
                state.join(NAME).display()
            )
        });
        self.trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
    }
}

/// The openings in `state`, expired or not.
///
/// # Errors
/// The file exists and cannot be used; the error is a sentence.
pub fn stored(state: &Path) -> Result<Vec<Opening>, String> {
    let text = aop_storage::read(state, NAME).map_err(|error| error.to_string());
    let read = text.and_then(|text| match text {
        Some(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        None => Ok(Vec::new()),
    });
    read.map_err(|error| {
        let path = state.join(NAME);
        format!(
            "{}: the file of `aop open` is damaged ({error}): no opening is in force. Open the \
             network again, or remove the file",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn openings_that_are_too_large_too_long_or_too_many_are_refused() {
        let now = (at(1), Instant::now());
        let none = Openings::default();
        for (network, seconds) in
            [("10.0.0.0/7", 60), ("2001:db8::/31", 60), ("10.0.0.0/8", 0), ("10.0.0.0/8", 86_401)]
        {
            none.with(net(network), seconds, now).expect_err(network);
        }
        let some = none.with(net("10.1.2.3/8"), 86_400, now).expect("opened");
        assert_eq!(some.networks(), [net("10.0.0.0/8")]);
        let again = some.with(net("10.0.0.0/8"), 5, now).expect("opened");
        assert_eq!((again.open.len(), again.entries()[0].until), (1, at(6)));
        let full = (0..32).fold(none, |it, n| {
            it.with(IpNet::from(std::net::IpAddr::from([192, 0, 2, n])), 9, now).expect("opened")
        });
        full.with(net("10.0.0.0/8"), 5, now).expect_err("full");
    }

    #[test]
    fn an_opening_expires_by_the_earlier_clock_and_is_stored_with_its_expiry() {
        let own = Instant::now();
        let later = |seconds| own + Duration::from_secs(seconds);
        let mut open = Openings::default().with(net("10.0.0.0/8"), 10, (at(5), own)).expect("it");
        assert!(open.expired((at(14), later(9))).is_empty());
        assert_eq!(open.expired((at(15), own)), open.expired((at(0), later(10))));
        assert_eq!(open.expired((at(15), own)), [net("10.0.0.0/8")]);
        let dir = tempfile::tempdir().expect("a directory");
        open.store(dir.path());
        let found = |wall| Openings::load(dir.path(), (at(wall), own));
        assert_eq!(found(5).0.entries(), open.entries());
        assert!(found(11).0.expired((at(11), later(3))).is_empty());
        assert_eq!(found(11).0.expired((at(11), later(4))), [net("10.0.0.0/8")]);
        for wall in [4, 15, 99] {
            let (none, ended) = found(wall);
            assert!(none.networks().is_empty() && ended == [net("10.0.0.0/8")], "{wall}");
        }
        let mut none = open.without(&[net("10.0.0.0/8"), net("11.0.0.0/8")]);
        assert!(none.networks().is_empty());
        none.store(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[test]
    fn a_damaged_file_is_named_and_opens_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(NAME), "[{}]").expect("written");
        let (found, ended) = Openings::load(dir.path(), (at(1), Instant::now()));
        assert!(found.networks().is_empty() && ended.is_empty());
        assert!(found.trouble.is_some_and(|text| text.contains("openings.json")));
    }
}
