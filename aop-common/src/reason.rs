//! Why packets pass, and why they are dropped: one table for each.
//!
//! A row is all that is said about a reason. The variant, its documentation, its number among the
//! counters, its stable name and what operators read about it derive from the row, so none of them
//! can be forgotten. The page `docs/reasons.md` repeats the rows, and a test compares.
//!
//! A number is the reason's place among the counters of an interface, which are pinned and outlive
//! the program. So a number is never changed and never used again; a new reason takes the next one.
//! Spare numbers are reserved: see [`Tally`](crate::Tally).

/// Makes the enum of a table. Two rows of one number or one variant do not compile, and neither
/// does a number outside of `0..ROOM`.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        $Reason:ident: ROOM = $room:literal;
        $($number:literal $Variant:ident $name:literal means $meaning:literal do $advice:literal;)+
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $Reason {
            $(#[doc = $meaning] $Variant = $number,)+
        }

        impl $Reason {
            /// Every reason of the table, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// Counters that an interface has for these reasons, those in reserve included.
            pub(crate) const ROOM: u32 = $room;

            /// The stable name, as it stands in status, metrics and logs.
            #[inline(always)]
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }

            /// The meaning of the reason, for operators. Markdown.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$Variant => $meaning,)+
                }
            }

            /// The advice for operators, if there is any. Markdown.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$Variant => $advice,)+
                }
            }
        }

        const _: () = {
            $(assert!($number < $Reason::ROOM, "raise ROOM, with a new layout version");)+
        };
    };
}

reasons! {
    /// Why a packet passes.
    PassReason: ROOM = 16;

    0 NotGuarded "not_guarded"
    means "The packet is not TCP over IP, or is for a TCP port that aop does not guard."
    do "Nothing. Is it a port that you want guarded? Add it to `firewall.ports`.";

    1 Transit "transit"
    means "The packet is for a guarded port, but the host only forwards it to another machine."
    do "Nothing. Guard the port on the machine where TLS ends.";

    2 Admitted "admitted"
    means "The source is in an admitted prefix: the list, `firewall.extra`, or an opening."
    do "Nothing. `aop explain ADDRESS` names the prefix.";

    3 Proven "proven"
    means "No prefix admits the source, but it has authenticated: its prefix left the list less \
           than `admission.drain` ago, or `admission.probation_syn` is on and it authenticated \
           less than `admission.trust` ago."
    do "If it is your edge, look at why its prefix is not on the list: `aop prefixes diff`.";

    4 Probation "probation"
    means "A stranger gets one of the tries of `admission.probation_syn`, to show its certificate."
    do "Nothing. Without the certificate, TLS refuses it.";
}

impl DropReason {
    /// Whether the packet is dropped because of its source: another source would pass, in the same
    /// shape.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_source(self) -> bool {
        match self {
            Self::UnknownSource | Self::Malformed | Self::Fragment => true,
            Self::TooDeep | Self::SynBudget | Self::Udp => false,
        }
    }
}

reasons! {
    /// Why a packet is dropped.
    DropReason: ROOM = 24;

    0 UnknownSource "unknown_source"
    means "TCP to a guarded port, from a source that nothing admits: a scanner, your own \
           monitoring, or an edge that the list lacks."
    do "`aop explain ADDRESS`. For your own systems: `firewall.extra`. For the CDN: `aop prefixes \
        refresh`.";

    1 Malformed "malformed"
    means "A header contradicts itself or ends too early."
    do "Nothing. Such packets come from scanners and broken devices.";

    2 Fragment "fragment"
    means "An IP fragment that may carry TCP to a guarded port. Its port is not known, and \
           fragments reassemble in any order."
    do "Nothing, unless a system of yours sends fragments: correct its MTU, or admit it.";

    3 TooDeep "too_deep"
    means "More than four VLAN tags or eight IPv6 extension headers, or a packet inside a packet \
           that the kernel would unwrap. It is dropped from admitted addresses too, because the \
           outer source says nothing about the inner one."
    do "Nothing. The CDN does not send such packets.";

    4 SynBudget "syn_budget"
    means "A new connection from an admitted /24 (IPv6: /48) in which nobody has authenticated for \
           a day, and the network has used up `admission.budget_syn`, or all such networks have \
           together used up 64 times as much."
    do "If the CDN's own pulls are dropped, raise `admission.budget_syn`, or set it to 0.";

    5 Udp "udp"
    means "UDP to a guarded port while `firewall.udp = \"drop\"`. It is dropped from every source."
    do "Nothing. For HTTP/3 on that port: `firewall.udp = \"pass\"`.";
}
