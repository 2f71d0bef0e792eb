//! A booted Debian: systemd-nspawn runs its init in namespaces. Dropping it ends everything in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    root::Layer,
    world::{self, Answer},
};
use crate::command;

/// The time limit for the boot, and for a reboot.
const BOOT: Duration = Duration::from_secs(180);

/// The time limit for one block.
const PATIENCE: &str = "120";

pub(super) struct Machine {
    container: Child,
    layer: Layer,
    /// The console of the last boot.
    log: PathBuf,
}

impl Machine {
    /// Boots a layer over `base`, in the namespace of the origin.
    pub(super) fn boot(base: &Path, folder: &Path) -> Result<Self> {
        let layer = Layer::over(base, folder)?;
        let log = folder.join("boot.log");
        let mut machine = Self { container: start(&layer, &log)?, layer, log };
        machine.wait()?;
        Ok(machine)
    }

    /// Waits until the boot is finished.
    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.container.try_wait()? {
                bail!("systemd-nspawn ended: {status}; see target/walk/boot.log");
            }
            let answer = self.ask("systemctl is-system-running || true");
            let answer = answer.map_or_else(|error| error.to_string(), |answer| answer.text);
            if ["running", "degraded"].contains(&answer.trim()) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < BOOT,
                "not booted in time: {answer}; see target/walk/boot.log"
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub(super) fn reboot(&mut self) -> Result<()> {
        self.ask("systemctl reboot")?;
        let begun = Instant::now();
        // systemd-nspawn leaves the second boot to its caller.
        while self.container.try_wait()?.is_none() {
            ensure!(begun.elapsed() < BOOT, "the machine does not shut down");
            thread::sleep(Duration::from_millis(100));
        }
        self.container = start(&self.layer, &self.log)?;
        self.wait()
    }

    /// The process that is the machine's init.
    fn init(&self) -> Result<String> {
        let id = self.container.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        children.split_whitespace().next().map(str::to_owned).context("the machine has no init")
    }

    /// Runs a script as root's shell would.
    pub(super) fn ask(&self, script: &str) -> Result<Answer> {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.init()?, "--mount", "--uts", "--ipc", "--net", "--pid"]);
        enter.args(["--cgroup", "--root", "env", "-i", "HOME=/root", "TERM=dumb"]);
        enter.args(["DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8"]);
        enter.args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        enter.args([
            "timeout",
            "--kill-after=5",
            PATIENCE,
            "bash",
            "-ec",
            &format!("cd\n{script}"),
        ]);
        Answer::of(&mut enter)
    }

    /// A path of the machine, as this machine sees it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.layer.root().join(path.trim_start_matches('/'))
    }
}

fn start(layer: &Layer, log: &Path) -> Result<Child> {
    let log = fs::File::create(log)?;
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn.args(["--quiet", "--boot", "--register=no", "--resolv-conf=off", "--link-journal=no"]);
    // There is no systemd whose unit the container could become.
    if !Path::new("/run/systemd/system").exists() {
        nspawn.arg("--keep-unit");
    }
    nspawn.args(["--capability=all", "--console=read-only", "--hostname=origin"]);
    nspawn.arg(format!("--network-namespace-path=/run/netns/{}", world::ORIGIN));
    // The filter of systemd-nspawn forbids `bpf`. Debian 13 needs cgroups of version 2.
    nspawn.env("SYSTEMD_SECCOMP", "0").env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    nspawn.arg("--directory").arg(layer.root());
    nspawn.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    nspawn.spawn().context("cannot start systemd-nspawn")
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The init of a process namespace takes all its processes with it.
        if let Ok(init) = self.init() {
            command::run(Command::new("kill").args(["-KILL", &init])).ok();
        }
        self.container.kill().ok();
        self.container.wait().ok();
    }
}
