//! Runs other programs, without the build environment of xtask itself. Commands that change the
//! machine are printed first.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, IsTerminal, stderr},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The cargo that runs xtask, for all crates except the packet program.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(workspace::root());
    command.env("CARGO_TARGET_DIR", workspace::target());
    forget_own_build(&mut command);
    command
}

/// Removes the variables that `cargo run` set for xtask. Build scripts that watch them would run
/// again whenever builds alternate between xtask and the shell. With the library path, another
/// compiler would load the libraries of this one.
pub(crate) fn forget_own_build(command: &mut Command) {
    command.env_remove("LD_LIBRARY_PATH");
    for (name, _) in env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if own.iter().any(|prefix| starts_with(&name, prefix)) {
            command.env_remove(name);
        }
    }
}

/// Removes all variables that select a Rust toolchain.
pub(crate) fn forget_toolchain(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let choices =
            ["RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED", "CARGO_BUILD_"];
        if name == "CARGO" || choices.iter().any(|prefix| starts_with(&name, prefix)) {
            command.env_remove(name);
        }
    }
}

fn starts_with(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

/// Prints the command, then runs it.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", line(command));
    run(command)
}

/// Runs the command with the output streams of xtask.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a cargo build that prints nothing if everything is up to date.
pub(crate) fn run_quiet_when_fresh(command: &mut Command) -> Result<()> {
    if stderr().is_terminal() && env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let started = command.stderr(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot start `{}`", line(command)))?;
    if let Some(output) = child.stderr.take() {
        for text in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            if !text.contains("Finished") {
                eprintln!("{text}");
            }
        }
    }
    let status = child.wait().with_context(|| format!("lost track of `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs the command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as typed in a shell, with the variables that it sets.
pub(crate) fn line(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={} ", name.display(), value?.display())));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    // Cargo separates encoded flags with an invisible character.
    (variables.collect::<String>() + &words.join(" ")).replace('\x1f', " ")
}

/// The path of a program. Also searches the sbin directories, which are often missing in the PATH
/// of ordinary users.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed_in_a_shell() {
        let mut command = Command::new("apt-get");
        command
            .args(["install", "-y"])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env_remove("RUSTC");
        assert_eq!(line(&command), "DEBIAN_FRONTEND=noninteractive apt-get install -y");
    }
}
