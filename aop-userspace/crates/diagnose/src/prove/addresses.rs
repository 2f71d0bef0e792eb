//! The addresses and ports of a proof, taken from this host and its list.

use std::{collections::BTreeMap, net::IpAddr};

use aop_common::{AddressFamily, Standing, layout::Prefix};
use aop_firewall::{DryRun, ForwardTarget};
use aop_packets::{Cidr, Endpoints, Role, Scene};
use aop_types::monotonic_seconds;
use ipnet::IpNet;

use super::ProveError;

/// A scene, and which of its parts this host lacks.
pub(super) struct ProofAddresses {
    pub(super) scene: Scene,
    /// The roles that this host cannot fill, with the reason. A stand-in address fills them in the
    /// scene.
    pub(super) missing: BTreeMap<(Role, AddressFamily), String>,
    /// The families that this host forwards.
    pub(super) forwarded: Vec<AddressFamily>,
    /// The families in which the departed peer is trusted.
    pub(super) trusted: Vec<AddressFamily>,
}

impl ProofAddresses {
    /// Of an IPv4 and an IPv6 address, those that genuinely have this role.
    pub(super) fn filling(&self, role: Role, addresses: [IpAddr; 2]) -> Vec<IpAddr> {
        let both = AddressFamily::BOTH.into_iter().zip(addresses);
        both.filter(|(family, _)| !self.missing.contains_key(&(role, *family)))
            .filter(|(family, _)| role != Role::Beyond || self.forwarded.contains(family))
            .map(|(_, address)| address)
            .collect()
    }
}

/// The bytes of an address in network order.
trait AddressBytes: Copy + Into<IpAddr> {
    const FAMILY: AddressFamily;
    fn from_address(address: IpAddr) -> Option<Self>;
}

impl AddressBytes for [u8; 4] {
    const FAMILY: AddressFamily = AddressFamily::V4;
    fn from_address(address: IpAddr) -> Option<Self> {
        if let IpAddr::V4(address) = address { Some(address.octets()) } else { None }
    }
}

impl AddressBytes for [u8; 16] {
    const FAMILY: AddressFamily = AddressFamily::V6;
    fn from_address(address: IpAddr) -> Option<Self> {
        if let IpAddr::V6(address) = address { Some(address.octets()) } else { None }
    }
}

pub(super) fn find_addresses(live: &DryRun) -> Result<ProofAddresses, ProveError> {
    let ports = live.ports();
    let guarded =
        (1..=u16::MAX).find(|port| ports.contains(*port)).ok_or(ProveError::NothingGuarded)?;
    let unguarded = (8080..=u16::MAX).chain(1..8080).find(|port| !ports.contains(*port));
    let mut search = AddressSearch {
        live,
        now: monotonic_seconds(),
        missing: BTreeMap::new(),
        forwarded: Vec::new(),
        trusted: Vec::new(),
    };
    // The first candidates are in the documentation ranges, the others cover lists that have those.
    let strangers_v4 = (1..224).rev().cycle().skip(25).take(223).map(|first| [first, 51, 100, 66]);
    let strangers_v6 =
        (0x20..0x40).map(|first| [first, 1, 0xd, 0xb8, 0xb, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66]);
    let v4 = search.family_addresses(live.local_v4().octets(), strangers_v4)?;
    let v6 = search.family_addresses(live.local_v6().octets(), strangers_v6)?;
    let AddressSearch { missing, forwarded, trusted, .. } = search;
    // Port 0 is never guarded.
    let scene = Scene { guarded, unguarded: unguarded.unwrap_or(0), v4, v6 };
    Ok(ProofAddresses { scene, missing, forwarded, trusted })
}

struct AddressSearch<'a> {
    live: &'a DryRun,
    now: u64,
    missing: BTreeMap<(Role, AddressFamily), String>,
    forwarded: Vec<AddressFamily>,
    trusted: Vec<AddressFamily>,
}

