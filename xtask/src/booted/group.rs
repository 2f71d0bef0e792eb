//! The control group of a booted system. Where systemd runs, systemd-nspawn asks it for one. Else
//! it makes its groups below that of its caller, so that each system needs a caller's group of its
//! own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// The time limit for processes to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Dropping it ends what still runs in the group.
pub(super) struct Group(Option<PathBuf>);

impl Group {
    pub(super) fn of(name: &str) -> Result<Self> {
        if Path::new("/run/systemd/system").exists() {
            return Ok(Self(None));
        }
        // Debian 13 needs the hierarchy of version 2.
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let all = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
        let group = all.join(format!("aop-{name}"));
        // A killed run may have left its system.
        clear(&group);
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
        Ok(Self(Some(group)))
    }

    /// A command that starts `systemd-nspawn` in this group.
    pub(super) fn nspawn(&self) -> Command {
        let Some(group) = &self.0 else {
            return Command::new("systemd-nspawn");
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec systemd-nspawn --keep-unit \"$@\""]);
        shell.arg(group);
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            clear(group);
        }
    }
}

/// Ends all processes of a group, and removes it with the groups in it.
fn clear(group: &Path) {
    if !group.exists() {
        return;
    }
    fs::write(group.join("cgroup.kill"), "1").ok();
    let begun = Instant::now();
    while group.exists() && begun.elapsed() < PATIENCE {
        let mut find = Command::new("find");
        find.arg(group).args(["-depth", "-type", "d", "-delete"]);
        find.stderr(Stdio::null()).status().ok();
        thread::sleep(Duration::from_millis(50));
    }
}
