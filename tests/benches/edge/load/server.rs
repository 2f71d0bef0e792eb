//! nginx as the application, which is reloaded while it serves.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{Child, Lab, wait};
use nix::sys::signal::Signal;

use super::steady::BODY;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx.
pub(super) struct WebServer(Child);

impl WebServer {
    /// Answers every request on `port` of the origin's loopback.
    ///
    /// # Errors
    /// When nginx is not installed or does not start.
    pub(super) fn start(lab: &Lab, port: u16) -> Result<Self> {
        let dir = lab.dir().join(format!("nginx-{port}"));
        fs::create_dir(&dir)?;
        let (at, body) = (dir.display(), "x".repeat(BODY));
        let text = format!(
            "daemon off;
worker_processes 2;
pid {at}/pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {at}/body;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 \"{body}\"; }}
  }}
}}
"
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, text)?;
        let line = [program("nginx")?, "-p".into(), dir.clone(), "-c".into(), file];
        let mut child = Child::serve(lab.origin(), &line, &dir.join("log"))?;
        let address = ([127, 0, 0, 1], port).into();
        let listens = wait::until("nginx listens", PATIENCE, || {
            let ended = child.ended().is_some();
            let listens = !ended && lab.origin().connect(address, PATIENCE).is_ok();
            (ended || listens).then_some(listens)
        });
        ensure!(listens?, "nginx did not start: {}", child.log());
        Ok(Self(child))
    }

    /// Replaces its workers, as `nginx -s reload` does.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn reload(&self) -> Result<()> {
        self.0.signal(Signal::SIGHUP)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // SIGTERM, so that the workers exit too. The lab removes what is left.
        self.0.signal(Signal::SIGTERM).and_then(|()| self.0.wait(PATIENCE).map(drop)).ok();
    }
}

/// The path of an installed program.
///
/// # Errors
/// When it is not installed.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()));
    found.with_context(|| format!("{name} is not installed"))
}
