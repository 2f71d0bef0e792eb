//! The content of the shared maps, for people.

use anyhow::Result;
use aop_tests::StatusJson;

/// Verdicts by reason, handshakes, and the authenticated peers.
pub(crate) fn describe(status: &StatusJson) -> Result<String> {
    let mut text = String::from("  packets that reached the origin\n");
    for verdict in status.verdicts()? {
        if verdict.packets > 0 {
            let (action, reason) = (verdict.action.replace('_', " "), meaning(&verdict.reason));
            text += &format!("  {:>9}  {action:10}  {reason}\n", verdict.packets);
        }
    }
    text += "\n  handshakes\n";
    text += &format!("  {:>9}  accepted\n", status.accepted()?);
    for (reason, count) in status.refusals()? {
        text += &format!("  {count:>9}  refused     {}\n", reason.replace('_', " "));
    }
    text += "\n  authenticated peers\n";
    for peer in status.peers()? {
        let (address, count) = (peer.address.to_string(), peer.handshakes);
        let site = peer.site.unwrap_or_else(|| "a site that was removed".into());
        text += &format!("  {count:>9}  handshakes  {address}, for {site}\n");
    }
    Ok(text)
}

/// A reason in plain words, or its stable name if there are none.
fn meaning(reason: &str) -> &str {
    match reason {
        "not_guarded" => "to no guarded port (answers, neighbour discovery)",
        "transit" => "forwarded by this host",
        "admitted" => "from an admitted prefix",
        "proven" => "from an authenticated peer whose prefix is withdrawn",
        "unknown_source" => "from an address that is not admitted",
        "malformed" => "malformed",
        "fragment" => "a fragment that may hide its port",
        "too_deep" => "too many headers",
        "probation" => "from a stranger that may try to authenticate",
        "syn_budget" => "over the SYN budget of its network",
        "udp" => "UDP to a guarded port",
        other => other,
    }
}
