//! nginx, with `stream` for bytes and `http` for requests.

use std::{fs, path::Path};

use anyhow::Result;
use aop_tests::Lab;

use crate::{
    rival::{self, Rival},
    server::{H2C_UPSTREAM, LISTEN, Layer, UPSTREAM},
};

/// Debian packages this module separately.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(crate) fn start(lab: &Lab, layer: Layer) -> Result<Rival> {
    let dir = rival::directory(lab, "nginx")?;
    let file = dir.join("nginx.conf");
    fs::write(&file, config(lab, layer, &dir))?;
    let (prefix, file) = (dir.display().to_string(), file.display().to_string());
    Rival::start(lab, "nginx", &["-p", &prefix, "-c", &file, "-e", "stderr"], &dir)
}

fn config(lab: &Lab, layer: Layer, dir: &Path) -> String {
    let module = match layer {
        Layer::Tcp if Path::new(STREAM).exists() => format!("load_module {STREAM};\n"),
        Layer::Tcp | Layer::Http | Layer::Http2 | Layer::H2c => String::new(),
    };
    let pki = &lab.pki;
    let tls = format!(
        "ssl_certificate {};
    ssl_certificate_key {};
    ssl_client_certificate {};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;",
        pki.server.certificate.display(),
        pki.server.key.display(),
        pki.client_ca.display()
    );
    let body = match layer {
        Layer::Tcp => format!(
            "stream {{
  server {{
    listen {LISTEN} ssl;
    {tls}
    proxy_pass {UPSTREAM};
  }}
}}"
        ),
        // Connections on both sides are kept for any number of requests, and nothing is buffered
        // in files.
        Layer::Http | Layer::Http2 | Layer::H2c => format!(
            "http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  upstream application {{
    server {UPSTREAM};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {LISTEN} ssl {http2};
    server_name example.com;
    keepalive_requests 1000000000;
    {tls}
    location / {{
      proxy_pass http://application;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_max_temp_file_size 0;
    }}
  }}
}}",
            http2 = if layer.is_http2() { "http2" } else { "" },
            dir = dir.display()
        ),
    };
    format!(
        "{module}daemon off;
worker_processes 2;
pid {}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
{body}
",
        dir.display()
    )
}

/// The upstream that speaks HTTP/2 without TLS: nginx, with the paths of the bench.
pub(crate) fn start_h2c_upstream(lab: &Lab) -> Result<Rival> {
    let dir = rival::directory(lab, "h2c-upstream")?;
    let file = dir.join("nginx.conf");
    let kb = "x".repeat(1024);
    let (dir_name, large) = (dir.display(), dir.join("large"));
    fs::write(&large, vec![b'x'; 16 * 1024 * 1024])?;
    let text = format!(
        "daemon off;
worker_processes 2;
pid {dir_name}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {dir_name}/body;
  proxy_temp_path {dir_name}/proxy;
  fastcgi_temp_path {dir_name}/fastcgi;
  uwsgi_temp_path {dir_name}/uwsgi;
  scgi_temp_path {dir_name}/scgi;
  server {{
    listen {H2C_UPSTREAM} http2;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 256;
    location = /bytes/1 {{ return 200 \"x\"; }}
    location = /bytes/1024 {{ return 200 \"{kb}\"; }}
    location = /bytes/16777216 {{ alias {large}; }}
  }}
}}
",
        large = large.display()
    );
    fs::write(&file, text)?;
    let (prefix, file) = (dir.display().to_string(), file.display().to_string());
    let arguments = ["-p", &prefix, "-c", &file, "-e", "stderr"];
    Rival::start_at(lab, "nginx", &arguments, &dir, H2C_UPSTREAM)
}
