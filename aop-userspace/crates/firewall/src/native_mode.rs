//! The native XDP mode, which is the work of each driver: whether a driver has it, why a driver
//! refuses it, and the command that cures that.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
    path::PathBuf,
};

use aya::programs::Xdp;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};
use rustix::io::Errno;

use super::{
    interfaces::{LinkInfo, ParentDevice},
    netlink::{self, Refusal},
};

const VIRTIO: &str = "virtio";

/// Flags of a request that attaches a program (linux/if_link.h).
const ONLY_IF_NONE: u32 = 1 << 0;
const NATIVE: u32 = 1 << 2;

/// Why the native mode is not to be had, and the cure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) reason: String,
    /// A command, if there is one.
    pub(super) cure: Option<String>,
}

/// An obstacle that the kernel does not report: the driver of this interface, or of one of its
/// ports, accepts a program and then runs it on no packet.
pub(super) fn unreported(interface: &LinkInfo) -> Option<Obstacle> {
    let reason = interface.devices.iter().find_map(ignores_programs)?;
    Some(Obstacle { reason, cure: None })
}

/// Whether the interface, or one of its ports, is a virtio card.
pub(super) fn is_virtio(interface: &LinkInfo) -> bool {
    interface.devices.iter().any(|device| device.bus == VIRTIO)
}

/// virtio_net runs a program in the functions that receive into small or mergeable buffers, but not
/// in the one that receives into big buffers (`receive_big` of drivers/net/virtio_net.c). It takes
/// big buffers if the device offers no mergeable ones and offers large receive or a large MTU.
fn ignores_programs(device: &ParentDevice) -> Option<String> {
    if device.bus != VIRTIO {
        return None;
    }
    match fs::read_to_string(device.path().join("features")) {
        Ok(features) => has_big_buffers(&features).then(|| {
            "this virtio card has no mergeable receive buffers (VIRTIO_NET_F_MRG_RXBUF), and \
             without them its driver may run no program"
                .to_owned()
        }),
        Err(error) => Some(format!(
            "the features of its virtio device cannot be read ({error}), and without mergeable \
             receive buffers its driver may run no program"
        )),
    }
}

/// The bits of the features of a virtio network device (linux/virtio_net.h).
const MTU: usize = 3;
const LARGE_RECEIVE: [usize; 6] = [7, 8, 9, 10, 54, 55];
const MERGEABLE_BUFFERS: usize = 15;

/// `features` is a line with a character for each bit, the lowest first.
fn has_big_buffers(features: &str) -> bool {
    let has = |bit: usize| features.as_bytes().get(bit) == Some(&b'1');
    !has(MERGEABLE_BUFFERS) && (has(MTU) || LARGE_RECEIVE.into_iter().any(has))
}

/// Asks the kernel again, over rtnetlink, which reports the reason of a driver in words.
pub(super) fn reported(program: &Xdp, interface: &LinkInfo, errno: Option<Errno>) -> Obstacle {
    let Some(text) = reason_in_words(program, interface) else {
        return unexplained(interface, errno);
    };
    let reason = format!("{} refuses: {text}", who(interface));
    Obstacle { cure: cure(interface, Some(&text), errno), reason }
}

/// A refusal of which only the error number is known.
pub(super) fn unexplained(interface: &LinkInfo, errno: Option<Errno>) -> Obstacle {
    let number = errno.map(|errno| io::Error::from_raw_os_error(errno.raw_os_error()));
    let number = number.map_or(String::new(), |error| format!(": {error}"));
    let reason = format!("{} refuses{number}", who(interface));
    Obstacle { cure: cure(interface, None, errno), reason }
}

fn who(interface: &LinkInfo) -> String {
    driver(interface).map_or("the kernel".to_owned(), |driver| format!("its driver {driver}"))
}

fn reason_in_words(program: &Xdp, interface: &LinkInfo) -> Option<String> {
    let fd = program.fd().ok()?.as_fd().as_raw_fd();
    match netlink::change(set_program(interface, fd)) {
        Ok(()) => {
            // The obstacle is gone. This program has no link, so it cannot be kept.
            if let Err(Refusal { error, .. }) = netlink::change(set_program(interface, -1)) {
                tracing::error!(interface = interface.name, "cannot detach: {error}");
            }
            None
        }
        Err(Refusal { message, .. }) => message,
    }
}

