//! The stage on which aop is tried from outside: four network namespaces with a real kernel path
//! between them, a PKI, an upstream that remembers who connected, pulls with a real client, and
//! the daemon as a child process.
//!
//! Everything here drives programs over the network, files and exit codes; nothing links the
//! daemon. The end-to-end tests (`tests/e2e`) and the demo (`aop-demo`) are its two users. What a
//! [`World`] has made is gone when it is dropped, and a run that was killed is tidied by the next.

pub mod child;
mod cleanup;
pub mod client;
pub mod cloudflare;
pub mod config;
pub mod daemon;
pub mod lab;
pub mod list_server;
mod netns;
pub mod outcome;
pub mod packet_socket;
pub mod pki;
pub mod process;
pub mod promtool;
pub mod proxy_header;
pub mod pull;
pub mod reference_decoder;
pub mod status;
pub mod syn_flood;
mod topology;
pub mod upstream;
pub mod wait;

pub use child::Child;
pub use config::Config;
pub use daemon::Daemon;
pub use lab::{Family, World};
pub use list_server::ListServer;
pub use netns::Place;
pub use outcome::Outcome;
pub use pki::Pki;
pub use process::Process;
pub use promtool::Promtool;
pub use pull::Pull;
pub use reference_decoder::Decoder;
pub use status::Status;
pub use syn_flood::Flood;
pub use upstream::Upstream;
