//! Checks `[[site]]` and builds its [`SiteConfig`].

use std::{collections::HashMap, str::FromStr};

use toml::Spanned;

use crate::{
    CertificateRules, ClientCa, ClientCertForwarding, ConfigError, HostPattern, ProxyProtocol,
    Revocation, SiteConfig, http, parse::SourceFile, shared_upstream, toml_schema::RawSite,
    upstream_check,
};

/// Reads all sites. Refuses a host in two sites, and an upstream that is shared by mistake.
pub(crate) fn read(raw: &[RawSite], src: &SourceFile<'_>) -> Result<Vec<SiteConfig>, ConfigError> {
    let mut taken: HashMap<HostPattern, String> = HashMap::new();
    let sites = raw.iter().map(|raw| site(raw, &mut taken, src)).collect::<Result<Vec<_>, _>>()?;
    shared_upstream::check(&sites, raw, src)?;
    Ok(sites)
}

fn site(
    raw: &RawSite,
    taken: &mut HashMap<HostPattern, String>,
    src: &SourceFile<'_>,
) -> Result<SiteConfig, ConfigError> {
    let mut hosts = Vec::new();
    for text in raw.hosts.get_ref() {
        hosts.push((src.parse::<HostPattern>(text)?, text.span()));
    }
    let Some((first, _)) = hosts.first() else {
        return Err(src.error(raw.hosts.span(), "a site needs at least one host"));
    };
    let name = first.to_string();
    for (host, span) in &hosts {
        if let Some(other) = taken.insert(host.clone(), name.clone()) {
            let message = format!("host {host} is already served by site {other}; name it once");
            return Err(src.error(span.clone(), message));
        }
    }
    let client_ca: Vec<ClientCa> = raw
        .client_ca
        .get_ref()
        .iter()
        .map(|text| match text.get_ref().as_str() {
            "cloudflare-global" => ClientCa::CloudflareGlobal,
            path => ClientCa::File(src.path(path)),
        })
        .collect();
    if client_ca.is_empty() {
        let message = "client_ca is empty: no peer could authenticate. \
                       Name a PEM file, or \"cloudflare-global\"";
        return Err(src.error(raw.client_ca.span(), message));
    }
    let proxy = proxy(raw, src)?;
    let upstream = http::upstream(raw, proxy, src)?;
    Ok(SiteConfig {
        name,
        hosts: hosts.into_iter().map(|(host, _)| host).collect(),
        certificate: src.path(&raw.certificate),
        key: src.path(&raw.key),
        client_ca,
        rules: rules(raw, src)?,
        on_refusal: http::on_refusal(raw, &upstream, src)?,
        shared_upstream: raw.shared_upstream,
        check: upstream_check::read(raw.upstream_check.as_ref(), &upstream, src)?,
        upstream,
        proxy,
    })
}

fn proxy(raw: &RawSite, src: &SourceFile<'_>) -> Result<ProxyProtocol, ConfigError> {
    let proxy = raw.proxy.as_ref().map_or(Ok(ProxyProtocol::Off), |text| src.parse(text))?;
    match (proxy, &raw.proxy_certificate) {
        (ProxyProtocol::V2(_), Some(show)) if *show.get_ref() => {
            Ok(ProxyProtocol::V2(ClientCertForwarding::Shown))
        }
        (ProxyProtocol::V2(_), _) | (_, None) => Ok(proxy),
        (ProxyProtocol::Off | ProxyProtocol::V1, Some(show)) => {
            let message = "proxy_certificate needs PROXY headers of version 2: write \
                           proxy = \"v2\", or remove it";
            Err(src.error(show.span(), message))
        }
    }
}

fn rules(raw: &RawSite, src: &SourceFile<'_>) -> Result<CertificateRules, ConfigError> {
    let files = match &raw.crl {
        None => Vec::new(),
        Some(files) if files.get_ref().is_empty() => {
            return Err(empty_error(files, "crl", src));
        }
        Some(files) => files.get_ref().iter().map(|file| src.path(file)).collect(),
    };
    for (key, value) in [("crl_scope", &raw.crl_scope), ("crl_expired", &raw.crl_expired)] {
        if let (true, Some(value)) = (files.is_empty(), value) {
            let message = format!("{key} has no effect: crl names none. Name a list, or remove it");
            return Err(src.error(value.span(), message));
        }
    }
    let cn = match &raw.require_cn {
        Some(name) if name.get_ref().is_empty() => {
            return Err(empty_error(name, "require_cn", src));
        }
        name => name.as_ref().map(|name| name.get_ref().clone()),
    };
    Ok(CertificateRules {
        san: list(raw.require_san.as_ref(), "require_san", src)?,
        cn,
        pins: list(raw.spki_pins.as_ref(), "spki_pins", src)?,
        key: raw.require_key.as_ref().map(|text| src.parse(text)).transpose()?,
        revocation: Revocation {
            files,
            scope: value_or_default(raw.crl_scope.as_ref(), src)?,
            expired: value_or_default(raw.crl_expired.as_ref(), src)?,
        },
        expired_ca: value_or_default(raw.expired_ca.as_ref(), src)?,
        resumption: value_or_default(raw.resumption.as_ref(), src)?,
    })
}

/// An empty rule is refused: one operator would read it as "anybody", the next one as "nobody".
fn list<T: FromStr<Err = String>>(
    raw: Option<&Spanned<Vec<Spanned<String>>>>,
    key: &str,
    src: &SourceFile<'_>,
) -> Result<Vec<T>, ConfigError> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) if raw.get_ref().is_empty() => Err(empty_error(raw, key, src)),
        Some(raw) => raw.get_ref().iter().map(|text| src.parse(text)).collect(),
    }
}

fn empty_error<T>(raw: &Spanned<T>, key: &str, src: &SourceFile<'_>) -> ConfigError {
    src.error(raw.span(), format!("{key} is empty: fill it, or remove it to require nothing"))
}

fn value_or_default<T: FromStr<Err = String> + Default>(
    raw: Option<&Spanned<String>>,
    src: &SourceFile<'_>,
) -> Result<T, ConfigError> {
    raw.map_or(Ok(T::default()), |text| src.parse(text))
}
