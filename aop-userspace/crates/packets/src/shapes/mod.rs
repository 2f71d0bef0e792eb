//! The packet table: shapes of frames as data files, and what each owes.
//!
//! The files lie in `aop-common/corpus`, whose README has their grammar. A shape that two kinds of
//! source send is two fixtures.

mod error;
mod expand;
mod lines;
mod render;
mod words;

pub use error::BadShape;
use lines::Table;
pub use words::{Role, Rule, Who};

use super::Scene;
use aop_common::{AddressFamily, Verdict};

/// The data files, parts first. Their groups are told in this order.
const FILES: [(&str, &str); 9] = [
    ("parts.shapes", include_str!("../../shapes/parts.shapes")),
    ("tcp.shapes", include_str!("../../shapes/tcp.shapes")),
    ("ethernet.shapes", include_str!("../../shapes/ethernet.shapes")),
    ("ipv4.shapes", include_str!("../../shapes/ipv4.shapes")),
    ("ipv6.shapes", include_str!("../../shapes/ipv6.shapes")),
    ("ipv6-fragments.shapes", include_str!("../../shapes/ipv6-fragments.shapes")),
    ("sources.shapes", include_str!("../../shapes/sources.shapes")),
    ("cut.shapes", include_str!("../../shapes/cut.shapes")),
    ("others.shapes", include_str!("../../shapes/others.shapes")),
];

/// A frame, and what it owes under its [`Scene`].
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What the frame is about.
    pub group: String,
    /// Family, source and shape. No two fixtures share a name.
    pub name: String,
    /// The file and line that the shape stands in: `tcp.shapes:7`.
    pub place: String,
    /// Whose frame it is.
    pub who: Who,
    /// The family of its outermost IP header, where the file says it.
    pub family: Option<AddressFamily>,
    /// What the frame takes from the scene, beside ports.
    pub needs: Vec<(Role, AddressFamily)>,
    /// The frame, from its Ethernet header on. Some are shorter than one.
    pub frame: Vec<u8>,
    /// The verdict that it owes where no rule is on.
    pub verdict: Verdict,
    /// The verdicts that rules make of it.
    pub under: Vec<(Rule, Verdict)>,
}

impl Fixture {
    /// The verdict that it owes where these rules hold: that of the first one that changes it.
    pub fn owes(&self, holds: impl Fn(Rule) -> bool) -> Verdict {
        let changed = self.under.iter().find(|(rule, _)| holds(*rule));
        changed.map_or(self.verdict, |(_, verdict)| *verdict)
    }
}

/// Every fixture, under [`Scene::FIXED`].
///
/// # Errors
/// A data file is wrong. A build whose tests pass has none such.
pub fn fixtures() -> Result<Vec<Fixture>, BadShape> {
    fixtures_in(&Scene::FIXED)
}

/// Every fixture under another scene: the same names, shapes and verdicts, with its addresses and
/// ports.
///
/// # Errors
/// As [`fixtures`].
pub fn fixtures_in(scene: &Scene) -> Result<Vec<Fixture>, BadShape> {
    read(&FILES, scene)
}

/// The fixtures of data files, each a name and its text; those that define parts before those that
/// use them.
///
/// # Errors
/// A file is wrong; the error says where and why.
pub fn read(files: &[(&str, &str)], scene: &Scene) -> Result<Vec<Fixture>, BadShape> {
    let mut table = Table::default();
    for (file, text) in files {
        table.read(file, text)?;
    }
    table.fixtures(scene)
}
