//! The shapes of the packet table: data files that say how frames look and which verdict each must
//! get.
//!
//! The README of this crate has the grammar of the files. A shape that two kinds of source send is
//! two fixtures.

mod error;
mod expand;
mod lines;
mod render;
mod words;

pub use error::BadShape;
use lines::Table;
pub use words::{Role, Rule, Sender};

use super::Scene;
use aop_common::{AddressFamily, Verdict};

/// The data files: parts first, then in the order in which their groups are reported.
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

/// A frame, and the verdict that it must get under its [`Scene`].
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The subject of the frame.
    pub group: String,
    /// Family, source and shape. No two fixtures share a name.
    pub name: String,
    /// File and line of the shape: `tcp.shapes:7`.
    pub place: String,
    /// The source of the frame.
    pub sender: Sender,
    /// The family of its outermost IP header; `None` for a frame whose IP addresses are not read.
    pub family: Option<AddressFamily>,
    /// The parts of the scene that the frame uses, beside ports.
    pub needs: Vec<(Role, AddressFamily)>,
    /// The frame, from its Ethernet header on. Some are shorter than one.
    pub frame: Vec<u8>,
    /// The verdict that it must get where no optional rule holds.
    pub verdict: Verdict,
    /// The verdicts that it must get where an optional rule holds.
    pub under: Vec<(Rule, Verdict)>,
}

impl Fixture {
    /// The verdict that it must get where these rules hold: the first rule that changes it decides.
    pub fn expected(&self, holds: impl Fn(Rule) -> bool) -> Verdict {
        let changed = self.under.iter().find(|(rule, _)| holds(*rule));
        changed.map_or(self.verdict, |(_, verdict)| *verdict)
    }
}

/// Every fixture, under [`Scene::FIXED`].
///
/// # Errors
/// A data file is wrong. In a build whose tests pass none is.
pub fn fixtures() -> Result<Vec<Fixture>, BadShape> {
    fixtures_in(&Scene::FIXED)
}

/// Every fixture under another scene: names, shapes and verdicts are the same, addresses and ports
/// are those of `scene`.
///
/// # Errors
/// As [`fixtures`].
pub fn fixtures_in(scene: &Scene) -> Result<Vec<Fixture>, BadShape> {
    parse(&FILES, scene)
}

/// The fixtures of these data files, each a name and a text. A file that defines parts stands
/// before those that use them.
///
/// # Errors
/// A file is wrong. The error says where and why.
pub fn parse(files: &[(&str, &str)], scene: &Scene) -> Result<Vec<Fixture>, BadShape> {
    let mut table = Table::default();
    for (file, text) in files {
        table.read(file, text)?;
    }
    table.fixtures(scene)
}
