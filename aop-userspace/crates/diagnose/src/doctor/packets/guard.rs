//! Whether the firewall is in force, on every interface that it is to guard.

use aop_api::{Finding, Interface};
use aop_firewall::InterfaceReading;

use crate::doctor::{
    Patient,
    finding::{More, good, told, untried, visitor, wrong},
};

pub(in crate::doctor) fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings = vec![daemon(patient)];
    let wanted = patient.config.as_ref().map(|config| config.fixed.firewall.is_some());
    if patient.reading.is_none() {
        findings.push(match wanted {
            Some(false) => told(
                "firewall",
                "the firewall is off: packets reach the port from anywhere, and the certificate and \
                 the address check of the terminator stand alone",
            ),
            Some(true) | None => wrong(
                "firewall",
                "no firewall is loaded: packets pass unjudged",
                visitor::NOTHING,
                "start aop (`systemctl start aop`), or guard without a daemon by `aop load`",
            ),
        });
        return findings;
    }
    let interfaces = &patient.status.interfaces;
    if interfaces.is_empty() {
        findings.push(wrong(
            "firewall",
            "the firewall is loaded and guards no interface: packets pass unjudged",
            visitor::NOTHING,
            "name the interface that the internet comes in on in firewall.interfaces, then `aop reload`",
        ));
    }
    findings.extend(interfaces.iter().map(|it| interface(patient, it)));
    findings.push(mode(patient));
    findings
}

fn daemon(patient: &Patient) -> Finding {
    match &patient.status.daemon {
        Some(daemon) => good("daemon", "a daemon runs").seen(format!("process {}", daemon.pid)),
        None => wrong(
            "daemon",
            "no daemon runs: no origin pull is served, and the list is not kept fresh",
            visitor::REFUSED,
            "`systemctl start aop`; `journalctl -u aop` tells why it ended",
        ),
    }
}

fn interface(patient: &Patient, interface: &Interface) -> Finding {
    let Interface { name, state, attach, .. } = interface;
    if interface.attached {
        let how = attach.as_deref().unwrap_or("attached");
        return good("interface", "the packet program runs").about(name).seen(how);
    }
    let reading = patient.reading.iter().flat_map(|reading| &reading.interfaces);
    let why = reading.filter(|it| it.name == *name).find_map(InterfaceReading::warning);
    let why = why.unwrap_or_else(|| format!("it is {state}"));
    match state.as_str() {
        "missing" => told("interface", "it is to be guarded, and does not exist")
            .about(name)
            .seen(why)
            .cure("correct firewall.interfaces if the name is wrong; else nothing: it is awaited"),
        "foreign" => wrong(
            "foreign_program",
            "another XDP program has the interface: packets pass unjudged by aop",
            visitor::NOTHING,
            format!(
                "find out whose it is (`ip link show {name}`, `bpftool prog`), and remove it \
                 (`ip link set {name} xdp off`): aop guards the interface at once"
            ),
        )
        .about(name)
        .seen(why),
        _ => wrong(
            "interface",
            "the interface runs no packet program: packets pass unjudged",
            visitor::NOTHING,
            "`systemctl restart aop`, and read what it logs",
        )
        .about(name)
        .seen(why),
    }
}

fn mode(patient: &Patient) -> Finding {
    let own = patient.status.modes.lines();
    let enforcing = patient.status.interfaces.iter().all(|it| it.enforcing || !it.attached);
    let finding = match (patient.status.mode.as_str(), enforcing) {
        ("enforce", true) => good("mode", "the packet lock enforces"),
        ("observe", _) if own.is_empty() => told(
            "mode",
            "the packet lock observes: what enforcing would drop is counted, and passes",
        )
        .cure("when nothing is wrong: `aop mode enforce --confirm 10m`, look, then `aop confirm`"),
        ("off", _) => untried("mode", "the firewall is off"),
        _ => told("mode", "the packet lock enforces in part; elsewhere it observes")
            .seen(format!("in general: {}", patient.status.mode)),
    };
    own.into_iter().fold(finding, More::seen)
}
