//! The source of kernel packages: the package lists of this machine, or those of another release of
//! Debian, which are kept apart from the lists of this machine's apt.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use super::{folder, run_silent};
use crate::{command, packages};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) struct PackageArchive {
    /// The release; none for the lists of this machine.
    release: Option<&'static str>,
    /// apt's options for other lists; empty for the lists of this machine.
    options: Vec<String>,
}

impl PackageArchive {
    /// The package lists of this machine.
    pub(super) fn machine() -> Self {
        Self { release: None, options: Vec::new() }
    }

    /// The package lists of a release, from the servers that this machine uses for its own release.
    pub(super) fn of_release(release: &'static str, architecture: &str) -> Result<Self> {
        let root = folder().join("apt").join(release).join(architecture);
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = root.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let targets = ["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"];
        let told = command::output(Command::new("apt-get").args(targets))?;
        let sources = sources(&told, release);
        if sources.is_empty() {
            bail!("this machine uses no Debian server, so there is no known server for {release}");
        }
        let list = root.join("sources.list");
        fs::write(&list, sources).with_context(|| format!("cannot write {}", list.display()))?;
        let option = |name: &str, path: PathBuf| format!("{name}={}", path.display());
        let options = vec![
            option("Dir::Etc::sourcelist", list),
            option("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
            option("Dir::State::lists", root.join("lists")),
            option("Dir::Cache", root.join("cache")),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            // apt's sandbox user may not write here.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { release: Some(release), options })
    }

    pub(super) fn name(&self) -> &'static str {
        self.release.unwrap_or("this machine")
    }

    /// Fetches the lists.
    pub(super) fn update(&self) -> Result<()> {
        let Some(release) = self.release else { return packages::update() };
        run_silent(self.get("update").arg("-qq"))
            .with_context(|| format!("cannot fetch the package lists of {release}"))
    }

    /// `apt-get VERB`.
    pub(super) fn get(&self, verb: &str) -> Command {
        let mut command = Command::new("apt-get");
        command.args(self.arguments()).arg(verb);
        command
    }

    /// The packages whose names match.
    pub(super) fn names(&self, pattern: &str) -> Result<Vec<String>> {
        let mut search = Command::new("apt-cache");
        search.args(self.arguments()).args(["search", "--names-only", pattern]);
        let found = command::output(&mut search)?;
        let names = found.lines().filter_map(|line| line.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }

    fn arguments(&self) -> impl Iterator<Item = &str> {
        self.options.iter().flat_map(|option| ["-o", option])
    }
}

/// The lines of a sources.list for the release, from the Debian servers in apt's output. Backports
/// come from the main server alone.
fn sources(told: &str, release: &str) -> String {
    let mut servers: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("Debian ")).collect();
    servers.sort_unstable();
    servers.dedup();
    let line = |server: &&str| {
        let suite = match (server.contains("security"), release.ends_with("-backports")) {
            (true, true) => return None,
            (true, false) => "-security",
            (false, _) => "",
        };
        Some(format!("deb [signed-by={KEYRING}] {server} {release}{suite} main\n"))
    };
    servers.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_debian_server_gets_one_line_for_the_release() {
        let told = "Debian http://deb.debian.org/debian/\nNode https://deb.nodesource.com/\n\
                    Debian http://deb.debian.org/debian/\n\
                    Debian http://mirror/debian-security/\n";
        let key = format!("deb [signed-by={KEYRING}]");
        assert_eq!(
            sources(told, "bookworm"),
            format!(
                "{key} http://deb.debian.org/debian/ bookworm main\n\
                 {key} http://mirror/debian-security/ bookworm-security main\n"
            )
        );
        assert_eq!(
            sources(told, "trixie-backports"),
            format!("{key} http://deb.debian.org/debian/ trixie-backports main\n")
        );
        assert_eq!(sources("Node https://deb.nodesource.com/\n", "bookworm"), "");
    }
}
