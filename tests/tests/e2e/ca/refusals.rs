//! Bad input: each is refused by the file's name and a cure, and nothing is written.

use std::os::unix::fs::PermissionsExt;

use super::*;

const LEAF: &str = "--host a.example.com --out none";

#[test]
fn a_ca_that_cannot_sign_is_refused() {
    in_folder(|folder| {
        folder.aop("create")?;
        folder.aop("create --out other")?;
        folder.aop("issue --ca pull-ca.pem --host a.example.com")?;
        folder.refuses(&format!("issue --ca pull.pem {LEAF}"), {
            &["pull.pem: holds the certificate of CN=a.example.com, which is not a CA", "ca create"]
        })?;
        folder.refuses(&format!("issue --ca pull-ca.pem --ca-key other.key {LEAF}"), {
            &["other.key: is the key ", "--ca-key"]
        })?;
        folder.refuses(&format!("issue --ca pull-ca.key --ca-key pull-ca.key {LEAF}"), {
            &["pull-ca.key: holds no certificate"]
        })?;
        folder.refuses(&format!("issue --ca pull-ca.pem --ca-key pull-ca.pem {LEAF}"), {
            &["pull-ca.pem: holds no private key"]
        })?;
        folder.refuses(&format!("issue --ca missing.pem {LEAF}"), &["missing.pem"])?;
        // Two attributes of one type: the name cannot be written again as it is.
        folder.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
             -subj /OU=One/OU=Two/CN=Odd -keyout odd.key -out odd.pem \
             -addext basicConstraints=critical,CA:TRUE",
        )?;
        folder.refuses(&format!("issue --ca odd.pem {LEAF}"), &["the CA's name has a form"])
    });
}

#[test]
fn a_key_that_others_can_read_or_exchange_signs_nothing() {
    in_folder(|folder| {
        folder.aop("create")?;
        for (mode, good) in [(0o644, false), (0o620, false), (0o640, true), (0o400, true)] {
            fs::set_permissions(folder.path("pull-ca.key"), fs::Permissions::from_mode(mode))?;
            let line = format!("issue --ca pull-ca.pem --host a.example.com --out of-{mode:o}");
            match good {
                true => drop(folder.aop(&line)?),
                false => folder.refuses(&line, &["pull-ca.key: others can read", "chmod 600"])?,
            }
        }
        Ok(())
    });
}

#[test]
fn an_expired_ca_is_refused_before_its_passphrase_is_asked_for() {
    in_lab(|lab| {
        let folder = Folder::new(lab)?;
        fs::copy(&lab.pki.expired_ca, folder.path("old.pem"))?;
        folder.write("old.key", "")?;
        folder.refuses(&format!("issue --ca old.pem {LEAF}"), {
            &["old.pem: the CA expired on 2021-01-01", "aop ca create"]
        })
    });
}

#[test]
fn a_request_that_cannot_become_a_leaf_is_refused() {
    in_folder(|folder| {
        folder.aop("create --host example.com")?;
        folder.aop("request --host a.example.com --out good")?;
        folder.aop("issue --ca pull-ca.pem --csr good.csr --out signed")?;
        let issue = |csr: &str| format!("issue --ca pull-ca.pem --csr {csr} --out none");

        let mut lines: Vec<String> = folder.read("good.csr")?.lines().map(Into::into).collect();
        let last = lines.len() - 2;
        let swapped = if lines[last].starts_with('A') { "B" } else { "A" };
        lines[last].replace_range(0..1, swapped);
        folder.write("broken.csr", &lines.join("\n"))?;
        folder.refuses(&issue("broken.csr"), &["broken.csr: holds a request"])?;
        let whole = folder.read("good.csr")?;
        folder.write("half.csr", &whole[..whole.len() / 2])?;
        folder
            .refuses(&issue("half.csr"), &["half.csr: is malformed in line 1", "copy the file"])?;

        let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.key";
        folder.openssl(&format!(
            "{new} -subj /CN=a.example.com -out ca.csr -addext basicConstraints=CA:TRUE"
        ))?;
        folder.refuses(&issue("ca.csr"), &["ca.csr: asks for a CA certificate"])?;
        folder.openssl(&format!(
            "{new} -subj /CN=x -out ip.csr -addext subjectAltName=DNS:a.example.com,IP:192.0.2.1"
        ))?;
        folder.refuses(&issue("ip.csr"), &["ip.csr: asks for ", "not a DNS name", "--host"])?;
        folder.aop("issue --ca pull-ca.pem --csr ip.csr --host a.example.com --out by-host")?;
        folder.openssl(&format!("{new} -subj /O=Example -out nameless.csr"))?;
        folder.refuses(&issue("nameless.csr"), &["needs a name", "--host"])?;
        folder.openssl(&format!("{new} -subj /CN=a.example.org -out foreign.csr"))?;
        folder.refuses(&issue("foreign.csr"), {
            &["example.com and names below", "a.example.org", "refused by every program"]
        })?;
        folder.openssl(
            "req -newkey rsa:1024 -nodes -keyout y.key -subj /CN=a.example.com -out weak.csr",
        )?;
        folder.refuses(&issue("weak.csr"), &["of the kind RSA 1024", "from 2048 bits"])?;
        folder.refuses(&issue("pull-ca.pem"), &["holds no request", "aop ca request"])
    });
}

#[test]
fn days_and_names_out_of_bounds_are_refused_and_a_leaf_ends_with_its_ca() {
    in_folder(|folder| {
        folder.refuses("create --days 7301", &["7301 days are not possible", "1 to 7300"])?;
        folder.refuses("create --days 0", &["1 to 7300"])?;
        folder.aop("create --days 10")?;
        let issue = |days: u32| format!("issue --ca pull-ca.pem --days {days} {LEAF}");
        folder.refuses(&issue(3651), &["3651 days are not possible", "1 to 3650"])?;
        let issued = folder.aop("issue --ca pull-ca.pem --days 90 --host a.example.com")?;
        ensure!(issued.contains("The certificate ends with its CA, before the days"), "{issued}");
        ensure!(issued.contains("9 days left"), "{issued}");
        folder.openssl("verify -purpose sslclient -CAfile pull-ca.pem pull.pem")?;
        for (host, words) in [
            ("https://a.example.com", "is a URL"),
            ("192.0.2.1", "is an address"),
            ("a.example.com:443", "has a port"),
            ("w*.example.com", "a star must be"),
        ] {
            let done = folder.run(&format!("issue --ca pull-ca.pem --host {host} --out none"))?;
            ensure!(done.code == 2 && done.errors.contains(words), "{host}: {done:?}");
        }
        let none = folder.run("issue --ca pull-ca.pem --out none")?;
        ensure!(none.code == 2 && none.errors.contains("--host"), "{none:?}");
        Ok(())
    });
}

#[test]
fn files_that_cannot_be_read_are_named() {
    in_folder(|folder| {
        folder.aop("create")?;
        for name in ["pull-ca.pem", "pull-ca.key"] {
            let whole = folder.read(name)?;
            folder.write("half", &whole[..whole.len() / 2])?;
            folder
                .refuses("show half", &["half: is malformed in line 1", "copy the file again"])?;
        }
        folder.write("half.key", &folder.read("pull-ca.key")?[..100])?;
        folder.refuses(&format!("issue --ca pull-ca.pem --ca-key half.key {LEAF}"), {
            &["half.key: is malformed in line 1"]
        })?;
        folder.openssl("x509 -in pull-ca.pem -outform DER -out binary")?;
        folder.refuses("show binary", &["binary: holds no certificate", "-inform DER"])?;
        folder.refuses("show missing", &["missing"])
    });
}
