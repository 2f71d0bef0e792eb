//! Whether the firewall is loaded and enforces on every interface that it should guard.

use aop_api::{AttachModeName, InterfaceState, InterfaceStatus, ModeName, VisitorError};
use aop_firewall::GuardedInterface;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, untried, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let mut findings = vec![daemon(host)];
    let wanted = host.config.as_ref().map(|config| config.fixed.firewall.is_some());
    if host.reading.is_none() {
        findings.push(match wanted {
            Some(false) => notice(
                "firewall",
                "the firewall is off: packets reach the port from anywhere, and only the \
                 terminator checks addresses and certificates",
            ),
            Some(true) | None => wrong(
                "firewall",
                "no firewall is loaded: every packet passes",
                VisitorError::Nothing,
                "start aop (`systemctl start aop`), or load the firewall alone (`aop load`)",
            ),
        });
        return findings;
    }
    let interfaces = &host.status.interfaces;
    if interfaces.is_empty() {
        findings.push(wrong(
            "firewall",
            "the firewall is loaded, but guards no interface: every packet passes",
            VisitorError::Nothing,
            "add the interface that faces the internet to firewall.interfaces, then `aop reload`",
        ));
    }
    findings.extend(interfaces.iter().map(|it| interface(host, it)));
    findings.push(mode(host));
    findings
}

fn daemon(host: &HostContext) -> CheckFinding {
    match &host.status.daemon {
        Some(daemon) => good("daemon", "aop is running").seen(format!("process {}", daemon.pid)),
        None if aop_firewall::is_in_use(&host.paths.pins) => wrong(
            "daemon",
            "aop runs and guards, but does not answer: its socket is gone",
            VisitorError::Nothing,
            "`systemctl restart aop`, if the socket does not come back within a few seconds",
        )
        .seen(host.paths.runtime.join("control.sock").display().to_string()),
        None => wrong(
            "daemon",
            "aop is not running: no origin pull is served, and the list is not refreshed",
            VisitorError::Refused,
            "`systemctl start aop`; `journalctl -u aop` shows why it stopped",
        ),
    }
}

fn interface(host: &HostContext, interface: &InterfaceStatus) -> CheckFinding {
    let InterfaceStatus { name, state, attach, .. } = interface;
    if interface.attached {
        let how = attach.as_ref().map_or("attached", AttachModeName::as_str);
        return good("interface", "the packet program runs").about(name).seen(how);
    }
    let reading = host.reading.iter().flat_map(|reading| &reading.interfaces);
    let why = reading.filter(|it| it.name == *name).find_map(GuardedInterface::warning);
    let why = why.unwrap_or_else(|| format!("it is {state}"));
    match state {
        InterfaceState::Missing => notice(
            "interface",
            "this interface should be guarded, but does not exist",
        )
        .about(name)
        .seen(why)
        .cure(
            "correct firewall.interfaces if the name is wrong; else nothing: aop guards the \
                 interface when it appears",
        ),
        InterfaceState::Foreign => wrong(
            "foreign_program",
            "another XDP program is attached to the interface: aop does not filter its packets",
            VisitorError::Nothing,
            format!(
                "find out whose program it is (`ip link show {name}`, `bpftool prog`), and remove \
                 it (`ip link set {name} xdp off`): then aop guards the interface at once"
            ),
        )
        .about(name)
        .seen(why),
        InterfaceState::Attached | InterfaceState::Detached | InterfaceState::Unknown(_) => wrong(
            "interface",
            "the interface runs no packet program: every packet passes",
            VisitorError::Nothing,
            "`systemctl restart aop`, and read its log",
        )
        .about(name)
        .seen(why),
    }
}

fn mode(host: &HostContext) -> CheckFinding {
    let own = host.status.modes.lines();
    let enforcing = host.status.interfaces.iter().all(|it| it.enforcing || !it.attached);
    let finding = match (&host.status.mode, enforcing) {
        (ModeName::Enforce, true) => good("mode", "the packet lock enforces"),
        (ModeName::Observe, _) if own.is_empty() => notice(
            "mode",
            "the packet lock observes: nothing is dropped, and would_drop counts what enforce \
             would drop",
        )
        .cure("when nothing is wrong: `aop mode enforce --confirm 5m`, test, then `aop confirm`"),
        (ModeName::Off, _) => untried("mode", "the firewall is off"),
        (ModeName::Enforce | ModeName::Observe | ModeName::Unknown(_), _) => {
            notice("mode", "the packet lock enforces in part, and otherwise observes")
                .seen(format!("in general: {}", host.status.mode))
        }
    };
    finding.seen_all(own)
}
