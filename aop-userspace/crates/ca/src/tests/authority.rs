use std::collections::HashSet;

use super::*;
use crate::{MAX_CA_DAYS, MAX_LEAF_DAYS, default_ca_name};

#[test]
fn a_ca_and_its_leaf_have_exactly_the_extensions_of_their_roles() {
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let pem = create(&order(&["example.com"], 10), &key, now()).expect("a CA");
        let ca = &described(&pem).certificates[0];
        assert_eq!((ca.version, ca.path_length, ca.inspected.is_ca), (3, Some(0), true));
        assert_eq!(ca.key_usage, ["keyCertSign", "cRLSign"]);
        assert!(ca.extended_key_usage.is_empty() && ca.inspected.names.is_empty());
        assert_eq!(ca.constraints.permitted, ["example.com"]);
        assert_eq!(ca.inspected.identity.subject, "CN=test CA");
        assert!(ca.client_ca.is_fit(), "{:?}", ca.client_ca);
        assert_eq!(ca.inspected.identity.spki_sha256, key.spki_sha256());

        let ca = Ca::open(pem.as_bytes(), key, now()).expect("opened");
        let names = ["pull.example.com", "*.example.com", "pull.example.com"];
        let leaf = issue(&ca, &names, 5).expect("a leaf");
        let leaf = &described(&leaf.pem).certificates[0];
        assert_eq!((leaf.version, leaf.path_length, leaf.inspected.is_ca), (3, None, false));
        assert_eq!(leaf.key_usage, ["digitalSignature"]);
        assert_eq!(leaf.extended_key_usage, ["clientAuth"]);
        assert_eq!(leaf.inspected.names, ["dns:pull.example.com", "dns:*.example.com"]);
        let identity = &leaf.inspected.identity;
        assert_eq!((&identity.subject[..], &identity.issuer[..]), {
            ("CN=pull.example.com", "CN=test CA")
        });
        assert!(leaf.upload.is_fit(), "{:?}", leaf.upload);
    }
}

#[test]
fn a_leaf_is_valid_from_an_hour_ago_and_never_longer_than_its_ca() {
    let seconds = now().as_second().unsigned_abs();
    let (ca, _) = ca(&[], 10);
    let days = |leaf: &IssuedLeaf| {
        let identity = &described(&leaf.pem).certificates[0].inspected.identity;
        assert_eq!(identity.not_before, seconds - 3600);
        assert_eq!(leaf.not_after.as_second().unsigned_abs(), identity.not_after);
        (identity.not_after - seconds) / (24 * 3600)
    };
    let short = issue(&ca, &["a.test"], 9).expect("a leaf");
    assert_eq!((days(&short), short.shortened), (9, false));
    let same = issue(&ca, &["a.test"], 10).expect("a leaf");
    assert_eq!((days(&same), same.shortened), (10, false));
    let long = issue(&ca, &["a.test"], 11).expect("a leaf");
    assert_eq!((days(&long), long.shortened), (10, true));
    // A CA that was made a moment ago: the leaf begins with it.
    let order = LeafOrder { hosts: hosts(&["a.test"]), days: 1 };
    let early = now() - SignedDuration::from_mins(3);
    let leaf = ca.issue(&order, &key().public_key(), early).expect("a leaf");
    let identity = &described(&leaf.pem).certificates[0].inspected.identity;
    assert_eq!(identity.not_before, seconds - 3600);
}

#[test]
fn days_out_of_bounds_are_refused_with_the_bounds() {
    let (ca, _) = ca(&[], MAX_CA_DAYS);
    for days in [0, MAX_CA_DAYS + 1, u32::MAX] {
        let error = create(&order(&[], days), &key(), now()).expect_err("out of bounds");
        assert_eq!(
            error.to_string(),
            format!("{days} days are not possible: the number is from 1 to 7300")
        );
    }
    for days in [0, MAX_LEAF_DAYS + 1, u32::MAX] {
        let error = issue(&ca, &["a.test"], days).expect_err("out of bounds").to_string();
        assert!(error.ends_with("from 1 to 3650"), "{error}");
    }
    issue(&ca, &["a.test"], MAX_LEAF_DAYS).expect("a leaf");
}

#[test]
fn a_ca_signs_only_while_it_is_valid() {
    let key = key();
    let pem = create(&order(&[], 10), &key, now()).expect("a CA");
    let open = |moment| Ca::open(pem.as_bytes(), again(&key), moment).err();
    assert!(open(now() + DAY * 10).is_none());
    let late = open(now() + DAY * 10 + SignedDuration::from_secs(1)).expect("it has expired");
    assert!(matches!(late, CaError::Expired(end) if end == now() + DAY * 10), "{late}");
    assert!(open(now() - SignedDuration::from_hours(1)).is_none());
    let early = open(now() - SignedDuration::from_mins(61)).expect("it is not valid yet");
    assert!(early.to_string().contains("check this machine's clock"), "{early}");
}

