//! What stands in the files of a site, as `aop check` shows it.

use aop_api::{CheckedCertificate, CheckedFile, CheckedList, CheckedSite, timestamp};
use aop_config::SiteConfig;
use aop_tls::{InspectedCertificate, InspectedCrl, InspectedFile, SiteFiles, inspect};

/// The content of the files that `site` names.
pub(super) fn checked_site(site: &SiteConfig, files: &SiteFiles) -> CheckedSite {
    CheckedSite {
        site: site.name.clone(),
        hosts: site.hosts.iter().map(ToString::to_string).collect(),
        files: inspect(site, files).into_iter().map(checked_file).collect(),
    }
}

fn checked_file(file: InspectedFile) -> CheckedFile {
    CheckedFile {
        file: file.file,
        role: file.role.name().into(),
        error: file.error,
        certificates: file.certificates.into_iter().map(checked_certificate).collect(),
        lists: file.lists.into_iter().map(list).collect(),
    }
}

/// A certificate of any file.
pub(in super::super) fn checked_certificate(
    certificate: InspectedCertificate,
) -> CheckedCertificate {
    let InspectedCertificate { identity, key, is_ca, names } = certificate;
    CheckedCertificate {
        subject: identity.subject,
        issuer: identity.issuer,
        serial: identity.serial,
        key,
        spki_sha256: identity.spki_sha256,
        ca: is_ca,
        names,
        not_before: timestamp(identity.not_before),
        not_after: timestamp(identity.not_after),
    }
}

fn list(list: InspectedCrl) -> CheckedList {
    CheckedList {
        issuer: list.issuer,
        this_update: timestamp(list.this_update),
        next_update: timestamp(list.next_update),
        entries: list.entries,
    }
}
