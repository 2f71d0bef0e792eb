//! The machine of the operator, which is an edge as well: a network namespace that reaches the
//! hosts over a link each, with the repository, the keys of the test and pulls without an end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::host::Host;
use crate::{
    command,
    debian::Release,
    netns::{self, Namespace},
};

/// An address of the CDN, which the edge has.
pub(super) const EDGE: &str = "173.245.48.7";
pub(super) const NETWORK: &str = "aop-edge";
/// The address at which the edge serves etcd.
pub(super) const ETCD: &str = "https://173.245.48.7:2379";

/// The network, and a folder with the keys of one test. Dropping it removes both.
pub(super) struct Edge {
    folder: TempDir,
    network: Namespace,
}

impl Edge {
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("aop-edge").tempdir()?;
        let edge = Self { folder, network: Namespace::make(NETWORK)? };
        netns::ip(&format!("-n {NETWORK} address add {EDGE}/32 dev lo"))?;
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
        let mut command = self.network.command(program);
        command.stdin(Stdio::null());
        command
    }

    /// Serves a folder over http, until the value is dropped.
    pub(super) fn serve(&self, folder: &Path, port: u16) -> Result<Killed> {
        let mut server = self.command(Path::new("python3"));
        server.args(["-m", "http.server", "--bind", EDGE, "--directory"]).arg(folder);
        server.arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Killed(server.spawn().context("cannot start python3")?))
    }

    /// Serves the etcd of a fleet, until the value is dropped. Its clients must show a certificate.
    pub(super) fn serve_etcd(&self) -> Result<Killed> {
        let mut etcd = self.command(Path::new("etcd"));
        etcd.current_dir(self.folder()).args(["--data-dir", "etcd", "--client-cert-auth"]);
        etcd.args(["--trusted-ca-file", "ca.pem"]);
        etcd.args(["--cert-file", "etcd.pem", "--key-file", "etcd.key"]);
        etcd.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
        etcd.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Killed(etcd.spawn().context("cannot start etcd")?))
    }

    /// A CA, and the certificates that it issued: of the site, the edge, etcd, and of each host in
    /// the fleet.
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
        ))?;
        make(&format!(
            "{new} {leaf} -subj /CN=etcd -addext subjectAltName=IP:{EDGE} \
             -keyout etcd.key -out etcd.pem"
        ))?;
        Release::ALL.iter().try_for_each(|host| {
            make(&format!("{new} {leaf} -subj /CN={host} -keyout {host}.key -out {host}.pem"))
        })
    }

    /// Pulls from all hosts without an end, several times a second.
    pub(super) fn pull(&self, hosts: &[Host]) -> Result<Pulls> {
        let curl = "if curl --silent --show-error --fail --output /dev/null --max-time 5 \
                    --interface \"$1\" --cert edge.pem --key edge.key --cacert ca.pem \
                    --resolve example.com:443:$host https://example.com/ 2>>errors; \
                    then echo good; else echo failed $host; fi";
        // The words are the edge and the hosts; the loop does not change them.
        let line = format!("while :; do for host in {}; do {curl}; done; sleep 0.2; done", {
            let addresses: Vec<_> = hosts.iter().map(Host::address).collect();
            addresses.join(" ")
        });
        let log = self.folder().join("pulls");
        let mut shell = self.command(Path::new("sh"));
        shell.current_dir(self.folder()).args(["-c", &line, "sh", EDGE]);
        shell.stdout(fs::File::create(&log)?);
        let child = shell.stderr(Stdio::null()).spawn().context("cannot start sh")?;
        Ok(Pulls { child: Killed(child), log })
    }
}

/// Pulls that go on meanwhile.
pub(super) struct Pulls {
    child: Killed,
    log: PathBuf,
}

impl Pulls {
    /// How many were served until now, and how many failed.
    pub(super) fn count(&self) -> Result<(usize, usize)> {
        let text = fs::read_to_string(&self.log)?;
        let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
        Ok((count("good"), count("failed")))
    }

    /// Ends them; how many were served, and how many failed and why.
    pub(super) fn end(self) -> Result<(usize, usize, String)> {
        let (good, failed) = self.count()?;
        drop(self.child);
        let errors = fs::read_to_string(self.log.with_file_name("errors")).unwrap_or_default();
        Ok((good, failed, errors))
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
