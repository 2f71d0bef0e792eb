use super::*;
use crate::Passphrase;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::first_line(text.as_bytes()).expect("a passphrase")
}

fn open(text: &str, with: Option<&str>) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(text.as_bytes(), || Ok(with.map(passphrase)))
}

#[test]
fn each_kind_of_key_survives_its_file_with_and_without_a_passphrase() {
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let plain = key.to_pem().expect("text");
        assert!(plain.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{algorithm}");
        let sealed = key.to_encrypted_pem(&passphrase("zoë's cat")).expect("text");
        assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{algorithm}");
        let read = open(&plain, None).expect("read");
        let opened = open(&sealed, Some("zoë's cat")).expect("opened");
        assert_eq!(read.spki_sha256(), key.spki_sha256());
        assert_eq!(opened.spki_sha256(), key.spki_sha256());
        assert_eq!(*opened.to_pem().expect("text"), *plain);
        let another = key.to_encrypted_pem(&passphrase("zoë's cat")).expect("text");
        assert_ne!(*sealed, *another, "the salt is not random");
    }
}

/// RFC 9881 has three forms of ML-DSA keys; Cloudflare takes this one alone.
#[test]
fn an_ml_dsa_key_is_its_seed_alone() {
    let key = PrivateKey::generate(KeyAlgorithm::MlDsa44).expect("a key");
    let der = key.pkcs8().expect("DER");
    // SEQUENCE of the version, the algorithm, and an OCTET STRING with [0] and 32 bytes.
    assert_eq!(der.len(), 54);
    assert_eq!(der[18..22], [0x04, 0x22, 0x80, 0x20]);
}

#[test]
fn a_key_does_not_open_without_its_passphrase() {
    let sealed = key().to_encrypted_pem(&passphrase("right one")).expect("text");
    open(&sealed, Some("right one")).expect("opened");
    for wrong in ["wrong one", "right one ", "right"] {
        assert!(matches!(open(&sealed, Some(wrong)), Err(KeyError::WrongPassphrase)), "{wrong}");
    }
    assert!(matches!(open(&sealed, None), Err(KeyError::Encrypted)));
}

#[test]
fn a_passphrase_is_the_first_line_of_its_file() {
    for (text, wanted) in [
        ("secret", Some("secret")),
        ("secret\n", Some("secret")),
        ("secret\r\n", Some("secret")),
        (" a b \nmore", Some(" a b ")),
        ("", None),
        ("\nsecret", None),
        ("\r\n", None),
    ] {
        let read = Passphrase::first_line(text.as_bytes());
        assert_eq!(read.as_ref().map(Passphrase::as_bytes), wanted.map(str::as_bytes), "{text:?}");
    }
}

#[test]
fn a_file_of_keys_has_one_that_serves() {
    let text = key().to_pem().expect("text");
    let two = format!("{}{}", *text, *key().to_pem().expect("text"));
    assert!(matches!(open(&two, None), Err(KeyError::Two([1, 6]))));
    let certificate = ca(&[], 1).1;
    open(&format!("{certificate}{}", *text), None).expect("the certificate does not matter");
    assert!(matches!(open(&certificate, None), Err(KeyError::Missing)));
    let older = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\
                 \n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    assert!(matches!(open(older, None), Err(KeyError::OlderEncryption)));
    // Ed25519 (RFC 8410, 10.3): Cloudflare does not take it.
    let ed25519 = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
    assert!(matches!(open(ed25519, None), Err(KeyError::Unknown)));
}

#[test]
fn a_description_of_a_key_has_nothing_of_the_key() {
    let key = key();
    let plain = described(&key.to_pem().expect("text"));
    assert_eq!(plain.keys[0].kind.as_deref(), Some("ECDSA P-256"));
    assert_eq!(plain.keys[0].spki_sha256, Some(key.spki_sha256()));
    let sealed = described(&key.to_encrypted_pem(&passphrase("a passphrase")).expect("text"));
    let sealed = &sealed.keys[0];
    assert!(sealed.encrypted && sealed.kind.is_none() && sealed.spki_sha256.is_none());
}
