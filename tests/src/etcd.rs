//! An etcd of one member or of several, each in a namespace of its own behind the router of the
//! lab. Clients use mutual TLS; the members talk to each other without.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::child::{self, CommandOutput};
use crate::pki::{Credentials, FleetPki};
use crate::{Child, Lab, Netns, Process, wait};

/// The time for an election on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// An etcd. It stops when dropped, before the lab.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<EtcdMember>,
    router: Netns,
    origin: Netns,
    /// Its certificates.
    pub pki: FleetPki,
    root: Credentials,
}

#[derive(Debug)]
struct EtcdMember {
    netns: Netns,
    link: String,
    address: Ipv4Addr,
    data: PathBuf,
    line: Vec<PathBuf>,
    log: PathBuf,
    child: Option<Child>,
}

impl EtcdCluster {
    /// Starts `members`, and waits until they have a leader.
    ///
    /// # Errors
    /// When etcd is missing, or does not start.
    pub fn start(lab: &Lab, members: u8) -> Result<Self> {
        Self::start_with(lab, members, &[])
    }

    /// As [`EtcdCluster::start`], with more options of etcd.
    ///
    /// # Errors
    /// When etcd is missing, or does not start.
    pub fn start_with(lab: &Lab, members: u8, options: &[&str]) -> Result<Self> {
        let addresses: Vec<_> = (1..=members).map(|at| Ipv4Addr::new(192, 0, 2, at * 16)).collect();
        let all: Vec<IpAddr> = addresses.iter().copied().map(IpAddr::V4).collect();
        let pki = FleetPki::write(&lab.dir().join("pki"), &all)?;
        let cluster: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|(at, address)| format!("m{at}=http://{address}:{PEER_PORT}"))
            .collect();
        let member = |(at, address): (usize, &Ipv4Addr)| {
            let mut member = EtcdMember::connect(lab, at, *address, &cluster.join(","), &pki)?;
            member.line.extend(options.iter().map(PathBuf::from));
            Ok(member)
        };
        let members = addresses.iter().enumerate().map(member).collect::<Result<Vec<_>>>()?;
        let root = pki.user("root")?;
        let (router, origin) = (lab.router().clone(), lab.origin().clone());
        let mut started = Self { members, router, origin, pki, root };
        for at in 0..started.members.len() {
            started.run(at)?;
        }
        started.await_quorum()?;
        Ok(started)
    }

    /// Starts a member that was killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&mut self, at: usize) -> Result<()> {
        let member = &mut self.members[at];
        member.child = Some(Child::serve(&member.netns, &member.line, &member.log)?);
        Ok(())
    }

    /// Kills a member, as a power failure does.
    pub fn kill(&mut self, at: usize) {
        self.members[at].child = None;
    }

    /// The processes of the members that run.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let running = self.members.iter().filter_map(|member| member.child.as_ref());
        running.map(|child| Process(child.pid())).collect()
    }

    /// The directories with the data of the members.
    #[must_use]
    pub fn data(&self) -> Vec<PathBuf> {
        self.members.iter().map(|member| member.data.clone()).collect()
    }

    /// Waits until etcd answers.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn await_quorum(&self) -> Result<()> {
        wait::until("etcd answers", PATIENCE, || {
            self.etcdctl(&["get", "x"]).ok().filter(|done| done.code == 0)
        })
        .map(drop)
        .with_context(|| self.members.iter().map(EtcdMember::log).collect::<String>())
    }

    /// Whether packets reach a member.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn set_reachable(&self, at: usize, reachable: bool) -> Result<()> {
        let state = if reachable { "up" } else { "down" };
        self.router.ip(&format!("link set {} {state}\n", self.members[at].link))
    }

    /// The lines of `[fleet]` for a host of this name, with a certificate of its own.
    ///
    /// # Errors
    /// When the certificate cannot be written.
    pub fn table(&self, name: &str) -> Result<String> {
        let endpoints =
            self.members.iter().map(|it| format!("https://{}:{CLIENT_PORT}", it.address));
        let endpoints: Vec<_> = endpoints.collect();
        let Credentials { certificate, key } = self.pki.user(name)?;
        let mut table = format!("endpoints = {endpoints:?}\nca = {:?}\n", self.pki.ca);
        writeln!(table, "certificate = {certificate:?}\nkey = {key:?}\nname = {name:?}")?;
        Ok(table)
    }

    /// Runs `etcdctl` on the origin as root of etcd.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn etcdctl(&self, words: &[&str]) -> Result<CommandOutput> {
        self.etcdctl_as(&self.root, words)
    }

    /// The same with another certificate.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn etcdctl_as(&self, user: &Credentials, words: &[&str]) -> Result<CommandOutput> {
        let line: Vec<&str> = [&["etcdctl"], words].concat();
        self.run_as(user, &line, &[])
    }

    /// Runs a script with the environment of `etcdctl`.
    ///
    /// # Errors
    /// When it fails.
    pub fn script(&self, line: &[&str]) -> Result<String> {
        Ok(self.run_as(&self.root, line, &[])?.success()?.text())
    }

    fn run_as(&self, user: &Credentials, line: &[&str], input: &[u8]) -> Result<CommandOutput> {
        let endpoints =
            self.members.iter().map(|it| format!("https://{}:{CLIENT_PORT}", it.address));
        let mut command = self.origin.command("env");
        command.args([
            "ETCDCTL_API=3".to_owned(),
            format!("ETCDCTL_ENDPOINTS={}", endpoints.collect::<Vec<_>>().join(",")),
            format!("ETCDCTL_CACERT={}", self.pki.ca.display()),
            format!("ETCDCTL_CERT={}", user.certificate.display()),
            format!("ETCDCTL_KEY={}", user.key.display()),
            "ETCDCTL_COMMAND_TIMEOUT=3s".to_owned(),
        ]);
        command.args(line);
        child::finish(command, input, PATIENCE)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When there is no such key, or etcd does not answer.
    pub fn value(&self, key: &str) -> Result<String> {
        let done = self.etcdctl(&["get", "--print-value-only", key])?.success()?;
        let text = done.text();
        ensure!(!text.is_empty(), "there is no key {key}");
        Ok(text.trim_end().to_owned())
    }

    /// Writes many keys, with values of printable ASCII.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn put_all(&self, keys: &[(String, String)]) -> Result<()> {
        // etcd takes at most 128 in one transaction. Its empty conditions come first.
        for some in keys.chunks(100) {
            let puts = some.iter().map(|(key, value)| format!("put {key} {value:?}\n"));
            let lines = format!("\n{}\n\n", puts.collect::<String>());
            let done = self.run_as(&self.root, &["etcdctl", "txn"], lines.as_bytes())?.success()?;
            ensure!(done.text().starts_with("SUCCESS"), "{}", done.text());
        }
        Ok(())
    }

    /// Writes a key.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.etcdctl(&["put", "--", key, value])?.success().map(drop)
    }
}

