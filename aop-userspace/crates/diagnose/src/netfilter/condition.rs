//! The conditions of a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Packet;

/// Whether a condition or a rule holds for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    No,
    Maybe,
    Yes,
}

/// A condition: the field has one of the values, or none of them if `negated`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) field: Field,
    pub(super) values: Vec<Value>,
    pub(super) negated: bool,
}

/// The part of a packet that a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The interface on which the packet arrived.
    Interface,
    /// The transport protocol.
    Protocol,
    /// `ipv4` or `ipv6`.
    Family,
    /// The destination port.
    Port,
    Source,
    Destination,
    /// The state of the connection.
    State,
    /// Whether the destination is this host.
    DestinationType,
    /// Anything else.
    Unknown,
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A name; `*` at its end stands for anything.
    Text(String),
    Ports(u16, u16),
    Network(IpNet),
    Addresses(IpAddr, IpAddr),
    /// It cannot be read.
    Unknown,
}

impl Condition {
    pub(super) fn new(field: Field, values: Vec<Value>) -> Self {
        Self { field, values, negated: false }
    }

    /// A condition about which nothing is known.
    pub(super) fn unknown() -> Self {
        Self::new(Field::Unknown, Vec::new())
    }

    /// Whether it holds for a packet whose connection is new, if it `is_tracked`.
    pub(super) fn holds(&self, packet: &Packet, is_tracked: bool) -> Certainty {
        if self.field == Field::Unknown || (self.field == Field::State && !is_tracked) {
            return Certainty::Maybe;
        }
        let found = self.values.iter().map(|value| value.is_of(self.field, packet)).max();
        match (found.unwrap_or(Certainty::No), self.negated) {
            (Certainty::Yes, true) => Certainty::No,
            (Certainty::No, true) => Certainty::Yes,
            (found, _) => found,
        }
    }
}

impl Value {
    /// The value of a field, which each program that lists rules writes in its own way.
    pub(super) fn read(
        field: Field,
        ports: impl FnOnce() -> Option<(u16, u16)>,
        addresses: impl FnOnce() -> Option<Self>,
        text: impl FnOnce() -> Option<String>,
    ) -> Self {
        let found = match field {
            Field::Port => ports().map(|(from, to)| Self::Ports(from, to)),
            Field::Source | Field::Destination => addresses(),
            Field::Interface
            | Field::Protocol
            | Field::Family
            | Field::State
            | Field::DestinationType
            | Field::Unknown => text().map(Self::Text),
        };
        found.unwrap_or(Self::Unknown)
    }

    fn is_of(&self, field: Field, packet: &Packet) -> Certainty {
        let certain = |holds| if holds { Certainty::Yes } else { Certainty::No };
        let named = |name: &str| match self {
            Self::Text(text) => certain(match text.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == text,
            }),
            Self::Ports(..) | Self::Network(_) | Self::Addresses(..) | Self::Unknown => {
                Certainty::Maybe
            }
        };
        let at = |address: IpAddr| match self {
            Self::Network(network) => certain(network.contains(&address)),
            Self::Addresses(from, to) => certain((from..=to).contains(&&address)),
            Self::Text(_) | Self::Ports(..) | Self::Unknown => Certainty::Maybe,
        };
        match field {
            Field::Interface => named(&packet.interface),
            Field::Protocol => named("tcp"),
            Field::Family => named(if packet.source.is_ipv4() { "ipv4" } else { "ipv6" }),
            Field::State => named("new"),
            Field::DestinationType => named("local"),
            Field::Source => at(packet.source),
            Field::Destination => at(packet.destination),
            Field::Port => match self {
                Self::Ports(from, to) => certain((from..=to).contains(&&packet.port)),
                Self::Text(_) | Self::Network(_) | Self::Addresses(..) | Self::Unknown => {
                    Certainty::Maybe
                }
            },
            Field::Unknown => Certainty::Maybe,
        }
    }

    /// The ends of a range of ports.
    pub(super) fn ports(&self) -> Vec<u16> {
        match self {
            Self::Ports(from, to) if from == to => vec![*from],
            Self::Ports(from, to) => vec![*from, *to],
            Self::Text(_) | Self::Network(_) | Self::Addresses(..) | Self::Unknown => Vec::new(),
        }
    }
}
