//! The privilege of this process, and sudo.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::command;

/// User and capabilities of a process, from /proc/self/status.
pub(crate) struct Privilege {
    root: bool,
    capabilities: u64,
}

const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;

impl Privilege {
    pub(crate) fn current() -> Result<Self> {
        let status = "/proc/self/status";
        let text = fs::read_to_string(status).with_context(|| format!("cannot read {status}"))?;
        Self::parse(&text).with_context(|| format!("no user or capabilities in {status}"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let effective_user = field("Uid:")?.split_whitespace().nth(1)?;
        let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?;
        Some(Self { root: effective_user == "0", capabilities })
    }

    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    /// Whether this process may load an XDP program.
    pub(crate) fn loads_programs(&self) -> bool {
        self.missing(&[(BPF, "CAP_BPF"), (NET_ADMIN, "CAP_NET_ADMIN")]).is_empty()
    }

    /// The privilege that is missing for the privileged tests, which load programs and make network
    /// namespaces.
    pub(crate) fn lacking_for_tests(&self) -> Option<String> {
        if !self.root {
            return Some("not root".to_owned());
        }
        let needed = [(BPF, "CAP_BPF"), (NET_ADMIN, "CAP_NET_ADMIN"), (SYS_ADMIN, "CAP_SYS_ADMIN")];
        let missing = self.missing(&needed);
        (!missing.is_empty()).then(|| format!("without {}", missing.join(", ")))
    }

    fn missing(&self, needed: &[(u32, &'static str)]) -> Vec<&'static str> {
        let absent = needed.iter().filter(|(bit, _)| self.capabilities >> bit & 1 == 0);
        absent.map(|(_, name)| *name).collect()
    }
}

/// A command that runs `program` as root; if this process is not root, through sudo with the
/// current environment.
pub(crate) fn as_root(program: &Path) -> Result<Command> {
    if Privilege::current()?.is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = command::find("sudo") else {
        bail!("{} needs root, and there is no sudo: run this as root", program.display());
    };
    let mut command = Command::new(sudo);
    command.arg("-E").arg(program);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privilege(user: &str, capabilities: &str) -> Privilege {
        let status = format!("Name:\txtask\nUid:\t1000\t{user}\t0\t0\nCapEff:\t{capabilities}\n");
        Privilege::parse(&status).expect("both fields are there")
    }

    #[test]
    fn root_with_all_capabilities_lacks_nothing() {
        let privilege = privilege("0", "000001ffffffffff");
        assert!(privilege.loads_programs());
        assert_eq!(privilege.lacking_for_tests(), None);
    }

    #[test]
    fn the_missing_capabilities_of_a_confined_root_are_listed() {
        let privilege = privilege("0", "00000000a80425fb");
        assert!(!privilege.loads_programs());
        let lacking = "without CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN";
        assert_eq!(privilege.lacking_for_tests().as_deref(), Some(lacking));
    }

    #[test]
    fn an_ordinary_user_is_not_root() {
        assert_eq!(privilege("1000", "0").lacking_for_tests().as_deref(), Some("not root"));
    }
}
