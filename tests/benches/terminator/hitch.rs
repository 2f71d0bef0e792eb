//! hitch, which relays only bytes. It cannot disable session tickets. The client uses none.

use std::fs;

use anyhow::Result;
use aop_tests::Lab;

use crate::{
    rival::{self, Rival},
    server::UPSTREAM,
};

pub(crate) fn start(lab: &Lab) -> Result<Rival> {
    let dir = rival::directory(lab, "hitch")?;
    let identity = rival::identity(lab, &dir)?;
    let file = dir.join("hitch.conf");
    let (host, port) = UPSTREAM.split_once(':').unwrap_or((UPSTREAM, "80"));
    let config = format!(
        "frontend = \"[127.0.0.1]:443\"
backend = \"[{host}]:{port}\"
pem-file = \"{}\"
client-verify = required
client-verify-ca = \"{}\"
tls-protos = TLSv1.3
ocsp-dir = \"\"
workers = 2
backlog = 1024
daemon = off
user = \"nobody\"
log-level = 1
",
        identity.display(),
        lab.pki.client_ca.display()
    );
    fs::write(&file, config)?;
    Rival::start(lab, "hitch", &["--config", &file.display().to_string()], &dir)
}
