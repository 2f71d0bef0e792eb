use super::*;

/// A certificate section as OpenSSL writes it.
fn certificate(content: &str) -> String {
    section("CERTIFICATE", content)
}

fn section(label: &str, content: &str) -> String {
    let base64 = data_encoding::BASE64.encode(content.as_bytes());
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

/// The contents of the certificates in `bytes`.
#[track_caller]
fn read(bytes: &[u8]) -> Vec<String> {
    let each = |section: Section| {
        let SectionContent::Certificate(der) = section.content else { panic!("{section:?}") };
        String::from_utf8(der).unwrap()
    };
    sections(bytes).unwrap().into_iter().map(each).collect()
}

#[track_caller]
fn refuses(text: &str, line: usize, fault: SectionFault) {
    assert_eq!(sections(text.as_bytes()), Err(SectionError { line, fault }), "{text}");
}

#[test]
fn every_certificate_is_read_in_every_form_that_operators_make() {
    let both = certificate("one") + &certificate("two");
    let joined = certificate("one").trim_end().to_owned() + &certificate("two");
    assert!(joined.contains("-----END CERTIFICATE----------BEGIN CERTIFICATE-----"));
    let forms = [
        both.clone(),
        joined.clone(),
        joined.trim_end().to_owned(),
        format!("\u{feff}{both}"),
        format!("{}\u{feff}{}", certificate("one"), certificate("two")),
        both.replace('\n', "\r\n"),
        both.replace('\n', "\r"),
        both.replace('\n', "\n\n"),
        both.replace('\n', " \n\t "),
        both.replace("-----BEGIN", "  \t-----BEGIN"),
        both.replace("CERTIFICATE-----", "CERTIFICATE----- "),
        both.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE -----"),
        both.replace("CERTIFICATE", "X509 CERTIFICATE"),
        both.replace("b25l", "b2\n5l").replace("dHdv", "d Hd\r\nv"),
        format!("Bag Attributes\n friendlyName: x\nsubject=CN = one\n{both}# the end\n"),
        format!("# BEGIN CERTIFICATE of the CA\n{both}"),
        format!("# front-end client certificate\n{both}# -- BEGIN CERTIFICATE --\n"),
        format!("Subject: CN=back-end CA, O=Foo Certificate Services\n{both}- end of certificates"),
        both.replace('\n', ""),
        section("EC PARAMETERS", "x") + &both,
    ];
    for form in forms {
        let other = |section: &Section| section.content == SectionContent::Other;
        let read: Vec<_> = sections(form.as_bytes())
            .unwrap_or_else(|error| panic!("{error} in {form}"))
            .into_iter()
            .filter(|section| !other(section))
            .map(|section| section.content)
            .collect();
        let wanted = ["one", "two"].map(|it| SectionContent::Certificate(it.into()));
        assert_eq!(read, wanted, "{form:?}");
    }
    let utf16: Vec<u16> = format!("\u{feff}{both}").encode_utf16().collect();
    for bytes in [
        utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>(),
        utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
    ] {
        assert_eq!(read(&bytes), ["one", "two"]);
    }
    // Latin-1 in the text around.
    assert_eq!(read(&[b"subject=CN = caf\xe9\n", both.as_bytes()].concat()), ["one", "two"]);
    assert_eq!(sections(b"not PEM"), Ok(vec![]));
}

#[test]
fn a_section_that_cannot_be_read_is_named_with_its_line() {
    let one = certificate("one");
    let no_end = || SectionFault::NoEnd("CERTIFICATE".into());
    refuses(&format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n"), 4, no_end());
    refuses(&format!("-----BEGIN CERTIFICATE-----\nAAAA\n{one}"), 1, no_end());
    refuses("-----BEGIN CERTIFICATE-----\nAAAA\n-----END X509 CRL-----\n", 1, no_end());
    refuses("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE", 1, no_end());
    refuses(&format!("{one}AAAA\n-----END CERTIFICATE-----\n"), 5, SectionFault::NoBegin);
    refuses(&format!("{one}{}", one.replace("b25l", "b2!l")), 4, SectionFault::Base64);
    refuses(&one.replace("b25l", "> b25l"), 1, SectionFault::Base64);
    refuses(&one.replace("b25l", "a: b\nb25l"), 1, SectionFault::Base64);
    refuses(&one.replace("-----BEGIN CERTIFICATE", "-----BEGIN CERTI\u{2014}"), 1, {
        SectionFault::Marker
    });
    for damaged in [
        "----BEGIN CERTIFICATE----",
        "---- BEGIN CERTIFICATE ----",
        "\u{2014}\u{2013}BEGIN CERTIFICATE\u{2014}\u{2013}",
        "-----begin certificate-----",
        "-----BEGIN-CERTIFICATE-----",
        "----BEGIN X509 CRL----",
        "----BEGIN PRIVATE KEY----",
    ] {
        refuses(&one.replace("-----BEGIN CERTIFICATE-----", damaged), 1, SectionFault::Marker);
        refuses(&format!("{one}\r\n\r{damaged}\nAAAA\n"), 6, SectionFault::Marker);
    }
    for (label, cure) in [
        ("TRUSTED CERTIFICATE", "openssl x509"),
        ("PKCS7", "openssl pkcs7"),
        ("CMS", "openssl pkcs7"),
        ("ATTRIBUTE CERTIFICATE", "take the section out"),
    ] {
        let error = sections((one.clone() + &section(label, "x")).as_bytes()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("line 4: ") && text.contains(label), "{text}");
        assert!(text.contains(cure), "{text}");
    }
}

#[test]
fn other_sections_keep_their_kind() {
    let kind = |label: &str| {
        let [section] = &sections(section(label, "x").as_bytes()).unwrap()[..] else { panic!() };
        match &section.content {
            SectionContent::Certificate(_) => "certificate",
            SectionContent::Crl(_) => "list",
            SectionContent::Key(PrivateKeyDer::Pkcs8(_)) => "PKCS #8",
            SectionContent::Key(PrivateKeyDer::Pkcs1(_)) => "PKCS #1",
            SectionContent::Key(PrivateKeyDer::Sec1(_)) => "SEC 1",
            SectionContent::Key(_) => "another key",
            SectionContent::Request(_) => "request",
            SectionContent::EncryptedKey(_) => "encrypted",
            SectionContent::OlderEncryptedKey => "encrypted in the older form",
            SectionContent::Other => "other",
        }
    };
    for (label, wanted) in [
        ("CERTIFICATE", "certificate"),
        ("X509 CRL", "list"),
        ("PRIVATE KEY", "PKCS #8"),
        ("RSA PRIVATE KEY", "PKCS #1"),
        ("EC PRIVATE KEY", "SEC 1"),
        ("ENCRYPTED PRIVATE KEY", "encrypted"),
        ("CERTIFICATE REQUEST", "request"),
        ("NEW CERTIFICATE REQUEST", "request"),
        ("PUBLIC KEY", "other"),
        ("DH PARAMETERS", "other"),
    ] {
        assert_eq!(kind(label), wanted, "{label}");
    }
    let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
    let older = section("RSA PRIVATE KEY", "x").replacen('\n', &format!("\n{headers}"), 1);
    assert_eq!(sections(older.as_bytes()).unwrap()[0].content, SectionContent::OlderEncryptedKey);
    // Other headers are skipped.
    let commented = certificate("x").replacen('\n', "\nComment: y\n\n", 1);
    assert_eq!(read(commented.as_bytes()), ["x"]);
}
