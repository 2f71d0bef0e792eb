//! A certificate authority of the tests, and the certificates that it signs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

use super::Credentials;

/// A CA without a limit on the chain below it.
pub(super) const ANY_DEPTH: BasicConstraints = BasicConstraints::Unconstrained;

/// The extended key usage of a leaf.
#[derive(Clone, Copy)]
pub(super) enum Usage {
    Client,
    Server,
}

/// A CA. Its certificate and its key are in files.
pub(super) struct CertificateAuthority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The PEM that follows a leaf to form its chain: nothing for a self-signed CA.
    chain: String,
    pub(super) certificate: PathBuf,
}

impl CertificateAuthority {
    pub(super) fn new(dir: &Path, file: &str, subject: &str) -> Result<Self> {
        Self::until(dir, file, subject, 2120)
    }

    /// As [`Self::new`], but the certificate expires at the beginning of `year`.
    pub(super) fn until(dir: &Path, file: &str, subject: &str, year: i32) -> Result<Self> {
        let mut params = params(subject)?;
        params.not_after = date_time_ymd(year, 1, 1);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let files = write(dir, file, &issuer.pem(), issuer.key())?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer,
            chain: String::new(),
            certificate: files.certificate,
        })
    }

    /// An intermediate CA below this one. Its leaves include its certificate.
    pub(super) fn intermediate(&self, dir: &Path, file: &str, subject: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let issuer = CertifiedIssuer::signed_by(params(subject)?, key, &self.issuer)?;
        let files = write(dir, file, &issuer.pem(), issuer.key())?;
        let chain = issuer.pem();
        Ok(Self { dir: dir.to_owned(), issuer, chain, certificate: files.certificate })
    }

    pub(super) fn issue(&self, file: &str, params: CertificateParams) -> Result<Credentials> {
        self.issue_of(KeyPair::generate()?, file, params)
    }

    /// As [`Self::issue`], for this key.
    pub(super) fn issue_of(
        &self,
        key: KeyPair,
        file: &str,
        params: CertificateParams,
    ) -> Result<Credentials> {
        let certificate = params.signed_by(&key, &self.issuer)?.pem() + &self.chain;
        write(&self.dir, file, &certificate, &key)
    }

    /// The CA that [`Self::new`] made with these arguments.
    pub(super) fn reopen(dir: &Path, file: &str, subject: &str) -> Result<Self> {
        let key = KeyPair::from_pem(&fs::read_to_string(dir.join(format!("{file}.key")))?)?;
        let issuer = CertifiedIssuer::self_signed(params(subject)?, key)?;
        let certificate = dir.join(format!("{file}.pem"));
        Ok(Self { dir: dir.to_owned(), issuer, chain: String::new(), certificate })
    }

    /// A revocation list, PEM or DER by its name, that expires at the beginning of `year`. In PEM,
    /// that of an intermediate CA follows its certificate.
    pub(super) fn list(&self, file: &str, serials: &[u64], year: i32) -> Result<PathBuf> {
        self.list_of(file, serials.iter().map(|serial| SerialNumber::from(*serial)), year)
    }

    pub(super) fn list_of(
        &self,
        file: &str,
        serials: impl Iterator<Item = SerialNumber>,
        year: i32,
    ) -> Result<PathBuf> {
        let revoked = |serial_number| RevokedCertParams {
            serial_number,
            revocation_time: date_time_ymd(2020, 6, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 6, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer)?;
        let path = self.dir.join(file);
        match file.ends_with(".pem") {
            true => fs::write(&path, self.chain.clone() + &list.pem()?)?,
            false => fs::write(&path, list.der())?,
        }
        Ok(path)
    }
}

fn params(subject: &str) -> Result<CertificateParams> {
    let mut params = valid(subject, &[])?;
    params.is_ca = IsCa::Ca(ANY_DEPTH);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

pub(super) fn leaf(subject: &str, names: &[&str], usage: Usage) -> Result<CertificateParams> {
    let mut params = valid(subject, names)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match usage {
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid(subject: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().copied().map(String::from).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
    Ok(params)
}

pub(super) fn write(
    dir: &Path,
    name: &str,
    certificate: &str,
    key: &KeyPair,
) -> Result<Credentials> {
    let identity = Credentials {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    fs::write(&identity.certificate, certificate)?;
    fs::write(&identity.key, key.serialize_pem())?;
    fs::set_permissions(&identity.key, fs::Permissions::from_mode(0o600))?;
    Ok(identity)
}
