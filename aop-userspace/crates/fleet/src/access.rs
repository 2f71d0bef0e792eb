//! The access to etcd as the process without privilege gets it: the process may not read files, so
//! the parent reads them and hands over their contents.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use aop_config::{EtcdEndpoint, EtcdFiles, FleetConfig, FleetPrefix};
use aop_tls::{FileError, FileExpiry, MutualClient, SiteFiles};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The protocol of gRPC in TLS (RFC 7301).
const ALPN_HTTP2: &[u8] = b"h2";

/// The settings of a connection to etcd, with the contents of its files, which were checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetAccess {
    endpoints: Vec<String>,
    prefix: String,
    tls: Option<HandedFiles>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HandedFiles {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    /// In base64, by path.
    contents: BTreeMap<PathBuf, Zeroizing<String>>,
}

impl std::fmt::Debug for HandedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandedFiles").field("key", &self.key).finish_non_exhaustive()
    }
}

impl FleetAccess {
    /// Reads and checks the files that `config` names.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn read(config: &FleetConfig) -> Result<Self, FileError> {
        let tls = config.files.as_ref().map(HandedFiles::read).transpose()?;
        Ok(Self {
            endpoints: config.endpoints.iter().map(ToString::to_string).collect(),
            prefix: config.prefix.to_string(),
            tls,
        })
    }

    /// The certificates that were read, with their ends; none without TLS.
    #[must_use]
    pub fn expiries(&self) -> Vec<FileExpiry> {
        let expiries = |files: &HandedFiles| {
            let contents = files.contents().ok()?;
            MutualClient::expiries(&files.ca, &files.certificate, &contents).ok()
        };
        // The files were checked when they were read.
        self.tls.as_ref().and_then(expiries).unwrap_or_default()
    }

    /// The endpoints, the place of the fleet, and the settings of TLS; in the process.
    pub(crate) fn open(
        &self,
    ) -> Result<(Vec<EtcdEndpoint>, FleetPrefix, Option<MutualClient>), String> {
        let endpoints = self.endpoints.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let tls = self.tls.as_ref().map(HandedFiles::client).transpose()?;
        Ok((endpoints, self.prefix.parse()?, tls))
    }
}

impl HandedFiles {
    fn read(files: &EtcdFiles) -> Result<Self, FileError> {
        let EtcdFiles { ca, certificate, key } = files;
        let disk = SiteFiles::on_disk();
        MutualClient::new(ca, certificate, key, &disk, ALPN_HTTP2)?;
        let held = disk.into_held().into_iter();
        let contents = held.map(|(path, bytes)| (path, Zeroizing::new(BASE64.encode(&bytes))));
        Ok(Self {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
            contents: contents.collect(),
        })
    }

    fn contents(&self) -> Result<SiteFiles, String> {
        let bytes = |(path, text): (&PathBuf, &Zeroizing<String>)| {
            let bytes = BASE64.decode(text.as_bytes()).map_err(|error| error.to_string())?;
            Ok::<_, String>((path.clone(), Arc::from(bytes)))
        };
        let files = self.contents.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        Ok(SiteFiles::handed_over(files))
    }

    fn client(&self) -> Result<MutualClient, String> {
        let files = self.contents()?;
        MutualClient::new(&self.ca, &self.certificate, &self.key, &files, ALPN_HTTP2)
            .map_err(|error| error.to_string())
    }
}
