//! The receiving host: a network namespace with the addresses of the scene.

use std::{net::IpAddr, process::Command, thread};

use aop_packets::Scene;
use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Forwarding {
    Off,
    On,
}

/// Runs `test` in a network namespace of its own, with the addresses of the scene and a route, and
/// passes it the index of the interface with these addresses.
pub(crate) fn in_a_host_that_forwards(
    forwarding: Forwarding,
    test: impl FnOnce(u32) + Send + 'static,
) {
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (needs root)");
        let Scene { v4, v6, .. } = Scene::FIXED;
        let text = |address: IpAddr| address.to_string();
        let sysctl = |name: &str, value: &str| {
            std::fs::write(format!("/proc/sys/net/{name}"), value)
                .expect("a sysctl of this namespace");
        };
        ip("link add in0 type veth peer name out0");
        sysctl("ipv6/conf/in0/addr_gen_mode", "1");
        sysctl("ipv6/conf/in0/accept_dad", "0");
        ip(&format!("addr add {}/32 dev in0", text(v4.origin.into())));
        ip(&format!("addr add {}/128 dev in0 nodad", text(v6.origin.into())));
        ip("link set out0 up");
        ip("link set in0 up");
        if forwarding == Forwarding::On {
            sysctl("ipv4/ip_forward", "1");
            sysctl("ipv6/conf/all/forwarding", "1");
        }
        ip(&format!("route add {}/32 dev in0", text(v4.beyond.into())));
        ip(&format!("route add {}/128 dev in0", text(v6.beyond.into())));
        test(if_nametoindex("in0").expect("just made"));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}
