//! The daemon under trial, as its operator would handle it: a configuration file, signals, exit
//! codes, the log on standard error, and the read verbs of the same binary.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::child::{self, Finished};
use crate::{Child, Config, Place, Process, Status, World, wait};

/// How long a start, a reload or a short command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A verb that makes the daemon fetch takes as long as a fetch may.
const VERB_PATIENCE: Duration = Duration::from_secs(30);

/// The aop of a world's origin: its configuration, and its process while there is one.
#[derive(Debug)]
pub struct Daemon {
    binary: PathBuf,
    wrapper: Vec<String>,
    socket: Option<OwnedFd>,
    place: Place,
    dir: PathBuf,
    runs: u32,
    child: Option<Child>,
}

impl Daemon {
    /// Writes `config` and starts a daemon in the origin; returns when it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time, with its whole log.
    pub fn start(world: &World, config: &Config) -> Result<Self> {
        let mut daemon = Self::prepare(world)?;
        daemon.write(&config.text())?;
        daemon.run()?;
        Ok(daemon)
    }

    /// A daemon that does not run yet.
    ///
    /// # Errors
    /// When the binary is not there. `AOP_BIN` names another than the one built beside the tests.
    pub fn prepare(world: &World) -> Result<Self> {
        let binary = match std::env::var_os("AOP_BIN") {
            Some(path) => fs::canonicalize(path).context("AOP_BIN")?,
            None => child::built("aop")?,
        };
        let (place, dir) = (world.origin().clone(), world.dir().to_owned());
        Ok(Self { binary, wrapper: Vec::new(), socket: None, place, dir, runs: 0, child: None })
    }

    /// From now on it runs as nobody, without any capability. The world's directory is opened for
    /// what the daemon makes there.
    ///
    /// # Errors
    /// As [`Daemon::use_a_copy`].
    pub fn drop_privilege(&mut self) -> Result<()> {
        self.keep_capabilities(&[])
    }

