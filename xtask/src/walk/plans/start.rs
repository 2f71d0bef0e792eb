//! The states in which the readers of the documents start.

use super::super::{
    peer::{Outcome::Page, Peer::Visitor},
    plan::Step::{self, Expect, Fetch, Give, Inside, Outside, Says},
};

/// The names of a proxied site belong to the edge.
const NAMES: &str = "echo '173.245.48.7 example.com
2400:cb00::7 example.com' >> /etc/hosts
update-ca-certificates >/dev/null";

/// nginx serves the site on 443, as before aop.
const NGINX: &str = r#"
cat > /etc/nginx/sites-available/example.com <<'EOF'
server {
    listen 80;
    listen [::]:80;
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name example.com;
    ssl_certificate /etc/ssl/example.com.pem;
    ssl_certificate_key /etc/ssl/private/example.com.key;
    location / { return 200 "hello\n"; }
}
EOF
rm /etc/nginx/sites-enabled/default
ln -s /etc/nginx/sites-available/example.com /etc/nginx/sites-enabled/
systemctl enable --quiet --now nginx
"#;

/// The list as Cloudflare publishes it. A machine with a way out fetches it at once; this one has
/// none, so it gets the file that such a fetch leaves.
const LIST: &str = r#"
mkdir --mode=700 /var/lib/aop
v4='103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 104.16.0.0/13 104.24.0.0/14 108.162.192.0/18
131.0.72.0/22 141.101.64.0/18 162.158.0.0/15 172.64.0.0/13 173.245.48.0/20 188.114.96.0/20
190.93.240.0/20 197.234.240.0/22 198.41.128.0/17'
v6='2400:cb00::/32 2405:8100::/32 2405:b500::/32 2606:4700::/32 2803:f800::/32 2a06:98c0::/29
2c0f:f248::/32'
echo $v4 $v6 | tr ' ' '\n' | jq --raw-input --null-input \
    '{url: "https://api.cloudflare.com/client/v4/ips", confirmed: (now | todate), etag: null,
      prefixes: [inputs]}' > /var/lib/aop/prefixes.json
"#;

/// Says how long the installation took.
pub(in super::super) const INSTALLATION: &str = "/root/installation";

/// Measures from the beginning of the installation until aop observes.
const INSTALL: &str = r#"
begun=$(date +%s%N)
apt-get install --yes ./target/release/dist/aop_*_amd64.deb >install.log 2>&1 || { cat install.log; exit 1; }
until aop status >status 2>&1 && grep -q 'attached, observing' status; do
    if [ $(date +%s%N) -gt $(( begun + 60000000000 )) ]; then cat install.log status; exit 1; fi
    sleep 0.05
done
echo "from apt install to observing: $(( ($(date +%s%N) - begun) / 1000000 )) ms" > installation
"#;

/// Beside nginx on port 443, just installed.
pub(super) const INSTALLED: &[Step] = &[
    Give("public-ca.pem", "/usr/local/share/ca-certificates/public.crt"),
    Give("origin.pem", "/etc/ssl/example.com.pem"),
    Give("origin.key", "/etc/ssl/private/example.com.key"),
    Inside(NAMES),
    Inside(NGINX),
    Expect(Visitor, 443, Page),
    Inside(LIST),
    Inside(INSTALL),
    Expect(Visitor, 443, Page),
];

/// The edge presents the certificate `pull.pem`, as after an upload.
pub(super) const PRESENT: Step = Outside(
    "printf '%s\\n' 'proxy_ssl_certificate pull.pem;' 'proxy_ssl_certificate_key pull.key;' \
     > client.conf; kill -HUP $(cat edge.pid); sleep 0.5",
);

/// A certificate of one's own for the edge, as certificates.md makes it.
const PULL: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -subj "/CN=example.com origin pull CA" -keyout pull-ca.key -out /etc/aop/pull-ca.pem \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj "/CN=origin-pull.example.com" -keyout pull.key -out pull.csr
printf '%s\n' "basicConstraints=critical,CA:FALSE" "extendedKeyUsage=clientAuth" \
    "subjectAltName=DNS:origin-pull.example.com" > pull.ext
openssl x509 -req -in pull.csr -CA /etc/aop/pull-ca.pem -CAkey pull-ca.key -days 365 \
    -CAcreateserial -extfile pull.ext -out pull.pem
"#;

/// nginx on the loopback, and aop on 443.
const BOTH_LOCKS: &str = r#"
cp /etc/ssl/example.com.pem /etc/ssl/private/example.com.key /etc/aop/
cat > /etc/nginx/sites-available/example.com <<'EOF'
server {
    listen 80;
    listen [::]:80;
    server_name example.com;
    return 301 https://$host$request_uri;
}
server {
    listen 127.0.0.1:8080;
    server_name example.com;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    location / { return 200 "hello\n"; }
}
EOF
cat > /etc/aop/aop.toml <<'EOF'
[firewall]
mode       = "observe"
interfaces = ["eth0"]
extra      = ["192.0.2.10/32", "2001:db8::10/128"]

