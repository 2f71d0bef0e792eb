//! Real handshakes: aop, nginx and HAProxy with a CA of `aop ca` as their client CA.

use std::net::TcpStream;

use anyhow::bail;
use aop_tests::client::{self, TlsClient};
use aop_tests::pull::TlsVersion;
use aop_tests::{Child, IpVersion, Pull, wait};

use super::openssl::forged;
use super::*;
use crate::stage::{Stage, on_stage};

/// Makes `pull-ca`, limited to example.com, a leaf of it, one of a CA that nobody trusts, and one
/// with a name that the CA may not sign.
fn make(folder: &Folder, kind: &str) -> Result<()> {
    folder.aop(&format!("create --algorithm {kind} --host example.com"))?;
    folder.aop(&format!("issue --ca pull-ca.pem --algorithm {kind} --host pull.example.com"))?;
    folder.aop("create --host example.com --out unknown-ca")?;
    folder.aop("issue --ca unknown-ca.pem --host pull.example.com --out unknown")?;
    Ok(())
}

fn trust(stage: &mut Stage, folder: &Folder) -> Result<()> {
    stage.config.site().client_ca.push(folder.path("pull-ca.pem"));
    stage.config.site().rules.push("require_san = [\"dns:pull.example.com\"]".into());
    stage.reload().map(drop)
}

#[test]
fn aop_accepts_a_leaf_of_its_ca_and_refuses_others_under_both_versions_of_tls() {
    for kind in ["ecdsa-p256", "rsa-3072"] {
        on_stage(|stage| {
            let folder = Folder::new(&stage.lab)?;
            make(&folder, kind)?;
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
            stage.refuses(&pull.clone().certificate(&folder.credentials("pull")), "unknown_ca")?;
            stage.config.site().client_ca.push(folder.path("pull-ca.pem"));
            stage.reload()?;
            for tls in TlsVersion::BOTH {
                let pull = pull.clone().tls(tls);
                pull.clone().certificate(&folder.credentials("pull")).must_be_served()?;
                let unknown = pull.clone().certificate(&folder.credentials("unknown"));
                stage.refuses(&unknown, "bad_certificate")?;
            }
            if kind == "ecdsa-p256" {
                forged(&folder, "a.example.org", "foreign")?;
                let foreign = pull.clone().certificate(&folder.credentials("foreign"));
                stage.refuses(&foreign, "bad_certificate")?;
            }
            let checked = stage.daemon.must_run("check")?;
            ensure!(checked.contains("CA CN=example.com origin pull CA"), "{checked}");
            Ok(())
        });
    }
}

/// TLS 1.3 alone, with a client that has ML-DSA: curl does not yet.
#[test]
fn aop_accepts_an_ml_dsa_leaf_of_an_ml_dsa_ca_as_post_quantum() {
    on_stage(|stage| {
        let folder = Folder::new(&stage.lab)?;
        make(&folder, "ml-dsa-44")?;
        trust(stage, &folder)?;
        stage.config.site().rules.push("require_key = \"ml-dsa\"".into());
        stage.reload()?;
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        let pull = TlsClient::new(&stage.lab.pki, &folder.credentials("pull"))?;
        let mut session = pull.open(stage.lab.edge(), to, "example.com")?;
        ensure!(client::get(&mut session, "/pq")? == b"the upstream answers /pq\n");
        let unknown = TlsClient::new(&stage.lab.pki, &folder.credentials("unknown"))?;
        let served = unknown
            .open(stage.lab.edge(), to, "example.com")
            .and_then(|mut session| client::get(&mut session, "/"));
        ensure!(served.is_err(), "an unknown CA is served");
        Ok(())
    });
}

