//! aop as a server of the comparison.

use std::time::Duration;

use anyhow::Result;
use aop_tests::{AopToml, Lab, Process, TestDaemon, child};
use nix::sys::signal::Signal;

use crate::server::{LISTEN, Layer};

const PATIENCE: Duration = Duration::from_secs(10);
/// No log line for each connection, because the rivals write none either.
const LOG: &str = "info,aop_terminator=warn";

pub(crate) struct Aop(TestDaemon);

impl Aop {
    pub(crate) fn version() -> Result<String> {
        let binary = match std::env::var_os("AOP_BIN") {
            Some(path) => path.into(),
            None => child::built("aop")?,
        };
        let mut command = std::process::Command::new(binary);
        command.arg("--version");
        Ok(child::finish(command, &[], PATIENCE)?.success()?.text().trim().to_owned())
    }

    pub(crate) fn start(lab: &Lab, layer: Layer) -> Result<Self> {
        Self::with_sites(lab, layer, 1)
    }

    /// With this many sites. The client requests the first.
    pub(crate) fn with_sites(lab: &Lab, layer: Layer, sites: usize) -> Result<Self> {
        let mut config = AopToml::new(lab);
        config.mode = "off";
        config.extra = vec!["127.0.0.0/8".to_owned()];
        config.connections = 4_000;
        config.bind = vec![LISTEN.to_owned()];
        let scheme = match layer {
            Layer::Tcp => "tcp",
            Layer::Http | Layer::Http2 => "http",
            Layer::H2c => "h2c",
        };
        config.site().upstream = format!("{scheme}://{}", layer.upstream());
        for number in 1..sites {
            let mut site = config.site().clone();
            site.hosts = vec![format!("site-{number}.example.net")];
            config.sites.push(site);
        }
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.set_log_filter(LOG);
        daemon.write(&config.text())?;
        daemon.run()?;
        Ok(Self(daemon))
    }

    pub(crate) fn process(&self) -> Result<Process> {
        self.0.process()
    }

    /// Requests a reload without waiting for it.
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
        // SIGTERM, so that the terminator exits too. The lab removes what is left.
        self.0.signal(Signal::SIGTERM).and_then(|()| self.0.wait(PATIENCE)).ok();
    }
}
