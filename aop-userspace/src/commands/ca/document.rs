//! The documents, from what `aop-ca` describes.

use std::path::Path;

use anyhow::Context;
use aop_api::{CaCertificate, CaFile, CaFitness, CaKey, CaRequest, days_until};
use aop_ca::{DescribedCertificate, DescribedKey, DescribedRequest, Description, Fitness};
use jiff::Timestamp;

use super::super::check::checked_certificate;

/// A key that was found: its file, and the SHA-256 of its public key.
pub(super) struct KnownKey {
    pub(super) file: String,
    pub(super) spki_sha256: String,
}

/// The certificate in `pem`, which was just made; `keys` are those at hand.
pub(super) fn made(pem: &str, keys: &[KnownKey]) -> anyhow::Result<CaCertificate> {
    let now = Timestamp::now();
    let described = aop_ca::describe(pem.as_bytes(), now)?;
    let first = described.certificates.into_iter().next().context("no certificate was made")?;
    Ok(certificate(first, keys, now))
}

/// The keys of `described`, which `file` holds.
pub(super) fn known_keys(file: &Path, described: &Description) -> Vec<KnownKey> {
    let keys = described.keys.iter().filter_map(|key| key.spki_sha256.clone());
    keys.map(|spki_sha256| KnownKey { file: file.display().to_string(), spki_sha256 }).collect()
}

pub(super) fn file(
    path: &Path,
    described: Description,
    keys: &[KnownKey],
    now: Timestamp,
) -> CaFile {
    let Description { certificates, requests, keys: own, lists } = described;
    CaFile {
        file: path.display().to_string(),
        certificates: certificates.into_iter().map(|it| certificate(it, keys, now)).collect(),
        requests: requests.into_iter().map(|it| request(it, keys)).collect(),
        keys: own.into_iter().map(key).collect(),
        revocation_lists: lists,
    }
}

fn certificate(it: DescribedCertificate, keys: &[KnownKey], now: Timestamp) -> CaCertificate {
    let checked = checked_certificate(it.inspected);
    CaCertificate {
        version: it.version,
        signature: it.signature,
        path_length: it.path_length,
        key_usage: it.key_usage.into_iter().map(Into::into).collect(),
        extended_key_usage: it.extended_key_usage,
        permitted: it.constraints.permitted,
        excluded: it.constraints.excluded,
        fingerprint: it.fingerprint,
        days_left: days_until(checked.not_after, now),
        key_in: key_in(&checked.spki_sha256, keys),
        upload: fitness(it.upload),
        client_ca: fitness(it.client_ca),
        checked,
    }
}

fn request(it: DescribedRequest, keys: &[KnownKey]) -> CaRequest {
    CaRequest {
        key_in: key_in(&it.spki_sha256, keys),
        subject: it.subject,
        key: it.key,
        spki_sha256: it.spki_sha256,
        names: it.names.iter().map(|name| format!("dns:{name}")).collect(),
        error: it.error,
    }
}

fn key(it: DescribedKey) -> CaKey {
    CaKey { key: it.kind, spki_sha256: it.spki_sha256, encrypted: it.encrypted, error: it.error }
}

fn key_in(spki_sha256: &str, keys: &[KnownKey]) -> Option<String> {
    keys.iter().find(|key| key.spki_sha256 == spki_sha256).map(|key| key.file.clone())
}

fn fitness(it: Fitness) -> CaFitness {
    CaFitness { fits: it.is_fit(), against: it.against }
}