impl EtcdMember {
    fn connect(
        lab: &Lab,
        at: usize,
        address: Ipv4Addr,
        cluster: &str,
        pki: &FleetPki,
    ) -> Result<Self> {
        let (netns, link) = lab.host_behind_router(&format!("etcd{at}"), address)?;
        let data = lab.dir().join(format!("etcd{at}"));
        let client = format!("https://{address}:{CLIENT_PORT}");
        let peer = format!("http://{address}:{PEER_PORT}");
        let mut line: Vec<PathBuf> = vec!["etcd".into(), "--data-dir".into(), data.clone()];
        for (option, value) in [
            ("--name", format!("m{at}")),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", cluster.to_owned()),
            ("--enable-grpc-gateway", "false".to_owned()),
        ] {
            line.push(format!("{option}={value}").into());
        }
        line.push("--client-cert-auth".into());
        line.push("--trusted-ca-file".into());
        line.push(pki.ca.clone());
        line.push("--cert-file".into());
        line.push(pki.member.certificate.clone());
        line.push("--key-file".into());
        line.push(pki.member.key.clone());
        let log = lab.dir().join(format!("etcd{at}.log"));
        Ok(Self { netns, link, address, data, line, log, child: None })
    }

    fn log(&self) -> String {
        self.child.as_ref().map(Child::log).unwrap_or_default()
    }
}