[[listener]]
bind = ["0.0.0.0:443", "[::]:443", "0.0.0.0:8443", "[::]:8443"]

[[site]]
hosts       = ["example.com", "*.example.com"]
certificate = "/etc/aop/example.com.pem"
key         = "/etc/aop/example.com.key"
client_ca   = ["/etc/aop/pull-ca.pem"]
upstream    = "http://127.0.0.1:8080"
on_refusal  = "observe"
EOF
systemctl reload nginx
systemctl restart aop
"#;

/// Both locks observe. The edge presents its certificate, and has pulled with it.
pub(super) const OBSERVING: &[Step] = &[
    Give("public-ca.pem", "/usr/local/share/ca-certificates/public.crt"),
    Give("origin.pem", "/etc/ssl/example.com.pem"),
    Give("origin.key", "/etc/ssl/private/example.com.key"),
    Inside(NAMES),
    Inside(NGINX),
    Inside(LIST),
    Inside(INSTALL),
    Inside(PULL),
    Inside(BOTH_LOCKS),
    Fetch("/root/pull.pem"),
    Fetch("/root/pull.key"),
    PRESENT,
    Expect(Visitor, 443, Page),
    Says("aop identities", "origin-pull.example.com"),
];

/// An ACME server, which asks the names of the site over port 80 as a public one does.
pub(super) const ACME: Step = Inside(
    r#"
echo '127.0.0.1 acme.test' >> /etc/hosts
cat > /etc/acme.caddy <<'EOF'
{
    admin localhost:2020
    skip_install_trust
    http_port 9001
    https_port 9000
    auto_https disable_redirects
}
acme.test:9000 {
    tls internal
    acme_server
}
EOF
systemd-run --quiet --unit=acme --setenv=XDG_DATA_HOME=/var/lib/acme \
    --setenv=XDG_CONFIG_HOME=/var/lib/acme \
    caddy run --adapter caddyfile --config /etc/acme.caddy
for try in $(seq 100); do
    curl --silent --insecure --output /dev/null https://acme.test:9000/acme/local/directory && break
    sleep 0.3
done
install -m 644 /var/lib/acme/caddy/pki/authorities/local/root.crt /etc/acme-root.crt
mkdir -p /etc/letsencrypt
printf '%s\n' 'server = https://acme.test:9000/acme/local/directory' 'no-verify-ssl = true' \
    'agree-tos = true' 'register-unsafely-without-email = true' 'non-interactive = true' \
    >> /etc/letsencrypt/cli.ini
"#,
);

/// The edge trusts the CA of the ACME server too.
pub(super) const TRUST_ACME: Step =
    Outside("cat acme-root.crt >> public-ca.pem; kill -HUP $(cat edge.pid); sleep 0.5");

/// Caddy serves the site on 443, with a certificate that it got by itself.
const CADDY: &str = r#"
cat > /etc/caddy/Caddyfile <<'EOF'
{
    acme_ca https://acme.test:9000/acme/local/directory
    acme_ca_root /etc/acme-root.crt
}
:3000 {
    bind 127.0.0.1
    respond "hello"
}
example.com {
    tls {
        issuer acme {
            disable_tlsalpn_challenge
        }
    }
    reverse_proxy 127.0.0.1:3000
}
EOF
systemctl enable --quiet --now caddy
for try in $(seq 100); do
    ls /var/lib/caddy/.local/share/caddy/certificates/*/example.com/*.crt 2>/dev/null && exit
    sleep 0.5
done
journalctl -u caddy --lines=20 --output=cat
exit 1
"#;

/// Caddy loses its certificate, and gets another one. aop must load it.
pub(super) const RENEW_BY_CADDY: &str = r#"
folder=$(echo /var/lib/caddy/.local/share/caddy/certificates/*/example.com)
rm $folder/example.com.*
systemctl restart caddy
for try in $(seq 100); do
    [ -f $folder/example.com.json ] && break
    sleep 0.5
done
cp $folder/example.com.crt renewed.crt || { journalctl -u caddy --lines=20 --output=cat; exit 1; }
"#;

/// Compares what aop presents with `renewed.crt`.
pub(super) const PRESENTED: Step = Outside(
    r#"
want=$(openssl x509 -in renewed.crt -noout -fingerprint)
for try in $(seq 30); do
    has=$(openssl s_client -connect 203.0.113.10:443 -bind 173.245.48.7 -servername example.com \
        </dev/null 2>/dev/null | openssl x509 -noout -fingerprint || true)
    [ "$has" = "$want" ] && exit
    sleep 0.5
done
echo "aop presents $has, and the file has $want"
exit 1
"#,
);

/// Beside Caddy on port 443, just installed.
pub(super) const BESIDE_CADDY: &[Step] = &[
    Give("public-ca.pem", "/usr/local/share/ca-certificates/public.crt"),
    Inside(NAMES),
    ACME,
    Fetch("/etc/acme-root.crt"),
    TRUST_ACME,
    Inside(CADDY),
    Expect(Visitor, 443, Page),
    Inside(LIST),
    Inside(INSTALL),
    Expect(Visitor, 443, Page),
];
