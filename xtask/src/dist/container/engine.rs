//! A private Docker engine in a network namespace, with a second namespace as the outside and its
//! files in the target directory. Dropping it removes everything.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{command, netns, workspace};

/// The base image. It is made here, so that no registry is needed.
pub(super) const BASE: &str = "debian:bookworm-slim";
/// Drops a capability that not every build machine has.
pub(super) const LACKS: &str = "--cap-drop=SYS_RESOURCE";

const HOST: &str = "aop-containers";
const OUTSIDE: &str = "aop-containers-outside";
const ADDRESS: &str = "203.0.113.10";
const PATIENCE: Duration = Duration::from_secs(20);

/// The client outside.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// An address in no list.
    Stranger,
    /// One of the list.
    Cdn,
}

pub(super) struct Engine {
    folder: PathBuf,
    daemon: Option<Child>,
}

impl Engine {
    pub(super) fn start() -> Result<Self> {
        let folder = workspace::target().join("release/containers");
        let mut engine = Self { folder, daemon: None };
        // Remove what a killed run left.
        engine.clear();
        fs::create_dir_all(engine.bpffs())?;
        engine.connect()?;
        command::run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(engine.bpffs()))?;
        let log = File::create(engine.folder.join("log"))?;
        let file = |name: &str| engine.folder.join(name);
        let mut daemon = inside(HOST, "dockerd");
        daemon.arg("--data-root").arg(file("data")).arg("--exec-root").arg(file("exec"));
        daemon.arg("--pidfile").arg(file("pid")).arg("--host").arg(engine.socket());
        daemon.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        engine.daemon = Some(daemon.spawn().context("cannot start dockerd")?);
        let begun = Instant::now();
        while engine.version().is_err() {
            let log = fs::read_to_string(engine.folder.join("log")).unwrap_or_default();
            ensure!(begun.elapsed() < PATIENCE, "Docker's engine does not start:\n{log}");
            thread::sleep(Duration::from_millis(200));
        }
        Ok(engine)
    }

    fn connect(&self) -> Result<()> {
        let ip = netns::ip;
        for name in [HOST, OUTSIDE] {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip(&format!("-n {HOST} link add uplink type veth peer name far netns {OUTSIDE}"))?;
        ip(&format!("-n {HOST} link set uplink up"))?;
        ip(&format!("-n {OUTSIDE} link set far up"))?;
        ip(&format!("-n {HOST} address add {ADDRESS}/24 dev uplink"))?;
        ip(&format!("-n {OUTSIDE} address add 203.0.113.1/24 dev far"))?;
        for from in [From::Stranger, From::Cdn] {
            ip(&format!("-n {OUTSIDE} address add {}/32 dev far", from.address()))?;
        }
        ip(&format!("-n {HOST} route add default via 203.0.113.1"))
    }

    /// The directory of its files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A BPF file system for the pins of containers.
    pub(super) fn bpffs(&self) -> PathBuf {
        self.folder.join("bpf")
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.folder.join("socket").display())
    }

    /// Runs `docker` with these arguments and returns its output.
    pub(super) fn ask(&self, words: &[&str]) -> Result<String> {
        let mut docker = self.docker();
        let output = docker.args(words).output().context("cannot start `docker`")?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "`{}` failed: {told}", command::line(&docker));
        Ok(told)
    }

    fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(self.socket()).env("DOCKER_BUILDKIT", "0").stdin(Stdio::null());
        docker
    }

    pub(super) fn version(&self) -> Result<String> {
        Ok(self.ask(&["version", "--format", "{{.Server.Version}}"])?.trim().to_owned())
    }

    /// Imports a minimal Debian as [`BASE`].
    pub(super) fn import_base(&self) -> Result<()> {
        let root = self.folder.join("root");
        let mut bootstrap = Command::new("debootstrap");
        bootstrap.args(["--variant=minbase", "bookworm"]).arg(&root).stdout(Stdio::null());
        command::run_shown(&mut bootstrap)?;
        let mut tar = Command::new("tar");
        let mut tar = tar.arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
        let packed = tar.stdout.take().context("no output of tar")?;
        let mut import = self.docker();
        import.args(["import", "-", BASE]).stdin(packed).stdout(Stdio::null());
        command::run(&mut import)?;
        ensure!(tar.wait()?.success(), "tar failed");
        Ok(())
    }

    /// Starts a container in the background.
    pub(super) fn start_container(&self, name: &str, how: &[&str], what: &[&str]) -> Result<()> {
        let detached = ["run", "--detach", LACKS, "--ulimit=nofile=20000:20000", "--name", name];
        self.ask(&[&detached[..], how, what].concat()).map(drop)
    }

    /// Whether a port of the host answers this client.
    pub(super) fn reaches(&self, from: From, port: u16) -> bool {
        let mut curl = inside(OUTSIDE, "curl");
        curl.args(["--silent", "--max-time", "3", "--interface", from.address()]);
        curl.arg(format!("http://{ADDRESS}:{port}/"));
        curl.output().is_ok_and(|answer| answer.stdout == b"hello\n")
    }

    fn clear(&mut self) {
        // Removing something that does not exist fails; that is fine.
        let quietly = |command: &mut Command| {
            drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status())
        };
        if self.daemon.is_some()
            && let Ok(containers) = self.ask(&["ps", "--quiet"])
            && !containers.trim().is_empty()
        {
            quietly(self.docker().arg("kill").args(containers.split_whitespace()));
        }
        if let Ok(pid) = fs::read_to_string(self.folder.join("pid")) {
            quietly(Command::new("kill").arg(pid.trim()));
        }
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait().ok();
        }
        for name in [HOST, OUTSIDE] {
            quietly(Command::new("ip").args(["netns", "delete", name]));
        }
        let below = format!(" {}/", self.folder.display());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for line in mounts.lines().rev().filter(|line| line.contains(&below)) {
            let place = line.split(' ').nth(1).unwrap_or_default();
            quietly(Command::new("umount").args(["--lazy", place]));
        }
        if self.folder.exists() {
            quietly(Command::new("rm").args(["-r", "--one-file-system"]).arg(&self.folder));
        }
    }
}

impl From {
    fn address(self) -> &'static str {
        match self {
            Self::Stranger => "198.51.100.66",
            Self::Cdn => "173.245.48.7",
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clear();
    }
}

fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
    command
}
