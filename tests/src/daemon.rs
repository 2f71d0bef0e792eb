//! The daemon under test, handled as an operator handles it: with a configuration file, signals,
//! exit codes, the log on standard error, and the verbs of the same binary.

mod privileges;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::child::{self, CommandOutput};
use crate::{AopToml, Child, Lab, Netns, Process, StatusJson, wait};

/// How long a start, a reload or a short command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The kernel verifies and compiles the packet program at a start, which a loaded machine does
/// slowly.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long a verb may take: one that makes the daemon fetch a list takes as long as the fetch.
const VERB_PATIENCE: Duration = Duration::from_secs(30);

/// aop on the origin of a lab: its configuration, and its process while it runs.
#[derive(Debug)]
pub struct TestDaemon {
    binary: PathBuf,
    wrapper: Vec<String>,
    socket: Option<OwnedFd>,
    netns: Netns,
    dir: PathBuf,
    runs: u32,
    child: Option<Child>,
}

impl TestDaemon {
    /// Writes `config`, starts a daemon on the origin and waits until it is ready.
    ///
    /// # Errors
    /// When it exits or is not ready in time. The error contains the log.
    pub fn start(lab: &Lab, config: &AopToml) -> Result<Self> {
        let mut daemon = Self::with_config(lab, config)?;
        daemon.run()?;
        Ok(daemon)
    }

    /// Writes `config`. The daemon does not run yet.
    ///
    /// # Errors
    /// As [`TestDaemon::prepare`].
    pub fn with_config(lab: &Lab, config: &AopToml) -> Result<Self> {
        let daemon = Self::prepare(lab)?;
        daemon.write(&config.text())?;
        Ok(daemon)
    }

    /// A daemon that does not run yet and has no configuration file.
    ///
    /// # Errors
    /// When the binary does not exist. It is the one built beside the tests, or `AOP_BIN`.
    pub fn prepare(lab: &Lab) -> Result<Self> {
        let binary = match std::env::var_os("AOP_BIN") {
            Some(path) => fs::canonicalize(path).context("AOP_BIN")?,
            None => child::built("aop")?,
        };
        let (netns, dir) = (lab.origin().clone(), lab.dir().to_owned());
        Ok(Self { binary, wrapper: Vec::new(), socket: None, netns, dir, runs: 0, child: None })
    }

