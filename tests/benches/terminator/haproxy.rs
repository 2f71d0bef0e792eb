//! HAProxy, in `mode tcp` and in `mode http`.

use std::fs;

use anyhow::Result;
use aop_tests::World;

use crate::{
    rival::{self, Rival},
    server::{LISTEN, Layer, UPSTREAM},
};

pub(crate) fn start(world: &World, layer: Layer) -> Result<Rival> {
    let dir = rival::directory(world, "haproxy")?;
    let identity = rival::identity(world, &dir)?;
    let file = dir.join("haproxy.cfg");
    let config = format!(
        "global
  nbthread 2
  maxconn 8192
  tune.ssl.cachesize 0
defaults
  mode {}
  timeout connect 10s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
frontend front
  bind {LISTEN} ssl crt {} ca-file {} verify required ssl-min-ver TLSv1.3 no-tls-tickets
  default_backend application
backend application
  http-reuse always
  server application {UPSTREAM}
",
        layer.name(),
        identity.display(),
        world.pki.client_ca.display()
    );
    // A line that bytes have no use for is a warning, not an error.
    fs::write(&file, config)?;
    Rival::start(world, "haproxy", &["-db", "-f", &file.display().to_string()], &dir)
}
