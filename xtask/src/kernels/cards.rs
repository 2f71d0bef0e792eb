//! The emulated network cards.
//!
//! Each card has a peer in the same machine, a virtio card. Outside of the machine both are taps,
//! and a bridge connects them, in a network namespace that is gone with QEMU.

use std::process::Command;

use anyhow::{Context, Result};

use super::machine::QEMU;

/// The largest MTU of the tests.
const MTU: u16 = 9000;

/// A card. The tests in `tests/tests/cards/emulated.rs` use its name.
pub(super) struct Card {
    pub(super) name: &'static str,
    /// QEMU's device, and properties of it.
    device: &'static str,
    properties: &'static str,
    /// The kernel module of its driver.
    pub(super) module: &'static str,
    queues: u8,
}

/// The properties of virtio that an ordinary host offers its guest are QEMU's defaults.
const ALL: [Card; 6] = [
    card("virtio", "virtio-net-pci", "", "virtio_net"),
    Card {
        queues: 4,
        ..card("virtio-queues", "virtio-net-pci", ",mq=on,vectors=10", "virtio_net")
    },
    card("virtio-buffers", "virtio-net-pci", ",mrg_rxbuf=off", "virtio_net"),
    card("e1000e", "e1000e", "", "e1000e"),
    card("igb", "igb", "", "igb"),
    card("vmxnet3", "vmxnet3", "", "vmxnet3"),
];

const fn card(
    name: &'static str,
    device: &'static str,
    properties: &'static str,
    module: &'static str,
) -> Card {
    Card { name, device, properties, module, queues: 1 }
}

/// The cards that this machine's QEMU emulates. Names the others.
pub(super) fn available() -> Result<Vec<Card>> {
    let output = Command::new(QEMU).args(["-device", "help"]).output();
    let known = output.with_context(|| format!("cannot start {QEMU}"))?.stdout;
    let known = String::from_utf8_lossy(&known).into_owned();
    let (there, missing): (Vec<Card>, Vec<Card>) =
        ALL.into_iter().partition(|card| known.contains(&format!("name \"{}\"", card.device)));
    for card in missing {
        eprintln!("warning: this QEMU does not emulate {}; its tests do not run", card.name);
    }
    Ok(there)
}

/// The names of the cards that are not among `there`.
pub(super) fn missing(there: &[Card]) -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|card| card.name).filter(|name| there.iter().all(|card| card.name != *name))
}

/// The lines of `ip -batch` that make the taps and bridges.
pub(super) fn links(cards: &[Card]) -> String {
    let pair = |(number, card): (usize, &Card)| {
        let queues = if card.queues > 1 { " multi_queue" } else { "" };
        let mut lines = format!("link add br{number} type bridge mcast_snooping 0\n");
        for (end, queues) in [("card", queues), ("peer", "")] {
            let tap = format!("{end}{number}");
            lines += &format!(
                "tuntap add {tap} mode tap{queues}\n\
                 link set {tap} mtu {MTU} master br{number} up\n"
            );
        }
        lines + &format!("link set br{number} up\n")
    };
    cards.iter().enumerate().map(pair).collect()
}

/// QEMU's options for the cards and their peers.
pub(super) fn options(cards: &[Card]) -> Vec<String> {
    let mut options = Vec::new();
    for (number, card) in cards.iter().enumerate() {
        let ends = [
            ("card", 1, card.device, card.properties, card.queues),
            ("peer", 2, "virtio-net-pci", "", 1),
        ];
        for (end, address, device, properties, queues) in ends {
            let tap = format!("{end}{number}");
            let queues = if queues > 1 { format!(",queues={queues}") } else { String::new() };
            options.extend([
                "-netdev".to_owned(),
                format!("tap,id={tap},ifname={tap},script=no,downscript=no{queues}"),
                "-device".to_owned(),
                format!(
                    "{device},netdev={tap},mac=52:54:00:00:{number:02x}:{address:02x}{properties}"
                ),
            ]);
        }
    }
    options
}
