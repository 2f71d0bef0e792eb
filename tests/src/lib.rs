//! The test harness: it runs aop from outside, as an operator and a network see it.
//!
//! A [`Lab`] is an isolated network of four namespaces with a PKI. In it run a [`TestUpstream`],
//! which records its connections, and a [`TestDaemon`], which is the real binary. A [`Pull`] is one
//! request with curl. Nothing here links the daemon: the harness drives programs through the
//! network, files and exit codes. The end-to-end tests (`tests/e2e`), the bench
//! (`benches/terminator`) and the demo (`aop-demo`) use it. `tests/README.md` explains the words.

pub mod child;
mod cleanup;
pub mod client;
pub mod cloudflare;
pub mod cloudflare_api;
pub mod config;
pub mod daemon;
pub mod etcd;
pub mod lab;
pub mod list_server;
mod loopback_server;
mod netns;
pub mod outcome;
pub mod packet_socket;
pub mod page;
pub mod pki;
pub mod process;
pub mod promtool;
pub mod proxy_header;
pub mod pull;
pub mod reference_decoder;
pub mod script;
pub mod shapes;
pub mod status;
pub mod syn_flood;
pub mod terminal;
mod topology;
pub mod upstream;
pub mod wait;

pub use child::Child;
pub use cloudflare_api::CloudflareApi;
pub use config::AopToml;
pub use daemon::TestDaemon;
pub use etcd::EtcdCluster;
pub use lab::{IpVersion, Lab};
pub use list_server::ListServer;
pub use netns::Netns;
pub use outcome::PullOutcome;
pub use pki::Pki;
pub use process::Process;
pub use promtool::Promtool;
pub use pull::Pull;
pub use reference_decoder::ReferenceDecoder;
pub use status::StatusJson;
pub use syn_flood::SynFlood;
pub use terminal::Terminal;
pub use upstream::TestUpstream;
