//! The root of a machine: a clean Debian with the programs that the documents name, but without
//! aop. A base of each release is made once and kept in target/walk; each machine gets a copy.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::Release;
use crate::{command, debian};

/// Part of the bootstrap: the system, as Debian's installer leaves it.
const SYSTEM: &str = "systemd,systemd-sysv,dbus,iproute2,procps,kmod,less,ca-certificates";

/// The programs that the documents name.
const PROGRAMS: &str = "nginx curl openssl jq nftables ufw fail2ban python3-systemd caddy certbot \
     python3-certbot-nginx tcpdump xdp-tools";

/// Services that would start at boot, but that a walk starts itself, where its document says so.
const RESTING: [&str; 5] =
    ["nginx.service", "caddy.service", "fail2ban.service", "certbot.timer", "ufw.service"];

const ENABLED: [&str; 3] =
    ["bpffs.service", "systemd-networkd.service", "systemd-networkd-wait-online.service"];

/// systemd mounts the bpf file system of a machine, but not that of a container, and it refuses a
/// mount unit for it.
const BPFFS: &str = "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target aop-early.service\n\
     [Service]\nType=oneshot\nRemainAfterExit=yes\n\
     ExecStart=mount -t bpf -o mode=700 bpf /sys/fs/bpf\n\
     [Install]\nWantedBy=sysinit.target\n";

const NETWORK: &str = "[Match]\nName=eth0\n[Network]\nAddress=203.0.113.10/24\n\
     Address=2001:db8:0:10::10/64\nGateway=203.0.113.1\nGateway=2001:db8:0:10::1\n\
     IPv6AcceptRA=no\n";

/// Installs packages in a root that does not run, and starts nothing there.
const INSTALL: &str = r#"
mount -t proc proc "$ROOT/proc"; trap 'umount "$ROOT/proc"' EXIT
printf '#!/bin/sh\nexit 101\n' > "$ROOT/usr/sbin/policy-rc.d"; chmod 755 "$ROOT/usr/sbin/policy-rc.d"
inside() { chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
inside apt-get update -qq
inside apt-get install --yes --no-install-recommends -qq $PROGRAMS
rm "$ROOT/usr/sbin/policy-rc.d"
"#;

/// Makes the base of a release, unless there is one; returns its path.
pub(super) fn base(release: Release, folder: &Path) -> Result<PathBuf> {
    let base = folder.join(format!("base-{release}"));
    if base.exists() {
        return Ok(base);
    }
    let unfinished = folder.join(format!("unfinished-{release}"));
    remove(&unfinished)?;
    debian::bootstrap(&release.to_string(), SYSTEM, &unfinished)?;
    let log = fs::File::create(folder.join(format!("install-{release}.log")))?;
    let mut install = Command::new("sh");
    install.args(["-ec", INSTALL]).env("ROOT", &unfinished).env("PROGRAMS", PROGRAMS);
    command::run(install.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
        .with_context(|| format!("see {}", folder.join("install-*.log").display()))?;
    settle(&unfinished)?;
    fs::rename(&unfinished, &base)?;
    Ok(base)
}

/// Writes the files that an installer and an administrator would have written.
fn settle(root: &Path) -> Result<()> {
    for unit in RESTING {
        let mut disable = Command::new("systemctl");
        command::run(disable.arg("--quiet").arg(root_option(root)).args(["disable", unit]))?;
    }
    fs::write(root.join("etc/systemd/system/bpffs.service"), BPFFS)?;
    fs::write(root.join("etc/systemd/network/eth0.network"), NETWORK)?;
    for unit in ENABLED {
        let mut enable = Command::new("systemctl");
        command::run(enable.arg("--quiet").arg(root_option(root)).args(["enable", unit]))?;
    }
    fs::write(root.join("etc/hostname"), "origin\n")?;
    // Names are looked up in /etc/hosts alone: there is no network beyond the walk's own.
    let resolver = root.join("etc/resolv.conf");
    fs::remove_file(&resolver).ok();
    fs::write(&resolver, "")?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn root_option(root: &Path) -> String {
    format!("--root={}", root.display())
}

/// The files of one machine: a layer of its own over the base. Dropping it removes them.
pub(super) struct Layer {
    folder: PathBuf,
}

impl Layer {
    pub(super) fn over(base: &Path, folder: &Path) -> Result<Self> {
        let layer = Self { folder: folder.join("machine") };
        layer.clear()?;
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(layer.folder.join(part))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            base.display(),
            layer.folder.join("upper").display(),
            layer.folder.join("work").display()
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(layer.root());
        command::run(&mut mount)?;
        Ok(layer)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Also removes what a killed run left.
    fn clear(&self) -> Result<()> {
        let mut unmount = Command::new("umount");
        // Fails if nothing is mounted, which is fine.
        unmount.arg("--lazy").arg(self.root()).stderr(Stdio::null()).status()?;
        remove(&self.folder)
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Removes a folder, without anything that is mounted in it.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    command::run(Command::new("rm").args(["-r", "-f", "--one-file-system"]).arg(folder))
}