fn set_program(interface: &LinkInfo, fd: i32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = interface.index;
    let flags = if fd < 0 { NATIVE } else { NATIVE | ONLY_IF_NONE };
    link.attributes = vec![LinkAttribute::Xdp(vec![LinkXdp::Fd(fd), LinkXdp::Flags(flags)])];
    RouteNetlinkMessage::SetLink(link)
}

/// The driver of the interface, or of its first port.
fn driver(interface: &LinkInfo) -> Option<String> {
    let device = interface.devices.first()?;
    let link = fs::read_link(device.path().join("driver")).ok()?;
    link.file_name().map(|name| name.to_string_lossy().into_owned())
}

impl ParentDevice {
    fn path(&self) -> PathBuf {
        PathBuf::from("/sys/bus").join(&self.bus).join("devices").join(&self.name)
    }
}

/// The largest MTU with which a frame is in one page for every driver.
const USUAL_MTU: u32 = 1500;

/// The command that removes an obstacle, from the words of drivers.
fn cure(interface: &LinkInfo, said: Option<&str>, errno: Option<Errno>) -> Option<String> {
    let name = &interface.name;
    let text = said.unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let large = interface.mtu > USUAL_MTU;
    let silent = said.is_none() && errno.is_some();
    // A virtio device that cannot change its offloads refuses because of them: the host's matter.
    if says(&["csum"]) {
        None
    } else if says(&["lro", "gro_hw", "hw-gro"]) {
        Some(format!("`ethtool -K {name} lro off rx-gro-hw off`"))
    } else if says(&["queue", "channel", "ring"]) {
        Some(format!("`ethtool -L {name} combined N` with half of the channels it can have"))
    } else if large && (silent || says(&["mtu", "frame", "buffer", "page"])) {
        Some(format!("`ip link set dev {name} mtu {USUAL_MTU}`"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtio_card_runs_programs_with_mergeable_or_with_small_buffers() {
        let features = |set: &[usize]| -> String {
            (0..64).map(|bit| if set.contains(&bit) { '1' } else { '0' }).collect::<String>() + "\n"
        };
        for large in LARGE_RECEIVE.into_iter().chain([MTU]) {
            assert!(has_big_buffers(&features(&[5, large])), "{large}");
            assert!(!has_big_buffers(&features(&[large, MERGEABLE_BUFFERS])), "{large}");
        }
        assert!(!has_big_buffers(&features(&[])), "small buffers");
    }

    #[test]
    fn features_that_cannot_be_read_are_an_obstacle_on_virtio_alone() {
        let device = |bus: &str| ParentDevice { bus: bus.to_owned(), name: "no-such".to_owned() };
        assert!(
            ignores_programs(&device("virtio")).is_some_and(|it| it.contains("cannot be read"))
        );
        assert_eq!(ignores_programs(&device("pci")), None);
    }

    #[test]
    fn the_cure_follows_the_words_of_the_driver() {
        let card = |mtu| LinkInfo { mtu, ..LinkInfo::card("eth0", 2) };
        let cure = |mtu, said: Option<&str>, errno| cure(&card(mtu), said, Some(errno));
        let invalid = Errno::INVAL;
        for (mtu, said, command) in [
            (9000, Some("MTU too large to enable XDP"), "ip link set dev eth0 mtu 1500"),
            (9000, None, "ip link set dev eth0 mtu 1500"),
            (1500, Some("LRO is not supported with XDP"), "ethtool -K eth0 lro off"),
            (1500, Some("the Rx/Tx channel count should be at most half"), "ethtool -L eth0"),
        ] {
            let found = cure(mtu, said, invalid).unwrap_or_default();
            assert!(found.contains(command), "{said:?}: {found}");
        }
        let none = "Underlying driver does not support XDP in native mode";
        assert_eq!(cure(9000, Some(none), Errno::OPNOTSUPP), None);
        let of_host = "Can't set XDP while host is implementing GRO_HW/CSUM";
        assert_eq!(cure(1500, Some(of_host), Errno::OPNOTSUPP), None);
        assert_eq!(cure(1500, None, invalid), None);
        assert!(cure(9000, None, Errno::OPNOTSUPP).is_some(), "a program was attached before");
    }
}
