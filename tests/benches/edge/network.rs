//! The network of the scenarios: visitors and edges on one host, aop and the application on
//! another, with the firewall in enforce mode between them.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use aop_tests::{AopToml, Child, IpVersion, Lab, TestDaemon, wait};

/// The port of the application of the cases.
pub(crate) const APPLICATION: u16 = 8080;
/// The variable that names the program of the edge.
const PROGRAM: &str = "AOP_EDGE_BIN";
const PATIENCE: Duration = Duration::from_secs(10);

/// The way of a request to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// No proxy.
    Straight,
    /// An edge, and no aop.
    EdgeAlone,
    /// An edge that speaks HTTP/1.1 to aop.
    Http1,
    /// An edge that speaks HTTP/2 to aop.
    Http2,
}

impl Way {
    pub(crate) const THROUGH_AOP: [Self; 2] = [Self::Http1, Self::Http2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::EdgeAlone => "edge alone",
            Self::Http1 => "h1",
            Self::Http2 => "h2",
        }
    }

    /// The address for visitors, on the host of the edges or on that of the application.
    pub(crate) fn address(self) -> SocketAddr {
        let port = match self {
            Self::Straight => APPLICATION,
            Self::EdgeAlone => 8000,
            Self::Http1 => 8001,
            Self::Http2 => 8002,
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The port of the server behind the edge.
    fn origin_port(self) -> u16 {
        match self {
            Self::Straight | Self::EdgeAlone => APPLICATION,
            Self::Http1 | Self::Http2 => 443,
        }
    }
}

/// A lab with aop and three edges.
pub(crate) struct Network {
    pub(crate) lab: Lab,
    pub(crate) daemon: TestDaemon,
    config: AopToml,
    edges: Vec<(Way, Child)>,
}

impl Network {
    /// Starts aop and the edges.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(crate) fn start() -> Result<Self> {
        let lab = Lab::new()?;
        let mut config = AopToml::new(&lab);
        config.site().upstream = upstream(APPLICATION);
        let daemon = TestDaemon::start(&lab, &config)?;
        let mut network = Self { lab, daemon, config, edges: Vec::new() };
        for way in [Way::EdgeAlone, Way::Http1, Way::Http2] {
            network.start_edge(way)?;
        }
        Ok(network)
    }

    /// Starts the edge of a way.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start_edge(&mut self, way: Way) -> Result<()> {
        let program = std::env::var_os(PROGRAM).map(PathBuf::from);
        let program = program.with_context(|| format!("{PROGRAM} names no program"))?;
        let dir = self.lab.dir();
        let origin = self.lab.origin_at(IpVersion::V4, way.origin_port());
        let mut text = format!("listen {}\norigin {origin}\n", way.address());
        if way != Way::EdgeAlone {
            let pki = &self.lab.pki;
            text += &format!("sni example.com\nca {}\n", pki.server_ca.display());
            text += &format!("certificate {}\n", pki.edge.certificate.display());
            text += &format!("key {}\nalpn {}\n", pki.edge.key.display(), way.name());
        }
        let file = dir.join(format!("edge-{}.conf", way.address().port()));
        std::fs::write(&file, text)?;
        let mut edge =
            Child::serve(self.lab.edge(), &[program, file.clone()], &file.with_extension("log"))?;
        let listens = wait::until("the edge listens", PATIENCE, || {
            let ended = edge.ended().is_some();
            let listens = !ended && self.connect(way).is_ok();
            (ended || listens).then_some(listens)
        });
        anyhow::ensure!(listens?, "the edge did not start: {}", edge.log());
        self.edges.push((way, edge));
        Ok(())
    }

    /// A new connection of a visitor.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn connect(&self, way: Way) -> Result<TcpStream> {
        let host = if way == Way::Straight { self.lab.origin() } else { self.lab.edge() };
        Ok(host.connect(way.address(), PATIENCE)?)
    }

    /// The lines about requests that an edge has sent again.
    pub(crate) fn sent_again(&self, way: Way) -> Vec<String> {
        self.edge_log(way, "again: ")
    }

    /// The lines about requests that an edge has given up, and why.
    pub(crate) fn given_up(&self, way: Way) -> Vec<String> {
        self.edge_log(way, "failed: ")
    }

    fn edge_log(&self, way: Way, start: &str) -> Vec<String> {
        let edge = self.edges.iter().find(|(own, _)| *own == way);
        let log = edge.map(|(_, edge)| edge.log()).unwrap_or_default();
        log.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    /// aop relays to another port from now on.
    ///
    /// # Errors
    /// When aop does not accept that.
    pub(crate) fn relay_to(&mut self, port: u16) -> Result<()> {
        self.change(|config, _| config.site().upstream = upstream(port))
    }

    /// Changes the configuration of aop, and reloads it.
    ///
    /// # Errors
    /// When aop does not accept it.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut AopToml, &Lab)) -> Result<()> {
        change(&mut self.config, &self.lab);
        self.daemon.write(&self.config.text())?;
        self.daemon.must_run("reload").map(drop)
    }
}

fn upstream(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
