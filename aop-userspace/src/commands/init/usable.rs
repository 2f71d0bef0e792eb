//! Tries the files of each proposed site. One that aop could not serve becomes a comment, so that
//! the others can be served.

use std::path::Path;

use aop_config::{ClientCa, Config, SiteConfig};
use aop_import::{ConfigProposal, KnownHost, NotTaken, ProposedSite, SiteUse};
use aop_tls::{FileRole, InspectedFile, SiteFiles, Sites, inspect};

/// The built-in CA in `client_ca`.
const GLOBAL: &str = "cloudflare-global";

pub(super) fn judge(
    proposal: &mut ConfigProposal,
    file: &Path,
    host: &KnownHost,
) -> anyhow::Result<()> {
    let files = SiteFiles::on_disk();
    let sites = Config::parse(file, &proposal.toml(host))?.live.sites;
    for (proposed, site) in proposal.sites.iter_mut().zip(&sites) {
        if is_cloudflare(site, &files) {
            proposed.client_ca = vec![GLOBAL.to_owned()];
        }
    }
    let sites = Config::parse(file, &proposal.toml(host))?.live.sites;
    for (proposed, site) in proposal.sites.iter_mut().zip(&sites) {
        if let Err(error) = Sites::build(std::slice::from_ref(site), &files) {
            proposal.not_taken.push(unusable(proposed, &error.problem.to_string()));
        }
    }
    Ok(())
}

fn unusable(site: &mut ProposedSite, why: &str) -> NotTaken {
    site.used = SiteUse::Commented(why.to_owned());
    NotTaken {
        at: Some(site.at.clone()),
        what: format!("the site {}", site.hosts.join(", ")),
        why: format!("{why}. It is a comment in the configuration"),
    }
}

/// Whether each client CA of `site` is the one that is built in: web servers need it as a file.
fn is_cloudflare(site: &SiteConfig, files: &SiteFiles) -> bool {
    let built_in = SiteConfig { client_ca: vec![ClientCa::CloudflareGlobal], ..site.clone() };
    let keys = |site: &SiteConfig| {
        let of_ca = inspect(site, files).into_iter().filter(|it| it.role == FileRole::ClientCa);
        of_ca.flat_map(keys_of).collect::<Vec<String>>()
    };
    let (own, built_in) = (keys(site), keys(&built_in));
    !own.is_empty() && own.iter().all(|key| built_in.contains(key))
}

/// The keys of the certificates in a file. A file that cannot be read has no known key.
fn keys_of(file: InspectedFile) -> Vec<String> {
    if file.error.is_some() {
        return vec![String::new()];
    }
    file.certificates.into_iter().map(|it| it.identity.spki_sha256).collect()
}
