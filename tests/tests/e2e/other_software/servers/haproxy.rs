//! HAProxy as an edge over HTTP/2, and as an application over HTTP/2 without TLS.

use std::fs;

use anyhow::Result;
use aop_tests::{Child, Netns};

use super::{BEHIND, UPSTREAM, VISITED, aop, directory, serve};
use crate::stage::Stage;

/// An edge that connects to aop over HTTP/2 with the client certificate. It takes visitors over
/// HTTP/1.1 and over HTTP/2.
pub(super) fn edge(stage: &Stage) -> Result<Child> {
    let pki = &stage.lab.pki;
    let identity = stage.lab.dir().join("edge-identity.pem");
    let pem = [fs::read(&pki.edge.certificate)?, fs::read(&pki.edge.key)?].concat();
    fs::write(&identity, pem)?;
    let sections = format!(
        "frontend visitors
  bind {VISITED}
  http-request set-header Host example.com
  default_backend origin
backend origin
  http-reuse always
  server origin {} ssl crt {} ca-file {} verify required sni str(example.com) alpn h2
",
        aop(stage),
        identity.display(),
        pki.server_ca.display(),
    );
    start(stage, stage.lab.edge(), "haproxy-edge", &sections, VISITED)
}

/// The upstream of aop over HTTP/2, in front of an application over HTTP/1.1.
pub(super) fn upstream(stage: &Stage) -> Result<Child> {
    let sections = format!(
        "frontend aop
  bind {UPSTREAM} proto h2
  default_backend application
backend application
  http-reuse always
  server application {BEHIND}
"
    );
    start(stage, stage.lab.origin(), "haproxy-upstream", &sections, UPSTREAM)
}

/// Starts it as a master and a worker. A new worker gets the listeners from the old one, so that
/// no connection is lost between the two.
fn start(stage: &Stage, netns: &Netns, name: &str, sections: &str, address: &str) -> Result<Child> {
    let dir = directory(stage, name)?;
    let file = dir.join("haproxy.cfg");
    let config = format!(
        "global
  nbthread 1
  stats socket {}/stats level admin expose-fd listeners
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
{sections}",
        dir.display()
    );
    fs::write(&file, config)?;
    serve(netns, &["haproxy", "-W", "-f", &file.display().to_string()], &dir, address)
}
