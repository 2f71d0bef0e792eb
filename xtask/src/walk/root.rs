//! The programs of the machines: those that the documents name.

use crate::booted::Recipe;

/// Services that would start at boot rest: a walk starts them itself, where its document says so.
pub(super) const RECIPE: Recipe = Recipe {
    name: "walk",
    programs: "nginx curl openssl jq nftables ufw fail2ban python3-systemd caddy certbot \
               python3-certbot-nginx tcpdump xdp-tools man-db",
    resting: &[
        "nginx.service",
        "caddy.service",
        "fail2ban.service",
        "certbot.timer",
        "ufw.service",
    ],
};
