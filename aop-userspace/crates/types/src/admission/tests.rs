mod naive;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|text| text.parse().expect("a CIDR")).collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn list(list: &[&str]) -> Admission {
    Admission::default().followed_by(&nets(list), HOUR, 0)
}

#[test]
fn an_empty_set_admits_no_address() {
    assert_eq!(Admission::default().standing(address("192.0.2.1"), 0), Standing::Unknown);
}

#[test]
fn a_prefix_that_leaves_the_list_drains_and_then_is_unknown() {
    let after = list(&["192.0.2.0/24"]).followed_by(&nets(&["198.51.100.0/24"]), HOUR, 100);
    let peer = address("192.0.2.1");
    assert_eq!(after.standing(peer, 100), Standing::Draining);
    assert_eq!(after.standing(peer, 3699), Standing::Draining);
    assert_eq!(after.standing(peer, 3700), Standing::Unknown);
    assert_eq!(after.standing(address("198.51.100.1"), 9999), Standing::Admitted);
}

#[test]
fn a_second_change_does_not_lengthen_the_draining() {
    let first = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
    let second = first.followed_by(&[], HOUR, 2000);
    assert_eq!(second.standing(address("192.0.2.1"), 3700), Standing::Unknown);
    assert_eq!(second.followed_by(&[], HOUR, 3700).entries(), []);
}

#[test]
fn a_shorter_drain_time_also_applies_to_prefixes_that_drain_already() {
    let first = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
    let second = first.followed_by(&[], Duration::ZERO, 200);
    assert_eq!(second.standing(address("192.0.2.1"), 200), Standing::Unknown);
}

#[test]
fn draining_prefixes_make_room_for_a_new_list() {
    let list = |third: u8| -> Vec<IpNet> {
        let net = |n: usize| {
            IpNet::new([10 + (n >> 16) as u8, third, (n >> 8) as u8, n as u8].into(), 32)
        };
        (0..MAX_PREFIXES * 3 / 4).map(|n| net(n).expect("a CIDR")).collect()
    };
    let old = Admission::default().followed_by(&list(1), HOUR, 0);
    let new = old.followed_by(&list(2), HOUR, 0);
    assert_eq!(new.entries().len(), MAX_PREFIXES);
    assert_eq!(new.admitted().0, MAX_PREFIXES * 3 / 4);
}

#[test]
fn if_too_many_drain_those_with_the_earliest_deadline_are_left_out_per_family() {
    let list = |second: u8| -> Vec<IpNet> {
        let net = |n: usize| IpNet::new([10 + second, 0, (n >> 8) as u8, n as u8].into(), 32);
        let mut list: Vec<IpNet> = (0..MAX_PREFIXES / 2).map(|n| net(n).expect("a CIDR")).collect();
        list.push(format!("2001:db8:{second}::/48").parse().expect("a CIDR"));
        list
    };
    let first = Admission::default().followed_by(&list(0), HOUR, 0);
    let second = first.followed_by(&list(1), HOUR, 100);
    let third = second.followed_by(&list(2), HOUR, 200);
    assert_eq!(third.entries().len(), MAX_PREFIXES + 3);
    let standing = |text| third.standing(address(text), 200);
    assert_eq!(standing("12.0.0.9"), Standing::Admitted);
    assert_eq!(standing("11.0.0.9"), Standing::Draining);
    assert_eq!(standing("10.0.0.9"), Standing::Unknown);
    assert_eq!(standing("2001:db8::9"), Standing::Draining);
}

#[test]
fn entries_are_sorted_and_the_last_of_two_for_one_prefix_counts() {
    let [wide, narrow] = ["192.0.0.0/16", "192.0.2.0/24"].map(|text| nets(&[text])[0]);
    let draining = Prefix { drains_until: 7 };
    let set = Admission::from_entries(vec![
        (narrow, draining),
        (wide, Prefix::ADMITTED),
        (narrow, Prefix::ADMITTED),
    ]);
    assert_eq!(set.entries(), [(wide, Prefix::ADMITTED), (narrow, Prefix::ADMITTED)]);
    assert_eq!(set.longest(address("192.0.2.1")), Some((narrow, Prefix::ADMITTED)));
}

#[test]
fn a_prefix_that_comes_back_is_admitted_at_once() {
    let gone = list(&["192.0.2.0/24"]).followed_by(&[], HOUR, 100);
    let back = gone.followed_by(&nets(&["192.0.0.0/16"]), HOUR, 200);
    assert_eq!(back.standing(address("192.0.2.1"), 200), Standing::Admitted);
    assert_eq!(back.draining(), 0);
}

#[test]
fn an_admitted_prefix_inside_a_draining_one_stays_admitted() {
    let after = list(&["192.0.0.0/16"]).followed_by(&nets(&["192.0.2.0/24"]), HOUR, 100);
    assert_eq!(after.standing(address("192.0.2.1"), 100), Standing::Admitted);
    assert_eq!(after.standing(address("192.0.3.1"), 100), Standing::Draining);
}
