//! nginx as an edge, and as an application over kept connections.

use std::path::Path;

use anyhow::Result;
use aop_tests::{Child, Netns};

use super::{BEHIND, UPSTREAM, VISITED, aop, directory, serve};
use crate::stage::Stage;

/// An edge that connects to aop over HTTP/1.1 with the client certificate.
pub(super) fn edge(stage: &Stage) -> Result<Child> {
    let pki = &stage.lab.pki;
    let http = format!(
        "upstream origin {{ server {}; keepalive 20; }}
  server {{
    listen {VISITED};
    location / {{
      proxy_pass https://origin;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host example.com;
      proxy_set_header Connection '';
      proxy_ssl_certificate {};
      proxy_ssl_certificate_key {};
      proxy_ssl_trusted_certificate {};
      proxy_ssl_verify on;
      proxy_ssl_name example.com;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;
    }}
  }}",
        aop(stage),
        pki.edge.certificate.display(),
        pki.edge.key.display(),
        pki.server_ca.display(),
    );
    start(stage, stage.lab.edge(), "nginx-edge", &http, VISITED)
}

/// The upstream of aop, in front of an application.
pub(super) fn upstream(stage: &Stage) -> Result<Child> {
    let http = format!(
        "upstream application {{ server {BEHIND}; keepalive 20; }}
  server {{
    listen {UPSTREAM};
    location / {{
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
    }}
  }}"
    );
    start(stage, stage.lab.origin(), "nginx-upstream", &http, UPSTREAM)
}

fn start(stage: &Stage, netns: &Netns, name: &str, http: &str, address: &str) -> Result<Child> {
    let dir = directory(stage, name)?;
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config(&dir, http))?;
    let (prefix, file) = (dir.display().to_string(), file.display().to_string());
    serve(netns, &["nginx", "-p", &prefix, "-c", &file, "-e", "stderr"], &dir, address)
}

fn config(dir: &Path, http: &str) -> String {
    let dir = dir.display();
    format!(
        "user root;
daemon off;
worker_processes 1;
pid {dir}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  {http}
}}
"
    )
}
