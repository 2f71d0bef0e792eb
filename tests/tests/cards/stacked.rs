//! Interfaces on top of a virtio card, which the kernels of distributions have.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, TestDaemon, TestUpstream, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::card::Card;
use crate::guarded::{config, edge_is_served, is_guarded, measured};

/// How long the daemon may take to notice a change on an emulated machine.
const CHECKED: Duration = Duration::from_secs(30);

/// An arrangement of interfaces between origin and router.
struct Stack {
    /// The MTU of the card.
    mtu: u16,
    /// The `ip -batch` lines of each side, before addresses are added.
    origin: &'static str,
    router: &'static str,
    /// The interfaces that get the addresses.
    near: &'static str,
    far: &'static str,
    /// The guarded interfaces, with their modes.
    guarded: &'static [(&'static str, &'static str)],
}

fn claim(stack: &Stack) {
    let card = Card { name: "virtio", driver: "virtio_net" };
    let link = [stack.near, stack.far];
    let judged = card.lab(stack.mtu).and_then(|lab| {
        arrange(&lab, stack)?;
        let table = measured(&lab, link)?;
        let _listener = TestUpstream::listening(&lab, "[::]:443")?;
        let daemon = TestDaemon::start(&lab, &config(&lab))?;
        guards(&daemon, stack.guarded)?;
        is_guarded(&lab, &table, link)?;
        edge_is_served(&lab)?;
        // The kernel has no swap between modes: each interface loses its program and gets it again.
        let mut daemon = daemon;
        daemon.write(&AopToml { attach: "generic", ..config(&lab) }.text())?;
        daemon.run()?;
        let generic: Vec<_> = stack.guarded.iter().map(|(name, _)| (*name, "generic")).collect();
        guards(&daemon, &generic)?;
        is_guarded(&lab, &table, link)
    });
    judged.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Moves the addresses of the link to interfaces on top of it.
fn arrange(lab: &Lab, stack: &Stack) -> Result<()> {
    let Stack { origin, router, near, far, .. } = stack;
    lab.origin().ip(&format!(
        "address flush dev eth0 scope global\n{origin}link set {near} up\n\
         address add 203.0.113.10/24 dev {near}\n\
         address add 2001:db8:0:10::10/64 dev {near} nodad\n\
         route replace default via 203.0.113.1 dev {near}\n\
         route replace default via 2001:db8:0:10::1 dev {near}\n"
    ))?;
    lab.router().ip(&format!(
        "address flush dev origin scope global\n{router}link set {far} up\n\
         address add 203.0.113.1/24 dev {far}\n\
         address add 2001:db8:0:10::1/64 dev {far} nodad\n"
    ))
}

/// These are the guarded interfaces, with their modes.
fn guards(daemon: &TestDaemon, expected: &[(&str, &str)]) -> Result<()> {
    let status = daemon.status()?;
    let interfaces = status.json()["interfaces"].as_array().cloned().unwrap_or_default();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let attached: Vec<_> =
        interfaces.iter().map(|one| (text(one, "name"), text(one, "attach"))).collect();
    println!("{attached:?}");
    let same = attached.iter().map(|(name, mode)| (&**name, &**mode)).eq(expected.iter().copied());
    ensure!(same, "{}", daemon.log());
    Ok(())
}

#[test]
fn a_vlan() {
    claim(&Stack {
        mtu: 1500,
        origin: "link add link eth0 name eth0.5 type vlan id 5\n",
        router: "link add link origin name origin.5 type vlan id 5\n",
        near: "eth0.5",
        far: "origin.5",
        guarded: &[("eth0", "native")],
    });
}

#[test]
fn a_bond() {
    claim(&Stack {
        mtu: 1500,
        origin: "link add bond0 type bond mode active-backup\n\
                 link set eth0 down\nlink set eth0 master bond0\n",
        router: "",
        near: "bond0",
        far: "origin",
        guarded: &[("bond0", "native")],
    });
}

#[test]
fn a_bridge() {
    claim(&Stack {
        mtu: 1500,
        origin: "link add br0 type bridge\nlink set eth0 master br0\n",
        router: "",
        near: "br0",
        far: "origin",
        guarded: &[("br0", "generic")],
    });
}

#[test]
fn a_macvlan() {
    claim(&Stack {
        mtu: 1500,
        origin: "link add link eth0 name mac0 type macvlan mode bridge\n",
        router: "",
        near: "mac0",
        far: "origin",
        guarded: &[("eth0", "native")],
    });
}

#[test]
fn a_vxlan() {
    claim(&Stack {
        mtu: 1600,
        origin: "address add 10.9.0.1/24 dev eth0\n\
                 link add vx0 type vxlan id 7 local 10.9.0.1 remote 10.9.0.2 dstport 4789 dev eth0\n",
        router: "address add 10.9.0.2/24 dev origin\n\
                 link add vx0 type vxlan id 7 local 10.9.0.2 remote 10.9.0.1 dstport 4789 dev origin\n",
        near: "vx0",
        far: "vx0",
        guarded: &[("eth0", "native"), ("vx0", "generic")],
    });
}

/// The kernel refuses a program on a card below an interface with a program of another owner. The
/// card is guarded as soon as that program leaves, and the interface of ours above it is guarded
/// before and after.
#[test]
fn a_card_below_a_program_of_another_owner() {
    let card = Card { name: "virtio", driver: "virtio_net" };
    let judged = card.lab(1600).and_then(|lab| {
        lab.origin().ip("address add 10.9.0.1/24 dev eth0\n\
             link add vx0 type vxlan id 7 local 10.9.0.1 remote 10.9.0.2 dstport 4789 dev eth0\n\
             address add 10.10.0.1/24 dev vx0\nlink set vx0 up\n\
             link add vx1 type vxlan id 8 local 10.9.0.1 remote 10.9.0.2 dstport 4789 dev eth0\n\
             link set vx1 up\n")?;
        let interfaces = vec!["eth0".into(), "vx0".into()];
        let config = AopToml { interfaces, ..config(&lab) };
        let daemon = TestDaemon::start(&lab, &config)?;
        guards(&daemon, &[("eth0", "native"), ("vx0", "generic")])?;
        let other = AopToml {
            pins: lab.bpffs().join("other"),
            runtime: lab.dir().join("run-other"),
            interfaces: vec!["vx1".into()],
            ..config.clone()
        };
        let file = lab.dir().join("other.toml");
        fs::write(&file, other.text())?;
        daemon.signal(Signal::SIGSTOP)?;
        for pin in config.pinned_links("eth0")? {
            fs::remove_file(pin)?;
        }
        daemon.verb_with(&["load"], &file)?.success()?;
        daemon.signal(Signal::SIGCONT)?;
        let becomes = |expected: &[(&str, &str)]| {
            wait::until(&format!("{expected:?}"), CHECKED, || {
                guards(&daemon, expected).is_ok().then_some(())
            })
        };
        becomes(&[("eth0", ""), ("vx0", "generic")])?;
        daemon.verb_with(&["unload"], &file)?.success()?;
        becomes(&[("eth0", "native"), ("vx0", "generic")])
    });
    judged.unwrap_or_else(|error| panic!("{error:#}"));
}

/// The interfaces of tunnels without an Ethernet header cannot be guarded. Status and doctor name
/// each, and a packet that comes through one is not judged.
#[test]
fn tunnels_without_an_ethernet_header() {
    let card = Card { name: "virtio", driver: "virtio_net" };
    let judged = card.lab(1500).and_then(|lab| {
        let tunnel = |local, remote, dev| {
            format!(
                "address add {local}/24 dev {dev}\n\
                 link add gre1 type gre local {local} remote {remote} dev {dev}\n\
                 link set gre1 up\n"
            )
        };
        let origin = tunnel("10.9.0.1", "10.9.0.2", "eth0");
        lab.origin().ip(&format!(
            "{origin}address add 10.10.0.1/24 dev gre1\n\
             link add wg0 type wireguard\naddress add 10.11.0.1/24 dev wg0\nlink set wg0 up\n"
        ))?;
        lab.router().ip(&tunnel("10.9.0.2", "10.9.0.1", "origin"))?;
        let _listener = TestUpstream::listening(&lab, "[::]:443")?;
        let daemon = TestDaemon::start(&lab, &config(&lab))?;
        let screen = daemon.must_run("status")?;
        println!("{screen}");
        ensure!(screen.contains("on 1 of 3: gre1 and 1 more cannot be guarded"), "{screen}");
        let origin = lab.origin_at(IpVersion::V4, 443);
        let over_card = lab.stranger().connect(origin, Duration::from_secs(1));
        let silent = over_card.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut);
        ensure!(silent, "over the card, a stranger met {over_card:?}");
        lab.router().ip("route add 203.0.113.10/32 dev gre1\n")?;
        let through = lab.stranger().connect(origin, Duration::from_secs(20));
        through.context("the packet does not come through the tunnel")?;
        let report = daemon.verb(&["doctor"])?.text();
        println!("{report}");
        for name in ["gre1", "wg0"] {
            ensure!(report.contains(name), "doctor does not name {name}");
        }
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{error:#}"));
}
