//! The unit files, as systemd itself reads them.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{command, workspace};

const UNITS: [&str; 3] = ["aop.service", "aop-early.service", "aop.socket"];

/// What `systemd-analyze security` may say of the daemon at most, in tenths.
const EXPOSURE: u32 = 35;

/// Has systemd-analyze verify them and judge their hardening, where this machine has it.
pub(crate) fn verify() -> Result<()> {
    let Some(analyze) = command::find("systemd-analyze") else {
        eprintln!("skipped: units are not verified, as there is no systemd-analyze here");
        return Ok(());
    };
    let folder = workspace::root().join("packaging/systemd");
    let output =
        Command::new(&analyze).arg("verify").args(UNITS.map(|unit| folder.join(unit))).output()?;
    let complaints = complaints(&String::from_utf8_lossy(&output.stderr));
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    for unit in &UNITS[..2] {
        let mut judge = Command::new(&analyze);
        judge.args(["security", "--offline=true", &format!("--threshold={EXPOSURE}")]);
        let judged = command::output(judge.arg(folder.join(unit)))?;
        let score = judged.lines().rev().find(|line| line.contains("exposure"));
        eprintln!("{}", score.unwrap_or_default().trim_start_matches('→').trim());
    }
    Ok(())
}

/// What `systemd-analyze verify` says, but for what is missing around the units and not in them:
/// the program, the man pages, and the newer kind of service that an older systemd passes over.
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
    fn what_is_wrong_in_a_unit_is_a_complaint_and_what_is_missing_around_it_none() {
        let wrong = "aop.service:9: Unknown key name 'Foo' in section 'Service', ignoring.";
        let around = "aop.service: Command /usr/bin/aop is not executable: No such file\n\
                      aop.service:12: Failed to parse service type, ignoring: notify-reload\n\
                      other.service:1: Unknown key name";
        assert_eq!(complaints(&format!("{around}\n{wrong}\n")), [wrong]);
        assert!(complaints(around).is_empty());
    }
}
