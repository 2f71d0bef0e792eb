//! TCP in every wrapping that the kernel would take off: the source decides, not the wrapping.

use aop_common::{Bytes, DropReason, PassReason, Segment, Verdict, judge};
use aop_packets::{
    Endpoints, Scene,
    build::{CUSTOMER_TAG, Extension, Ip, Ipv4, Ipv6, SERVICE_TAG, Tcp, tagged},
};
use proptest::{collection::vec, prelude::*};

const SCENE: Scene = Scene::FIXED;
const ADMITTED: Verdict = Verdict::Pass(PassReason::Admitted);
const NOT_GUARDED: Verdict = Verdict::Pass(PassReason::NotGuarded);
const TRANSIT: Verdict = Verdict::Pass(PassReason::Transit);

type Tags = Vec<(u16, u16)>;

fn tags() -> impl Strategy<Value = Tags> {
    vec((prop_oneof![Just(CUSTOMER_TAG), Just(SERVICE_TAG)], any::<u16>()), 0..=4)
}

fn whole() -> impl Strategy<Value = Extension> {
    prop_oneof![
        (0..20_u8).prop_map(Extension::hop_by_hop),
        (0..20_u8).prop_map(Extension::destination),
        (any::<u8>(), 0..20_u8).prop_map(|(kind, units)| Extension::routing(kind, units)),
        (0..20_u8).prop_map(Extension::authentication),
        Just(Extension::atomic()),
    ]
}

fn piece() -> impl Strategy<Value = Extension> {
    (0..0x2000_u16, any::<bool>()).prop_map(|(offset, more)| Extension::fragment(offset, more))
}

/// A segment to `port`, of any flags and lengths. Its data offset may be wrong.
fn segment(port: u16) -> impl Strategy<Value = Tcp> {
    let offset = prop::option::weighted(0.2, 0..16_u8);
    (any::<u8>(), 0..=10_usize, vec(any::<u8>(), 0..64), offset).prop_map(
        move |(flags, options, data, offset)| {
            let segment = Tcp::syn(port).flags(flags).no_operations(options).data(&data);
            match offset {
                Some(offset) => segment.offset(offset),
                None => segment,
            }
        },
    )
}

/// A packet of either family between `from`, in a wrapping in which the port of TCP can be found.
fn found(from: AddressPairs, port: u16) -> impl Strategy<Value = Vec<u8>> {
    let v4 = (0..=10_usize, any::<bool>(), segment(port)).prop_map(move |(options, evil, tcp)| {
        let flags = if evil { 0x8000 } else { 0x4000 };
        Ipv4::between(from.v4.0, from.v4.1).no_operations(options).flags(flags).tcp(&tcp)
    });
    let v6 = (vec(whole(), 0..=8), segment(port))
        .prop_map(move |(chain, tcp)| Ipv6::between(from.v6.0, from.v6.1).chain(chain).tcp(&tcp));
    (prop_oneof![v4, v6], tags()).prop_map(wrap)
}

/// A packet in whose wrapping the port cannot be found: fragments, long chains, broken headers.
fn lost(from: AddressPairs, port: u16) -> impl Strategy<Value = Vec<u8>> {
    let pieces = (0..0x4000_u16).prop_filter("a fragment", |flags| flags & 0x3fff != 0);
    let v4 = (0..=10_usize, pieces, segment(port)).prop_map(move |(options, flags, tcp)| {
        Ipv4::between(from.v4.0, from.v4.1).no_operations(options).flags(flags).tcp(&tcp)
    });
    let broken = (0..5_u8, segment(port))
        .prop_map(move |(ihl, tcp)| Ipv4::between(from.v4.0, from.v4.1).ihl(ihl).tcp(&tcp));
    let long = (vec(prop_oneof![4 => whole(), 1 => piece()], 9..30), segment(port))
        .prop_map(move |(chain, tcp)| Ipv6::between(from.v6.0, from.v6.1).chain(chain).tcp(&tcp));
    let v6 = (vec(whole(), 0..=7), piece(), segment(port)).prop_filter_map(
        "a fragment",
        move |(chain, piece, tcp)| {
            let ip = Ipv6::between(from.v6.0, from.v6.1).chain(chain).with(piece.clone());
            (!piece.is_atomic()).then(|| ip.tcp(&tcp))
        },
    );
    (prop_oneof![v4, broken, long, v6], tags()).prop_map(wrap)
}

fn wrap((frame, tags): (Vec<u8>, Tags)) -> Vec<u8> {
    tags.into_iter().fold(frame, |frame, (kind, control)| tagged(frame, kind, control))
}

