//! The edge: nginx as a visitor's server, which pulls from the origin from Cloudflare's addresses.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// A CA that visitors trust, and certificates of it: for the origin and for the edge.
pub(super) const CERTIFICATES: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
    -subj "/CN=public CA of the walk" -keyout public-ca.key -out public-ca.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
for name in origin edge; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=example.com" \
        -keyout $name.key -out $name.csr
    printf '%s\n' "subjectAltName=DNS:example.com,DNS:*.example.com" \
        "extendedKeyUsage=serverAuth" > $name.ext
    openssl x509 -req -in $name.csr -CA public-ca.pem -CAkey public-ca.key -CAcreateserial \
        -days 90 -extfile $name.ext -out $name.pem
done
"#;

/// Each `listen` port is relayed to the same port of the origin. `client.conf` gets the certificate
/// that was uploaded.
const CONFIGURATION: &str = r#"
daemon off;
pid edge.pid;
error_log error.log;
events {}
http {
    access_log access.log;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
    uwsgi_temp_path tmp; scgi_temp_path tmp;
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection "";
    proxy_set_header CF-Connecting-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_connect_timeout 3s;
    map $server_addr $family { ~: v6; default v4; }
    server {
        listen 173.245.48.7:443 ssl;
        listen 173.245.48.7:8443 ssl;
        listen [2400:cb00::7]:443 ssl;
        listen [2400:cb00::7]:8443 ssl;
        server_name example.com;
        ssl_certificate edge.pem;
        ssl_certificate_key edge.key;
        proxy_ssl_server_name on;
        proxy_ssl_name example.com;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate public-ca.pem;
        proxy_ssl_session_reuse off;
        include client*.conf;
        location / {
            if ($family = v6) { rewrite ^ /v6 last; }
            proxy_bind 173.245.48.7;
            proxy_pass https://203.0.113.10:$server_port$request_uri;
        }
        location = /v6 {
            internal;
            proxy_bind 2400:cb00::7;
            proxy_pass https://[2001:db8:0:10::10]:$server_port$request_uri;
        }
    }
    server {
        listen 173.245.48.7:80;
        location / {
            proxy_bind 173.245.48.7;
            proxy_pass http://203.0.113.10;
        }
    }
}
"#;

/// Starts the edge, with `nginx` as the command that runs in its network.
pub(super) fn start(folder: &Path, mut nginx: Command) -> Result<Child> {
    fs::write(folder.join("edge.conf"), CONFIGURATION)?;
    nginx.arg("-p").arg(folder).args(["-e", "error.log", "-c", "edge.conf"]);
    let log = fs::File::create(folder.join("start.log"))?;
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    nginx.spawn().context("cannot start nginx")
}
