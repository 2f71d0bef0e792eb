//! The claim that an origin is guarded, whatever its interfaces are.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::shapes::{OriginLink, PacketTable, VlanTags};
use aop_tests::{AopToml, IpVersion, Lab};

/// How long a transfer may take on an emulated machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The bytes of a transfer: several times what a queue of a card holds.
const BULK: usize = 1 << 20;
/// The bytes of an answer without its body, at most.
const HEAD: usize = 200;

/// The firewall only, in front of a foreign listener on port 443, on the interfaces of `auto`.
pub(crate) fn config(lab: &Lab) -> AopToml {
    AopToml {
        interfaces: vec!["auto".into()],
        prefixes: PrefixesTable::List(vec!["173.245.48.0/20".into(), "2400:cb00::/32".into()]),
        ..AopToml::firewall_only(lab, 443)
    }
}

/// The packet table of this kernel without aop, on the link between these interfaces of origin and
/// router: drivers differ in what reaches the kernel.
pub(crate) fn measured(lab: &Lab, [near, far]: [&str; 2]) -> Result<PacketTable> {
    for fragments in ["ipv4/ipfrag_time", "ipv6/ip6frag_time"] {
        lab.origin().set_sysctl(fragments, "1")?;
    }
    let table = PacketTable::without_aop(lab, near, far)?;
    // The kernel must forget the incomplete fragments before they are sent again.
    std::thread::sleep(Duration::from_secs(2));
    Ok(table)
}

/// Every shape of the packet table is judged right on this link, and a stranger meets silence.
pub(crate) fn is_guarded(lab: &Lab, table: &PacketTable, [near, far]: [&str; 2]) -> Result<()> {
    table.holds_over(&OriginLink::between(lab, near, far)?, VlanTags::OneMoreOrLess)?;
    let origin = lab.origin_at(IpVersion::V4, 443);
    let answer = lab.stranger().connect(origin, Duration::from_secs(1));
    let silent = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut);
    ensure!(silent, "a stranger met {answer:?}");
    Ok(())
}

/// Transfers of the edge arrive whole in both directions.
pub(crate) fn edge_is_served(lab: &Lab) -> Result<()> {
    IpVersion::BOTH
        .into_iter()
        .try_for_each(|version| transfer(lab, version).with_context(|| version.to_string()))
}

/// The edge sends many bytes to the listener, and gets them back.
fn transfer(lab: &Lab, version: IpVersion) -> Result<()> {
    let mut stream = lab.edge().connect(lab.origin_at(version, 443), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body: Vec<u8> = (0_u8..251).cycle().take(BULK).collect();
    write!(stream, "POST /echo HTTP/1.1\r\nHost: origin\r\nContent-Length: {BULK}\r\n\r\n")?;
    stream.write_all(&body)?;
    let mut answer = vec![0; HEAD + BULK];
    let mut length = 0;
    while !answer[..length].ends_with(&body) {
        match stream.read(&mut answer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    ensure!(answer[..length].ends_with(&body), "{length} bytes came, but not those sent");
    Ok(())
}
