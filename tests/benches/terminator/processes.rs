//! The CPU time and the memory of processes.

use std::{fs, ops::Range, time::Duration};

use anyhow::{Context, Result};
use aop_tests::Process;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Restricts all threads of `processes`, and the calling thread, to these CPUs.
pub(crate) fn pin(processes: &[Process], cpus: Range<usize>) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)?;
    for Process(pid) in processes {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let name = task?.file_name();
            let task = name.to_str().context("a number")?.parse()?;
            sched_setaffinity(Pid::from_raw(task), &set)?;
        }
    }
    Ok(())
}

/// The CPU time of all their threads. None of the servers ends a thread while it serves.
pub(crate) fn cpu_time(processes: &[Process]) -> Result<Duration> {
    processes.iter().map(|process| process.cpu_time()).sum()
}

/// Resident memory in KiB. A page that several processes share counts for each of them in part.
pub(crate) fn memory(processes: &[Process]) -> Result<u64> {
    processes.iter().map(|process| process.shared_memory()).sum()
}