/// A server that demands a certificate of `pull-ca`, and its address.
fn server(lab: &Lab, folder: &Folder, program: &str) -> Result<(Child, std::net::SocketAddr)> {
    let at = lab.origin_at(IpVersion::V4, 8443);
    let pki = &lab.pki;
    let dir = folder.path(program);
    fs::create_dir(&dir)?;
    let ca = folder.path("pull-ca.pem");
    let config = dir.join("conf");
    let line = match program {
        "nginx" => {
            let text = format!(
                "daemon off; pid {0}/pid; error_log {0}/errors;\nevents {{}}\nhttp {{\n\
                 access_log off;\nserver {{\nlisten 8443 ssl;\nserver_name example.com;\n\
                 ssl_certificate {1};\nssl_certificate_key {2};\nssl_client_certificate {3};\n\
                 ssl_verify_client on;\nssl_protocols TLSv1.2 TLSv1.3;\nlocation / {{ return 200 \"$ssl_client_s_dn\"; }}\n}}\n}}\n",
                dir.display(),
                pki.server.certificate.display(),
                pki.server.key.display(),
                ca.display()
            );
            fs::write(&config, text)?;
            vec!["nginx".into(), "-c".into(), config]
        }
        "haproxy" => {
            let pair = [fs::read(&pki.server.certificate)?, fs::read(&pki.server.key)?].concat();
            fs::write(dir.join("server.pem"), pair)?;
            let text = format!(
                "defaults\nmode http\ntimeout client 20s\ntimeout server 20s\ntimeout connect 5s\n\
                 frontend pulls\nbind :8443 ssl crt {}/server.pem ca-file {} verify required\n\
                 http-request return status 200 content-type text/plain \
                 lf-string %[ssl_c_s_dn(CN)]\n",
                dir.display(),
                ca.display()
            );
            fs::write(&config, text)?;
            vec!["haproxy".into(), "-db".into(), "-f".into(), config]
        }
        other => bail!("no configuration for {other}"),
    };
    let mut server = Child::serve(lab.origin(), &line, &dir.join("log"))?;
    wait::until(&format!("{program} listens"), PATIENCE, || {
        let open = lab.origin().inside(|| TcpStream::connect("127.0.0.1:8443")).ok()?;
        open.is_ok().then_some(())
    })
    .with_context(|| server.log())?;
    ensure!(server.ended().is_none(), "it has ended: {}", server.log());
    Ok((server, at))
}

/// A good leaf is served by name; a foreign name, another CA and no certificate are refused.
fn judges(program: &str, kind: &str) {
    in_lab(|lab| {
        let folder = Folder::new(lab)?;
        make(&folder, kind)?;
        let (_server, at) = server(lab, &folder, program)?;
        for tls in TlsVersion::BOTH {
            let pull = Pull::by_edge(lab, IpVersion::V4).port(at.port()).tls(tls);
            let good = pull.clone().certificate(&folder.credentials("pull")).must_be_served()?;
            let body = String::from_utf8_lossy(good.body()).into_owned();
            ensure!(body.contains("pull.example.com"), "{program}: {body}");
            let unknown = pull.clone().certificate(&folder.credentials("unknown")).send()?;
            ensure!(!unknown.served(), "{program}: another CA: {unknown}");
            let none = pull.clone().no_certificate().send()?;
            ensure!(!none.served(), "{program}: no certificate: {none}");
            if kind == "ecdsa-p256" && tls == TlsVersion::V13 {
                forged(&folder, "a.example.org", "foreign")?;
                forged(&folder, "b.example.com", "own")?;
                pull.clone().certificate(&folder.credentials("own")).must_be_served()?;
                let foreign = pull.certificate(&folder.credentials("foreign")).send()?;
                ensure!(!foreign.served(), "{program}: a foreign name: {foreign}");
            }
        }
        Ok(())
    });
}

#[test]
fn nginx_accepts_leaves_of_ecdsa_and_rsa_and_refuses_a_foreign_name() {
    for kind in ["ecdsa-p256", "rsa-3072"] {
        judges("nginx", kind);
    }
}

#[test]
fn haproxy_accepts_leaves_of_ecdsa_and_rsa_and_refuses_a_foreign_name() {
    for kind in ["ecdsa-p256", "rsa-3072"] {
        judges("haproxy", kind);
    }
}
