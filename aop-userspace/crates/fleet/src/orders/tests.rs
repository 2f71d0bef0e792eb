//! Orders: signed and altered, in time and late, for this host and for others.

use std::collections::BTreeMap;

use aop_api::{ModeChange, ModeTarget, Order, OrderedHosts, RefreshAction, Request, Wave};
use aop_config::{FleetLabels, FleetName, FleetPrefix, OperatorKey};
use jiff::{SignedDuration, Timestamp};

use super::*;

const NOW: &str = "2026-11-30T12:00:00Z";

struct Host {
    fleet: FleetPrefix,
    name: FleetName,
    labels: FleetLabels,
    operators: Vec<OperatorKey>,
    last: u64,
    now: Timestamp,
}

impl Host {
    fn obeying(operators: &[&OperatorSecret]) -> Self {
        Self {
            fleet: "/aop/production".parse().expect("a prefix"),
            name: "web-17".parse().expect("a name"),
            labels: FleetLabels::default(),
            operators: operators.iter().map(|secret| secret.public_key()).collect(),
            last: 16,
            now: now(),
        }
    }

    fn judge(&self, signed: &SignedOrder) -> Judgement {
        let Self { fleet, name, labels, operators, last, now } = self;
        HostStanding { fleet, name, labels, operators, last: *last, now: *now }.judge(signed)
    }

    fn ignores(&self, signed: &SignedOrder) -> OrderRefusal {
        let judged = self.judge(signed);
        let Judgement::Ignore(why) = judged else { panic!("not ignored: {judged:?}") };
        why
    }
}

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn secret() -> OperatorSecret {
    OperatorSecret::generate().expect("a key")
}

fn order() -> Order {
    Order {
        fleet: "/aop/production".to_owned(),
        serial: 17,
        issued: now(),
        expires: now() + SignedDuration::from_mins(10),
        hosts: OrderedHosts { names: vec!["web-*".to_owned()], ..OrderedHosts::default() },
        request: Request::Mode(ModeChange::to(ModeTarget::Enforce)),
    }
}

fn signed(order: &Order, secret: &OperatorSecret) -> SignedOrder {
    SignedOrder::sign(order, secret).expect("it is signed")
}

#[test]
fn a_signed_order_in_time_is_obeyed_as_it_was_signed() {
    let secret = secret();
    let host = Host::obeying(&[&secret]);
    let bytes = signed(&order(), &secret).to_bytes().expect("bytes");
    let read = SignedOrder::from_bytes(&bytes).expect("an order");
    let judged = host.judge(&read);
    let Judgement::Obey(obeyed) = judged else { panic!("not obeyed: {judged:?}") };
    assert_eq!(*obeyed, order());
}

#[test]
fn a_foreign_altered_or_unsigned_order_is_ignored() {
    let (ours, foreign) = (secret(), secret());
    let host = Host::obeying(&[&ours]);
    let refusal = host.ignores(&signed(&order(), &foreign));
    assert_eq!(refusal, OrderRefusal::UnknownOperator(foreign.public_key()));
    assert_eq!(
        Host::obeying(&[]).ignores(&signed(&order(), &ours)),
        OrderRefusal::ObeysNobody,
        "empty means nobody"
    );

    let text = String::from_utf8(signed(&order(), &ours).to_bytes().expect("bytes")).expect("text");
    let altered = |from: &str, to: &str| {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        SignedOrder::from_bytes(altered.as_bytes()).expect("the form of an order")
    };
    let (foreign, ours) = (foreign.public_key(), ours.public_key());
    for altered in [
        altered("enforce", "observe"),
        altered("web-*", "*"),
        altered(":17", ":18"),
        altered("\"signature\":\"", "\"signature\":\"AAAA"),
    ] {
        assert_eq!(host.ignores(&altered), OrderRefusal::WrongSignature(ours));
    }
    let no_key = altered(&ours.to_string(), "root\\u001b[31m");
    assert_eq!(host.ignores(&no_key), OrderRefusal::NoKey);
    let claimed = altered(&ours.to_string(), &foreign.to_string());
    assert_eq!(host.ignores(&claimed), OrderRefusal::UnknownOperator(foreign));
}

