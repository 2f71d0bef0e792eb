//! A selection of this host's addresses, so that most drops need no route lookup.

use aop_common::layout::LocalAddresses;

use super::{
    interfaces::{self, LocalAddress},
    peers,
};

/// As many addresses as the map holds. Those of guarded interfaces come first; among these, those
/// of global scope.
///
/// Empty where the kernel does not list them: then each packet needs a route lookup, which is
/// slower.
pub(super) fn choose(guarded: impl Fn(u32) -> bool) -> LocalAddresses {
    match interfaces::addresses() {
        Ok(addresses) => of(&addresses, guarded),
        Err(error) => {
            tracing::debug!("cannot list the local addresses: {error}");
            LocalAddresses::default()
        }
    }
}

fn of(addresses: &[LocalAddress], guarded: impl Fn(u32) -> bool) -> LocalAddresses {
    let mut addresses: Vec<&LocalAddress> =
        addresses.iter().filter(|local| !local.address.is_loopback()).collect();
    addresses.sort_by_key(|local| (!guarded(local.interface), !local.global, local.address));
    LocalAddresses::of(addresses.into_iter().map(|local| peers::wire(local.address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(address: &str, interface: u32, global: bool) -> LocalAddress {
        LocalAddress { address: address.parse().expect("an address"), interface, global }
    }

    #[test]
    fn addresses_of_guarded_interfaces_come_first_and_others_fill_the_rest() {
        let addresses = [
            local("127.0.0.1", 1, false),
            local("172.17.0.1", 3, true),
            local("10.0.0.1", 3, true),
            local("192.0.2.1", 2, true),
            local("192.0.2.2", 2, true),
            local("198.51.100.1", 3, true),
            local("fe80::1", 2, false),
            local("2001:db8::1", 2, true),
        ];
        let locals = of(&addresses, |index| index == 2);
        let held = |address: &str| locals.contains(peers::wire(address.parse().expect("one")));
        for address in
            ["192.0.2.1", "192.0.2.2", "10.0.0.1", "172.17.0.1", "fe80::1", "2001:db8::1"]
        {
            assert!(held(address), "{address}");
        }
        assert!(!held("127.0.0.1") && !held("198.51.100.1") && !held("2001:db8::2"));
    }
}
