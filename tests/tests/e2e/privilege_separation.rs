//! Privilege separation: the process that parses input of peers has no privilege, and the process
//! with privilege parses no such input.

mod deaths;
mod fetch_process;
mod processes;

use anyhow::{Result, ensure};
use aop_tests::Process;
use aop_tests::process::TcpState;

/// The process has no capability in any set, is not root, cannot gain privilege, has no BPF program
/// open, and its system calls are filtered.
pub(crate) fn has_no_privilege(process: Process) -> Result<()> {
    let held = process.capabilities()?;
    ensure!(held.is_empty(), "it holds {held:x?}");
    for field in ["Uid", "Gid"] {
        let ids = process.status(field)?;
        ensure!(ids.split_whitespace().all(|id| id != "0"), "{field}: {ids}");
    }
    ensure!(process.status("Groups")?.is_empty(), "groups: {}", process.status("Groups")?);
    ensure!(process.status("NoNewPrivs")? == "1", "it may gain privilege");
    ensure!(process.status("Seccomp")? == "2", "its system calls are not filtered");
    ensure!(process.is_hidden()?, "its memory is readable for its user");
    let files = process.files()?;
    let kernel = |file: &&String| file.contains("bpf-prog") || file.contains("bpf_link");
    ensure!(files.iter().find(kernel).is_none(), "{files:?}");
    Ok(())
}

/// All its TCP sockets are listeners, which it keeps for its successor.
pub(crate) fn has_no_connection(process: Process) -> Result<()> {
    let sockets = process.tcp_sockets()?;
    ensure!(sockets.iter().all(|state| *state == TcpState::LISTEN), "it has {sockets:?}");
    Ok(())
}
