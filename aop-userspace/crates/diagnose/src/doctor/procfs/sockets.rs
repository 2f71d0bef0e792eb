//! The sockets of this network namespace, read from /proc/net.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// TCP_LISTEN, as /proc/net/tcp spells it.
const LISTEN: &str = "0A";

/// A socket. No address in it is IPv6-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Socket {
    pub(in crate::doctor) local: SocketAddr,
    pub(in crate::doctor) remote: SocketAddr,
    pub(in crate::doctor) inode: u64,
}

/// The state of a TCP socket, as far as the doctor needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TcpState {
    Listening,
    Other,
}

/// The sockets that the doctor looks at.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Sockets {
    /// TCP sockets that listen.
    pub(in crate::doctor) listening: Vec<Socket>,
    /// TCP connections, including those in TIME_WAIT.
    pub(in crate::doctor) connected: Vec<Socket>,
    /// UDP sockets that are not connected, so that they receive from any address.
    pub(in crate::doctor) udp: Vec<Socket>,
}

impl Sockets {
    pub(in crate::doctor) fn read() -> Self {
        let lines = |names: [&str; 2]| -> Vec<(Socket, TcpState)> {
            let text =
                names.map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")));
            let text: Vec<String> = text.into_iter().flatten().collect();
            text.iter().flat_map(|text| text.lines().filter_map(socket)).collect()
        };
        let mut sockets = Self::default();
        for (socket, state) in lines(["tcp", "tcp6"]) {
            match state {
                TcpState::Listening => sockets.listening.push(socket),
                TcpState::Other => sockets.connected.push(socket),
            }
        }
        let udp = lines(["udp", "udp6"]).into_iter().map(|(socket, _)| socket);
        sockets.udp = udp.filter(|it| it.remote.port() == 0).collect();
        sockets
    }

    /// The sockets that accept connections to `to`. Like the kernel, it prefers a socket that is
    /// bound to this address over one that is bound to the wildcard address.
    pub(in crate::doctor) fn accepting(&self, to: SocketAddr) -> Vec<&Socket> {
        let every: &[IpAddr] = match to {
            SocketAddr::V4(_) => &[Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            SocketAddr::V6(_) => &[Ipv6Addr::UNSPECIFIED.into()],
        };
        let at = |address: IpAddr| -> Vec<&Socket> {
            let here = |it: &&Socket| it.local.ip() == address && it.local.port() == to.port();
            self.listening.iter().filter(here).collect()
        };
        let mut found = [to.ip()].into_iter().chain(every.iter().copied()).map(at);
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }
}

/// Whether a socket listens at `path`.
pub(in crate::doctor) fn listens_at_path(path: &Path) -> bool {
    /// __SO_ACCEPTCON
    const ACCEPTS: u32 = 1 << 16;
    let text = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
    text.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let flags = fields.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        // Type, state and inode come before the path.
        let name = fields.nth(3);
        flags.is_some_and(|flags| flags & ACCEPTS != 0) && name.map(Path::new) == Some(path)
    })
}

/// Parses a line of such a file.
fn socket(line: &str) -> Option<(Socket, TcpState)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let socket =
        Socket { local: address(local)?, remote: address(remote)?, inode: inode.parse().ok()? };
    let state = if state == LISTEN { TcpState::Listening } else { TcpState::Other };
    Some((socket, state))
}

/// Parses an address as 32-bit words in the byte order of the host, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = address.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    };
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_families_are_read() {
        if cfg!(target_endian = "big") {
            return;
        }
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     \
                  0        0 73 1 0000000000000000 100 0 0 10 0";
        let (socket, state) = super::socket(v4).expect("a socket");
        assert_eq!((state, socket.inode), (TcpState::Listening, 73));
        assert_eq!(socket.local, "127.0.0.1:8080".parse().unwrap());
        for (hex, text) in [
            ("00000000000000000000000001000000:01BB", "[::1]:443"),
            ("B80D0120000000000000000010000000:01BB", "[2001:db8::10]:443"),
            ("0000000000000000FFFF00000A7100CB:0050", "203.0.113.10:80"),
        ] {
            assert_eq!(address(hex), Some(text.parse().unwrap()), "{hex}");
        }
        assert_eq!(super::socket("  sl  local_address rem_address   st tx_queue"), None);
    }

    #[test]
    fn a_socket_bound_to_the_address_takes_precedence_over_a_wildcard_socket() {
        let remote = "0.0.0.0:0".parse().unwrap();
        let listens =
            |(local, inode): (&str, u64)| Socket { local: local.parse().unwrap(), remote, inode };
        let all = [("[::]:443", 1), ("0.0.0.0:443", 2), ("127.0.0.1:443", 3), ("[::]:80", 4)];
        let sockets = Sockets { listening: all.map(listens).to_vec(), ..Sockets::default() };
        let accepting = |to: &str| -> Vec<u64> {
            sockets.accepting(to.parse().unwrap()).iter().map(|it| it.inode).collect()
        };
        assert_eq!(accepting("127.0.0.1:443"), [3]);
        assert_eq!(accepting("192.0.2.1:443"), [2]);
        assert_eq!(accepting("[::1]:443"), [1]);
        assert_eq!(accepting("192.0.2.1:80"), [4]);
        assert!(accepting("192.0.2.1:81").is_empty());
    }
}
