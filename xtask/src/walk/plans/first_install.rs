//! docs/first-install.md, beside nginx and beside Caddy.

use super::{
    super::{
        peer::{
            Outcome::{Page, Silence},
            Peer::{Monitor, Stranger, Visitor},
        },
        plan::{
            Plan,
            Step::{Append, Expect, Fetch, Inside, Leave, Says, Type, Write},
        },
    },
    start,
};

const FILE: &str = "/etc/aop/aop.toml";

/// "Then cut over, steps 4 to 6."
const FIRST_LOCK: &str = "aop mode enforce --confirm 5m && aop confirm";

/// "Change `bind` to 443 and remove `firewall.ports`."
const MOVE_AOP: &str = "sed -i 's/8443/443/g; /^ports/d' /etc/aop/aop.toml";

pub(super) const NGINX: Plan = Plan {
    document: "docs/first-install.md",
    variant: " beside nginx",
    start: start::INSTALLED,
    steps: &[
        Type("aop init --from-nginx"),
        Inside("aop check --files --config /etc/aop/aop.toml.new"),
        Write("[firewall]", FILE),
        Type("aop check"),
        Expect(Stranger, 443, Page),
        Says("aop status", "would_drop"),
        Inside(FIRST_LOCK),
        Expect(Stranger, 443, Silence),
        Expect(Monitor, 443, Page),
        Expect(Visitor, 443, Page),
        Write("server {", "/etc/nginx/sites-available/loopback"),
        // "The rest as in the server block for 443."
        Inside(
            "sed -i 's|# the rest.*|location / { return 200 \"hello\\n\"; }|' \
             /etc/nginx/sites-available/loopback
             ln -s ../sites-available/loopback /etc/nginx/sites-enabled/
             nginx -t && systemctl reload nginx",
        ),
        Leave("http://example.com:8080", "this machine has nginx"),
        Write("[firewall]", FILE),
        // "Name the files that the web server uses."
        Inside(
            "sed -i 's|/etc/aop/example.com.pem|/etc/ssl/example.com.pem|
                     s|/etc/aop/example.com.key|/etc/ssl/private/example.com.key|' \
             /etc/aop/aop.toml",
        ),
        Type("aop check"),
        Leave("http://example.com {", "this machine has nginx"),
        Inside("sed -i '/listen.*443/d; /ssl_/d' /etc/nginx/sites-available/example.com"),
        Inside(MOVE_AOP),
        Type("systemctl reload nginx"),
        Expect(Visitor, 443, Page),
        Expect(Stranger, 443, Silence),
        Inside("aop check"),
        // nginx logs the visitor, not the edge.
        Inside("grep -q ^198.18.0.80 /var/log/nginx/access.log"),
    ],
};

pub(super) const CADDY: Plan = Plan {
    document: "docs/first-install.md",
    variant: " beside Caddy",
    start: start::BESIDE_CADDY,
    steps: &[
        Leave("aop init --from-nginx", "this machine has Caddy"),
        Write("[firewall]", FILE),
        Type("aop check"),
        Expect(Stranger, 443, Page),
        Inside(FIRST_LOCK),
        Expect(Stranger, 443, Silence),
        Expect(Visitor, 443, Page),
        Leave("server {", "this machine has Caddy"),
        Append("http://example.com:8080", "/etc/caddy/Caddyfile"),
        Inside("systemctl reload caddy"),
        Write("[firewall]", FILE),
        // Only the test's CA makes the folder another one.
        Inside(
            "sed -i 's|/etc/aop/example.com.pem|/var/lib/caddy/.local/share/caddy/certificates/acme.test-9000-acme-local-directory/example.com/example.com.crt|
                     s|/etc/aop/example.com.key|/var/lib/caddy/.local/share/caddy/certificates/acme.test-9000-acme-local-directory/example.com/example.com.key|
                     s|, \"\\*.example.com\"||' /etc/aop/aop.toml",
        ),
        Type("aop check"),
        // "Replace the block for example.com", the first one of the file.
        Inside("sed -i '/^example.com {/,/^}/d' /etc/caddy/Caddyfile"),
        Append("http://example.com {", "/etc/caddy/Caddyfile"),
        Inside(MOVE_AOP),
        Leave("systemctl reload nginx", "the text names another line for Caddy: the next step"),
        Inside("systemctl reload caddy && systemctl restart aop"),
        Expect(Visitor, 443, Page),
        Expect(Stranger, 443, Silence),
        // Caddy makes its certificate anew, and aop presents it.
        Inside(start::RENEW_BY_CADDY),
        Fetch("/root/renewed.crt"),
        start::PRESENTED,
        Expect(Visitor, 443, Page),
    ],
};
