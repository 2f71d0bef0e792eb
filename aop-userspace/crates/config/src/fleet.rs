//! Many hosts on one etcd: `[fleet]`.

mod endpoint;
mod names;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use toml::Spanned;

pub use self::{
    endpoint::EtcdEndpoint,
    names::{FleetLabels, FleetName, FleetPrefix, OperatorKey},
};
use crate::{ConfigError, parse::SourceFile, toml_schema::RawFleet};

/// More endpoints than any etcd has members.
const MAX_ENDPOINTS: usize = 16;
/// More operators than one fleet has.
const MAX_OPERATORS: usize = 64;

/// The access to the etcd of a fleet, and this host's place in the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetConfig {
    /// The members of etcd, in the order of the file. Never empty.
    pub endpoints: Vec<EtcdEndpoint>,
    /// The files for mutual TLS; `None` if etcd is on this host and speaks plain HTTP.
    pub files: Option<EtcdFiles>,
    /// The place in etcd of everything that belongs to this fleet.
    pub prefix: FleetPrefix,
    /// The name of this host in the fleet; `None` means the name of the host.
    pub name: Option<FleetName>,
    /// The labels of this host.
    pub labels: FleetLabels,
    /// The operators whose orders this host obeys; if empty, it obeys nobody.
    pub operators: Vec<OperatorKey>,
}

/// The PEM files for mutual TLS with etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdFiles {
    /// The CAs that issue the certificates of etcd's members.
    pub ca: PathBuf,
    /// The certificate that etcd knows this host by, and its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

pub(crate) fn read(
    raw: Option<&Spanned<RawFleet>>,
    src: &SourceFile<'_>,
) -> Result<Option<FleetConfig>, ConfigError> {
    let Some(table) = raw else { return Ok(None) };
    let (raw, span) = (table.get_ref(), table.span());
    let endpoints = endpoints(&raw.endpoints, src)?;
    let files = match (&raw.ca, &raw.certificate, &raw.key) {
        (Some(ca), Some(certificate), Some(key)) => Some(EtcdFiles {
            ca: src.path(ca),
            certificate: src.path(certificate),
            key: src.path(key),
        }),
        (None, None, None) => None,
        (_, _, _) => {
            return Err(src.error(
                span,
                "fleet.ca, fleet.certificate and fleet.key belong together: add the missing ones",
            ));
        }
    };
    match (endpoints.iter().any(EtcdEndpoint::is_plain), &files) {
        (true, Some(_)) => Err(src.error(
            raw.endpoints.span(),
            "a certificate does not protect http://. Use https:// for every endpoint, or remove \
             fleet.ca, fleet.certificate and fleet.key",
        )),
        (false, None) => Err(src.error(
            span,
            "etcd knows this host by its certificate: add fleet.ca, fleet.certificate and \
             fleet.key",
        )),
        (true, None) | (false, Some(_)) => Ok(Some(FleetConfig {
            endpoints,
            files,
            prefix: raw.prefix.as_ref().map_or(Ok(FleetPrefix::default()), |it| src.parse(it))?,
            name: raw.name.as_ref().map(|name| src.parse(name)).transpose()?,
            labels: names::labels(raw.labels.as_ref(), src)?,
            operators: operators(raw.operators.as_ref(), src)?,
        })),
    }
}

fn endpoints(
    raw: &Spanned<Vec<Spanned<String>>>,
    src: &SourceFile<'_>,
) -> Result<Vec<EtcdEndpoint>, ConfigError> {
    let endpoints =
        raw.get_ref().iter().map(|text| src.parse(text)).collect::<Result<Vec<_>, _>>()?;
    if (1..=MAX_ENDPOINTS).contains(&endpoints.len()) {
        return Ok(endpoints);
    }
    let message = format!(
        "fleet.endpoints must name 1 to {MAX_ENDPOINTS} members of etcd, such as \
         \"https://etcd-1.example.net:2379\""
    );
    Err(src.error(raw.span(), message))
}

fn operators(
    raw: Option<&Spanned<Vec<Spanned<String>>>>,
    src: &SourceFile<'_>,
) -> Result<Vec<OperatorKey>, ConfigError> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let mut operators = Vec::new();
    for text in raw.get_ref() {
        let key = src.parse(text)?;
        if operators.contains(&key) {
            return Err(src.error(text.span(), "fleet.operators has this key twice: remove one"));
        }
        operators.push(key);
    }
    if operators.len() <= MAX_OPERATORS {
        return Ok(operators);
    }
    Err(src.error(raw.span(), format!("fleet.operators has more than {MAX_OPERATORS} keys")))
}
