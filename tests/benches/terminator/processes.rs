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

/// The CPU time of all their threads, from `schedstat`, which is finer than the ticks of `stat`.
/// None of the servers ends a thread while it serves.
pub(crate) fn cpu_time(processes: &[Process]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for Process(pid) in processes {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = text.split(' ').next().context("schedstat has a first field")?;
            total += Duration::from_nanos(nanos.parse()?);
        }
    }
    Ok(total)
}

/// Resident memory in KiB. A page that several processes share counts for each of them in part.
pub(crate) fn memory(processes: &[Process]) -> Result<u64> {
    let mut total = 0;
    for Process(pid) in processes {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        total += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(total)
}
