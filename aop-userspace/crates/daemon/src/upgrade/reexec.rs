//! Re-execution: the path and arguments of this process, to start its successor.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The option of `aop run` for a successor. The channel to the old daemon is its standard input.
const TAKE_OVER: &str = "--take-over";

/// Variables of the service manager that are meant for this process alone.
const NOT_INHERITED: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// The path by which a program was started, and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Reexec {
    pub(super) program: PathBuf,
    arguments: Vec<OsString>,
}

impl Reexec {
    /// The path and arguments of this process. Call it early: once the file was replaced,
    /// /proc/self/exe no longer gives its path.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let called = arguments.next().map(PathBuf::from);
        let program = path(called.as_deref(), &env::current_exe()?, &env::current_dir()?);
        let arguments = arguments.filter(|argument| argument != TAKE_OVER).collect();
        Ok(Self { program, arguments })
    }

    /// Starts the program that is now at that path as the successor. It outlives this process.
    pub(super) fn start(&self, channel: UnixStream) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(TAKE_OVER).stdin(Stdio::from(OwnedFd::from(channel)));
        NOT_INHERITED.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.spawn()
    }
}

/// The path by which the file `running` was `called`: perhaps a symbolic link that will point
/// elsewhere after an upgrade. If the name was found in PATH, the path of the file.
fn path(called: Option<&Path>, running: &Path, directory: &Path) -> PathBuf {
    let named = called.filter(|called| called.components().count() > 1);
    let named = named.map(|called| directory.join(called));
    let leads_there = |named: &PathBuf| fs::canonicalize(named).is_ok_and(|file| file == running);
    named.filter(leads_there).unwrap_or_else(|| running.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_stays_a_link_and_a_bare_name_becomes_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = fs::canonicalize(dir.path()).expect("its path");
        let [file, link] = ["aop-1", "aop"].map(|name| dir.join(name));
        fs::write(&file, "").expect("written");
        symlink(&file, &link).expect("linked");
        let found = |called: &str| path(Some(Path::new(called)), &file, &dir);
        assert_eq!(found(link.to_str().expect("text")), link);
        assert_eq!(found("./aop"), dir.join("./aop"));
        for other in ["aop", "/bin/sh", "/nowhere/aop"] {
            assert_eq!(found(other), file, "{other}");
        }
        assert_eq!(path(None, &file, &dir), file);
    }
}
