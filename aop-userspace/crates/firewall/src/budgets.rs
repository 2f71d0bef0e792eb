//! The state of budgets: those of a test program, which may be set, and those in force, which are
//! only read.

use std::net::IpAddr;

use aop_common::{
    bucket::{self, Bucket},
    layout::{PeerKey, PeerValue, Settings},
};
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use rustix::time::{ClockId, clock_gettime};

use super::{DryRun, TestProgram, error::FirewallError, peers, pins::Pins};

/// A budget at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// New connections a second that it gains, and the most that it can hold.
    pub rate: u32,
    /// Thousandths of a connection that are left.
    pub millis: u64,
}

impl Budget {
    /// Whether it has nothing left for another connection.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.millis < 1000
    }

    /// The content of `bucket` at `now`. Without a bucket (no packet has created it) it is full.
    fn of(bucket: Option<Bucket>, rate: u32, now: u64) -> Self {
        let (after, taken) = bucket.unwrap_or(Bucket::full(now, rate)).take(now, rate);
        Self { rate, millis: after.millis + if taken { 1000 } else { 0 } }
    }
}

/// The budgets that a new connection from an admitted network without a peer spends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkBudget {
    /// That of the network.
    pub own: Budget,
    /// The one that all such networks share.
    pub host: Budget,
}

/// Why an admitted source uses no budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// It has authenticated.
    Source,
    /// A peer in its network has authenticated within a day.
    Network,
}

/// The probation of a source that no prefix admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbationTry {
    /// The budget that all strangers share.
    pub budget: Budget,
    /// Seconds for which its own try still counts.
    pub tried_for: Option<u64>,
    /// Seconds for which it is still trusted because it has authenticated.
    pub trusted_for: Option<u64>,
}

/// The maps of budgets and of exemptions from them, opened for reading.
pub(super) struct BudgetMaps {
    networks: HashMap<MapData, PeerKey, u64>,
    budgets: HashMap<MapData, PeerKey, Bucket>,
    probation: HashMap<MapData, PeerKey, u64>,
    strangers: Array<MapData, Bucket>,
    host: Array<MapData, Bucket>,
}

impl BudgetMaps {
    pub(super) fn pinned(pins: &Pins) -> Result<Self, FirewallError> {
        Self::open(pins).map_err(|error| FirewallError::kernel("open the pinned budgets", &error))
    }

    fn open(pins: &Pins) -> Result<Self, MapError> {
        let data = |name| MapData::from_pin(pins.map(name));
        Ok(Self {
            networks: Map::from_map_data(data("NETWORKS")?)?.try_into()?,
            budgets: Map::from_map_data(data("BUDGETS")?)?.try_into()?,
            probation: Map::from_map_data(data("PROBATION")?)?.try_into()?,
            strangers: Map::from_map_data(data("STRANGERS")?)?.try_into()?,
            host: Map::from_map_data(data("HOST_BUDGET")?)?.try_into()?,
        })
    }
}

impl DryRun {
    /// The budgets of an admitted source's network now; `None` where there are none. An exempt
    /// network keeps what it had.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn budget(&self, source: IpAddr) -> Result<Option<NetworkBudget>, FirewallError> {
        let Settings { budget: rate, .. } = self.settings;
        if rate == 0 {
            return Ok(None);
        }
        let bucket =
            found(&self.budgets.budgets, PeerKey::network(peers::wire(source)), "BUDGETS")?;
        let host = self.budgets.host.get(&0, 0);
        let host = host.map_err(|error| FirewallError::kernel("read HOST_BUDGET", &error))?;
        Ok(Some(NetworkBudget {
            own: Budget::of(bucket, rate, now()),
            host: Budget::of(Some(host), bucket::of_host(rate), now()),
        }))
    }

    /// Why this admitted source uses no budget; `None` where it uses one.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn exempt(&self, source: IpAddr) -> Result<Option<Exempt>, FirewallError> {
        if self.peer(source).is_some() {
            return Ok(Some(Exempt::Source));
        }
        let network = PeerKey::network(peers::wire(source));
        let until = found(&self.budgets.networks, network, "NETWORKS")?;
        Ok(until.filter(|until| now() / 1000 < *until).map(|_| Exempt::Network))
    }

    /// The probation of a source that no prefix admits; `None` where strangers get no tries.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn probation(&self, source: IpAddr) -> Result<Option<ProbationTry>, FirewallError> {
        let Settings { probation: rate, .. } = self.settings;
        if rate == 0 {
            return Ok(None);
        }
        let strangers = self.budgets.strangers.get(&0, 0);
        let strangers =
            strangers.map_err(|error| FirewallError::kernel("read STRANGERS", &error))?;
        let until = found(&self.budgets.probation, peers::key(source), "PROBATION")?;
        let left = |until: u64| until.checked_sub(now() / 1000).filter(|left| *left > 0);
        Ok(Some(ProbationTry {
            budget: Budget::of(Some(strangers), rate, now()),
            tried_for: until.and_then(left),
            trusted_for: self.peer(source).and_then(|peer| left(peer.trusted_until)),
        }))
    }

    /// The record of this address, if it has authenticated.
    pub(super) fn peer(&self, address: IpAddr) -> Option<PeerValue> {
        self.program.maps.peers.get(&peers::key(address), 0).ok()
    }
}

