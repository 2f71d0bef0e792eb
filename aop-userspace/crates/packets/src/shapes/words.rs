//! The words of the data files, and what they stand for.

use aop_common::{AddressFamily, Mode, Tally, Verdict};

/// Whose frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// That of the scene's stranger.
    Stranger,
    /// That of its admitted source.
    Admitted,
    /// That of its peer in a draining prefix.
    Peer,
    /// That of the peer's neighbour.
    Neighbour,
    /// That of the peer whose prefix is long gone.
    Departed,
    /// That of a source which the shape itself spells.
    Source,
    /// No source is read from it.
    Anyone,
}

/// What the firewall or the host may do beyond the table, for the time of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Strangers are given tries, and one is left.
    Probation,
    /// Who has authenticated is trusted outside of any prefix.
    Trusted,
    /// The budget of an admitted network is spent.
    Spent,
    /// UDP to a guarded port is dropped.
    Udp,
    /// The host forwards.
    Forwarding,
    /// The list admits the source by another prefix than the scene's.
    Listed,
}

/// What a shape takes from the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the fields of `Cast`")]
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

impl Who {
    const ALL: [Self; 7] = [
        Self::Stranger,
        Self::Admitted,
        Self::Peer,
        Self::Neighbour,
        Self::Departed,
        Self::Source,
        Self::Anyone,
    ];

    /// The word for it.
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
        let known = Self::ALL.into_iter().find(|who| who.name() == word);
        known.ok_or_else(|| format!("{word:?} is nobody"))
    }

    /// Whose address is the source.
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
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Probation, Self::Trusted, Self::Spent, Self::Udp, Self::Forwarding, Self::Listed];

    /// The word for it.
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

/// Reads `pass admitted`.
pub(super) fn verdict(text: &str) -> Result<Verdict, String> {
    let unknown = || format!("{text:?} is no verdict");
    let (action, reason) = text.split_once(' ').ok_or_else(unknown)?;
    let mut all = Tally::all().map(|(_, verdict, _)| verdict);
    let is = |it: &Verdict| it.action(Mode::Enforce).name() == action && it.reason() == reason;
    all.find(is).ok_or_else(unknown)
}
