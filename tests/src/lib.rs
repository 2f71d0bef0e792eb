//! The stage on which aop is tried from outside: four network namespaces with a real kernel path
//! between them, a PKI, an upstream that remembers who connected, pulls with a real client, and
//! the daemon as a child process.
//!
//! Everything here drives programs over the network, files and exit codes; nothing links the
//! daemon. The end-to-end tests (`tests/e2e`) and the demo (`aop-demo`) are its two users. What a
//! [`World`] has made is gone when it is dropped, and a run that was killed is tidied by the next.

pub mod child;
pub mod cloudflare;
pub mod config;
pub mod daemon;
pub mod decoder;
pub mod flood;
pub mod hand;
pub mod list_server;
mod network;
pub mod outcome;
pub mod pki;
mod place;
pub mod process;
pub mod promtool;
pub mod proxy;
pub mod pull;
pub mod report;
mod stale;
pub mod status;
pub mod upstream;
pub mod wait;
pub mod wire;
pub mod world;

pub use child::Child;
pub use config::Config;
pub use daemon::Daemon;
pub use decoder::Decoder;
pub use flood::Flood;
pub use list_server::ListServer;
pub use outcome::Outcome;
pub use pki::Pki;
pub use place::Place;
pub use process::Process;
pub use promtool::Promtool;
pub use pull::Pull;
pub use status::Status;
pub use upstream::Upstream;
pub use world::{Family, World};
