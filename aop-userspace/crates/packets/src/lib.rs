//! Frames of every shape in the packet table, with the verdict and the reason that each one owes.
//!
//! The shapes are data, in `aop-common/corpus`: [`fixtures()`] lists them under the one
//! [`Scene::FIXED`], and [`fixtures_in`] under another; [`Generator`] goes on without end where the
//! list stops. [`HostFacts`] gives the scene to the policy on the host; a test that runs the policy
//! in the kernel writes the same scene into the maps. [`build`] makes single frames, for the
//! generator and for whoever wants one.
//!
//! Nothing here decides anything: the verdicts are written down by hand, from the table.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "makes frames on the host; no packet comes this way"
)]

pub mod build;
mod facts;

mod generator;
mod random;
mod scene;
mod shapes;

pub use facts::HostFacts;
pub use generator::Generator;
pub use scene::{Cast, Cidr, Scene};
pub use shapes::{BadShape, Fixture, Role, Rule, Who, fixtures, fixtures_in, read};
