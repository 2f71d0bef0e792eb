//! The use of CPU, memory and disk by the members of etcd.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use aop_tests::{EtcdCluster, wait};
use serde_json::Value;

use crate::figures::Figures;

/// etcd answers late under a load.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;

/// The use by all members so far, and the largest of each size.
pub(crate) struct Usage {
    cpu: Duration,
    memory: usize,
    written: u64,
    database: u64,
    log: u64,
    /// Entries of the log that all members keep.
    entries: u64,
    /// Changes of keys.
    revision: u64,
}

impl Usage {
    pub(crate) fn now(etcd: &EtcdCluster) -> Result<Self> {
        let processes = etcd.processes();
        let data = etcd.data();
        let sizes = |of: fn(&Path) -> Result<u64>| -> Result<u64> {
            let all =
                data.iter().map(|data| of(&data.join("member"))).collect::<Result<Vec<_>>>()?;
            Ok(all.into_iter().max().unwrap_or_default())
        };
        let memory = processes.iter().map(|it| it.memory()).collect::<Result<Vec<_>>>()?;
        let status = wait::until("etcd tells its status", PATIENCE, || {
            let told = etcd.etcdctl(&["endpoint", "status", "--write-out", "json"]).ok()?;
            told.success().ok()?.json().ok()
        })?;
        let first = &status[0]["Status"];
        let number = |value: &Value| value.as_u64().context("no number in the status of etcd");
        Ok(Self {
            cpu: processes.iter().map(|it| it.cpu_time()).sum::<Result<_>>()?,
            memory: memory.into_iter().max().unwrap_or_default(),
            written: processes.iter().map(|it| it.disk_writes()).sum::<Result<_>>()?,
            database: sizes(|member| Ok(fs::metadata(member.join("snap/db"))?.len()))?,
            log: sizes(|member| files(&member.join("wal")))?,
            entries: number(&first["raftIndex"])?,
            revision: number(&first["header"]["revision"])?,
        })
    }

    /// The difference to `after`, so many seconds later.
    pub(crate) fn add_to(&self, figures: &mut Figures, after: &Self, seconds: f64) {
        let cpu = (after.cpu - self.cpu).as_secs_f64();
        let written = (after.written - self.written) as f64 / MIB;
        let grown = after.database.saturating_sub(self.database) as f64 / MIB;
        figures.add("entries of etcd's log", "/s", (after.entries - self.entries) as f64 / seconds);
        figures.add("revisions", "/s", (after.revision - self.revision) as f64 / seconds);
        figures.add("CPU of all members of etcd", "s/s", cpu / seconds);
        figures.add("memory of the largest member", "MiB", after.memory as f64 / MIB);
        figures.add("written to disk by all members", "MiB/s", written / seconds);
        figures.add("database of the largest member", "MiB", after.database as f64 / MIB);
        figures.add("it has grown by", "MiB/h", 3600.0 * grown / seconds);
        figures.add("write-ahead log of the largest member", "MiB", after.log as f64 / MIB);
    }
}

/// The bytes of the files in `folder`.
fn files(folder: &Path) -> Result<u64> {
    let files = fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len()));
    files.sum()
}
