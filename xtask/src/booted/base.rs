//! The base of booted systems: a clean Debian with the programs of one use, but without aop. It is
//! made once and kept, until its recipe changes. Each system gets a layer over it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::{folder, remove};
use crate::{command, debian, debian::Release};

/// Part of each bootstrap: the system, as Debian's installer leaves it.
const SYSTEM: &str = "systemd,systemd-sysv,dbus,iproute2,procps,kmod,less,ca-certificates";

const ENABLED: [&str; 3] =
    ["bpffs.service", "systemd-networkd.service", "systemd-networkd-wait-online.service"];

/// systemd mounts the bpf file system of a machine, but not that of a container, and it refuses a
/// mount unit for it.
const BPFFS: &str = "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target aop-early.service\n\
     [Service]\nType=oneshot\nRemainAfterExit=yes\n\
     ExecStart=mount -t bpf -o mode=700 bpf /sys/fs/bpf\n\
     [Install]\nWantedBy=sysinit.target\n";

/// Installs packages in a root that does not run, and starts nothing there.
const INSTALL: &str = r#"
mount -t proc proc "$ROOT/proc"; trap 'umount "$ROOT/proc"' EXIT
printf '#!/bin/sh\nexit 101\n' > "$ROOT/usr/sbin/policy-rc.d"; chmod 755 "$ROOT/usr/sbin/policy-rc.d"
inside() { chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
inside apt-get update -qq
inside apt-get install --yes --no-install-recommends -qq $PROGRAMS
rm "$ROOT/usr/sbin/policy-rc.d"
"#;

/// The parts of a base beside the system.
pub(crate) struct Recipe {
    /// The use of the base.
    pub(crate) name: &'static str,
    /// Packages of Debian, separated by blanks.
    pub(crate) programs: &'static str,
    /// Services of these packages that do not start at boot.
    pub(crate) resting: &'static [&'static str],
}

/// The system that all bases of a release begin with.
fn system(release: Release) -> Result<PathBuf> {
    let system = folder().join(format!("system-{release}"));
    if !system.exists() {
        let unfinished = folder().join(format!("unfinished-system-{release}"));
        remove(&unfinished)?;
        debian::bootstrap(release, SYSTEM, &unfinished)?;
        fs::rename(&unfinished, &system)?;
    }
    Ok(system)
}

impl Recipe {
    /// Makes the base for `release`, unless there is one of this recipe; returns its path.
    pub(crate) fn base(&self, release: Release) -> Result<PathBuf> {
        let place = |prefix: &str| folder().join(format!("{prefix}-{}-{release}", self.name));
        let (base, made_of) = (place("base"), place("recipe"));
        if base.exists() && fs::read_to_string(&made_of).is_ok_and(|text| text == self.text()) {
            return Ok(base);
        }
        fs::create_dir_all(folder())?;
        let (unfinished, log) = (place("unfinished"), place("install").with_extension("log"));
        remove(&unfinished)?;
        let mut copy = Command::new("cp");
        command::run(copy.arg("--archive").arg(system(release)?).arg(&unfinished))?;
        let output = fs::File::create(&log)?;
        let mut install = Command::new("sh");
        install.args(["-ec", INSTALL]).env("ROOT", &unfinished).env("PROGRAMS", self.programs);
        command::run(install.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output))
            .with_context(|| format!("see {}", log.display()))?;
        self.settle(&unfinished)?;
        remove(&base)?;
        fs::rename(&unfinished, &base)?;
        fs::write(&made_of, self.text())?;
        Ok(base)
    }

    /// Everything that makes a base another one.
    fn text(&self) -> String {
        format!("{SYSTEM}\n{}\n{:?}\n{ENABLED:?}\n{BPFFS}", self.programs, self.resting)
    }

    /// Writes the files that an installer and an administrator would have written.
    fn settle(&self, root: &Path) -> Result<()> {
        let systemctl = |verb: &str, unit: &str| {
            let mut systemctl = Command::new("systemctl");
            systemctl.arg("--quiet").arg(format!("--root={}", root.display()));
            command::run(systemctl.args([verb, unit]))
        };
        self.resting.iter().try_for_each(|unit| systemctl("disable", unit))?;
        fs::write(root.join("etc/systemd/system/bpffs.service"), BPFFS)?;
        ENABLED.iter().try_for_each(|unit| systemctl("enable", unit))?;
        // Names are looked up in /etc/hosts alone: there is no network beyond that of the test.
        let resolver = root.join("etc/resolv.conf");
        fs::remove_file(&resolver).ok();
        fs::write(&resolver, "")?;
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}
