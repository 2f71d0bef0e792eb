//! Whether this process has the capabilities for the firewall, checked before any change.

use rustix::thread::{CapabilitySet, capabilities};

use super::error::FirewallError;

/// Names the missing capabilities. Where the kernel does not report them, later steps fail with its
/// own errors.
pub(super) fn check() -> Result<(), FirewallError> {
    let Ok(sets) = capabilities(None) else { return Ok(()) };
    match lacking(sets.effective) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(FirewallError::Capabilities { missing }),
    }
}

/// CAP_BPF creates maps and programs; CAP_NET_ADMIN attaches them. Without CAP_PERFMON the verifier
/// refuses arithmetic that the program needs. CAP_SYS_ADMIN includes the first and the last.
fn lacking(held: CapabilitySet) -> Vec<&'static str> {
    let admin = held.contains(CapabilitySet::SYS_ADMIN);
    [
        ("CAP_BPF", held.contains(CapabilitySet::BPF) || admin),
        ("CAP_NET_ADMIN", held.contains(CapabilitySet::NET_ADMIN)),
        ("CAP_PERFMON", held.contains(CapabilitySet::PERFMON) || admin),
    ]
    .into_iter()
    .filter_map(|(name, held)| (!held).then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        let all = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
        assert!(lacking(all).is_empty());
        assert_eq!(lacking(all - CapabilitySet::PERFMON), ["CAP_PERFMON"]);
        assert_eq!(lacking(CapabilitySet::SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(lacking(CapabilitySet::empty()).len(), 3);
    }
}
