//! Break-glass: networks that an operator has admitted for a time. They end by the clock, and are kept
//! in `paths.state/openings.json`, so that a restart knows their end.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aop_api::Opening;
use ipnet::IpNet;
use jiff::Timestamp;

const NAME: &str = "openings.json";
/// At one time.
const MOST: usize = 32;
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Prefixes that are shorter are no break-glass but no lock at all.
const SHORTEST: (u8, u8) = (8, 32);

/// What is open, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Openings {
    open: Vec<(Opening, Instant)>,
    /// What is wrong with the document on disk.
    pub(super) trouble: Option<String>,
}

impl Openings {
    /// What an earlier run has left open, and what has come to its end since. Where the wall clock is
    /// before the moment of an opening it tells nothing, and that one has ended.
    pub(super) fn found(state: &Path, (wall, own): (Timestamp, Instant)) -> (Self, Vec<IpNet>) {
        let (kept, trouble) = match load(state) {
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
                Some(left) => found.open.push((opening, own + left.min(LONGEST))),
                None => ended.push(opening.network),
            }
        }
        (found, ended)
    }

    /// The networks.
    pub(super) fn networks(&self) -> Vec<IpNet> {
        self.open.iter().map(|(opening, _)| opening.network).collect()
    }

    /// For operators.
    pub(super) fn told(&self) -> Vec<Opening> {
        self.open.iter().map(|(opening, _)| opening.clone()).collect()
    }

    /// With `network` open for `seconds` from now on, whatever was its end before.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn with(
        &self,
        network: IpNet,
        seconds: u64,
        (wall, own): (Timestamp, Instant),
    ) -> Result<Self, String> {
        let network = network.trunc();
        let shortest = if network.addr().is_ipv4() { SHORTEST.0 } else { SHORTEST.1 };
        if network.prefix_len() < shortest {
            return Err(format!("{network} is too wide: /{shortest} is the widest that is opened"));
        }
        let time = Duration::from_secs(seconds);
        if time.is_zero() || time > LONGEST {
            return Err("a network is opened for a second at least and for 24 hours at most".into());
        }
        let (mut after, _) = self.without(&[network]);
        if after.open.len() >= MOST {
            return Err(format!("{MOST} networks are open; close one (`aop open --list`)"));
        }
        let until = wall.checked_add(time).map_err(|error| error.to_string())?;
        after.open.push((Opening { network, since: wall, until }, own + time));
        Ok(after)
    }

    /// Without these, and those of them that were open.
    pub(super) fn without(&self, networks: &[IpNet]) -> (Self, Vec<IpNet>) {
        let (closed, open): (Vec<_>, Vec<_>) =
            self.open.iter().cloned().partition(|(it, _)| networks.contains(&it.network));
        let closed = closed.into_iter().map(|(opening, _)| opening.network).collect();
        (Self { open, trouble: self.trouble.clone() }, closed)
    }

    /// Those whose end has come, by the wall clock or by this run's own.
    pub(super) fn over(&self, (wall, own): (Timestamp, Instant)) -> Vec<IpNet> {
        let over = self.open.iter().filter(|(it, end)| wall >= it.until || own >= *end);
        over.map(|(opening, _)| opening.network).collect()
    }

    /// Makes the document in `state` say what is open.
    pub(super) fn keep(&mut self, state: &Path) {
        let told = self.told();
        let kept = match told.is_empty() {
            true => aop_storage::remove(state, NAME),
            false => serde_json::to_vec_pretty(&told)
                .map_err(Into::into)
                .and_then(|text| aop_storage::write(state, NAME, &text)),
        };
        self.trouble = kept.err().map(|error| {
            format!(
                "{}: cannot keep what `aop open` has opened: {error}; a restart would not know it. \
                 Correct paths.state or its permissions",
                state.join(NAME).display()
            )
        });
        self.trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
    }
}

/// What is kept in `state`, ended or not.
///
/// # Errors
/// The file is there and cannot be used, in words.
pub fn load(state: &Path) -> Result<Vec<Opening>, String> {
    let text = aop_storage::read(state, NAME).map_err(|error| error.to_string());
    let read = text.and_then(|text| match text {
        Some(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        None => Ok(Vec::new()),
    });
    read.map_err(|error| {
        let path = state.join(NAME);
        format!(
            "{}: not what `aop open` keeps ({error}): nothing of it is open. Open it anew, or remove \
             the file", path.display()
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
    fn what_is_too_wide_too_long_or_too_much_is_not_opened() {
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
        assert_eq!((again.open.len(), again.told()[0].until), (1, at(6)));
        let full = (0..32).fold(none, |it, n| {
            it.with(IpNet::from(std::net::IpAddr::from([192, 0, 2, n])), 9, now).expect("opened")
        });
        full.with(net("10.0.0.0/8"), 5, now).expect_err("full");
    }

    #[test]
    fn what_is_open_ends_by_whichever_clock_comes_first_and_is_kept_with_its_end() {
        let own = Instant::now();
        let later = |seconds| own + Duration::from_secs(seconds);
        let mut open = Openings::default().with(net("10.0.0.0/8"), 10, (at(5), own)).expect("it");
        assert!(open.over((at(14), later(9))).is_empty());
        assert_eq!(open.over((at(15), own)), open.over((at(0), later(10))));
        assert_eq!(open.over((at(15), own)), [net("10.0.0.0/8")]);
        let dir = tempfile::tempdir().expect("a directory");
        open.keep(dir.path());
        let found = |wall| Openings::found(dir.path(), (at(wall), own));
        assert_eq!(found(5).0.told(), open.told());
        assert!(found(11).0.over((at(11), later(3))).is_empty());
        assert_eq!(found(11).0.over((at(11), later(4))), [net("10.0.0.0/8")]);
        for wall in [4, 15, 99] {
            let (none, ended) = found(wall);
            assert!(none.networks().is_empty() && ended == [net("10.0.0.0/8")], "{wall}");
        }
        let (mut none, closed) = open.without(&[net("10.0.0.0/8"), net("11.0.0.0/8")]);
        assert_eq!(closed, [net("10.0.0.0/8")]);
        none.keep(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }

    #[test]
    fn a_damaged_file_is_named_and_opens_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(NAME), "[{}]").expect("written");
        let (found, ended) = Openings::found(dir.path(), (at(1), Instant::now()));
        assert!(found.networks().is_empty() && ended.is_empty());
        assert!(found.trouble.is_some_and(|told| told.contains("openings.json")));
    }
}
