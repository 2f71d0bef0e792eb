//! Tests of the files of a site, and of choosing the site of a host.

mod acceptance;
mod accepted_certificates;
mod file_warnings;
mod generations;
mod inspection;
mod issuing_ca;
mod observing;
mod permits;
mod probes;
mod pull;
mod repeated_checks;
mod revocation;
mod revocation_files;
mod rules;
mod session_expiry;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use aop_config::{
    CertificateRules, ClientCa, Host, OnExpiry, OnRefusal, ProxyProtocol, SiteConfig,
};
use tempfile::TempDir;

use super::{
    FileRole, FileWarnings, SiteFiles, Sites, client_ca, inspect,
    testing::{Authority, Leaf, far_ahead, long_ago, pem},
};

struct TestSite {
    directory: TempDir,
    config: SiteConfig,
    authority: Authority,
    server: Leaf,
}

impl TestSite {
    fn good() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new("ca");
        let server = authority.server(&["example.com", "*.example.com"]);
        let at = |name: &str| directory.path().join(name);
        let config = SiteConfig {
            name: "example.com".into(),
            hosts: ["example.com", "*.example.com"].map(|host| host.parse().unwrap()).into(),
            certificate: at("server.pem"),
            key: at("server.key"),
            client_ca: vec![ClientCa::File(at("ca.pem"))],
            rules: CertificateRules::default(),
            upstream: "tcp://127.0.0.1:1".parse().unwrap(),
            proxy: ProxyProtocol::Off,
            on_refusal: OnRefusal::Close,
            shared_upstream: false,
            check: None,
        };
        let files = Self { directory, config, authority, server };
        files.write("server.pem", &files.server.pem());
        files.write("server.key", &files.server.key_pem());
        files.write("ca.pem", &files.authority.pem());
        files
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn build(&self) -> Result<Vec<String>, String> {
        match Sites::build(std::slice::from_ref(&self.config), &super::SiteFiles::on_disk()) {
            Ok((_, warnings)) => Ok(warnings.texts(aop_types::unix_seconds())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// With `text` in the file `name`, building fails, and the error names the file and has
    /// `words`.
    #[track_caller]
    fn refuses(name: &str, text: &str, words: &str) {
        let files = Self::good();
        assert_eq!(files.build(), Ok(vec![]), "good files");
        files.write(name, text);
        let error = files.build().unwrap_err();
        assert!(error.starts_with("site example.com: "), "{error}");
        assert!(error.contains(name) && error.contains(words), "{error}");
    }

    /// With `text` in the file `name`, building gives one warning, which names the file and has
    /// `words`.
    #[track_caller]
    fn warns(name: &str, text: &str, words: &str) {
        let files = Self::good();
        files.write(name, text);
        let warnings = files.build().unwrap();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains(name) && warning.contains(words), "{warning}");
    }
}

#[test]
fn an_unusable_client_ca_file_is_refused_and_named() {
    TestSite::refuses("ca.pem", " \n", "is empty");
    TestSite::refuses("ca.pem", "not PEM", "holds no certificate");
    TestSite::refuses(
        "ca.pem",
        &TestSite::good().server.key_pem(),
        "holds a private key, but no certificate",
    );
    TestSite::refuses("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", "is malformed");
    TestSite::refuses(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "is malformed",
    );
    TestSite::refuses("ca.pem", &pem("CERTIFICATE", b"no DER"), "is malformed");
    let half = TestSite::good().authority.pem() + &pem("CERTIFICATE", b"no DER");
    TestSite::refuses("ca.pem", &half, "is malformed");
    let list = TestSite::good().authority.pem() + &pem("X509 CRL", b"x");
    TestSite::refuses("ca.pem", &list, "holds a revocation list in line");
    TestSite::refuses("ca.pem", &pem("TRUSTED CERTIFICATE", b"x"), "in line 1: aop does not read");
}

#[test]
fn files_that_were_joined_without_a_line_end_are_read_whole() {
    let files = TestSite::good();
    let other = Authority::new("other");
    let joined = files.authority.pem().trim_end().to_owned() + &other.pem();
    files.write("ca.pem", &joined);
    files.write("server.pem", &(files.server.pem().trim_end().to_owned() + &files.authority.pem()));
    files.build().unwrap();
    let inspected = inspect(&files.config, &SiteFiles::on_disk());
    let count = |role| {
        let file = inspected.iter().find(|file| file.role == role).unwrap();
        file.certificates.len()
    };
    assert_eq!([count(FileRole::Certificate), count(FileRole::ClientCa)], [2, 2]);
}

#[test]
fn an_unusable_server_certificate_or_key_is_refused_and_named() {
    TestSite::refuses("server.pem", "", "is empty");
    TestSite::refuses("server.pem", &pem("CERTIFICATE", b"no DER"), "is malformed");
    TestSite::refuses("server.key", &TestSite::good().authority.pem(), "holds no private key");
    TestSite::refuses("server.key", &pem("PRIVATE KEY", b"no DER"), "is malformed");
    TestSite::refuses("server.key", &pem("ENCRYPTED PRIVATE KEY", b"x"), "openssl pkey");
    let [one, other] = [0, 1].map(|_| TestSite::good().server.key_pem());
    let both = format!("{one}{other}");
    TestSite::refuses("server.key", &both, "holds two private keys, in the lines 1 and");
}

#[test]
fn a_key_that_is_there_twice_is_one_key() {
    let files = TestSite::good();
    files.write("server.key", &(files.server.key_pem() + &files.server.key_pem()));
    assert_eq!(files.build(), Ok(vec![]));
}

#[test]
fn a_key_that_every_user_can_read_is_a_mistake_with_its_remedy() {
    let files = TestSite::good();
    assert_eq!(files.build(), Ok(vec![]));
    for path in [files.directory.path(), &files.config.key] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let warnings = files.build().unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("server.key can be read") && warning.contains("chmod o="));
}

#[test]
fn a_key_of_another_certificate_is_refused_and_both_files_are_named() {
    let other = TestSite::good().server.key_pem();
    TestSite::refuses("server.key", &other, "does not belong to the certificate");
    TestSite::refuses("server.key", &other, "server.pem");
}

#[test]
fn a_missing_file_is_refused_and_named() {
    let mut files = TestSite::good();
    files.config.client_ca = vec![ClientCa::File("/nonexistent/ca.pem".into())];
    let error = files.build().unwrap_err();
    assert!(error.contains("/nonexistent/ca.pem: there is no such file"), "{error}");
}

#[test]
fn dates_and_usages_that_rustls_does_not_check_are_warned_of() {
    TestSite::warns("ca.pem", &Authority::with("ca", long_ago).pem(), "expired on 2002-01-01");
    TestSite::warns(
        "ca.pem",
        &Authority::with("ca", far_ahead).pem(),
        "not valid before 4001-01-01",
    );
    TestSite::warns("ca.pem", &Authority::new("ca").edge().pem(), "is not a CA");
    let old = Authority::new("ca").leaf(long_ago);
    let files = TestSite::good();
    files.write("server.key", &old.key_pem());
    files.write("server.pem", &old.pem());
    let warnings = files.build().unwrap();
    let says = |words: &str| warnings.iter().any(|warning| warning.contains(words));
    assert!(
        says("server.pem (CN=edge, O=\"Acme, \\\"Quoted\\\" Inc.\") expired on 2002-01-01"),
        "{warnings:?}"
    );
}

#[test]
fn every_certificate_of_a_file_is_an_anchor() {
    let files = TestSite::good();
    let text = Authority::new("old").pem() + &Authority::new("new").pem();
    let ca = ClientCa::File(files.write("two.pem", &text));
    let (disk, mut warnings) = (super::SiteFiles::on_disk(), FileWarnings::default());
    assert_eq!(client_ca::load(&ca, &files.config, &[], &disk, &mut warnings).unwrap().len(), 2);
    assert_eq!(warnings.texts(aop_types::unix_seconds()), Vec::<String>::new());
}

#[test]
fn the_expiry_of_the_built_in_client_ca_is_warned_of() {
    let (day, end) = (24 * 3600, super::cloudflare_ca::NOT_AFTER);
    for (past_end, consequence) in
        [(OnExpiry::Refuse, "are refused; upgrade aop"), (OnExpiry::Warn, "are still served")]
    {
        let (disk, mut warnings) = (super::SiteFiles::on_disk(), FileWarnings::default());
        let mut site = TestSite::good().config;
        site.rules.expired_ca = past_end;
        let global = ClientCa::CloudflareGlobal;
        let anchors = client_ca::load(&global, &site, &[], &disk, &mut warnings).unwrap();
        assert_eq!(anchors[0].not_after, end);
        assert_eq!(warnings.texts(end - 91 * day), Vec::<String>::new());
        let soon = warnings.texts(end - 90 * day);
        assert!(soon[0].contains("cloudflare-global expires in 90 days, on 2029-11-01T17:00:00Z"));
        let past = warnings.texts(end + 1);
        assert!(past[0].contains("expired on 2029-11-01T17:00:00Z"), "{past:?}");
        assert!(past[0].contains(consequence), "{past:?}");
    }
}

#[test]
fn an_exact_host_wins_and_a_star_covers_exactly_one_label() {
    let files = TestSite::good();
    let own = SiteConfig {
        name: "own".into(),
        hosts: vec!["own.example.com".parse().unwrap()],
        ..files.config.clone()
    };
    let (sites, _) =
        Sites::build(&[files.config.clone(), own], &super::SiteFiles::on_disk()).unwrap();
    let find = |host: &str| {
        let host: Host = host.parse().unwrap();
        let site = sites.find(&host)?;
        assert!(site.serves(&host));
        Some(site.name().to_string())
    };
    assert_eq!(find("example.com").as_deref(), Some("example.com"));
    assert_eq!(find("WWW.example.com.").as_deref(), Some("example.com"));
    assert_eq!(find("own.example.com").as_deref(), Some("own"));
    assert_eq!(find("a.own.example.com"), None);
    assert_eq!(find("a.b.example.com"), None);
    assert_eq!(find("com"), None);
    assert_eq!(find("xexample.com"), None);
    assert!(Sites::default().find(&"example.com".parse().unwrap()).is_none());
}
