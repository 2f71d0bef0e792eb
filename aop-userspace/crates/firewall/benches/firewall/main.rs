//! The cost and throughput of the packet path, compared with alternatives in one run.
//!
//! Three tables: nanoseconds per packet under BPF_PROG_TEST_RUN, compared with an empty program and
//! xdp-filter, with a long list, and with every optional rule; frames per second over a veth pair,
//! also while drops are followed, compared with nftables with the same list in three hooks; and the
//! effect of replacing a long list on frames that run meanwhile. Needs root. Everything happens in
//! namespaces of this process, which end with it. `AOP_BENCH_JSON` names the file for the figures.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod cost;
mod host;
mod lists;
mod live;
mod nft;
mod programs;
mod swap;
mod xdp_filter;

use std::{fs, path::PathBuf};

use serde_json::json;

fn main() {
    let host = host::Host::alone();
    let cost = cost::measure(&host);
    let live = live::measure(&host);
    let swap = swap::measure(&host);
    let Some(path) = std::env::var_os("AOP_BENCH_JSON").map(PathBuf::from) else { return };
    let figures = json!({ "cost_ns": cost, "live": live, "swap": swap });
    fs::create_dir_all(path.with_file_name("")).unwrap();
    fs::write(&path, format!("{figures:#}\n")).unwrap();
    println!("\nfigures: {}", path.display());
}
