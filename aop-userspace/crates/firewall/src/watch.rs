//! Subscribes to changes of interfaces, addresses and default routes.
//!
//! A notification only says that something has changed. The state is read again, since
//! notifications may be lost and are old when they are read.

use std::{future::poll_fn, io};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR and _ROUTE, RTNLGRP_IPV6_IFADDR and _ROUTE, from the kernel's
/// rtnetlink.h.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// The kernel's notifications are shorter than this.
const LONGEST: usize = 64 * 1024;

/// A subscribed rtnetlink socket.
pub struct ChangeSubscription(TokioSocket);

impl ChangeSubscription {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let inner = socket.socket_mut();
        inner.bind(&SocketAddr::new(0, 0))?;
        GROUPS.into_iter().try_for_each(|group| inner.add_membership(group))?;
        Ok(Self(socket))
    }

    /// Waits for a change. Notifications that are already queued behind it count as the same
    /// change.
    ///
    /// # Errors
    /// The socket cannot be used any more.
    pub async fn changed(&self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(LONGEST);
        loop {
            bytes.clear();
            match poll_fn(|context| self.0.poll_recv(context, &mut bytes)).await {
                Ok(()) if !tells_a_change(&bytes) => {}
                Ok(()) => break,
                // Notifications were lost, and each may have mattered.
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

/// Other routes than default routes do not matter, and a router has many of them.
fn tells_a_change(datagram: &[u8]) -> bool {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram)
        .map(|message| message.payload)
    {
        Ok(NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
        )) => route.header.destination_prefix_length == 0,
        Ok(_) | Err(_) => true,
    }
}
