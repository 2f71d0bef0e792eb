use super::*;

fn card(name: &str, index: u32) -> LinkInfo {
    LinkInfo::card(name, index)
}

fn down(name: &str, index: u32) -> LinkInfo {
    LinkInfo { up: false, ..card(name, index) }
}

/// An interface without an Ethernet header, such as a WireGuard tunnel.
fn tunnel(name: &str, index: u32) -> LinkInfo {
    LinkInfo { ethernet: false, ..card(name, index) }
}

fn of_kind(kind: LinkKind, name: &str, index: u32) -> LinkInfo {
    LinkInfo { kind, ..card(name, index) }
}

fn port(controller: u32, link: LinkInfo) -> LinkInfo {
    LinkInfo { controller: Some(controller), ..link }
}

fn used(default_route: &[u32], addressed: &[u32]) -> InterfaceUse {
    InterfaceUse { default_route: default_route.into(), addressed: addressed.into() }
}

fn auto() -> WantedInterfaces {
    WantedInterfaces::new(&Interfaces::Auto, std::iter::empty())
}

/// What `auto` guards at once.
fn chosen(here: &[LinkInfo], used: &InterfaceUse) -> Vec<String> {
    let mut wanted = auto();
    wanted.update(here, used, Instant::now());
    wanted.names()
}

#[test]
fn auto_guards_every_ethernet_interface_that_is_up_or_has_an_address() {
    let here = [card("eth0", 1), card("eth1", 2), down("eth2", 3), down("eth3", 4)];
    assert_eq!(chosen(&here, &used(&[1], &[1, 4])), ["eth0", "eth1", "eth3"]);
    assert_eq!(chosen(&here, &used(&[3], &[])), ["eth0", "eth1", "eth2"]);
    assert_eq!(chosen(&[], &used(&[], &[])), [""; 0]);
}

#[test]
fn an_interface_without_an_ethernet_header_is_named_and_skipped() {
    let here = [card("eth0", 1), tunnel("tun0", 2), tunnel("wg0", 3), tunnel("wg1", 4)];
    let mut wanted = auto();
    wanted.update(&here, &used(&[2], &[1, 3]), Instant::now());
    assert_eq!(wanted.names(), ["eth0"]);
    assert_eq!(wanted.unguardable(), ["tun0", "wg0"]);
    wanted.update(&here[..1], &used(&[1], &[1]), Instant::now());
    assert_eq!(wanted.unguardable(), [""; 0]);
}

#[test]
fn interfaces_of_containers_and_virtual_machines_are_left_out() {
    let here = [
        card("eth0", 1),
        of_kind(LinkKind::Bridge, "docker0", 2),
        port(2, of_kind(LinkKind::Veth, "veth1", 3)),
        of_kind(LinkKind::Bridge, "virbr0", 4),
        port(4, of_kind(LinkKind::Tap, "vnet0", 5)),
        of_kind(LinkKind::Bridge, "empty", 6),
        of_kind(LinkKind::Veth, "ve-box", 7),
        of_kind(LinkKind::Internal, "lo", 8),
    ];
    assert_eq!(chosen(&here, &used(&[1], &[1, 2, 4, 6, 7, 8])), ["eth0"]);
}

#[test]
fn a_bridge_or_bond_over_cards_is_guarded_in_place_of_them() {
    let here = [
        of_kind(LinkKind::Bridge, "br0", 1),
        port(1, card("eth0", 2)),
        port(1, of_kind(LinkKind::Veth, "veth1", 3)),
        card("bond0", 4),
        port(4, card("eth1", 5)),
        // The port of a VRF has an address of its own.
        port(9, card("eth2", 6)),
    ];
    assert_eq!(chosen(&here, &used(&[1], &[1, 4, 6])), ["bond0", "br0", "eth2"]);
}

