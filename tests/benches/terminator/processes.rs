//! A server's processes as the kernel accounts for them: time on a CPU, and memory.

use std::{fs, ops::Range, time::Duration};

use anyhow::{Context, Result};
use aop_tests::Process;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// A process and all that it has started, however deep.
pub(crate) fn below(root: Process) -> Result<Vec<Process>> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(process.children()?);
        next += 1;
    }
    Ok(found)
}

/// Lets all threads of `processes`, and the caller's, run on these CPUs alone.
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

/// Time on a CPU of all their threads, from the scheduler's own count, which is finer than the
/// ticks of `stat`. None of the servers ends a thread while it serves.
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

/// Resident memory in KiB, where a page that several share counts for each in its part.
pub(crate) fn memory(processes: &[Process]) -> Result<u64> {
    let mut total = 0;
    for Process(pid) in processes {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
        total += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(total)
}
