//! The network around a machine: two namespaces and the pair of interfaces between them. The outer
//! one has the addresses of everybody else, and an edge: nginx, which passes what visitors ask to
//! the origin, as Cloudflare does. Dropping it removes everything.

mod edge;

use std::{
    fs, mem,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::peer::{Family, Outcome, Peer};
use crate::command;

/// The namespace of the machine.
pub(super) const ORIGIN: &str = "aop-walk-origin";
/// The namespace of everybody else.
const OUTSIDE: &str = "aop-walk-outside";

/// Where a peer that does not go through Cloudflare finds the machine.
const MACHINE: [(Family, &str); 2] =
    [(Family::V4, "203.0.113.10"), (Family::V6, "2001:db8:0:10::10")];

/// The output of a script, of both streams.
pub(super) struct Answer {
    pub(super) good: bool,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn of(command: &mut Command) -> Result<Self> {
        let output = command.stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        let good = output.status.success();
        Ok(Self { good, text: String::from_utf8_lossy(&text).into_owned() })
    }
}

pub(super) struct World {
    folder: PathBuf,
    edge: Option<Child>,
}

impl World {
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let folder = folder.join("world");
        clear();
        fs::create_dir_all(&folder)?;
        let mut world = Self { folder, edge: None };
        let ip = |line: &str| command::run(Command::new("ip").args(line.split(' ')));
        for name in [ORIGIN, OUTSIDE] {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip(&format!("-n {ORIGIN} link add eth0 type veth peer name far netns {OUTSIDE}"))?;
        ip(&format!("-n {OUTSIDE} link set far up"))?;
        ip(&format!("-n {OUTSIDE} address add 203.0.113.1/24 dev far"))?;
        ip(&format!("-n {OUTSIDE} address add 2001:db8:0:10::1/64 dev far nodad"))?;
        for address in Peer::ALL.iter().flat_map(|peer| peer.addresses()) {
            let own = if address.contains(':') { "128 dev far nodad" } else { "32 dev far" };
            ip(&format!("-n {OUTSIDE} address add {address}/{own}"))?;
        }
        world.must(edge::CERTIFICATES)?;
        world.edge = Some(edge::start(&world.folder, world.command("nginx"))?);
        Ok(world)
    }

    /// A path of a file of the outside.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", OUTSIDE, program]).current_dir(&self.folder);
        command
    }

    /// Runs a script outside, in the folder of the outside.
    pub(super) fn ask(&self, script: &str) -> Result<Answer> {
        Answer::of(self.command("bash").args(["-ec", script]))
    }

    fn must(&self, script: &str) -> Result<()> {
        let answer = self.ask(script)?;
        ensure!(answer.good, "{}", answer.text);
        Ok(())
    }

    /// One request by a peer for `https://example.com/`.
    pub(super) fn pull(&self, peer: Peer, family: Family, port: u16) -> Result<Outcome> {
        let to = MACHINE.iter().find(|(of, _)| *of == family).map(|(_, address)| *address);
        let to = peer.asks_edge().then(|| Peer::Edge.address(family)).or(to).context("nowhere")?;
        let to = if to.contains(':') { format!("[{to}]") } else { to.to_owned() };
        let mut curl = self.command("curl");
        curl.args(["--silent", "--show-error", "--output", "/dev/null", "--max-time", "10"]);
        curl.args(["--connect-timeout", "2", "--write-out", "%{http_code}"]);
        curl.args(["--cacert", "public-ca.pem", "--interface", peer.address(family)]);
        curl.args(["--resolve", &format!("example.com:{port}:{to}")]);
        if peer.has_certificate() && self.path("pull.pem").exists() {
            curl.args(["--cert", "pull.pem", "--key", "pull.key"]);
        }
        let output = curl.arg(format!("https://example.com:{port}/")).output()?;
        let code = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Outcome::of_curl(output.status.code().unwrap_or(-1), &code))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(edge) = &mut self.edge {
            // The master process ends its workers, which a killed one would leave.
            let id = edge.id().to_string();
            command::run(Command::new("kill").args(["-TERM", &id])).ok();
            edge.wait().ok();
        }
        clear();
        fs::remove_dir_all(mem::take(&mut self.folder)).ok();
    }
}

/// Removes the namespaces, which a killed run may have left.
fn clear() {
    for name in [ORIGIN, OUTSIDE] {
        let mut pids = Command::new("ip");
        pids.args(["netns", "pids", name]).stderr(Stdio::null());
        let pids = pids.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if let Ok(pids) = pids
            && !pids.trim().is_empty()
        {
            // Some end by themselves meanwhile.
            let mut kill = Command::new("kill");
            kill.args(pids.split_whitespace()).stderr(Stdio::null()).status().ok();
        }
        let mut delete = Command::new("ip");
        delete.args(["netns", "delete", name]).stderr(Stdio::null()).status().ok();
    }
}
