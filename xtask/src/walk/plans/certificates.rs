//! docs/certificates.md. Cloudflare's side needs a zone: the edge outside does what it would do.

use super::{
    super::{
        peer::{Outcome::Page, Peer::Visitor},
        plan::{
            Plan,
            Step::{Expect, Fetch, Inside, Leave, Says, Type},
        },
    },
    start,
};

const API: &str = "it calls Cloudflare's API with a token of a real zone";

pub(super) const PLAN: Plan = Plan {
    document: "docs/certificates.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Leave("umask", API),
        Leave("api PATCH settings/ssl", API),
        Leave("api PATCH settings/tls_client_auth", API),
        Inside("sed -i 's|^client_ca.*|client_ca = [\"cloudflare-global\"]|' /etc/aop/aop.toml"),
        Inside("rm /etc/aop/pull-ca.pem pull*; aop reload"),
        Leave("[[site]]", "the start has this site, whose other keys the next steps need"),
        Leave("aop cloudflare status", API),
        Leave("install -m 600 /dev/null", API),
        Leave("[cloudflare]", API),
        Type("aop ca create"),
        Inside(
            "cp pull-ca.pem /etc/aop/
             sed -i 's|^client_ca.*|client_ca = [\"cloudflare-global\", \"/etc/aop/pull-ca.pem\"]|' \
             /etc/aop/aop.toml",
        ),
        Type("aop check"),
        Leave("jq -n", API),
        Fetch("/root/pull.pem"),
        Fetch("/root/pull.key"),
        start::PRESENT,
        Expect(Visitor, 443, Page),
        Type("aop identities"),
        Says("aop identities", "origin-pull.example.com"),
        Inside(
            "sed -i 's|^client_ca.*|client_ca = [\"/etc/aop/pull-ca.pem\"]\\n\
             require_san = [\"dns:origin-pull.example.com\"]|' /etc/aop/aop.toml",
        ),
        Type("aop reload"),
        Expect(Visitor, 443, Page),
        Inside("aop mode enforce --site example.com"),
        Expect(Visitor, 443, Page),
        Leave("api PUT", API),
        Leave("aop cloudflare roll", API),
        Leave("aop cloudflare roll --undo", API),
        Leave("aop cloudflare roll --site example.com --level zone", API),
        Leave("ssh web2", API),
        Leave("aop cloudflare roll --site example.com --certificate", API),
        Leave("[cloudflare]", API),
        Leave("aop cloudflare renew", API),
        Type("aop ca request"),
    ],
};