#[test]
fn only_a_ca_with_its_own_key_signs() {
    let (ca, pem) = ca(&[], 10);
    let error = Ca::open(pem.as_bytes(), key(), now()).err().expect("another key");
    assert!(matches!(error, CaError::KeyMismatch { .. }), "{error}");
    let holder = key();
    let order = LeafOrder { hosts: hosts(&["a.test"]), days: 1 };
    let leaf = ca.issue(&order, &holder.public_key(), now()).expect("a leaf");
    let error = Ca::open(leaf.pem.as_bytes(), holder, now()).err().expect("a leaf");
    assert!(matches!(error, CaError::NotACa { .. }), "{error}");
    assert!(error.to_string().contains("CN=a.test, which is not a CA (no CA:TRUE)"), "{error}");
    for text in ["", "nothing", &*key().to_pem().expect("text")] {
        let error = Ca::open(text.as_bytes(), key(), now()).err().expect("no certificate");
        assert!(matches!(error, CaError::NoCertificate), "{error}");
    }
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let key = key();
    let pem = create(&order(&[], 10), &key, now()).expect("a CA");
    Ca::open(pem.as_bytes(), again(&key), now()).expect("the whole file");
    let text = key.to_pem().expect("text");
    for length in 1..pem.trim_end().len() {
        assert!(Ca::open(&pem.as_bytes()[..length], again(&key), now()).is_err(), "{length}");
        describe(&pem.as_bytes()[..length], now()).expect_err("it is cut off");
    }
    for length in 1..text.trim_end().len() {
        assert!(read_key(&text.as_bytes()[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_limited_ca_signs_only_the_names_that_verifiers_would_accept() {
    let (limited, _) = ca(&["example.com", "*.example.com", "example.net"], 10);
    for name in
        ["example.com", "a.example.com", "b.a.example.net", "*.example.com", "A.Example.COM"]
    {
        issue(&limited, &[name], 1).expect(name);
    }
    for name in ["example.org", "badexample.com", "com", "*.com"] {
        let error = issue(&limited, &["example.com", name], 1).expect_err(name).to_string();
        assert!(error.contains("example.com, example.net and names below"), "{error}");
        assert!(error.contains(name), "{error}");
    }
    let (free, _) = ca(&[], 10);
    issue(&free, &["example.org"], 1).expect("no limit");
}

#[test]
fn a_leaf_has_a_name_and_a_common_name_that_fits() {
    let (ca, _) = ca(&[], 10);
    assert!(matches!(issue(&ca, &[], 1), Err(CaError::NoHost)));
    let long = format!("{}.example.com", "a".repeat(60));
    let leaf = issue(&ca, &[&long], 1).expect("a leaf");
    let leaf = &described(&leaf.pem).certificates[0].inspected;
    assert_eq!(leaf.identity.subject, "CN=origin pull");
    assert_eq!(leaf.names, [format!("dns:{long}")]);
}

#[test]
fn the_name_of_a_ca_is_printable_and_bounded() {
    let named = |name: &str| {
        let order = CaOrder { name: name.into(), hosts: Vec::new(), days: 1 };
        create(&order, &key(), now())
    };
    for name in ["", "a\nb", "\u{1b}[31m", &"x".repeat(65)] {
        assert!(matches!(named(name), Err(CaError::Name)), "{name:?}");
    }
    let pem = named("Zoë, \"CA\" +1").expect("a CA");
    let subject = &described(&pem).certificates[0].inspected.identity.subject;
    assert_eq!(subject, "CN=\"Zoë, \\\"CA\\\" +1\"");
    let default = |host: &str| default_ca_name(&host.parse().expect("a host"));
    assert_eq!(default("*.example.com"), "example.com origin pull CA");
    assert_eq!(default(&format!("{}.com", "a".repeat(60))), "origin pull CA");
}

#[test]
fn serial_numbers_are_random_positive_and_of_one_length() {
    let (ca, _) = ca(&[], 10);
    let serials: HashSet<String> = (0..50)
        .map(|_| {
            let leaf = issue(&ca, &["a.test"], 1).expect("a leaf");
            described(&leaf.pem).certificates[0].inspected.identity.serial.clone()
        })
        .collect();
    assert_eq!(serials.len(), 50);
    for serial in serials {
        assert_eq!(serial.len(), 32, "{serial}");
        assert!(('4'..='7').contains(&serial.chars().next().expect("it")), "{serial}");
    }
}
