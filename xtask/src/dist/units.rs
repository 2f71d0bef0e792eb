//! Checks the unit files with systemd's own tool.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{command, workspace};

/// The units of the package, those that run aop first, and the examples.
const UNITS: [&str; 8] = [
    "aop.service",
    "aop-early.service",
    "aop-renew.service",
    "aop-renew.timer",
    "aop.socket",
    "aop-check.service",
    "aop-check.timer",
    "aop-failed@.service",
];

/// The highest exposure level that `systemd-analyze security` may report, in tenths.
const EXPOSURE: u32 = 35;

/// Runs `systemd-analyze verify` and `security` on the units, if this machine has it.
pub(crate) fn verify() -> Result<()> {
    let Some(analyze) = command::find("systemd-analyze") else {
        eprintln!("skipped: there is no systemd-analyze here to verify the units");
        return Ok(());
    };
    let folder = workspace::root().join("packaging/systemd");
    let output =
        Command::new(&analyze).arg("verify").args(UNITS.map(|unit| folder.join(unit))).output()?;
    let complaints = complaints(&String::from_utf8_lossy(&output.stderr));
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    for unit in &UNITS[..3] {
        let mut judge = Command::new(&analyze);
        judge.args(["security", "--offline=true", &format!("--threshold={EXPOSURE}")]);
        let judged = command::output(judge.arg(folder.join(unit)))?;
        let score = judged.lines().rev().find(|line| line.contains("exposure"));
        eprintln!("{}", score.unwrap_or_default().trim_start_matches('→').trim());
    }
    Ok(())
}

/// The complaints of `systemd-analyze verify` about our units, without those about the machine: the
/// missing program and man pages, and the service type that an older systemd ignores.
pub(super) fn complaints(told: &str) -> Vec<String> {
    let elsewhere = [
        "Command /usr/bin/aop is not executable",
        "Command 'man aop",
        "Failed to parse service type, ignoring: notify-reload",
    ];
    let ours = |line: &&str| {
        UNITS.iter().any(|unit| line.contains(unit))
            && !elsewhere.iter().any(|known| line.contains(known))
    };
    told.lines().filter(ours).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_unit_is_a_complaint_but_a_missing_program_is_not() {
        let wrong = "aop.service:9: Unknown key name 'Foo' in section 'Service', ignoring.";
        let around = "aop.service: Command /usr/bin/aop is not executable: No such file\n\
                      aop.service:12: Failed to parse service type, ignoring: notify-reload\n\
                      other.service:1: Unknown key name";
        assert_eq!(complaints(&format!("{around}\n{wrong}\n")), [wrong]);
        assert!(complaints(around).is_empty());
    }
}
