//! A clean Debian with its own network namespace: made by debootstrap, entered with chroot, without
//! a running systemd. Dropping it removes everything.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    command,
    debian::{self, Release},
    netns::{self, Namespace},
    workspace,
};

/// The time limit for processes to end.
const PATIENCE: Duration = Duration::from_secs(20);

const NETWORK: &str = "aop-dist";
/// The interface of the default route, which the packaged configuration guards.
pub(super) const INTERFACE: &str = "uplink";

/// File systems to mount, in order; they are unmounted in reverse order.
const MOUNTS: [(&str, &str); 3] = [("proc", "proc"), ("sysfs", "sys"), ("bpf", "sys/fs/bpf")];

pub(super) struct Host {
    root: PathBuf,
    network: Namespace,
}

impl Host {
    pub(super) fn make(release: Release) -> Result<Self> {
        let root = workspace::target().join("release/clean-root");
        let host = Self { root, network: Namespace::make(NETWORK)? };
        // Remove what a killed run left.
        host.clear();
        debian::bootstrap(release, "systemd,iproute2", &host.root)?;
        let ip = netns::ip;
        ip(&format!("-n {NETWORK} link add {INTERFACE} type veth peer name far"))?;
        ip(&format!("-n {NETWORK} link set far up"))?;
        ip(&format!("-n {NETWORK} link set {INTERFACE} up"))?;
        ip(&format!("-n {NETWORK} address add 192.0.2.1/24 dev {INTERFACE}"))?;
        ip(&format!("-n {NETWORK} route add default via 192.0.2.2"))?;
        for (kind, place) in MOUNTS {
            let place = host.root.join(place);
            command::run(Command::new("mount").args(["-t", kind, kind]).arg(place))?;
        }
        Ok(host)
    }

    /// A path in the root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether a path in the root exists. Links are not followed: they would lead out of the root.
    pub(super) fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Copies a file into /root of the root, and returns its path there.
    pub(super) fn take(&self, file: &Path) -> Result<String> {
        let name = file.file_name().context("no file")?.to_string_lossy().into_owned();
        fs::copy(file, self.path("root").join(&name))?;
        Ok(format!("/root/{name}"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.network.command("chroot");
        command.arg(&self.root);
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", program]).stdin(Stdio::null());
        command
    }

    /// Runs a command in the root; returns whether it succeeded, and its output of both streams.
    pub(super) fn ask(&self, line: &str) -> Result<(bool, String)> {
        let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = self.command(program);
        let output = command.args(arguments.split_whitespace()).output()?;
        let told = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&told).into_owned()))
    }

    /// Runs a command that must succeed; returns its output.
    pub(super) fn run(&self, line: &str) -> Result<String> {
        let (good, told) = self.ask(line)?;
        ensure!(good, "`{line}` failed in the clean root: {told}");
        Ok(told)
    }

    /// Starts a program in the background, until [`Host::stop`].
    pub(super) fn start(&self, program: &str, argument: &str) -> Result<()> {
        let log = fs::File::create(self.path("root/log"))?;
        let mut command = self.command(program);
        let spawned = command.arg(argument).stdout(Stdio::null()).stderr(log).spawn();
        spawned.with_context(|| format!("cannot start {program} in the clean root"))?;
        Ok(())
    }

    /// Starts a program of this machine in the network of the root, until the child is killed.
    pub(super) fn beside(&self, program: &mut Command) -> Result<Child> {
        let mut command = self.network.command(program.get_program());
        command.args(program.get_args()).stdin(Stdio::null());
        let spawned = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        spawned.with_context(|| format!("cannot start `{}`", command::line(program)))
    }

    /// Ends all processes in the root, and waits for them.
    pub(super) fn stop(&self) -> Result<()> {
        let begun = Instant::now();
        while let inside = self.processes()?
            && !inside.is_empty()
        {
            ensure!(begun.elapsed() < PATIENCE, "{inside:?} still run in the clean root");
            command::output(Command::new("kill").args(inside).stderr(Stdio::null())).ok();
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The processes that have this root.
    fn processes(&self) -> Result<Vec<String>> {
        let inside = |id: &String| {
            let root = fs::read_link(format!("/proc/{id}/root"));
            // A zombie has no root any more.
            root.is_ok_and(|root| root == self.root)
        };
        let all =
            fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(all.filter(inside).collect())
    }

    /// Whether an XDP program is attached to the interface.
    pub(super) fn is_guarded(&self) -> Result<bool> {
        Ok(self.run(&format!("ip link show {INTERFACE}"))?.contains("xdp"))
    }

    fn clear(&self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error:#}");
        }
        // Removing something that does not exist fails; that is fine.
        let quietly = |command: &mut Command| drop(command.stderr(Stdio::null()).status());
        for (_, place) in MOUNTS.iter().rev() {
            quietly(Command::new("umount").arg("--lazy").arg(self.root.join(place)));
        }
        let mounted = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        // Never delete through a mount into the machine's own /sys.
        if !mounted.contains(&format!("{}/", self.root.display())) && self.root.exists() {
            quietly(Command::new("rm").args(["-r", "--one-file-system"]).arg(&self.root));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.clear();
    }
}
