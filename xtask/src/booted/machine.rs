//! A booted system. Dropping it ends everything in it, and removes its files.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{folder, group::Group, layer::Layer};
use crate::command;

/// The time limit for the boot, and for a reboot.
const BOOT: Duration = Duration::from_secs(180);

/// The time limit for one script, in seconds.
const PATIENCE: &str = "120";

/// The network of a system.
pub(crate) struct Network<'a> {
    /// The network namespace, which has the interface `eth0`.
    pub(crate) namespace: &'a str,
    /// The addresses that the system gives to it, with the lengths of their prefixes.
    pub(crate) addresses: &'a [&'a str],
    pub(crate) gateways: &'a [&'a str],
}

/// The output of a script, of both streams.
pub(crate) struct Answer {
    pub(crate) good: bool,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let output = command.stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        let good = output.status.success();
        Ok(Self { good, text: String::from_utf8_lossy(&text).into_owned() })
    }
}

// The fields are dropped in this order.
pub(crate) struct Machine {
    container: Child,
    group: Group,
    layer: Layer,
    namespace: String,
}

impl Machine {
    /// Boots the files of a layer.
    pub(crate) fn boot(layer: Layer, network: &Network<'_>) -> Result<Self> {
        layer.write("etc/hostname", &format!("{}\n", layer.name()))?;
        layer.write("etc/systemd/network/eth0.network", &network.unit())?;
        let (group, namespace) = (Group::of(layer.name())?, network.namespace.to_owned());
        let container = start(&layer, &group, &namespace)?;
        let mut machine = Self { container, group, layer, namespace };
        machine.wait()?;
        Ok(machine)
    }

    /// Waits until the boot is finished.
    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        let log = log(&self.layer);
        loop {
            if let Some(status) = self.container.try_wait()? {
                bail!("systemd-nspawn ended: {status}; see {}", log.display());
            }
            let answer = self.ask("systemctl is-system-running || true");
            let answer = answer.map_or_else(|error| error.to_string(), |answer| answer.text);
            if ["running", "degraded"].contains(&answer.trim()) {
                return Ok(());
            }
            ensure!(begun.elapsed() < BOOT, "not booted in time: {answer}; see {}", log.display());
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn reboot(&mut self) -> Result<()> {
        self.ask("systemctl reboot")?;
        let begun = Instant::now();
        // systemd-nspawn leaves the second boot to its caller.
        while self.container.try_wait()?.is_none() {
            ensure!(begun.elapsed() < BOOT, "the machine does not shut down");
            thread::sleep(Duration::from_millis(100));
        }
        self.container = start(&self.layer, &self.group, &self.namespace)?;
        self.wait()
    }

    /// The process that is the machine's init.
    fn init(&self) -> Result<String> {
        let id = self.container.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        children.split_whitespace().next().map(str::to_owned).context("the machine has no init")
    }

    /// Runs a script as root's shell would.
    pub(crate) fn ask(&self, script: &str) -> Result<Answer> {
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

    /// Runs a script that must succeed; returns its output.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        let answer = self.ask(script)?;
        ensure!(answer.good, "`{script}` failed in {}: {}", self.name(), answer.text);
        Ok(answer.text)
    }

    pub(crate) fn name(&self) -> &str {
        self.layer.name()
    }

    /// A path of the machine, as this machine sees it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.layer.path(path)
    }
}

/// The console of the last boot.
fn log(layer: &Layer) -> PathBuf {
    folder().join(format!("{}.log", layer.name()))
}

fn start(layer: &Layer, group: &Group, namespace: &str) -> Result<Child> {
    let log = fs::File::create(log(layer))?;
    let mut nspawn = group.nspawn();
    nspawn.args(["--quiet", "--boot", "--register=no", "--resolv-conf=off", "--link-journal=no"]);
    nspawn.args(["--capability=all", "--console=read-only"]);
    nspawn.arg(format!("--machine={}", layer.name()));
    nspawn.arg(format!("--network-namespace-path=/run/netns/{namespace}"));
    // The filter of systemd-nspawn forbids `bpf`. Debian 13 needs cgroups of version 2.
    nspawn.env("SYSTEMD_SECCOMP", "0").env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    nspawn.arg("--directory").arg(layer.root());
    nspawn.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    nspawn.spawn().context("cannot start systemd-nspawn")
}

impl Network<'_> {
    /// The file of systemd-networkd.
    fn unit(&self) -> String {
        let rows = |key: &str, values: &[&str]| -> String {
            values.iter().map(|value| format!("{key}={value}\n")).collect()
        };
        format!(
            "[Match]\nName=eth0\n[Network]\n{}{}IPv6AcceptRA=no\n",
            rows("Address", self.addresses),
            rows("Gateway", self.gateways)
        )
    }
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
