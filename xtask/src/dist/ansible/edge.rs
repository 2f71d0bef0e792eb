//! Booted Debian systems in systemd-nspawn, and an edge in a network namespace that reaches them
//! over a link each. Dropping them removes everything.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{command, workspace};

/// An address of the CDN, which the edge has.
pub(super) const EDGE: &str = "173.245.48.7";
const NETWORK: &str = "aop-edge";
const PATIENCE: Duration = Duration::from_secs(120);

/// The packages of a small server beside the smallest Debian, and those that Ansible needs.
const PACKAGES: &str =
    "--include=systemd,systemd-sysv,iproute2,openssh-server,python3,python3-apt,ca-certificates";

/// The network of the edge, and a folder with the keys of one test.
pub(super) struct Edge {
    folder: TempDir,
}

impl Edge {
    pub(super) fn make() -> Result<Self> {
        remove_network(NETWORK);
        let edge = Self { folder: tempfile::Builder::new().prefix("aop-edge").tempdir()? };
        ip(&format!("netns add {NETWORK}"))?;
        ip(&format!("-n {NETWORK} link set lo up"))?;
        ip(&format!("-n {NETWORK} address add {EDGE}/32 dev lo"))?;
        let mut key = Command::new("ssh-keygen");
        key.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(edge.ssh_key());
        command::run(&mut key)?;
        edge.make_certificates()?;
        Ok(edge)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn ssh_key(&self) -> PathBuf {
        self.folder().join("ssh")
    }

    /// A command of this machine in the network of the edge.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{NETWORK}")).arg(program).stdin(Stdio::null());
        command
    }

    /// Serves a folder over http, until the value is dropped.
    pub(super) fn serve(&self, folder: &Path, port: u16) -> Result<Killed> {
        let mut server = self.command(Path::new("python3"));
        server.args(["-m", "http.server", "--bind", EDGE, "--directory"]).arg(folder);
        server.arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Killed(server.spawn().context("cannot start python3")?))
    }

    /// A CA, and a certificate for the site and one for the edge that it issued.
    fn make_certificates(&self) -> Result<()> {
        let make = |line: &str| {
            let mut openssl = Command::new("openssl");
            openssl.args(line.split(' ')).current_dir(self.folder()).stderr(Stdio::null());
            command::run(&mut openssl)
        };
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        make(&format!("{new} -subj /CN=test-ca -keyout ca.key -out ca.pem"))?;
        let leaf = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE";
        make(&format!(
            "{new} {leaf} -subj /CN=example.com -addext subjectAltName=DNS:example.com \
             -keyout site.key -out site.pem"
        ))?;
        make(&format!(
            "{new} {leaf} -subj /CN=edge -addext extendedKeyUsage=clientAuth \
             -keyout edge.key -out edge.pem"
        ))
    }

    /// Pulls from all hosts without an end, several times a second.
    pub(super) fn pull(&self, hosts: &[Booted]) -> Result<Pulls> {
        let curl = "if curl --silent --fail --output /dev/null --max-time 5 --interface \"$1\" \
                    --cert edge.pem --key edge.key --cacert ca.pem \
                    --resolve example.com:443:$host https://example.com/; \
                    then echo good; else echo failed; fi";
        let line = format!(
            "edge=$1; shift; while :; do for host; do set -- \"$edge\" \"$@\"; {curl}; shift; done; sleep 0.2; done"
        );
        let log = self.folder().join("pulls");
        let mut shell = self.command(Path::new("sh"));
        shell.current_dir(self.folder()).args(["-c", &line, "sh", EDGE]);
        shell.args(hosts.iter().map(Booted::address)).stdout(fs::File::create(&log)?);
        let child = shell.stderr(Stdio::null()).spawn().context("cannot start sh")?;
        Ok(Pulls { child: Killed(child), log })
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        remove_network(NETWORK);
    }
}

/// Pulls that go on meanwhile.
pub(super) struct Pulls {
    child: Killed,
    log: PathBuf,
}

impl Pulls {
    /// Ends them; how many were served, and how many failed.
    pub(super) fn end(self) -> Result<(usize, usize)> {
        drop(self.child);
        let text = fs::read_to_string(&self.log)?;
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        Ok((count("good"), count("failed")))
    }
}

/// A process that ends with its value.
pub(super) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("warning: a process does not end: {error}");
        }
    }
}

/// A booted system.
pub(super) struct Booted {
    release: String,
    root: PathBuf,
    address: String,
    ssh: Vec<String>,
    machine: Option<Child>,
}

