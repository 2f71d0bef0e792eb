//! Hears at once when an interface, an address or a default route comes, goes or changes.
//!
//! It only says that something has happened: what, is looked up afresh, since notifications may be
//! lost and are old when they are read.

use std::{future::poll_fn, io};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR and _ROUTE, RTNLGRP_IPV6_IFADDR and _ROUTE, from the kernel's
/// rtnetlink.h.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// The kernel makes no notification as long as this.
const LONGEST: usize = 64 * 1024;

/// An rtnetlink socket that listens.
pub struct Watch(TokioSocket);

impl Watch {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let inner = socket.socket_mut();
        inner.bind(&SocketAddr::new(0, 0))?;
        GROUPS.into_iter().try_for_each(|group| inner.add_membership(group))?;
        Ok(Self(socket))
    }

    /// Waits for a change, and takes those that wait behind it for the same one.
    ///
    /// # Errors
    /// The socket is of no more use.
    pub async fn changed(&self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(LONGEST);
        loop {
            bytes.clear();
            match poll_fn(|context| self.0.poll_recv(context, &mut bytes)).await {
                Ok(()) if !tells_a_change(&bytes) => {}
                Ok(()) => break,
                // Some were lost: any of them may have mattered.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => break,
                Err(error) => return Err(error),
            }
        }
        bytes.clear();
        while self.0.socket_ref().recv(&mut bytes, 0).is_ok() {
            bytes.clear();
        }
        Ok(())
    }
}

/// A route other than a default one does not matter, and a router has many of them.
fn tells_a_change(datagram: &[u8]) -> bool {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram).map(|told| told.payload) {
        Ok(NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
        )) => route.header.destination_prefix_length == 0,
        Ok(_) | Err(_) => true,
    }
}
