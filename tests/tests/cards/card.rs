//! The emulated cards, and what their drivers support.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::{Lab, wait};

/// The names of the emulated cards, separated by blanks. The pair at position N has the hardware
/// addresses 52:54:00:00:N:01 and 52:54:00:00:N:02, with N in two hexadecimal digits.
const CARDS: &str = "AOP_CARDS";
/// How long the kernel may take to give a card back after the end of a namespace.
const PATIENCE: Duration = Duration::from_secs(60);

/// A card, by its name in `xtask/src/kernels/cards.rs`.
pub(crate) struct Card {
    pub(crate) name: &'static str,
    pub(crate) driver: &'static str,
}

impl Card {
    /// A lab whose origin has this card, with this MTU on all links between origin and edge.
    pub(crate) fn lab(&self, mtu: u16) -> Result<Lab> {
        let [card, outside] = [self.find(1)?, self.find(2)?];
        let driver = fs::read_link(format!("/sys/class/net/{card}/device/driver"))?;
        ensure!(driver.ends_with(self.driver), "{} has the driver {driver:?}", self.name);
        let lab = Lab::over_cards([&card, &outside])?;
        set_mtu(&lab, mtu)?;
        Ok(lab)
    }

    /// The interface of one end of the pair.
    fn find(&self, end: u8) -> Result<String> {
        let cards = std::env::var(CARDS).with_context(|| format!("{CARDS} names no cards"))?;
        let number = cards.split(' ').position(|card| card == self.name);
        let number = number.with_context(|| format!("no card {} among {cards}", self.name))?;
        let address = format!("52:54:00:00:{number:02x}:{end:02x}");
        wait::until(&format!("there is a card {address}"), PATIENCE, || with_address(&address))
    }
}

/// Sets the MTU of all links between origin and edge.
pub(crate) fn set_mtu(lab: &Lab, mtu: u16) -> Result<()> {
    for (netns, interface) in [
        (lab.origin(), "eth0"),
        (lab.router(), "origin"),
        (lab.router(), "edge"),
        (lab.edge(), "eth0"),
    ] {
        netns.ip(&format!("link set {interface} mtu {mtu}\n"))?;
    }
    Ok(())
}

fn with_address(address: &str) -> Option<String> {
    let interfaces = fs::read_dir("/sys/class/net").ok()?.flatten();
    let mut names = interfaces.filter_map(|entry| entry.file_name().into_string().ok());
    names.find(|name| {
        let own = fs::read_to_string(format!("/sys/class/net/{name}/address"));
        own.is_ok_and(|own| own.trim() == address)
    })
}

/// The version of the running kernel, such as (6, 12).
pub(crate) fn kernel() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("this kernel is {release}"),
    }
}
