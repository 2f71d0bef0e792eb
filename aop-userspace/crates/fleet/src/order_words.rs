//! An order in words. Anybody who can write to etcd may have written it.

use aop_api::{ModeChange, ModeTarget, OrderedHosts, Request, duration_text};

/// A request in one line, such as `enforce port 443, confirm within 10 min 0 s or 20 pulls`.
#[must_use]
pub fn request_in_words(request: &Request) -> String {
    match request {
        Request::Mode(change) => mode_line(change),
        Request::Confirm => "confirm".to_owned(),
        Request::Open { network, seconds } => {
            format!("open from {network} for {}", duration_text(*seconds))
        }
        Request::Close { network } => format!("close {network}"),
        Request::RefreshPrefixes { .. } => "refresh the prefix list".to_owned(),
        Request::Reload => "reload".to_owned(),
        // No host obeys these.
        Request::Status
        | Request::Prefixes
        | Request::Identities
        | Request::Peers
        | Request::Strangers
        | Request::Upgrade => serde_json::to_string(request).unwrap_or_default(),
    }
}

fn mode_line(change: &ModeChange) -> String {
    let ports = change.ports.iter().map(|port| format!("port {port}"));
    let interfaces = change.interfaces.iter().map(|name| format!("interface {name}"));
    let sites = change.sites.iter().map(|name| format!("site {name}"));
    let what: Vec<_> = ports.chain(interfaces).chain(sites).collect();
    let verb = match change.to {
        ModeTarget::Observe => "observe",
        ModeTarget::Enforce => "enforce",
        ModeTarget::Default => "default",
    };
    let mut line = [verb.to_owned(), what.join(", ")].join(" ").trim_end().to_owned();
    if let Some(seconds) = change.confirm_seconds {
        line += &format!(", confirm within {}", duration_text(seconds));
    }
    if let Some(pulls) = change.confirm_pulls {
        line += &format!(" or {pulls} pulls");
    }
    line
}

/// The hosts of an order in one line, such as `web-*, ring=canary, one wave of them`.
#[must_use]
pub fn hosts_in_words(hosts: &OrderedHosts) -> String {
    let labels = hosts.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let wave = hosts.wave.map(|_| "one wave of them".to_owned());
    hosts.names.iter().cloned().chain(labels).chain(wave).collect::<Vec<_>>().join(", ")
}
