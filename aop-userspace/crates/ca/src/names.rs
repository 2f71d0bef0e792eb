//! The names in certificates: which ones a CA may sign, and what is written for them.

use aop_config::HostPattern;
use rcgen::{DistinguishedName, DnType, SanType};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, GeneralSubtree, ParsedExtension},
};

use crate::CaError;

/// The most characters of a common name (RFC 5280, ub-common-name).
pub(crate) const MAX_COMMON_NAME: usize = 64;

/// The DNS names that a CA may sign (RFC 5280, 4.2.1.10), each with all names below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// If there is any, a name must be in one of these.
    pub permitted: Vec<String>,
    /// A name must be in none of these.
    pub excluded: Vec<String>,
}

impl NameConstraints {
    /// Those of `certificate`.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut found = Self::default();
        for extension in certificate.extensions() {
            if let ParsedExtension::NameConstraints(it) = extension.parsed_extension() {
                found.permitted.extend(it.permitted_subtrees.iter().flatten().filter_map(dns));
                found.excluded.extend(it.excluded_subtrees.iter().flatten().filter_map(dns));
            }
        }
        found
    }

    /// # Errors
    /// A host is none that the CA may sign.
    pub(crate) fn allow(&self, hosts: &[HostPattern]) -> Result<(), CaError> {
        let within = |trees: &[String], host: &str| trees.iter().any(|tree| covers(tree, host));
        for host in hosts.iter().map(ToString::to_string) {
            let permitted = self.permitted.is_empty() || within(&self.permitted, &host);
            if !permitted || within(&self.excluded, &host) {
                return Err(CaError::NotPermitted { host, may: self.to_string() });
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for NameConstraints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.permitted.is_empty(), self.excluded.is_empty()) {
            (true, true) => f.write_str("every name"),
            (true, false) => write!(f, "every name but {}", self.excluded.join(", ")),
            (false, true) => write!(f, "{} and names below", self.permitted.join(", ")),
            (false, false) => {
                let (permitted, excluded) = (self.permitted.join(", "), self.excluded.join(", "));
                write!(f, "{permitted} and names below, but not {excluded}")
            }
        }
    }
}

fn dns(subtree: &GeneralSubtree<'_>) -> Option<String> {
    let GeneralName::DNSName(name) = subtree.base else { return None };
    Some(name.to_ascii_lowercase())
}

/// Whether `tree` has `host`. Programs write a tree with a leading dot too; then it has only the
/// names below.
fn covers(tree: &str, host: &str) -> bool {
    match tree.strip_prefix('.') {
        Some(_) => host.ends_with(tree),
        None => tree.is_empty() || host == tree || host.ends_with(&format!(".{tree}")),
    }
}

/// The trees for a new CA that signs for `hosts`: a star stands for names that a tree has anyway.
pub(crate) fn trees(hosts: &[HostPattern]) -> Vec<String> {
    let mut trees: Vec<String> = Vec::new();
    for host in hosts {
        let (HostPattern::Exact(host) | HostPattern::Below(host)) = host;
        if !trees.iter().any(|tree| tree == host.as_str()) {
            trees.push(host.to_string());
        }
    }
    trees
}

/// The subject and the names of a leaf.
///
/// # Errors
/// There is no name.
pub(crate) fn leaf_names(
    hosts: &[HostPattern],
) -> Result<(DistinguishedName, Vec<SanType>), CaError> {
    let first = hosts.first().ok_or(CaError::NoHost)?.to_string();
    // OpenSSL applies name constraints to a common name that looks like a host.
    let common = if first.len() <= MAX_COMMON_NAME { &first } else { "origin pull" };
    let mut names: Vec<SanType> = Vec::new();
    for host in hosts {
        let name = SanType::DnsName(host.to_string().try_into()?);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok((subject(common), names))
}

pub(crate) fn subject(common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}
