//! Proposes a configuration of aop from what a host has: the configuration of nginx, its
//! interfaces, its certificates.
//!
//! Text in, proposal out: nothing here reads a file, starts a process or acts on a proposal.
//! [`nginx::propose`] reads the output of `nginx -T`, [`ConfigProposal::toml`] writes aop's
//! configuration, and [`ConfigProposal::nginx_blocks`] the server blocks that nginx needs on the
//! loopback. Everything that is not taken over is in [`ConfigProposal::not_taken`], with file and
//! line.

pub mod nginx;
mod proposal;
mod template;

pub use proposal::{ConfigProposal, FoundCertificate, KnownHost, NotTaken, ProposedSite, SiteUse};
