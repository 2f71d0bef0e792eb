//! The certificates of a fleet: those of etcd's members, and of the hosts and operators that etcd
//! knows by their common names.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{CertificateParams, SanType};

use super::Credentials;
use super::authority::{self, CertificateAuthority, Usage};

/// The CA of a fleet: the name of its files, and its subject.
const FLEET_CA: (&str, &str) = ("fleet-ca", "Example Fleet CA");

/// The PKI of a fleet.
#[derive(Debug)]
pub struct FleetPki {
    dir: PathBuf,
    /// The certificate of the CA.
    pub ca: PathBuf,
    /// The certificate of all members of etcd.
    pub member: Credentials,
}

impl FleetPki {
    /// Creates it in `dir`, for members at these addresses.
    pub(crate) fn write(dir: &Path, members: &[IpAddr]) -> Result<Self> {
        let ca = CertificateAuthority::new(dir, FLEET_CA.0, FLEET_CA.1)?;
        let mut params: CertificateParams = authority::leaf("etcd", &[], Usage::Server)?;
        params.subject_alt_names = members.iter().copied().map(SanType::IpAddress).collect();
        let member = ca.issue("etcd-member", params)?;
        Ok(Self { dir: dir.to_owned(), ca: ca.certificate, member })
    }

    /// A certificate for the user `name` of etcd.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn user(&self, name: &str) -> Result<Credentials> {
        let ca = CertificateAuthority::reopen(&self.dir, FLEET_CA.0, FLEET_CA.1)?;
        ca.issue(&format!("etcd-user-{name}"), authority::leaf(name, &[], Usage::Client)?)
    }
}
