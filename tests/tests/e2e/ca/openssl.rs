//! The program `openssl` reads and accepts what `aop ca` makes, and `aop ca` what it makes.

use super::*;

/// Whether this OpenSSL has ML-DSA: version 3.5 has it, that of Debian 12 does not.
fn has_ml_dsa(folder: &Folder) -> Result<bool> {
    Ok(folder.openssl("list -signature-algorithms")?.contains("ML-DSA-44"))
}

#[test]
fn openssl_accepts_a_leaf_of_each_kind_and_sees_the_extensions_of_its_role() {
    in_folder(|folder| {
        for kind in KINDS {
            folder.aop(&format!("create --algorithm {kind} --host example.com --out {kind}-ca"))?;
            folder.aop(&format!(
                "issue --ca {kind}-ca.pem --algorithm {kind} --host a.example.com --host \
                 *.example.com --out {kind}"
            ))?;
            let leaf = folder.openssl(&format!("x509 -in {kind}.pem -noout -text"))?;
            for words in [
                "Version: 3 (0x2)",
                "X509v3 Basic Constraints: critical\n                CA:FALSE",
                "X509v3 Key Usage: critical\n                Digital Signature\n",
                "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
                "DNS:a.example.com, DNS:*.example.com",
                "X509v3 Authority Key Identifier",
            ] {
                ensure!(leaf.contains(words), "{kind}: no {words:?} in {leaf}");
            }
            let ca = folder.openssl(&format!("x509 -in {kind}-ca.pem -noout -text"))?;
            for words in [
                "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
                "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
                "X509v3 Name Constraints: critical\n                Permitted:\n                  \
                 DNS:example.com\n",
                "X509v3 Subject Key Identifier",
            ] {
                ensure!(ca.contains(words), "{kind}: no {words:?} in {ca}");
            }
            let verify = format!("verify -purpose sslclient -CAfile {kind}-ca.pem {kind}.pem");
            let verified = folder.openssl(&verify);
            match kind != "ml-dsa-44" || has_ml_dsa(folder)? {
                true => ensure!(verified? == format!("{kind}.pem: OK\n")),
                false => ensure!(verified.is_err(), "this OpenSSL has ML-DSA after all"),
            }
        }
        Ok(())
    });
}

#[test]
fn openssl_refuses_a_name_that_the_ca_may_not_sign() {
    in_folder(|folder| {
        folder.aop("create --host example.com")?;
        folder.aop("issue --ca pull-ca.pem --host a.example.com")?;
        folder.openssl("verify -purpose sslclient -CAfile pull-ca.pem pull.pem")?;
        // aop would not sign it: openssl does, with the same key.
        let foreign = forged(folder, "a.example.org", "foreign")?;
        let verify = format!("verify -purpose sslclient -CAfile pull-ca.pem {foreign}");
        let refused = folder.openssl(&verify).expect_err("the name is foreign");
        ensure!(format!("{refused:#}").contains("permitted subtree violation"), "{refused:#}");
        let own = forged(folder, "b.example.com", "own")?;
        folder.openssl(&format!("verify -purpose sslclient -CAfile pull-ca.pem {own}"))?;
        Ok(())
    });
}

/// A certificate that `openssl` signs with the key of `pull-ca` for any host.
pub(super) fn forged(folder: &Folder, host: &str, name: &str) -> Result<String> {
    let kind = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    folder.openssl(&format!("req {kind} -subj /CN={host} -keyout {name}.key -out {name}.csr"))?;
    let extensions = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
    folder.write(&format!("{name}.ext"), &format!("{extensions}subjectAltName=DNS:{host}\n"))?;
    folder.openssl(&format!(
        "x509 -req -in {name}.csr -CA pull-ca.pem -CAkey pull-ca.key -days 9 -extfile {name}.ext \
         -out {name}.pem"
    ))?;
    Ok(format!("{name}.pem"))
}

#[test]
fn openssl_reads_each_key_plain_and_under_a_passphrase() {
    in_folder(|folder| {
        folder.write("pass", "correct horse\n")?;
        for kind in KINDS {
            folder.aop(&format!("request --algorithm {kind} --host a.example.com --out {kind}"))?;
            folder.aop(&format!(
                "create --algorithm {kind} --passphrase-file pass --out {kind}-ca"
            ))?;
            let plain = folder.openssl(&format!("pkey -in {kind}.key -noout"));
            let opened = format!("pkey -in {kind}-ca.key -passin file:pass -noout");
            let opened = folder.openssl(&opened);
            let verified = folder.openssl(&format!("req -in {kind}.csr -noout -verify"));
            match kind != "ml-dsa-44" || has_ml_dsa(folder)? {
                true => drop((plain?, opened?, verified?)),
                false => ensure!(plain.is_err() && opened.is_err() && verified.is_err(), "{kind}"),
            }
            let scheme = folder.openssl(&format!("asn1parse -in {kind}-ca.key"))?;
            for words in ["PBES2", ":scrypt", ":aes-256-cbc"] {
                ensure!(scheme.contains(words), "{kind}: no {words} in {scheme}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_ca_and_requests_of_openssl_are_taken() {
    in_folder(|folder| {
        folder.write("pass", "correct horse\n")?;
        for (kind, options) in [
            ("p256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"),
            ("p384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384"),
            ("rsa", "-newkey rsa:2048"),
        ] {
            // `openssl req` encrypts keys with PBKDF2 and Triple DES, or, in newer ones, AES.
            folder.openssl(&format!(
                "req -x509 {options} -passout file:pass -subj /O=Example/CN={kind} -days 30 \
                 -keyout {kind}-ca.key -out {kind}-ca.pem \
                 -addext basicConstraints=critical,CA:TRUE"
            ))?;
            folder.openssl(&format!(
                "req {options} -nodes -subj /CN=a.example.com -keyout {kind}.key -out {kind}.csr"
            ))?;
            folder.aop(&format!(
                "issue --ca {kind}-ca.pem --passphrase-file pass --csr {kind}.csr --out {kind}"
            ))?;
            let line = format!("verify -purpose sslclient -CAfile {kind}-ca.pem {kind}.pem");
            folder.openssl(&line)?;
            let key = folder.openssl(&format!("pkey -in {kind}.key -pubout"))?;
            ensure!(folder.openssl(&format!("x509 -in {kind}.pem -noout -pubkey"))? == key);
        }
        // Keys in the older forms, SEC 1 and PKCS #1.
        folder.openssl("ec -in p256-ca.key -passin file:pass -out sec1.key")?;
        folder.openssl("rsa -in rsa-ca.key -passin file:pass -traditional -out pkcs1.key")?;
        for (kind, key) in [("p256", "sec1.key"), ("rsa", "pkcs1.key")] {
            let host = "--host a.example.com";
            folder
                .aop(&format!("issue --ca {kind}-ca.pem --ca-key {key} {host} --out by-{kind}"))?;
            let line = format!("verify -purpose sslclient -CAfile {kind}-ca.pem by-{kind}.pem");
            folder.openssl(&line)?;
        }
        Ok(())
    });
}
