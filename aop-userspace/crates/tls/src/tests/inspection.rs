//! Tests of what is shown of each file of a site.

use aop_config::ClientCa;
use rcgen::{KeyPair, RsaKeySize};

use super::TestSite;
use crate::{
    FileRole, InspectedFile, PeerIdentity, SiteFiles, cloudflare_ca, inspect,
    testing::{Authority, pem},
};

fn inspected(files: &TestSite, role: FileRole) -> InspectedFile {
    let mut all = inspect(&files.config, &SiteFiles::on_disk()).into_iter();
    all.find(|file| file.role == role).unwrap()
}

#[test]
fn each_file_is_inspected_even_if_another_one_cannot_be_used() {
    let mut files = TestSite::good();
    let key = KeyPair::generate_for(&rcgen::PKCS_ML_DSA_44).unwrap();
    files.write("ca.pem", &(files.authority.pem() + &Authority::of(key, "pq", |_| {}).pem()));
    files.write("server.key", "nonsense");
    let list = files.write("a.crl", &pem("X509 CRL", &files.authority.crl(&[7, 8], 2100)));
    files.config.rules.revocation.files = vec![list];
    files.config.client_ca.push(ClientCa::CloudflareGlobal);
    let [server, key, ca, global, crl] = &inspect(&files.config, &SiteFiles::on_disk())[..] else {
        panic!("five files")
    };
    assert_eq!(server.role, FileRole::Certificate);
    assert_eq!(server.certificates[0].names, ["dns:example.com", "dns:*.example.com"]);
    assert!(!server.certificates[0].is_ca);
    assert!(key.error.as_ref().is_some_and(|error| error.contains("no private key")), "{key:?}");
    let keys: Vec<_> = ca.certificates.iter().map(|ca| (ca.key.as_str(), ca.is_ca)).collect();
    assert_eq!(keys, [("ECDSA P-256", true), ("ML-DSA-44", true)]);
    assert_eq!(
        (global.file.as_str(), &*global.certificates[0].key),
        ("cloudflare-global", "RSA 4096")
    );
    assert_eq!((crl.lists[0].entries, crl.error.as_ref()), (2, None));
}

#[test]
fn a_role_has_the_name_of_its_configuration_key() {
    let roles = [FileRole::Certificate, FileRole::Key, FileRole::ClientCa, FileRole::Crl];
    assert_eq!(roles.map(FileRole::name), ["certificate", "key", "client_ca", "crl"]);
}

#[test]
fn a_certificate_is_shown_with_its_identity_and_the_kind_of_its_key() {
    let files = TestSite::good();
    let keys = [
        (KeyPair::generate_for(&rcgen::PKCS_ED25519), "Ed25519"),
        (KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384), "ECDSA P-384"),
        (KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048), "RSA 2048"),
    ];
    for (key, kind) in keys {
        let ca = Authority::of(key.unwrap(), "ca", |_| {});
        files.write("ca.pem", &ca.pem());
        let file = inspected(&files, FileRole::ClientCa);
        assert_eq!((file.error, file.certificates.len()), (None, 1));
        assert_eq!(file.certificates[0].key, kind);
        let identity = PeerIdentity::read(&ca.certificate).unwrap();
        assert_eq!(file.certificates[0].identity, identity);
    }
}

#[test]
fn the_built_in_client_ca_is_shown_as_it_was_published() {
    let mut files = TestSite::good();
    files.config.client_ca = vec![ClientCa::CloudflareGlobal];
    let global = inspected(&files, FileRole::ClientCa);
    let [ca] = &global.certificates[..] else { panic!("one certificate") };
    assert!(ca.identity.subject.starts_with("CN=origin-pull.cloudflare.net, O="));
    assert_eq!(
        (ca.identity.not_before, ca.identity.not_after, ca.is_ca),
        (cloudflare_ca::NOT_BEFORE, cloudflare_ca::NOT_AFTER, true)
    );
}

#[test]
fn a_file_of_lists_is_shown_with_their_dates_and_the_certificates_beside_them() {
    let mut files = TestSite::good();
    let between = files.authority.intermediate("between");
    let text = pem("X509 CRL", &files.authority.crl(&[7, 8, 9], 2100)) + &between.pem();
    files.config.rules.revocation.files = vec![files.write("a.crl", &text)];
    let file = inspected(&files, FileRole::Crl);
    let [list] = &file.lists[..] else { panic!("one list") };
    assert!(list.issuer.starts_with("CN=ca, O="), "{}", list.issuer);
    // 2020-01-01 and 2100-12-31.
    let dates = (list.this_update, list.next_update);
    assert_eq!((dates, list.entries), ((1_577_836_800, 4_133_894_400), 3));
    assert!(file.certificates[0].identity.subject.starts_with("CN=between"));
    // A file that cannot be used says why.
    files.write("a.crl", "no list");
    let error = inspected(&files, FileRole::Crl).error.unwrap();
    assert!(error.contains("holds no revocation list"), "{error}");
}

#[test]
fn a_certificate_that_is_not_x509_and_a_list_among_client_cas_are_errors() {
    let files = TestSite::good();
    files.write("server.pem", &(files.server.pem() + &pem("CERTIFICATE", b"no DER")));
    let server = inspected(&files, FileRole::Certificate);
    assert_eq!(server.certificates.len(), 1);
    assert!(server.error.unwrap().contains("holds a certificate that is not X.509"));
    // A list has no effect there. In the file of the server certificate it does no harm.
    let list = pem("X509 CRL", &files.authority.crl(&[7], 2100));
    files.write("server.pem", &(files.server.pem() + &list));
    files.write("ca.pem", &(files.authority.pem() + &list));
    assert_eq!(inspected(&files, FileRole::Certificate).error, None);
    let error = inspected(&files, FileRole::ClientCa).error.unwrap();
    assert!(error.contains("holds a revocation list in line"), "{error}");
}
