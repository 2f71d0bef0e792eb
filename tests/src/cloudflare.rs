//! Cloudflare's published prefixes, for the lists that tests write.
//!
//! As published at cloudflare.com/ips, unchanged from 2024-01 to 2026-08.

/// All 15 IPv4 and 7 IPv6 prefixes.
pub const PREFIXES: [&str; 22] = [
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "2400:cb00::/32",
    "2405:8100::/32",
    "2405:b500::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The two prefixes that contain the addresses of a lab's edge.
pub const EDGE_PREFIXES: [&str; 2] = ["173.245.48.0/20", "2400:cb00::/32"];

/// The whole list as the text of a file.
#[must_use]
pub fn list() -> String {
    PREFIXES.map(|prefix| format!("{prefix}\n")).concat()
}

/// The list without the prefixes of the edge.
#[must_use]
pub fn list_without_edge() -> String {
    let kept = PREFIXES.into_iter().filter(|prefix| !EDGE_PREFIXES.contains(prefix));
    kept.map(|prefix| format!("{prefix}\n")).collect()
}

/// The list as the API returns it, without `removed` and with `added`.
#[must_use]
pub fn api(removed: &[&str], added: &[&str], etag: &str) -> String {
    let kept = PREFIXES.iter().filter(|prefix| !removed.contains(prefix));
    let all: Vec<&str> = kept.chain(added).copied().collect();
    let (v6, v4): (Vec<&str>, Vec<&str>) = all.iter().partition(|prefix| prefix.contains(':'));
    format!(
        "{{\"result\":{{\"ipv4_cidrs\":{v4:?},\"ipv6_cidrs\":{v6:?},\"etag\":{etag:?}}},\
          \"success\":true,\"errors\":[],\"messages\":[]}}"
    )
}