    /// The same with these capabilities, by setpriv's names, such as `net_admin`.
    ///
    /// # Errors
    /// As [`Daemon::use_a_copy`].
    pub fn keep_capabilities(&mut self, kept: &[&str]) -> Result<()> {
        self.use_a_copy("aop")?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o777))?;
        let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let set: String = kept.iter().map(|capability| format!(",+{capability}")).collect();
        let sets = ["inh-caps", "ambient-caps", "bounding-set"];
        let sets = sets.map(|name| format!("--{name}=-all{set}"));
        self.wrapper = user.split(' ').map(str::to_owned).chain(sets).collect();
        self.wrapper.push("--".to_owned());
        Ok(())
    }

    /// From now on it runs without this capability, by setpriv's name.
    pub fn lack(&mut self, capability: &str) {
        let set = format!("--bounding-set=-{capability}");
        self.wrapper.extend(["setpriv".to_owned(), set, "--".to_owned()]);
    }

    /// From now on it logs what `filter` lets through, in the syntax of `AOP_LOG`. Its being ready
    /// must be told.
    pub fn log_only(&mut self, filter: &str) {
        self.tell("AOP_LOG", filter);
    }

    /// From now on its environment has this variable.
    pub fn tell(&mut self, name: &str, value: &str) {
        self.wrapper.extend(["env".to_owned(), format!("{name}={value}")]);
    }

    /// From now on `line`, a program and its arguments, starts it.
    pub fn start_through(&mut self, line: &[&str]) {
        self.wrapper.extend(line.iter().map(|word| (*word).to_owned()));
    }

    /// From now on it gets `socket` as a service manager hands it over, called "web".
    pub fn activate(&mut self, socket: OwnedFd) {
        const ACTIVATE: &str = "exec 3<&0 </dev/null; \
             LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$@\"";
        self.wrapper.extend(["sh", "-c", ACTIVATE, "sh"].map(str::to_owned));
        self.socket = Some(socket);
    }

    /// Where the program is that it runs from.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// From now on it runs from a copy of the binary, in the world's directory, where every user
    /// can reach it.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub fn use_a_copy(&mut self, name: &str) -> Result<()> {
        let copy = self.dir.join(name);
        // In another process: a file that this one has open for writing could not be executed as long
        // as any child that another thread has just forked holds it.
        let mut command = std::process::Command::new("cp");
        command.arg("--remove-destination").args([&self.binary, &copy]);
        let copied = child::finish(command, &[], PATIENCE)?;
        anyhow::ensure!(copied.code == 0, "cannot copy the binary: {}", copied.errors);
        self.binary = copy;
        Ok(())
    }

    /// The configuration that the running daemon was started with. Read verbs get this one, since
    /// the file itself may be broken on purpose.
    fn started_with(&self) -> PathBuf {
        self.dir.join("aop-started.toml")
    }

    /// Where its configuration stands.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("aop.toml")
    }

    /// Replaces its configuration file; the daemon learns of it by [`Daemon::reload`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        fs::write(self.config_path(), text).context("cannot write aop.toml")
    }

    /// Starts it, again perhaps, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time, with its whole log.
    pub fn run(&mut self) -> Result<()> {
        self.run_with(&[])
    }

    /// The same with further arguments.
    ///
    /// # Errors
    /// As [`Daemon::run`].
    pub fn run_with(&mut self, more: &[&str]) -> Result<()> {
        self.launch(more)?;
        let ready = wait::until("aop is ready", PATIENCE, || {
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
        self.child = Some(Child::serve_from(&self.place, &line, &log, stdin)?);
        Ok(())
    }

    /// Starts it, expecting that it ends by itself; its exit code and log.
    ///
    /// # Errors
    /// When it goes on running.
    pub fn run_to_end(&mut self) -> Result<(i32, String)> {
        self.launch(&[])?;
        let code = self.wait(PATIENCE)?;
        Ok((code, self.log()))
    }

    /// Runs `aop VERB… --config FILE` in the origin to its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn verb(&self, verb: &[&str]) -> Result<Finished> {
        self.verb_with(verb, &self.config_path())
    }

    /// The same for another configuration file.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn verb_with(&self, verb: &[&str], config: &Path) -> Result<Finished> {
        let mut command = self.place.command(&self.binary);
        command.args(verb).arg("--config").arg(config);
        child::finish(command, &[], VERB_PATIENCE)
    }

    /// What `aop status --json` says.
    ///
    /// # Errors
    /// When it fails or says no JSON.
    pub fn status(&self) -> Result<Status> {
        let Finished { code, output, errors } =
            self.verb_with(&["status", "--json"], &self.started_with())?;
        anyhow::ensure!(code == 0, "aop status ended with {code}: {errors}\n{}", self.log());
        Status::parse(&output)
    }

    /// Tells it to reload and returns what it logged about that.
    ///
    /// # Errors
    /// When it says nothing in time.
    pub fn reload(&self) -> Result<String> {
        let before = self.log().len();
        self.signal(Signal::SIGHUP)?;
        let since = || self.log().get(before..).map(str::to_owned);
        wait::until("aop has reloaded", PATIENCE, || {
            since().filter(|said| said.contains("reloaded"))
        })
        .with_context(|| self.log())
    }

    /// Has another process take over, and says which. This one is the old one from then on.
    ///
    /// # Errors
    /// When none does.
    pub fn upgrade(&self) -> Result<Process> {
        let Finished { code, output, errors } = self.verb(&["upgrade", "--json"])?;
        anyhow::ensure!(code == 0, "aop upgrade ended with {code}: {errors}\n{}", self.log());
        let told: serde_json::Value = serde_json::from_slice(&output)?;
        let pid = told["to"]["pid"].as_u64().context("no process")?;
        Ok(Process(u32::try_from(pid)?))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.child.as_ref().context("aop was not started")?.signal(signal)
    }

    /// Waits for its end and says its exit code.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<i32> {
        let ended = self.child.as_mut().context("aop was not started")?.wait(patience)?;
        ended.code().with_context(|| format!("aop was killed:\n{}", self.log()))
    }

    /// Kills it at once, giving it no chance to clean up.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill();
        }
    }

    /// What this run has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.as_ref().map(Child::log).unwrap_or_default()
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it was not started.
    pub fn process(&self) -> Result<Process> {
        self.pid().map(Process).context("aop was not started")
    }

    /// The process of its terminator.
    ///
    /// # Errors
    /// When there is none.
    pub fn terminator(&self) -> Result<Process> {
        self.status()?.terminator()?.map(Process).context("there is no terminator")
    }

    /// Runs a verb as a user with no capability at all, who must be able to reach the binary: see
    /// [`Daemon::use_a_copy`].
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn verb_without_privilege(&self, verb: &[&str]) -> Result<Finished> {
        let mut command = self.place.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.args(["--bounding-set=-all", "--"]).arg(&self.binary).args(verb);
        command.arg("--config").arg(self.config_path());
        child::finish(command, &[], VERB_PATIENCE)
    }
}
