//! Makes the frame of a sequence of operations.

use aop_common::AddressFamily;

use super::{
    super::{Cidr, Endpoints, Scene, build},
    Role, Sender,
    expand::{Op, Piece, Port, Spoilt, Sum},
};

/// A spoilt checksum differs from the right one by this.
const ERROR: u16 = 0x5555;

/// Where an IP header begins.
#[derive(Clone, Copy)]
struct HeaderPosition {
    family: AddressFamily,
    at: usize,
}

/// A length or checksum: it is filled in when all other bytes are there.
struct Blank {
    at: usize,
    ip: HeaderPosition,
    field: Field,
}

enum Field {
    Length,
    /// The checksum of the header that begins at `from`.
    Sum {
        sum: Sum,
        spoilt: Spoilt,
        from: usize,
        to: Option<usize>,
    },
}

/// The frame in `scene`, sent by `sender` over `family`.
pub(super) fn render(
    ops: &[Op],
    scene: &Scene,
    sender: Sender,
    family: Option<AddressFamily>,
) -> Result<Vec<u8>, String> {
    let mut frame = Vec::new();
    let mut blanks: Vec<Blank> = Vec::new();
    let (mut ip, mut section, mut end) = (None, 0, None);
    for op in ops {
        let at = frame.len();
        let mut blank = |field| {
            let ip = ip.ok_or("a length or checksum before any @ip")?;
            blanks.push(Blank { at, ip, field });
            Ok::<_, String>([0; 2])
        };
        match op {
            Op::Bytes(bytes) => frame.extend(bytes),
            Op::Port(Port::Guarded) => frame.extend(scene.guarded.to_be_bytes()),
            Op::Port(Port::Unguarded) => frame.extend(scene.unguarded.to_be_bytes()),
            Op::Address(role, family, piece) => {
                frame.extend(address(scene, *role, *family, *piece))
            }
            Op::Source => {
                let (role, family) = source(sender, family)
                    .ok_or_else(|| format!("{} has no $source", sender.name()))?;
                frame.extend(address(scene, role, family, Piece::Whole));
            }
            Op::Length => frame.extend(blank(Field::Length)?),
            Op::Sum(sum, spoilt) => {
                let field = Field::Sum { sum: *sum, spoilt: *spoilt, from: section, to: None };
                frame.extend(blank(field)?);
            }
            Op::Ip(family) => ip = Some(HeaderPosition { family: *family, at }),
            Op::Bar | Op::End => {
                close(&mut blanks, at);
                section = at;
                if *op == Op::End && end.replace(at).is_some() {
                    return Err("the packet ends twice".to_owned());
                }
            }
        }
    }
    let end = end.unwrap_or(frame.len());
    close(&mut blanks, end);
    // Checksums last: the checksum of a header covers its length.
    blanks.sort_by_key(|blank| matches!(blank.field, Field::Sum { .. }));
    for blank in &blanks {
        let word = word(&frame, blank, end)?;
        frame[blank.at..blank.at + 2].copy_from_slice(&word.to_be_bytes());
    }
    Ok(frame)
}

/// The parts of the scene that the frame uses, beside ports.
pub(super) fn needs(
    ops: &[Op],
    sender: Sender,
    family: Option<AddressFamily>,
) -> Vec<(Role, AddressFamily)> {
    let need = |op: &Op| match op {
        Op::Address(role, family, _) => Some((*role, *family)),
        Op::Source => source(sender, family),
        Op::Bytes(_) | Op::Port(_) | Op::Length | Op::Sum(..) | Op::Ip(_) | Op::Bar | Op::End => {
            None
        }
    };
    let mut needs: Vec<_> = ops.iter().filter_map(need).collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

fn source(sender: Sender, family: Option<AddressFamily>) -> Option<(Role, AddressFamily)> {
    Some((sender.role()?, family?))
}

/// Ends a header at `at`, and with it the bytes that its checksum covers.
fn close(blanks: &mut [Blank], at: usize) {
    for blank in blanks {
        if let Field::Sum { sum: Sum::Header, to: to @ None, .. } = &mut blank.field {
            *to = Some(at);
        }
    }
}

fn word(frame: &[u8], blank: &Blank, end: usize) -> Result<u16, String> {
    let HeaderPosition { family, at } = blank.ip;
    let (behind, addresses) = match family {
        AddressFamily::V4 => (at, at + 12..at + 20),
        AddressFamily::V6 => (at + 40, at + 8..at + 40),
    };
    match blank.field {
        Field::Length => {
            let length = end.checked_sub(behind).ok_or("an IP header that ends early")?;
            u16::try_from(length).map_err(|_| format!("{length} bytes in one packet"))
        }
        Field::Sum { sum: Sum::Header, spoilt, from, to } => {
            Ok(spoil(build::checksum(&frame[from..to.unwrap_or(end)]), spoilt))
        }
        Field::Sum { sum: Sum::Transport(protocol), spoilt, from, .. } => {
            let addresses = frame.get(addresses).ok_or("an IP header that ends early")?;
            let covered = frame.get(from..end).ok_or("a checksum behind the packet")?;
            Ok(spoil(build::transport_checksum(addresses, protocol, covered), spoilt))
        }
    }
}

fn spoil(sum: u16, spoilt: Spoilt) -> u16 {
    match spoilt {
        Spoilt::No => sum,
        Spoilt::Yes => sum ^ ERROR,
    }
}

fn address(scene: &Scene, role: Role, family: AddressFamily, piece: Piece) -> Vec<u8> {
    match family {
        AddressFamily::V4 => piece_of(&scene.v4, role, piece),
        AddressFamily::V6 => piece_of(&scene.v6, role, piece),
    }
}

fn piece_of<const N: usize>(endpoints: &Endpoints<[u8; N]>, role: Role, piece: Piece) -> Vec<u8> {
    let whole = match role {
        Role::Origin => endpoints.origin,
        Role::Beyond => endpoints.beyond,
        Role::Stranger => endpoints.stranger,
        Role::Admitting => end_of(&endpoints.admitting, piece),
        Role::Admitted => endpoints.admitted,
        Role::Peer => endpoints.peer,
        Role::Neighbour => endpoints.neighbour,
        Role::Departed => endpoints.departed,
    };
    let length = if piece == Piece::Head { 4 } else { N };
    whole[..length].to_vec()
}

fn end_of<const N: usize>(prefix: &Cidr<[u8; N]>, piece: Piece) -> [u8; N] {
    match piece {
        Piece::Whole | Piece::Head | Piece::First => prefix.network,
        Piece::Last => prefix.last(),
        Piece::Below => prefix.below(),
        Piece::Above => prefix.above(),
    }
}