impl Booted {
    pub(super) fn start(release: &str, number: u8, edge: &Edge) -> Result<Self> {
        let root = workspace::target().join(format!("release/booted-{release}"));
        let key = edge.ssh_key().display().to_string();
        let address = format!("192.0.{number}.1");
        let ssh =
            ["-i", &key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
                .into_iter()
                .chain(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=2"]);
        let ssh = ssh.map(str::to_owned).chain([format!("root@{address}")]).collect();
        let mut host = Self { release: release.to_owned(), root, address, ssh, machine: None };
        host.clear();
        let mut bootstrap = Command::new("debootstrap");
        bootstrap.args(["--variant=minbase", PACKAGES, release]);
        command::run_shown(bootstrap.arg(&host.root).stdout(Stdio::null()))?;
        host.settle(edge)?;
        host.link(number)?;
        host.boot()?;
        Ok(host)
    }

    pub(super) fn release(&self) -> &str {
        &self.release
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a line in the system over ssh; it must succeed.
    pub(super) fn run(&self, line: &str) -> Result<String> {
        let mut ssh = Command::new("nsenter");
        ssh.arg(format!("--net=/run/netns/{NETWORK}")).arg("ssh").args(&self.ssh).arg(line);
        let output = ssh.stdin(Stdio::null()).output()?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "`{line}` failed in {}: {told}", self.release);
        Ok(told)
    }

    /// Puts the keys of a site into place, and starts its application.
    pub(super) fn prepare(&self, edge: &Edge) -> Result<()> {
        let folder = self.root.join("etc/aop");
        fs::create_dir_all(&folder)?;
        for file in ["site.pem", "site.key", "ca.pem"] {
            fs::copy(edge.folder().join(file), folder.join(file))?;
        }
        fs::set_permissions(folder.join("site.key"), fs::Permissions::from_mode(0o600))?;
        self.run("systemd-run --unit=application python3 -m http.server --bind 127.0.0.1 8080")?;
        Ok(())
    }

    /// Files that the system needs before it boots.
    fn settle(&self, edge: &Edge) -> Result<()> {
        let write = |path: &str, text: &str| {
            let path = self.root.join(path);
            fs::create_dir_all(path.with_file_name(""))?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("etc/hostname", &format!("{}\n", self.release))?;
        // The system has no way to Debian's mirror.
        write("etc/apt/sources.list", "")?;
        let public = fs::read_to_string(edge.ssh_key().with_extension("pub"))?;
        write("root/.ssh/authorized_keys", &public)?;
        // Wrong owners would make sshd refuse the key.
        fs::set_permissions(self.root.join("root/.ssh"), fs::Permissions::from_mode(0o700))?;
        Ok(())
    }

    fn network(&self) -> String {
        format!("aop-{}", self.release)
    }

    /// A link from the edge to the system, which is its default route.
    fn link(&self, number: u8) -> Result<()> {
        let (network, far) = (self.network(), format!("to-{}", self.release));
        ip(&format!("netns add {network}"))?;
        ip(&format!("-n {network} link set lo up"))?;
        ip(&format!("-n {network} link add uplink type veth peer name {far} netns {NETWORK}"))?;
        ip(&format!("-n {NETWORK} address add 192.0.{number}.2/24 dev {far}"))?;
        ip(&format!("-n {NETWORK} link set {far} up"))?;
        ip(&format!("-n {network} address add {}/24 dev uplink", self.address))?;
        ip(&format!("-n {network} link set uplink up"))?;
        ip(&format!("-n {network} route add default via 192.0.{number}.2"))
    }

    fn boot(&mut self) -> Result<()> {
        let group = group(&self.release)?;
        let mut shell = Command::new("sh");
        // A control group of its own: with --keep-unit, nspawn makes its groups below the present.
        shell.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&group);
        shell.args(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]);
        shell.args(["--capability=all", "--system-call-filter=bpf", "--console=pipe"]);
        shell.arg(format!("--network-namespace-path=/run/netns/{}", self.network()));
        shell.arg(format!("--directory={}", self.root.display()));
        shell.envs([
            ("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1"),
            ("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes"),
            // Under another seccomp filter nspawn's own is refused.
            ("SYSTEMD_SECCOMP", "0"),
        ]);
        let log = fs::File::create(self.root.with_extension("log"))?;
        shell.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.machine = Some(shell.spawn().context("cannot start systemd-nspawn")?);
        let begun = Instant::now();
        while let Err(error) = self.run("true") {
            let log = || fs::read_to_string(self.root.with_extension("log")).unwrap_or_default();
            ensure!(begun.elapsed() < PATIENCE, "it does not boot: {error:#}\n{}", log());
            thread::sleep(Duration::from_millis(500));
        }
        // In a container, systemd does not mount it, also not from fstab.
        self.run("mkdir -p /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf")?;
        Ok(())
    }

    /// Ends the system as a halt signal would, and removes it.
    fn clear(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            // nspawn passes SIGTERM on as a wish to power off.
            command::run(Command::new("kill").arg(machine.id().to_string())).ok();
            let begun = Instant::now();
            while matches!(machine.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(100));
            }
            machine.kill().and_then(|()| machine.wait()).ok();
        }
        remove_network(&self.network());
        if self.root.exists() {
            let mut remove = Command::new("rm");
            remove.args(["-r", "--one-file-system"]).arg(&self.root);
            remove.stderr(Stdio::null()).status().ok();
        }
        remove_group(&self.release);
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A control group for one system, in the second version's hierarchy.
fn group(release: &str) -> Result<PathBuf> {
    let folder = group_folder(release);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn group_folder(release: &str) -> PathBuf {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    let all = if hybrid.is_dir() { hybrid } else { Path::new("/sys/fs/cgroup") };
    all.join(format!("aop-{release}"))
}

/// Removes the group and those below it, which must be without processes.
fn remove_group(release: &str) {
    let mut find = Command::new("find");
    find.arg(group_folder(release)).args(["-depth", "-type", "d", "-delete"]);
    find.stderr(Stdio::null()).status().ok();
}

fn ip(line: &str) -> Result<()> {
    command::run(Command::new("ip").args(line.split(' ')))
}

/// Removes a network of this or a killed run.
fn remove_network(name: &str) {
    Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status().ok();
}
