//! The packet table: frames of every shape, with the verdict and the reason that each one must get.
//!
//! The shapes are data, in the folder `shapes`. [`fixtures()`] lists their frames under the
//! addresses and ports of [`Scene::FIXED`], [`fixtures_in`] under those of another scene.
//! [`Generator`] makes random frames without end. [`HostFacts`] gives a scene to the policy on the
//! host; a test in the kernel writes the same scene into the maps. [`build`] is the only place that
//! makes single frames.
//!
//! Nothing here decides about a packet: people wrote the verdicts of the shapes down. Only
//! [`oracle`] states the policy again, to compare.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "makes frames on the host; no packet comes this way"
)]

pub mod build;
mod facts;
mod generator;
pub mod oracle;
mod random;
mod scene;
mod shapes;

pub use facts::HostFacts;
pub use generator::Generator;
pub use scene::{Cidr, Endpoints, Scene};
pub use shapes::{BadShape, Fixture, Role, Rule, Sender, fixtures, fixtures_in, parse};