    /// A daemon on another host than the origin, with a directory of its own there.
    ///
    /// # Errors
    /// When its directory or its configuration cannot be written.
    pub fn on_host(lab: &Lab, netns: &Netns, dir: &Path, config: &AopToml) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (netns, dir) = (netns.clone(), dir.to_owned());
        let daemon = Self { netns, dir, ..Self::prepare(lab)? };
        daemon.write(&config.text())?;
        Ok(daemon)
    }

    /// Later starts log what `filter` lets through, in the syntax of `AOP_LOG`. The filter must let
    /// the message through that the daemon is ready.
    pub fn set_log_filter(&mut self, filter: &str) {
        self.set_env("AOP_LOG", filter);
    }

    /// Later starts have this environment variable.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.wrap_with(&["env", &format!("{name}={value}")]);
    }

    /// Later starts go through `line`: a program and its arguments, which must start the daemon.
    pub fn wrap_with(&mut self, line: &[&str]) {
        self.wrapper.extend(line.iter().map(|word| (*word).to_owned()));
    }

    /// Later starts inherit `socket` with the name "web", as from a service manager.
    pub fn pass_socket(&mut self, socket: OwnedFd) {
        const ACTIVATE: &str = "exec 3<&0 </dev/null; \
             LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$@\"";
        self.wrap_with(&["sh", "-c", ACTIVATE, "sh"]);
        self.socket = Some(socket);
    }

    /// The path of the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// Later starts use a copy of the binary in the directory of the lab, where every user can
    /// execute it.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub fn use_a_copy(&mut self, name: &str) -> Result<()> {
        let copy = self.dir.join(name);
        // Not with fs::copy: the kernel does not execute a file that any process has open for
        // writing, and a child that another thread forks at that moment inherits our descriptor.
        let mut command = std::process::Command::new("cp");
        command.arg("--remove-destination").args([&self.binary, &copy]);
        child::finish(command, &[], PATIENCE)?.success().context("cannot copy the binary")?;
        self.binary = copy;
        Ok(())
    }

    /// A copy of the configuration with which the running daemon was started. `status` reads it,
    /// because a test may break the real file on purpose.
    #[must_use]
    pub fn started_with(&self) -> PathBuf {
        self.dir.join("aop-started.toml")
    }

    /// The path of the configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("aop.toml")
    }

    /// Replaces the configuration file. The daemon reads it at [`TestDaemon::reload`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        fs::write(self.config_path(), text).context("cannot write aop.toml")
    }

    /// Kills it if it runs, starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it exits or is not ready in time. The error contains the log.
    pub fn run(&mut self) -> Result<()> {
        self.run_with(&[])
    }

    /// As [`TestDaemon::run`], with more arguments.
    ///
    /// # Errors
    /// As [`TestDaemon::run`].
    pub fn run_with(&mut self, more: &[&str]) -> Result<()> {
        self.launch(more)?;
        let ready = wait::until("aop is ready", START_PATIENCE, || {
            let child = self.child.as_mut()?;
            let runs = child.ended().is_none();
            let ready = child.log().lines().any(|line| line.contains("ready"));
            (!runs || ready).then_some(runs)
        });
        match ready {
            Ok(true) => {
                fs::copy(self.config_path(), self.started_with()).map(drop).context("a copy")
            }
            Ok(false) => bail!("aop did not start:\n{}", self.log()),
            Err(late) => Err(late.context(self.log())),
        }
    }

    fn launch(&mut self, more: &[&str]) -> Result<()> {
        self.kill();
        self.runs += 1;
        let log = self.dir.join(format!("aop-{}.log", self.runs));
        let mut line: Vec<PathBuf> = self.wrapper.iter().map(PathBuf::from).collect();
        line.extend([self.binary.clone(), "run".into(), "--config".into(), self.config_path()]);
        line.extend(more.iter().map(PathBuf::from));
        let stdin = match &self.socket {
            Some(socket) => socket.try_clone()?.into(),
            None => Stdio::null(),
        };
        self.child = Some(Child::serve_from(&self.netns, &line, &log, stdin)?);
        Ok(())
    }

    /// Starts it and waits until it exits. Returns the exit code and the log.
    ///
    /// # Errors
    /// When it does not exit in time.
    pub fn run_to_end(&mut self) -> Result<(i32, String)> {
        self.launch(&[])?;
        let code = self.wait(PATIENCE)?;
        Ok((code, self.log()))
    }

    /// Runs `aop VERB… --config FILE` on the origin.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn verb(&self, verb: &[&str]) -> Result<CommandOutput> {
        self.verb_with(verb, &self.config_path())
    }

    /// Runs `aop LINE`, a verb and its arguments, which must succeed. Returns the output.
    ///
    /// # Errors
    /// When it fails or does not finish in time.
    pub fn must_run(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = self.verb(&words)?.success().with_context(|| format!("aop {line}"))?;
        Ok(done.text())
    }

    /// As [`TestDaemon::verb`], with another configuration file.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn verb_with(&self, verb: &[&str], config: &Path) -> Result<CommandOutput> {
        let mut command = self.netns.command(&self.binary);
        command.args(verb).arg("--config").arg(config);
        child::finish(command, &[], VERB_PATIENCE)
    }

    /// As [`TestDaemon::verb`], for a verb that takes longer.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn verb_within(&self, verb: &[&str], patience: Duration) -> Result<CommandOutput> {
        let mut command = self.netns.command(&self.binary);
        command.args(verb).arg("--config").arg(self.config_path());
        child::finish(command, &[], patience)
    }

    /// The document of `aop status --json`.
    ///
    /// # Errors
    /// When the verb fails or prints no JSON.
    pub fn status(&self) -> Result<StatusJson> {
        let status = self.verb_with(&["status", "--json"], &self.started_with())?;
        let status = status.success().with_context(|| format!("aop status: {}", self.log()))?;
        StatusJson::parse(&status.output)
    }

    /// Sends SIGHUP and returns what the daemon logs about the reload.
    ///
    /// # Errors
    /// When it logs nothing in time.
    pub fn reload(&self) -> Result<String> {
        let before = self.log().len();
        self.signal(Signal::SIGHUP)?;
        let since = || self.log().get(before..).map(str::to_owned);
        wait::until("aop has reloaded", PATIENCE, || {
            since().filter(|said| said.contains("reloaded"))
        })
        .with_context(|| self.log())
    }

    /// As [`TestDaemon::reload`], which must succeed.
    ///
    /// # Errors
    /// When the daemon refuses the configuration.
    pub fn must_reload(&self) -> Result<String> {
        let said = self.reload()?;
        ensure!(!said.contains("not reloaded"), "{said}");
        Ok(said)
    }

    /// Runs `aop upgrade` and returns the new process. This value keeps the old process.
    ///
    /// # Errors
    /// When no new process takes over.
    pub fn upgrade(&self) -> Result<Process> {
        let done = self.verb(&["upgrade", "--json"])?;
        let done = done.success().with_context(|| format!("aop upgrade: {}", self.log()))?;
        let pid = done.json()?["to"]["pid"].as_u64().context("no process")?;
        Ok(Process(u32::try_from(pid)?))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.child.as_ref().context("aop was not started")?.signal(signal)
    }

    /// Waits until it exits and returns the exit code.
    ///
    /// # Errors
    /// When it still runs after `patience`, or a signal has killed it.
    pub fn wait(&mut self, patience: Duration) -> Result<i32> {
        let ended = self.child.as_mut().context("aop was not started")?.wait(patience)?;
        ended.code().with_context(|| format!("aop was killed:\n{}", self.log()))
    }

    /// Sends SIGTERM and waits until it exits with code 0.
    ///
    /// # Errors
    /// When it does not run, or exits late or with another code.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let code = self.wait(PATIENCE)?;
        ensure!(code == 0, "exit code {code}:\n{}", self.log());
        Ok(())
    }

    /// Sends SIGKILL, so that it cannot clean up.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill();
        }
    }

    /// The log of this run.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.as_ref().map(Child::log).unwrap_or_default()
    }

    /// Waits until the log of this run contains `text`.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_for_log(&self, text: &str) -> Result<()> {
        let logged = || self.log().contains(text).then_some(());
        wait::until(&format!("the log contains {text:?}"), PATIENCE, logged)
            .with_context(|| self.log())
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// The process.
    ///
    /// # Errors
    /// When it was not started.
    pub fn process(&self) -> Result<Process> {
        self.pid().map(Process).context("aop was not started")
    }

    /// The terminator process.
    ///
    /// # Errors
    /// When there is none.
    pub fn terminator(&self) -> Result<Process> {
        self.status()?.terminator()?.map(Process).context("there is no terminator")
    }
}
