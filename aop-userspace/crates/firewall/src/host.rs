//! The host's interfaces and addresses, for questions about where it can be reached.

use std::net::IpAddr;

use aop_config::Interfaces;

use super::{
    CheckReason,
    error::FirewallError,
    interfaces::{self, LinkInfo, LinkKind, LocalAddress},
    interfaces_wanted::WantedInterfaces,
    routes::DefaultRoutes,
};

/// An interface, and its addresses.
#[derive(Clone, Debug)]
pub struct HostInterface {
    /// Its name.
    pub name: String,
    /// Its index in the kernel.
    pub index: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether its frames begin with an Ethernet header. Others cannot be guarded.
    pub ethernet: bool,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// Its kind.
    pub kind: LinkKind,
    /// The interface of this host below it, if that carries its frames unchanged, as below a VLAN.
    /// Not the one below a tunnel, which encapsulates them.
    pub parent: Option<u32>,
    /// Its bridge or bond.
    pub controller: Option<u32>,
    /// The kernel's id of its XDP program.
    pub program: Option<u32>,
    /// Its addresses of global scope.
    pub addresses: Vec<IpAddr>,
}

/// All interfaces of this network namespace.
///
/// # Errors
/// The kernel does not list them.
pub fn host_interfaces() -> Result<Vec<HostInterface>, FirewallError> {
    let list = || {
        let addresses = interfaces::addresses()?;
        let links = interfaces::list()?.into_iter();
        Ok(links.map(|link| interface(link, &addresses)).collect())
    };
    list().map_err(FirewallError::Netlink)
}

/// An interface that a start would guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartInterface {
    /// Its name.
    pub name: String,
    /// Whether a start fails if this one cannot be guarded, though others can.
    pub required: bool,
}

/// The interfaces that a start with `config` would guard, whether or not they exist.
///
/// # Errors
/// The kernel does not list the interfaces, addresses or routes.
pub fn start_interfaces(config: &Interfaces) -> Result<Vec<StartInterface>, FirewallError> {
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let mut wanted = WantedInterfaces::new(config, std::iter::empty());
    DefaultRoutes::default().follow(&mut wanted, &here, CheckReason::Event)?;
    let required = |name: &str| !wanted.may_skip(name);
    let names = wanted.names().into_iter();
    Ok(names.map(|name| StartInterface { required: required(&name), name }).collect())
}

fn interface(link: LinkInfo, addresses: &[LocalAddress]) -> HostInterface {
    let LinkInfo { name, index, up, ethernet, loopback, kind, controller, parent, program, .. } =
        link;
    let own = addresses.iter().filter(|it| it.interface == index && it.global);
    let addresses = own.map(|it| it.address).collect();
    HostInterface {
        name,
        index,
        up,
        ethernet,
        loopback,
        kind,
        parent,
        controller,
        program,
        addresses,
    }
}