impl AddressSearch<'_> {
    /// The addresses of one family. A stand-in takes the place of an address that this host lacks.
    fn family_addresses<const N: usize>(
        &mut self,
        origin: [u8; N],
        mut strangers: impl Iterator<Item = [u8; N]>,
    ) -> Result<Endpoints<[u8; N]>, ProveError>
    where
        [u8; N]: AddressBytes,
    {
        let family = <[u8; N]>::FAMILY;
        let name = family.name();
        let stranger = strangers.find(|it| self.is_new(*it, Standing::Unknown));
        let why = format!("the list has every {name} address that was tried");
        let stranger = self.or_stand_in(family, &[Role::Stranger], stranger, [1; N], why);
        let nobody = Cidr { network: stranger, bits: 8 * N as u8 };

        let admitting = self.admitted_prefix();
        let why = format!("the list has no {name} prefix");
        let roles = [Role::Admitting, Role::Admitted];
        let (admitting, admitted) =
            self.or_stand_in(family, &roles, admitting, (nobody, stranger), why);

        let (draining, peer, neighbour) = self.draining_prefix(nobody, stranger);
        let departed = self.peer_without_prefix();
        let why = format!("no {name} peer is known whose prefix no longer drains");
        let departed = self.or_stand_in(family, &[Role::Departed], departed, stranger, why);
        let beyond = self.forwarded_destination(stranger)?;
        Ok(Endpoints {
            origin,
            beyond,
            stranger,
            admitting,
            admitted,
            draining,
            peer,
            neighbour,
            departed,
        })
    }

    /// The widest prefix whose first and last address are admitted, and a source in it, preferably
    /// one that has not authenticated.
    fn admitted_prefix<const N: usize>(&self) -> Option<(Cidr<[u8; N]>, [u8; N])>
    where
        [u8; N]: AddressBytes,
    {
        let admitted = |it: &[u8; N]| self.has_standing(*it, Standing::Admitted);
        let mut prefixes: Vec<Cidr<[u8; N]>> =
            self.prefixes(|entry| entry == Prefix::ADMITTED).collect();
        prefixes.sort_by_key(|cidr| cidr.bits);
        let ends = |cidr: &Cidr<_>| admitted(&cidr.network) && admitted(&cidr.last());
        let cidr = prefixes.into_iter().find(ends)?;
        let new = |it: &[u8; N]| self.is_new(*it, Standing::Admitted);
        let source = sample_of(&cidr).find(new).unwrap_or(cidr.last());
        Some((cidr, source))
    }

    /// A draining prefix, preferably with an authenticated peer in it; that peer; and another
    /// address in the prefix.
    fn draining_prefix<const N: usize>(
        &mut self,
        nobody: Cidr<[u8; N]>,
        stand_in: [u8; N],
    ) -> (Cidr<[u8; N]>, [u8; N], [u8; N])
    where
        [u8; N]: AddressBytes,
    {
        let family = <[u8; N]>::FAMILY;
        let name = family.name();
        let draining: Vec<Cidr<[u8; N]>> =
            self.prefixes(|entry| entry.standing(|| self.now) == Standing::Draining).collect();
        let draining_peer = |it: &[u8; N]| self.has_standing(*it, Standing::Draining);
        let peer = self.peers().map(|(address, _)| address).find(draining_peer);
        let with_peer = draining.iter().find(|cidr| peer.is_some_and(|it| cidr.contains(&it)));
        let cidr = with_peer.or(draining.first()).copied();
        let neighbour = cidr.and_then(|cidr| {
            sample_of(&cidr).find(|address| self.is_new(*address, Standing::Draining))
        });
        let why = |why: String| match cidr {
            Some(_) => why,
            None => format!("no {name} prefix drains"),
        };
        let no_peer = why(format!("no peer has authenticated in the draining {name} prefix"));
        let peer = self.or_stand_in(family, &[Role::Peer], peer, stand_in, no_peer);
        let only_peers = why(format!("the draining {name} prefix has only authenticated peers"));
        let roles = [Role::Neighbour];
        let neighbour = self.or_stand_in(family, &roles, neighbour, stand_in, only_peers);
        (cidr.unwrap_or(nobody), peer, neighbour)
    }

    /// An authenticated peer that no prefix admits any more, preferably one that is still trusted.
    fn peer_without_prefix<const N: usize>(&mut self) -> Option<[u8; N]>
    where
        [u8; N]: AddressBytes,
    {
        let without_prefix =
            self.peers().filter(|(address, _)| self.has_standing(*address, Standing::Unknown));
        let (address, trusted_until) =
            without_prefix.max_by_key(|(_, trusted_until)| *trusted_until)?;
        if self.now < trusted_until {
            self.trusted.push(<[u8; N]>::FAMILY);
        }
        Some(address)
    }

    /// An address to which the host forwards. If it does not forward, `any` serves.
    fn forwarded_destination<const N: usize>(&mut self, any: [u8; N]) -> Result<[u8; N], ProveError>
    where
        [u8; N]: AddressBytes,
    {
        let family = <[u8; N]>::FAMILY;
        Ok(match self.live.beyond(any.into())? {
            ForwardTarget::DoesNotForward => any,
            ForwardTarget::NoRoute => {
                let why = format!("this host forwards {}, but has no route", family.name());
                self.missing.insert((Role::Beyond, family), why);
                any
            }
            ForwardTarget::To(address) => {
                self.forwarded.push(family);
                <[u8; N]>::from_address(address).unwrap_or(any)
            }
        })
    }

    fn prefixes<const N: usize>(
        &self,
        wanted: impl Fn(Prefix) -> bool,
    ) -> impl Iterator<Item = Cidr<[u8; N]>>
    where
        [u8; N]: AddressBytes,
    {
        let entries = self.live.admission().entries().iter();
        entries.filter(move |(_, entry)| wanted(*entry)).filter_map(|(prefix, _)| cidr(prefix))
    }

    /// The authenticated peers, each with the end of its trust.
    fn peers<const N: usize>(&self) -> impl Iterator<Item = ([u8; N], u64)>
    where
        [u8; N]: AddressBytes,
    {
        let peers = self.live.peers().into_iter();
        peers.filter_map(|peer| {
            Some((<[u8; N]>::from_address(peer.address)?, peer.facts.trusted_until))
        })
    }

    fn has_standing(&self, address: impl AddressBytes, wanted: Standing) -> bool {
        self.live.admission().standing(address.into(), self.now) == wanted
    }

    /// Whether the address has this standing and has never authenticated.
    fn is_new(&self, address: impl AddressBytes, wanted: Standing) -> bool {
        self.has_standing(address, wanted) && !self.live.authenticated(address.into())
    }

    /// Returns `found`, or `stand_in` after recording why the roles are missing.
    fn or_stand_in<T>(
        &mut self,
        family: AddressFamily,
        roles: &[Role],
        found: Option<T>,
        stand_in: T,
        why: String,
    ) -> T {
        found.unwrap_or_else(|| {
            self.missing.extend(roles.iter().map(|role| ((*role, family), why.clone())));
            stand_in
        })
    }
}

/// The first addresses of a prefix, and its last one.
fn sample_of<const N: usize>(prefix: &Cidr<[u8; N]>) -> impl Iterator<Item = [u8; N]> {
    const FIRST: usize = 32;
    let (next, last) =
        (|it: &[u8; N]| Cidr { network: *it, bits: 8 * N as u8 }.above(), prefix.last());
    let first = std::iter::successors(Some(prefix.network), move |it| Some(next(it)));
    let inside = first.take(FIRST).take_while(move |it| *it != last);
    inside.chain([last])
}

fn cidr<const N: usize>(prefix: &IpNet) -> Option<Cidr<[u8; N]>>
where
    [u8; N]: AddressBytes,
{
    Some(Cidr { network: <[u8; N]>::from_address(prefix.network())?, bits: prefix.prefix_len() })
}
