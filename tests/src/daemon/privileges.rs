//! A daemon and verbs with fewer privileges than root has.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use anyhow::Result;

use super::{TestDaemon, VERB_PATIENCE};
use crate::child::{self, CommandOutput};

/// The user and group `nobody`, which a daemon or verb without privilege runs as.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
const NOBODY_ID: u32 = 65534;

impl TestDaemon {
    /// Later starts run as nobody, without any capability. Makes the directory of the lab writable
    /// for the files of the daemon, and gives the files of its PKI to nobody.
    ///
    /// # Errors
    /// As [`TestDaemon::use_a_copy`].
    pub fn drop_privilege(&mut self) -> Result<()> {
        self.keep_capabilities(&[])
    }

    /// As [`TestDaemon::drop_privilege`], but with these capabilities, by their names in setpriv,
    /// such as `net_admin`.
    ///
    /// # Errors
    /// As [`TestDaemon::use_a_copy`].
    pub fn keep_capabilities(&mut self, kept: &[&str]) -> Result<()> {
        self.use_a_copy("aop")?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o777))?;
        for file in fs::read_dir(self.dir.join("pki"))? {
            chown(file?.path(), Some(NOBODY_ID), Some(NOBODY_ID))?;
        }
        let set: String = kept.iter().map(|capability| format!(",+{capability}")).collect();
        let sets = ["inh-caps", "ambient-caps", "bounding-set"];
        let sets = sets.map(|name| format!("--{name}=-all{set}"));
        self.wrap_with(&["setpriv"]);
        self.wrap_with(&NOBODY);
        self.wrapper.extend(sets);
        self.wrap_with(&["--"]);
        Ok(())
    }

    /// Later starts run without this capability, by its name in setpriv.
    pub fn drop_capability(&mut self, capability: &str) {
        self.wrap_with(&["setpriv", &format!("--bounding-set=-{capability}"), "--"]);
    }

    /// As [`TestDaemon::verb`], as nobody without any capability. Needs
    /// [`TestDaemon::use_a_copy`], so that nobody can execute the binary.
    ///
    /// # Errors
    /// When it does not finish in time.
    pub fn verb_without_privilege(&self, verb: &[&str]) -> Result<CommandOutput> {
        let mut command = self.netns.command("setpriv");
        command.args(NOBODY).args(["--inh-caps=-all", "--bounding-set=-all", "--"]);
        command.arg(&self.binary).args(verb).arg("--config").arg(self.config_path());
        child::finish(command, &[], VERB_PATIENCE)
    }
}