#[test]
fn an_order_counts_once_in_order_and_in_time() {
    let secret = secret();
    let host = Host::obeying(&[&secret]);
    let with = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        signed(&order, &secret)
    };
    let not_newer = |serial| OrderRefusal::NotNewer { serial, last: 16 };
    assert_eq!(host.ignores(&with(|it| it.serial = 16)), not_newer(16));
    assert_eq!(host.ignores(&with(|it| it.serial = 0)), not_newer(0));
    assert_eq!(host.ignores(&with(|it| it.expires = now())), OrderRefusal::Expired(now()));
    let ahead = |minutes| now() + SignedDuration::from_mins(minutes);
    let future = with(|it| {
        it.issued = now() + SignedDuration::from_mins(11);
        it.expires = now() + SignedDuration::from_mins(20);
    });
    assert_eq!(host.ignores(&future), OrderRefusal::NotYet(ahead(11)));
    let skewed = with(|it| it.issued = now() + SignedDuration::from_mins(5));
    assert!(matches!(host.judge(&skewed), Judgement::Obey(_)), "clocks five minutes apart");
    let long = with(|it| it.expires = now() + SignedDuration::from_hours(25));
    assert_eq!(host.ignores(&long), OrderRefusal::TooLong);
    let elsewhere = with(|it| it.fleet = "/aop/staging".to_owned());
    assert_eq!(host.ignores(&elsewhere), OrderRefusal::OtherFleet("/aop/staging".to_owned()));
}

#[test]
fn an_order_is_for_the_hosts_that_meet_every_condition_and_empty_means_nobody() {
    let name: FleetName = "web-17".parse().expect("a name");
    let labels = BTreeMap::from([("ring".to_owned(), "canary".to_owned())]);
    let includes = |names: &[&str], labelled: &[(&str, &str)], wave| {
        let names = names.iter().map(|it| (*it).to_owned()).collect();
        let wanted =
            labelled.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        hosts_include(&OrderedHosts { names, labels: wanted, wave }, &name, &labels)
    };
    let at = place(&name);
    assert!(includes(&["web-17"], &[], None) && includes(&["db-*", "web-*"], &[], None));
    assert!(!includes(&[], &[], None), "no names");
    assert!(!includes(&["web-1"], &[], None) && !includes(&["*web"], &[], None));
    assert!(includes(&["*"], &[("ring", "canary")], None));
    assert!(!includes(&["*"], &[("ring", "late")], None));
    assert!(!includes(&["*"], &[("region", "canary")], None));
    assert!(includes(&["*"], &[], Some(Wave { from: at, below: at + 1 })));
    assert!(!includes(&["*"], &[], Some(Wave { from: 0, below: at })));
    assert!(!includes(&["*"], &[], Some(Wave { from: at + 1, below: PLACES })));

    let secret = secret();
    let mut other = order();
    other.hosts.names = vec!["db-*".to_owned()];
    let judged = Host::obeying(&[&secret]).judge(&signed(&other, &secret));
    assert!(matches!(judged, Judgement::NotForThisHost), "{judged:?}");
}

#[test]
fn an_order_cannot_ask_for_everything() {
    let secret = secret();
    let host = Host::obeying(&[&secret]);
    let forced = ModeChange { force: true, ..ModeChange::to(ModeTarget::Enforce) };
    for request in [
        Request::Mode(forced),
        Request::RefreshPrefixes { then: RefreshAction::ApplyShrunk },
        Request::Upgrade,
        Request::Status,
    ] {
        let order = Order { request, ..order() };
        let refusal = host.ignores(&signed(&order, &secret));
        assert!(matches!(refusal, OrderRefusal::Forbidden(_)), "{refusal:?}");
    }
}

#[test]
fn a_verb_or_a_field_that_this_version_does_not_know_is_ignored_and_told() {
    let secret = secret();
    let host = Host::obeying(&[&secret]);
    let text = serde_json::to_string(&order()).expect("text");
    for (from, to) in [("\"mode\"", "\"reboot\""), ("\"serial\"", "\"urgent\":true,\"serial\"")] {
        let newer = SignedOrder::of_text(text.replacen(from, to, 1), &secret);
        let refusal = host.ignores(&newer);
        assert!(matches!(refusal, OrderRefusal::Unknown(_)), "{refusal:?}");
    }
}

#[test]
fn values_of_another_form_are_no_orders() {
    for bytes in [&b""[..], b"{}", b"[]", b"\xff\xfe", &[b' '; MAX_ORDER + 1]] {
        assert!(SignedOrder::from_bytes(bytes).is_err());
    }
}

#[test]
fn the_operator_s_key_is_kept_with_and_without_a_passphrase() {
    let secret = secret();
    let passphrase = || aop_ca::Passphrase::first_line(b"a long passphrase");
    let plain = secret.to_pem(None).expect("text");
    let sealed = secret.to_pem(passphrase().as_ref()).expect("text");
    let read = |text: &str| {
        OperatorSecret::from_pem::<aop_ca::KeyError>(text.as_bytes(), || Ok(passphrase()))
    };
    for text in [&plain, &sealed] {
        assert_eq!(read(text).expect("a key").public_key(), secret.public_key());
    }
    assert!(sealed.contains("ENCRYPTED"));
    let other = aop_ca::PrivateKey::generate(aop_ca::KeyAlgorithm::EcdsaP256).expect("a key");
    let refused = read(&other.to_pem().expect("text")).err().expect("refused");
    assert!(refused.to_string().contains("aop fleet key create"), "{refused}");
}
