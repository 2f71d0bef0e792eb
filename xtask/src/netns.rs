//! Network namespaces, by iproute2.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::command;

/// Runs `ip` with the words of `line`.
pub(crate) fn ip(line: &str) -> Result<()> {
    command::run(Command::new("ip").args(line.split(' ')))
}

/// A namespace. Dropping it ends what runs in it, and removes it.
pub(crate) struct Namespace(String);

impl Namespace {
    /// Makes a namespace with its loopback, in place of one that a killed run left.
    pub(crate) fn make(name: &str) -> Result<Self> {
        remove(name);
        ip(&format!("netns add {name}"))?;
        let namespace = Self(name.to_owned());
        ip(&format!("-n {name} link set lo up"))?;
        Ok(namespace)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// A command that runs `program` of this machine in the namespace.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(name: &str) {
    let mut pids = Command::new("ip");
    pids.args(["netns", "pids", name]).stderr(Stdio::null());
    let pids = pids.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if let Ok(pids) = pids
        && !pids.trim().is_empty()
    {
        // Some end by themselves meanwhile.
        let mut kill = Command::new("kill");
        kill.args(pids.split_whitespace()).stderr(Stdio::null()).status().ok();
    }
    let mut delete = Command::new("ip");
    delete.args(["netns", "delete", name]).stderr(Stdio::null()).status().ok();
}