#[test]
fn an_interface_over_a_guarded_one_is_left_out() {
    let over = |lower, link| LinkInfo { parent: Some(lower), ..link };
    let here = [
        card("eth0", 1),
        over(1, card("eth0.7", 2)),
        // Its lower interface is a port without an address.
        port(5, card("eth1", 3)),
        over(3, card("eth1.7", 4)),
        over(9, card("elsewhere", 6)),
    ];
    assert_eq!(chosen(&here, &used(&[2], &[2, 4])), ["elsewhere", "eth0", "eth1.7"]);
}

#[test]
fn only_what_auto_chose_and_carries_no_default_route_may_be_skipped() {
    let mut wanted = auto();
    wanted.update(&[card("eth0", 1), card("eth1", 2)], &used(&[1], &[1]), Instant::now());
    assert!(!wanted.may_skip("eth0") && wanted.may_skip("eth1"));
    let named =
        WantedInterfaces::new(&Interfaces::Named(vec!["eth1".to_owned()]), std::iter::empty());
    assert!(!named.may_skip("eth1"));
}

#[test]
fn inside_a_container_the_veth_interfaces_are_guarded() {
    let here = [of_kind(LinkKind::Veth, "eth0", 1), of_kind(LinkKind::Veth, "eth1", 2)];
    assert_eq!(chosen(&here, &used(&[], &[1, 2])), ["eth0", "eth1"]);
    let here = [&here[..], &[card("eth0.7", 3)]].concat();
    assert_eq!(chosen(&here, &used(&[1], &[1, 2])), ["eth0", "eth0.7", "eth1"]);
    assert_eq!(chosen(&here, &used(&[3], &[1, 2])), ["eth0.7"]);
}

#[test]
fn auto_never_lets_go_of_an_interface_that_is_up_and_has_an_address() {
    let (mut wanted, start) = (auto(), Instant::now());
    let here = [of_kind(LinkKind::Veth, "eth0", 1), tunnel("tun0", 2), card("eth1", 3)];
    wanted.update(&here, &used(&[1], &[1]), start);
    assert_eq!(wanted.names(), ["eth0", "eth1"]);
    // A VPN takes the default route.
    for after in [0, 1, 10] {
        wanted.update(&here, &used(&[2], &[1, 2]), start + after * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"]);
    }
}

#[test]
fn auto_keeps_an_interface_that_is_down_or_if_nothing_else_qualifies() {
    let (mut wanted, start) = (auto(), Instant::now());
    wanted.update(&[card("eth0", 1)], &used(&[1], &[1]), start);
    let here = [down("eth0", 1), card("eth1", 2)];
    for after in [0, 10] {
        wanted.update(&here, &used(&[2], &[2]), start + after * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"]);
    }
    for after in [10, 20] {
        wanted.update(&[], &used(&[], &[]), start + after * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"], "nothing qualifies: nothing changes");
    }
}

#[test]
fn auto_drops_an_interface_that_is_gone_or_became_a_port_after_a_while() {
    let (mut wanted, start) = (auto(), Instant::now());
    wanted.update(&[card("eth0", 1), card("eth1", 2), card("eth2", 3)], &used(&[1], &[1]), start);
    let here = [card("eth0", 1), port(4, card("eth1", 2)), card("bond0", 4)];
    wanted.update(&here, &used(&[4], &[1]), start);
    assert_eq!(wanted.names(), ["bond0", "eth0", "eth1", "eth2"]);
    wanted.update(&here, &used(&[4], &[1]), start + GRACE / 2);
    assert_eq!(wanted.names(), ["bond0", "eth0", "eth1", "eth2"]);
    wanted.update(&here, &used(&[4], &[1]), start + GRACE);
    assert_eq!(wanted.names(), ["bond0", "eth0"]);
}

#[test]
fn named_interfaces_are_awaited_for_ever() {
    let mut wanted =
        WantedInterfaces::new(&Interfaces::Named(vec!["eth7".to_owned()]), std::iter::empty());
    wanted.update(&[tunnel("tun0", 1)], &used(&[1], &[1]), Instant::now());
    assert_eq!(wanted.names(), ["eth7"]);
    assert_eq!(wanted.unguardable(), [""; 0]);
}
