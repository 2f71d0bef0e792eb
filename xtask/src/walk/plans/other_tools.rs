//! docs/other-tools.md

use super::{
    super::{
        peer::{
            Outcome::{Page, Silence},
            Peer::{Stranger, Visitor},
        },
        plan::{
            Plan,
            Step::{self, Expect, Fetch, Inside, Outside, Says, Type, Write},
        },
    },
    start,
};

/// The edge gets no answer from the machine.
const CLOSED: Step = Outside(
    "! curl --silent --connect-timeout 2 --interface 173.245.48.7 telnet://203.0.113.10:443 \
     </dev/null",
);

/// A chain that drops everything but the loopback and answers.
const NFTABLES: &str = r#"
sed -i 's/hook input priority filter;/hook input priority filter; policy drop;\n\
    ct state established,related accept; iif lo accept; meta l4proto ipv6-icmp accept;/' \
    /etc/nftables.conf
nft --file /etc/nftables.conf
"#;

/// Watches while a stranger is dropped.
const WATCH: &str = "
aop mode enforce
systemd-run --quiet --unit=sniff tcpdump -n -i eth0 --immediate-mode -U -w /root/eth0.pcap tcp
systemd-run --quiet --unit=drops sh -c 'aop drops --for 20s > /root/drops'
sleep 2";

const SEEN: &str = "
systemctl stop sniff
tcpdump -n -r eth0.pcap 2>/dev/null > packets
grep -q 173.245.48.7 packets
! grep -E '198.51.100.66|2001:db8:bad::66' packets
grep -q 198.51.100.66 drops && grep -q 2001:db8:bad::66 drops";

/// certbot puts `listen 443` back; nginx hides that until its restart.
const CERTBOT_NGINX: &str = "
cp /etc/nginx/sites-available/example.com before
certbot --nginx -d example.com --keep
grep -q 'listen 443 ssl' /etc/nginx/sites-available/example.com
systemctl reload nginx
sleep 1
grep -q 'bind() to .*443 failed' /var/log/nginx/error.log
cp before /etc/nginx/sites-available/example.com";

/// `aop init` finds the files of certbot. Out of its comments, the proposal is a good one.
const PROPOSAL: &str = r#"
aop init --output proposed.toml | grep 'certbot has 1 certificate'
grep -q '^#certificate = "/etc/letsencrypt/live/example.com/fullchain.pem"' proposed.toml
sed -i '/^#\[\[listener/,$ s/^#//' proposed.toml
aop check --files --config proposed.toml"#;

/// aop serves the files of certbot, and gets the renewed ones by itself.
const RENEWAL: &str = "
sed -i 's|/etc/aop/example.com.pem|/etc/letsencrypt/live/example.com/fullchain.pem|
        s|/etc/aop/example.com.key|/etc/letsencrypt/live/example.com/privkey.pem|' \
    /etc/aop/aop.toml
aop check && aop reload
certbot renew --force-renewal --no-random-sleep-on-renew
! grep -rn 'listen.*443' /etc/nginx/sites-enabled
cp /etc/letsencrypt/live/example.com/cert.pem /root/renewed.crt";

/// A scanner, behind the edge.
const SCAN: Step = Outside(
    "for try in 1 2 3 4 5 6; do
         curl --silent --output /dev/null --cacert public-ca.pem --interface 198.18.0.80 \
             --resolve example.com:443:173.245.48.7 https://example.com/phpmyadmin/
     done",
);

/// The visitor who scanned is banned, in nginx; another one behind the same edge is not.
const BANNED: Step = Outside(
    "code() { curl --silent --output /dev/null --write-out '%{http_code}' --cacert public-ca.pem \
                  --interface $1 --resolve example.com:443:173.245.48.7 https://example.com/; }
     for try in $(seq 40); do [ $(code 198.18.0.80) = 403 ] && break; sleep 0.5; done
     [ $(code 198.18.0.80) = 403 ] && [ $(code 192.0.2.10) = 200 ]",
);

pub(super) const PLAN: Plan = Plan {
    document: "docs/other-tools.md",
    variant: "",
    start: start::OBSERVING,
    steps: &[
        Inside("ufw --force enable"),
        CLOSED,
        Says("aop doctor || true", "ufw allow 443/tcp"),
        Type("ufw allow"),
        Expect(Visitor, 443, Page),
        Inside("ufw --force disable"),
        Inside(NFTABLES),
        CLOSED,
        Type("nft insert"),
        Expect(Visitor, 443, Page),
        Inside("nft flush ruleset"),
        Inside(WATCH),
        Expect(Stranger, 443, Silence),
        Expect(Visitor, 443, Page),
        Type("aop drops"),
        Says("cat drops", "198.51.100.66"),
        Inside(SEEN),
        start::ACME,
        Fetch("/etc/acme-root.crt"),
        start::TRUST_ACME,
        Type("certbot certonly"),
        Inside(PROPOSAL),
        Inside(RENEWAL),
        Fetch("/root/renewed.crt"),
        start::PRESENTED,
        Expect(Visitor, 443, Page),
        Inside(CERTBOT_NGINX),
        Type("grep"),
        Inside("systemctl restart nginx"),
        Expect(Visitor, 443, Page),
        Write("map", "/etc/nginx/conf.d/banned.conf"),
        Inside(
            "sed -i 's|location / .*|if ($banned) { return 403; }\\n\
             location /phpmyadmin { return 404; }\\n\
             location / { return 200 hello; }|' /etc/nginx/sites-available/example.com
             printf '[sshd]\\nenabled = false\\n' > /etc/fail2ban/jail.d/no-sshd.local",
        ),
        Write("[nginx-botsearch]", "/etc/fail2ban/jail.d/site.local"),
        Type("touch"),
        Inside("sleep 3"),
        SCAN,
        BANNED,
    ],
};
