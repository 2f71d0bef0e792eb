//! The network around a machine: two namespaces and the pair of interfaces between them. The outer
//! one has the addresses of everybody else, and an edge: nginx, which passes what visitors ask to
//! the origin, as Cloudflare does. Dropping it removes everything.

mod edge;

use std::{
    fs, mem,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context, Result, ensure};

use super::peer::{Family, Outcome, Peer};
use crate::{
    booted::{Answer, Network},
    command,
    netns::{self, Namespace},
};

/// The namespace of the machine.
const ORIGIN: &str = "aop-walk-origin";
/// The namespace of everybody else.
const OUTSIDE: &str = "aop-walk-outside";

/// The network of the machine.
pub(super) const MACHINE: Network<'_> = Network {
    namespace: ORIGIN,
    addresses: &["203.0.113.10/24", "2001:db8:0:10::10/64"],
    gateways: &["203.0.113.1", "2001:db8:0:10::1"],
};

/// Where a peer that does not go through Cloudflare finds the machine.
const AT: [(Family, &str); 2] = [(Family::V4, "203.0.113.10"), (Family::V6, "2001:db8:0:10::10")];

pub(super) struct World {
    folder: PathBuf,
    edge: Option<Child>,
    outside: Namespace,
    _origin: Namespace,
}

impl World {
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let folder = folder.join("world");
        fs::create_dir_all(&folder)?;
        let (origin, outside) = (Namespace::make(ORIGIN)?, Namespace::make(OUTSIDE)?);
        let mut world = Self { folder, edge: None, outside, _origin: origin };
        netns::ip(&format!("-n {ORIGIN} link add eth0 type veth peer name far netns {OUTSIDE}"))?;
        netns::ip(&format!("-n {OUTSIDE} link set far up"))?;
        netns::ip(&format!("-n {OUTSIDE} address add 203.0.113.1/24 dev far"))?;
        netns::ip(&format!("-n {OUTSIDE} address add 2001:db8:0:10::1/64 dev far nodad"))?;
        for address in Peer::ALL.iter().flat_map(|peer| peer.addresses()) {
            let own = if address.contains(':') { "128 dev far nodad" } else { "32 dev far" };
            netns::ip(&format!("-n {OUTSIDE} address add {address}/{own}"))?;
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
        let mut command = self.outside.command(program);
        command.current_dir(&self.folder);
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
        let to = AT.iter().find(|(of, _)| *of == family).map(|(_, address)| *address);
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
        fs::remove_dir_all(mem::take(&mut self.folder)).ok();
    }
}
