//! HAProxy, in `mode tcp` and in `mode http`.

use std::fs;

use anyhow::Result;
use aop_tests::Lab;

use crate::{
    rival::{self, Rival},
    server::{LISTEN, Layer},
};

pub(crate) fn start(lab: &Lab, layer: Layer) -> Result<Rival> {
    let dir = rival::directory(lab, "haproxy")?;
    let identity = rival::identity(lab, &dir)?;
    let file = dir.join("haproxy.cfg");
    let mode = if layer == Layer::Tcp { "tcp" } else { "http" };
    let alpn = if layer.is_http2() { "alpn h2" } else { "" };
    let upstream = match layer {
        Layer::Tcp | Layer::Http | Layer::Http2 => layer.upstream().to_owned(),
        Layer::H2c => format!("{} proto h2", layer.upstream()),
    };
    let config = format!(
        "global
  nbthread 2
  maxconn 8192
  tune.ssl.cachesize 0
defaults
  mode {mode}
  timeout connect 10s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
frontend front
  bind {LISTEN} ssl crt {} ca-file {} verify required {alpn} ssl-min-ver TLSv1.3 no-tls-tickets
  default_backend application
backend application
  http-reuse always
  server application {upstream}
",
        identity.display(),
        lab.pki.client_ca.display()
    );
    // In `mode tcp` HAProxy only warns about lines that are for `mode http`.
    fs::write(&file, config)?;
    Rival::start(lab, "haproxy", &["-db", "-f", &file.display().to_string()], &dir)
}
