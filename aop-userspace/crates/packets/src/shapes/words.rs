//! The words of the data files, and what they stand for.

use aop_common::{AddressFamily, Mode, Tally, Verdict};

/// The source of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The scene's stranger.
    Stranger,
    /// The scene's admitted source.
    Admitted,
    /// The scene's peer in a draining prefix.
    Peer,
    /// The neighbour of that peer.
    Neighbour,
    /// The peer whose prefix left the list long ago.
    Departed,
    /// An address that the shape itself spells out.
    Source,
    /// No source is read from the frame.
    Anyone,
}

/// An optional rule of the firewall or the host that holds while a frame is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Strangers may try to authenticate, and the budget has a try left.
    Probation,
    /// An address that has authenticated is trusted outside of any prefix.
    Trusted,
    /// An admitted network has a budget, and it is spent.
    Spent,
    /// UDP to a guarded port is dropped.
    Udp,
    /// The host forwards.
    Forwarding,
    /// The list admits the source by a prefix that is not the scene's.
    Listed,
}

/// An address or prefix that a shape takes from the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the fields of `Endpoints`")]
pub enum Role {
    Origin,
    Beyond,
    Stranger,
    Admitting,
    Admitted,
    Peer,
    Neighbour,
    Departed,
}

/// The family that a word names.
pub(super) fn family(word: &str) -> Option<AddressFamily> {
    match word {
        "v4" => Some(AddressFamily::V4),
        "v6" => Some(AddressFamily::V6),
        _ => None,
    }
}

impl Sender {
    const ALL: [Self; 7] = [
        Self::Stranger,
        Self::Admitted,
        Self::Peer,
        Self::Neighbour,
        Self::Departed,
        Self::Source,
        Self::Anyone,
    ];

    /// The word in the data files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Admitted => "admitted",
            Self::Peer => "peer",
            Self::Neighbour => "neighbour",
            Self::Departed => "departed",
            Self::Source => "source",
            Self::Anyone => "anyone",
        }
    }

    pub(super) fn of(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|sender| sender.name() == word);
        known.ok_or_else(|| format!("{word:?} is no sender"))
    }

    /// The source address, if the scene has it.
    pub(super) const fn role(self) -> Option<Role> {
        match self {
            Self::Stranger => Some(Role::Stranger),
            Self::Admitted => Some(Role::Admitted),
            Self::Peer => Some(Role::Peer),
            Self::Neighbour => Some(Role::Neighbour),
            Self::Departed => Some(Role::Departed),
            Self::Source | Self::Anyone => None,
        }
    }
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 6] =
        [Self::Probation, Self::Trusted, Self::Spent, Self::Udp, Self::Forwarding, Self::Listed];

    /// The word in the data files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Trusted => "trusted",
            Self::Spent => "spent",
            Self::Udp => "udp",
            Self::Forwarding => "forwarding",
            Self::Listed => "listed",
        }
    }

    pub(super) fn of(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|rule| rule.name() == word);
        known.ok_or_else(|| format!("{word:?} is no rule"))
    }
}

impl Role {
    pub(super) fn of(word: &str) -> Result<Self, String> {
        Ok(match word {
            "origin" => Self::Origin,
            "beyond" => Self::Beyond,
            "stranger" => Self::Stranger,
            "admitting" => Self::Admitting,
            "admitted" => Self::Admitted,
            "peer" => Self::Peer,
            "neighbour" => Self::Neighbour,
            "departed" => Self::Departed,
            _ => return Err(format!("the scene has no {word:?}")),
        })
    }
}

/// Parses `pass admitted`.
pub(super) fn verdict(text: &str) -> Result<Verdict, String> {
    let unknown = || format!("{text:?} is no verdict");
    let (action, reason) = text.split_once(' ').ok_or_else(unknown)?;
    let mut all = Tally::all().map(|(_, verdict, _)| verdict);
    let is = |it: &Verdict| it.action(Mode::Enforce).name() == action && it.reason() == reason;
    all.find(is).ok_or_else(unknown)
}
