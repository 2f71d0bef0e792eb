//! The crate graph: the direction of dependencies, and the crates that alone may use a library.
//!
//! Cargo refuses a cycle. This check refuses a dependency that Cargo would accept and that
//! ARCHITECTURE.md does not have. Dependencies of tests are free.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;

/// The crates of the product, leaf first. Each may depend on crates above it, and on no other.
const ORDER: [&str; 24] = [
    "aop-common",
    "aop-packets",
    "aop-http",
    "aop-types",
    "aop-api",
    "aop-storage",
    "aop-listeners",
    "aop-config",
    "aop-https",
    "aop-import",
    "aop-sandbox",
    "aop-tls",
    "aop-ca",
    "aop-firewall",
    "aop-prefixes",
    "aop-cloudflare",
    "aop-fleet",
    "aop-monitor",
    "aop-terminator",
    "aop-terminator-process",
    "aop-control",
    "aop-daemon",
    "aop-diagnose",
    "aop-userspace",
];

/// Pairs of crates that know nothing of each other, though the order would allow it.
const STRANGERS: [(&str, &str); 5] = [
    ("aop-terminator", "aop-firewall"),
    ("aop-daemon", "aop-terminator"),
    ("aop-daemon", "aop-terminator-process"),
    ("aop-diagnose", "aop-daemon"),
    ("aop-prefixes", "aop-tls"),
];

/// Libraries that only these crates of the product use.
const KNOWN_BY: [(&str, &[&str]); 14] = [
    ("aya", &["aop-common", "aop-firewall"]),
    ("netlink-sys", &["aop-firewall"]),
    ("rustls", &["aop-tls"]),
    ("tokio-rustls", &["aop-tls"]),
    ("rustls-webpki", &["aop-tls"]),
    ("rcgen", &["aop-ca", "aop-tls"]),
    ("pkcs8", &["aop-ca"]),
    ("toml", &["aop-config"]),
    ("ureq", &["aop-https"]),
    ("tonic", &["aop-fleet"]),
    ("seccompiler", &["aop-sandbox"]),
    ("landlock", &["aop-sandbox"]),
    ("clap", &["aop-userspace"]),
    ("ratatui", &["aop-userspace"]),
];

pub(crate) fn check() -> Result<()> {
    let mut cargo = command::cargo("metadata");
    let text = command::output(cargo.args(["--no-deps", "--format-version", "1"]))?;
    let metadata = serde_json::from_str(&text).context("cannot read cargo's metadata")?;
    let complaints = complaints(&dependencies(&metadata));
    if complaints.is_empty() { Ok(()) } else { bail!("{}", complaints.join("\n")) }
}

/// A package of the workspace depends on a package, outside its tests.
struct Dependency {
    from: String,
    to: String,
}

fn dependencies(metadata: &Value) -> Vec<Dependency> {
    let mut found = Vec::new();
    for package in items(metadata, "packages") {
        let Some(from) = text(package, "name") else { continue };
        for dependency in items(package, "dependencies") {
            let of_tests = text(dependency, "kind") == Some("dev");
            if let (Some(to), false) = (text(dependency, "name"), of_tests) {
                found.push(Dependency { from: from.to_owned(), to: to.to_owned() });
            }
        }
    }
    found
}

fn complaints(dependencies: &[Dependency]) -> Vec<String> {
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    let mut complaints = Vec::new();
    for Dependency { from, to } in dependencies {
        let Some(below) = rank(from) else {
            // aop-ebpf, the tests and xtask are no rooms of this house; a new crate must be one.
            if from.starts_with("aop-") && !["aop-ebpf", "aop-tests"].contains(&from.as_str()) {
                complaints.push(format!("{from} has no place in ORDER of xtask/src/ci/graph.rs"));
            }
            continue;
        };
        if rank(to).is_some_and(|above| above >= below) {
            complaints.push(format!("{from} depends on {to}, which is not above it"));
        }
        let strangers = [(from.as_str(), to.as_str()), (to.as_str(), from.as_str())];
        if strangers.iter().any(|pair| STRANGERS.contains(pair)) {
            complaints.push(format!("{from} depends on {to}; the two know nothing of each other"));
        }
        let known_by = KNOWN_BY.iter().find(|(library, _)| library == to);
        if let Some((library, crates)) = known_by
            && !crates.contains(&from.as_str())
        {
            complaints.push(format!("{from} uses {library}, which only {} may", crates.join(", ")));
        }
    }
    complaints.dedup();
    complaints
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_workspace_keeps_its_graph() {
        check().unwrap();
    }

    fn complaints_about(from: &str, to: &str, kind: Value) -> usize {
        let dependency = json!({"name": to, "kind": kind});
        let metadata = json!({"packages": [{"name": from, "dependencies": [dependency]}]});
        complaints(&dependencies(&metadata)).len()
    }

    #[test]
    fn a_dependency_on_a_crate_above_is_allowed() {
        assert_eq!(complaints_about("aop-config", "aop-types", Value::Null), 0);
    }

    #[test]
    fn a_dependency_on_a_crate_below_is_refused_except_in_tests() {
        assert_eq!(complaints_about("aop-types", "aop-config", Value::Null), 1);
        assert_eq!(complaints_about("aop-types", "aop-config", json!("dev")), 0);
    }

    #[test]
    fn crates_that_must_not_know_each_other_are_refused() {
        assert_eq!(complaints_about("aop-daemon", "aop-terminator", Value::Null), 1);
    }

    #[test]
    fn a_library_is_refused_outside_its_crate() {
        assert_eq!(complaints_about("aop-daemon", "rustls", Value::Null), 1);
        assert_eq!(complaints_about("aop-tls", "rustls", Value::Null), 0);
    }

    #[test]
    fn a_crate_without_a_place_is_refused() {
        assert_eq!(complaints_about("aop-new", "serde", Value::Null), 1);
    }
}