/// Source and destination in both families.
#[derive(Clone, Copy)]
struct AddressPairs {
    v4: ([u8; 4], [u8; 4]),
    v6: ([u8; 16], [u8; 16]),
}

const STRANGER: AddressPairs = AddressPairs {
    v4: (SCENE.v4.stranger, SCENE.v4.origin),
    v6: (SCENE.v6.stranger, SCENE.v6.origin),
};
const ADMITTED_SOURCE: AddressPairs = AddressPairs {
    v4: (SCENE.v4.admitted, SCENE.v4.origin),
    v6: (SCENE.v6.admitted, SCENE.v6.origin),
};
const IN_TRANSIT: AddressPairs = AddressPairs {
    v4: (SCENE.v4.stranger, SCENE.v4.beyond),
    v6: (SCENE.v6.stranger, SCENE.v6.beyond),
};

/// An IPv6 address that spells an IPv4 address which would pass.
fn spelled() -> impl Strategy<Value = [u8; 16]> {
    let Endpoints { admitted, peer, .. } = SCENE.v4;
    (prop::sample::select(vec![admitted, peer]), 0..=12_usize, any::<bool>()).prop_map(
        |(inner, at, mapped)| {
            let mut address = [0; 16];
            address[..2].copy_from_slice(&[0x20, 0x02]);
            if mapped && at >= 2 {
                address[..2].fill(0);
                address[at - 2..at].fill(0xff);
            }
            address[at..at + 4].copy_from_slice(&inner);
            address
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_stranger_never_reaches_a_guarded_port(
        frame in prop_oneof![found(STRANGER, SCENE.guarded), lost(STRANGER, SCENE.guarded)],
    ) {
        let verdict = judge(&Bytes(&frame), &SCENE.facts());
        prop_assert!(matches!(verdict, Verdict::Drop(_)), "{:?}", verdict);
    }

    #[test]
    fn a_stranger_passes_where_the_host_only_forwards(
        frame in prop_oneof![found(IN_TRANSIT, SCENE.guarded), lost(IN_TRANSIT, SCENE.guarded)],
    ) {
        prop_assert_eq!(judge(&Bytes(&frame), &SCENE.forwarding_facts()), TRANSIT);
        prop_assert!(matches!(judge(&Bytes(&frame), &SCENE.facts()), Verdict::Drop(_)));
    }

    #[test]
    fn an_admitted_source_passes_in_every_shape_that_has_addresses(
        frame in prop_oneof![
            found(ADMITTED_SOURCE, SCENE.guarded),
            lost(ADMITTED_SOURCE, SCENE.guarded),
        ],
        cut in any::<prop::sample::Index>(),
    ) {
        let facts = SCENE.facts();
        // Chains that may hide another packet pass from no source.
        prop_assume!(!matches!(Segment::read(&Bytes(&frame)), Segment::Unfit { .. }));
        prop_assert_eq!(judge(&Bytes(&frame), &facts), ADMITTED);
        // Bytes missing behind four tags and 40 bytes of IP do not matter.
        let kept = (14 + 16 + 40 + cut.index(frame.len())).min(frame.len());
        prop_assert_eq!(judge(&Bytes(&frame[..kept]), &facts), ADMITTED);
    }

    #[test]
    fn from_any_source_a_port_that_can_be_read_and_is_not_guarded_passes(
        frame in prop_oneof![
            found(STRANGER, SCENE.unguarded),
            found(ADMITTED_SOURCE, SCENE.unguarded),
        ],
    ) {
        prop_assert_eq!(judge(&Bytes(&frame), &SCENE.facts()), NOT_GUARDED);
    }

    #[test]
    fn more_than_four_tags_pass_from_no_source(
        frame in prop_oneof![
            found(STRANGER, SCENE.guarded),
            found(ADMITTED_SOURCE, SCENE.unguarded),
        ],
        more in vec(any::<u16>(), 5..12),
    ) {
        let frame = wrap((frame, more.into_iter().map(|vid| (CUSTOMER_TAG, vid)).collect()));
        prop_assert_eq!(judge(&Bytes(&frame), &SCENE.facts()), Verdict::Drop(DropReason::TooDeep));
    }

    #[test]
    fn an_ipv6_source_is_not_the_ipv4_address_it_spells(source in spelled(), tcp in segment(443)) {
        let frame = Ipv6::between(source, SCENE.v6.origin).tcp(&tcp);
        let verdict = judge(&Bytes(&frame), &SCENE.facts());
        prop_assert!(matches!(verdict, Verdict::Drop(_)), "{:?}", verdict);
    }
}