impl TestProgram {
    /// Removes every try that strangers have made.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn forget_tries(&mut self) -> Result<(), FirewallError> {
        self.clear::<u64>("PROBATION")
    }

    /// Fills the budgets of all networks and of strangers.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn fill_budgets(&mut self) -> Result<(), FirewallError> {
        self.clear::<Bucket>("BUDGETS")?;
        // A bucket with stamp 0 is full at any later time.
        self.set_bucket("HOST_BUDGET", Bucket::default())?;
        self.set_bucket("STRANGERS", Bucket::default())
    }

    /// Spends the budgets of `source`'s network and of strangers, until they are filled again.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn spend_budgets(&mut self, source: IpAddr) -> Result<(), FirewallError> {
        // A stamp in the future: the bucket gains nothing.
        let spent = Bucket { stamp: u64::MAX, millis: 0 };
        self.set_bucket("STRANGERS", spent)?;
        self.written::<Bucket>("BUDGETS")?
            .insert(PeerKey::network(peers::wire(source)), spent, 0)
            .map_err(|error| FirewallError::kernel("write BUDGETS", &error))
    }

    fn set_bucket(&mut self, name: &'static str, bucket: Bucket) -> Result<(), FirewallError> {
        let failed = |error| FirewallError::kernel(format!("write {name}"), &error);
        let map = self.ebpf.map_mut(name).ok_or(FirewallError::NoObject)?;
        Array::try_from(map).map_err(failed)?.set(0, bucket, 0).map_err(failed)
    }

    fn clear<V: Pod>(&mut self, name: &'static str) -> Result<(), FirewallError> {
        let failed = |error| FirewallError::kernel(format!("clear {name}"), &error);
        let mut map = self.written::<V>(name)?;
        let keys: Vec<PeerKey> = map.keys().collect::<Result<_, _>>().map_err(failed)?;
        keys.iter().try_for_each(|key| map.remove(key)).map_err(failed)
    }

    /// A map of this program that packets write.
    fn written<V: Pod>(
        &mut self,
        name: &'static str,
    ) -> Result<HashMap<&mut MapData, PeerKey, V>, FirewallError> {
        let map = self.ebpf.map_mut(name).ok_or(FirewallError::NoObject)?;
        map.try_into().map_err(|error| FirewallError::kernel(format!("open {name}"), &error))
    }
}

/// The value of `key`; `None` where there is none.
fn found<V: Pod>(
    map: &HashMap<MapData, PeerKey, V>,
    key: PeerKey,
    name: &str,
) -> Result<Option<V>, FirewallError> {
    match map.get(&key, 0) {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(FirewallError::kernel(format!("read {name}"), &error)),
    }
}

/// Milliseconds of the clock that the packet program uses.
fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_budget_does_not_spend_it() {
        let full = Budget::of(None, 3, 5000);
        assert_eq!((full.millis, full.is_spent()), (3000, false));
        let some = Bucket { stamp: 5000, millis: 400 };
        let later = |milliseconds: u64| Budget::of(Some(some), 3, 5000 + milliseconds);
        assert_eq!((later(0).millis, later(0).is_spent()), (400, true));
        assert_eq!((later(200).millis, later(200).is_spent()), (1000, false));
        assert_eq!(later(60_000).millis, 3000);
    }
}
