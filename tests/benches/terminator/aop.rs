//! aop as a server of the comparison.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{Config, Daemon, Process, World, child};
use nix::sys::signal::Signal;

use crate::server::{LISTEN, Layer, UPSTREAM};

const PATIENCE: Duration = Duration::from_secs(10);
/// No line for each connection, as the rivals write none.
const LOG: &str = "info,aop_userspace::terminator=warn";

pub(crate) struct Aop(Daemon);

impl Aop {
    pub(crate) fn version() -> Result<String> {
        let binary = match std::env::var_os("AOP_BIN") {
            Some(path) => path.into(),
            None => child::built("aop")?,
        };
        let mut command = std::process::Command::new(binary);
        command.arg("--version");
        let said = child::finish(command, &[], PATIENCE)?;
        ensure!(said.code == 0, "aop --version: {}", said.errors);
        Ok(String::from_utf8_lossy(&said.output).trim().to_owned())
    }

    pub(crate) fn start(world: &World, layer: Layer) -> Result<Self> {
        Self::with_sites(world, layer, 1)
    }

    /// With so many sites, of which the first is asked for.
    pub(crate) fn with_sites(world: &World, layer: Layer, sites: usize) -> Result<Self> {
        let mut config = Config::new(world);
        config.mode = "off";
        config.extra = vec!["127.0.0.0/8".to_owned()];
        config.connections = 4_000;
        config.bind = vec![LISTEN.to_owned()];
        config.site().upstream = format!("{}://{UPSTREAM}", layer.name());
        for number in 1..sites {
            let mut site = config.site().clone();
            site.hosts = vec![format!("site-{number}.example.net")];
            config.sites.push(site);
        }
        let mut daemon = Daemon::prepare(world)?;
        daemon.log_only(LOG);
        daemon.write(&config.text())?;
        daemon.run()?;
        Ok(Self(daemon))
    }

    pub(crate) fn process(&self) -> Result<Process> {
        self.0.process()
    }

    /// Asks for a reload, and does not wait for it.
    pub(crate) fn reload(&self) -> Result<()> {
        self.0.signal(Signal::SIGHUP)
    }

    pub(crate) fn has_reloaded(&self) -> bool {
        self.log().contains("reloaded")
    }

    pub(crate) fn log(&self) -> String {
        self.0.log()
    }
}

impl Drop for Aop {
    fn drop(&mut self) {
        // Told, so that the terminator goes with it; the world takes what is left.
        self.0.signal(Signal::SIGTERM).and_then(|()| self.0.wait(PATIENCE)).ok();
    }
}
