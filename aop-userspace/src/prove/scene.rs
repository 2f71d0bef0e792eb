//! Who takes part in a proof: addresses and ports of this host and its list.

use std::net::IpAddr;

use aop_common::{
    Standing,
    corpus::{Cast, Cidr, Scene},
    layout::Prefix,
};
use ipnet::IpNet;

use crate::{
    firewall::Live,
    prefixes::{Admission, monotonic_seconds},
};

/// There is no port to send anything to.
#[derive(Debug, thiserror::Error)]
#[error("no port is guarded, so there is nothing to prove; set firewall.ports or a listener")]
pub struct NothingGuarded;

/// A scene, and which of its sources really stand as they should.
pub(super) struct Actors {
    pub(super) scene: Scene,
    pub(super) strangers: Vec<IpAddr>,
    pub(super) admitted: Vec<IpAddr>,
}

pub(super) fn actors(live: &Live) -> Result<Actors, NothingGuarded> {
    let ports = live.ports();
    let guarded = (1..=u16::MAX).find(|port| ports.contains(*port)).ok_or(NothingGuarded)?;
    let unguarded = (8080..=u16::MAX).chain(1..8080).find(|port| !ports.contains(*port));
    let stands = |source: IpAddr, wanted: Standing| {
        live.admission().standing(source, monotonic_seconds()) == wanted
    };
    let unknown_v4 = |octets: &[u8; 4]| stands((*octets).into(), Standing::Unknown);
    let unknown_v6 = |octets: &[u8; 16]| stands((*octets).into(), Standing::Unknown);
    // Of the documentation ranges where they are not on the list.
    let stranger_v4 = (1..224)
        .rev()
        .cycle()
        .skip(25)
        .take(223)
        .map(|first| [first, 51, 100, 66])
        .find(unknown_v4);
    let documentation = |first| [first, 1, 0xd, 0xb8, 0xb, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66];
    let stranger_v6 = (0x20..0x40).map(documentation).find(unknown_v6);
    let v4 = cast(live.local_v4().octets(), stranger_v4, widest(live.admission(), v4));
    let v6 = cast(live.local_v6().octets(), stranger_v6, widest(live.admission(), v6));
    let standing = |sources: [IpAddr; 2], wanted| {
        sources.into_iter().filter(|source| stands(*source, wanted)).collect()
    };
    Ok(Actors {
        strangers: standing([v4.stranger.into(), v6.stranger.into()], Standing::Unknown),
        admitted: standing([v4.admitted.into(), v6.admitted.into()], Standing::Admitted),
        // Port 0 is never guarded.
        scene: Scene { guarded, unguarded: unguarded.unwrap_or(0), v4, v6 },
    })
}

/// The widest admitted prefix of a family.
fn widest<A>(
    admission: &Admission,
    of_family: impl Fn(&IpNet) -> Option<Cidr<A>>,
) -> Option<Cidr<A>> {
    let entries = admission.entries().iter();
    entries
        .filter(|(_, entry)| *entry == Prefix::ADMITTED)
        .filter_map(|(prefix, _)| of_family(prefix))
        .min_by_key(|cidr| cidr.bits)
}

fn v4(prefix: &IpNet) -> Option<Cidr<[u8; 4]>> {
    match prefix {
        IpNet::V4(net) => Some(Cidr { network: net.network().octets(), bits: net.prefix_len() }),
        IpNet::V6(_) => None,
    }
}

fn v6(prefix: &IpNet) -> Option<Cidr<[u8; 16]>> {
    match prefix {
        IpNet::V6(net) => Some(Cidr { network: net.network().octets(), bits: net.prefix_len() }),
        IpNet::V4(_) => None,
    }
}

/// Where there is no stranger or nobody is admitted, some other address stands in, and the shapes
/// that need one are not tried.
fn cast<const N: usize>(
    origin: [u8; N],
    stranger: Option<[u8; N]>,
    admitting: Option<Cidr<[u8; N]>>,
) -> Cast<[u8; N]> {
    let stranger = stranger.unwrap_or([1; N]);
    let nobody = Cidr { network: stranger, bits: 8 * N as u8 };
    let admitting = admitting.unwrap_or(nobody);
    let departed = stranger;
    Cast {
        origin,
        beyond: stranger,
        stranger,
        admitting,
        admitted: admitting.last(),
        draining: nobody,
        peer: departed,
        neighbour: departed,
        departed,
    }
}
