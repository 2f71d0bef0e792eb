//! `aop man-pages`: writes the man pages of the package: one for each verb, from its arguments,
//! with the sections that arguments do not tell.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::roff::{Roff, bold, roman};

use crate::Cli;

#[derive(Args)]
pub(crate) struct ManPagesCommand {
    /// The folder to write to, one file for each verb
    folder: PathBuf,
}

impl ManPagesCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let cannot = || format!("cannot write man pages to {}", self.folder.display());
        // The exit codes below the help have a section of their own here.
        let command = Cli::command().after_help(None::<&str>);
        clap_mangen::generate_to(command, &self.folder).with_context(cannot)?;
        for file in fs::read_dir(&self.folder).with_context(cannot)? {
            let path = file.with_context(cannot)?.path();
            let more = match path.file_name().and_then(|name| name.to_str()) {
                Some("aop.1") => overview(),
                Some(name) if name.ends_with(".1") => see_also(&["aop(1)", "aop.toml(5)"]),
                Some(_) | None => continue,
            };
            let page = fs::read_to_string(&path).with_context(cannot)?;
            fs::write(&path, page + &more).with_context(cannot)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Done."),
    ("1", "It failed, the configuration is bad, or something is wrong (aop prove, aop doctor)."),
    ("2", "The command line is wrong."),
    ("3", "aop run stopped, but only after limits.drain, and cut connections."),
    ("aop status --check", "0 OK, 1 warning, 2 critical, 3 unknown, as Nagios has them."),
];

const FILES: [(&str, &str); 6] = [
    ("/etc/aop/aop.toml", "The configuration: aop.toml(5)."),
    ("/run/aop/control.sock", "Where the verbs ask the daemon (paths.runtime)."),
    ("/var/lib/aop", "What outlives a restart: list, modes, openings, evidence (paths.state)."),
    ("/sys/fs/bpf/aop", "The packet filter, which outlives the daemon (paths.pins)."),
    ("/usr/share/doc/aop", "The documents: README.md says which one to read."),
    ("/usr/share/doc/aop/examples", "Units for systemd: a socket, a check that sends mail."),
];

const EXAMPLES: [(&str, &str); 6] = [
    ("aop check && aop reload", "Take up an edited configuration."),
    ("aop status", "What is wrong, what is guarded, who pulls."),
    ("aop explain 192.0.2.10", "What happens to packets from there, and why."),
    (
        "aop mode enforce --confirm 5m",
        "Drop what is only counted so far. Without aop confirm within five minutes, aop observes \
         again.",
    ),
    ("aop mode observe", "The way back: drop nothing."),
    ("aop open --from 192.0.2.10 --for 1h", "Let an address in for an hour."),
];

/// The sections of aop(1) that its arguments do not tell.
fn overview() -> String {
    let mut page = Roff::new();
    for (title, terms) in
        [("EXIT STATUS", &EXIT_STATUS[..]), ("FILES", &FILES), ("EXAMPLES", &EXAMPLES)]
    {
        page.control("SH", [title]);
        for (term, meaning) in terms {
            page.control("TP", []);
            page.text([bold(*term)]);
            page.text([roman(*meaning)]);
        }
    }
    page.render() + &see_also(&["aop.toml(5)", "systemctl(1)", "journalctl(1)", "nft(8)"])
}

fn see_also(pages: &[&str]) -> String {
    let mut page = Roff::new();
    page.control("SH", ["SEE ALSO"]);
    let mut text = Vec::new();
    for (name, section) in pages.iter().filter_map(|page| page.split_once('(')) {
        let comma = if text.is_empty() { "" } else { ", " };
        text.extend([roman(comma), bold(name), roman(format!("({section}"))]);
    }
    page.text(text);
    page.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_visible_verb() {
        let folder = tempfile::tempdir().expect("a folder");
        ManPagesCommand { folder: folder.path().into() }.run().expect("written");
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name));
        assert!(page("aop.1").expect("a page").contains("origin pulls"));
        assert!(page("aop-unload.1").expect("a page").contains("Detach"));
        for section in ["EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"] {
            let page = page("aop.1").expect("a page");
            let quoted = format!(".SH \"{section}\"");
            let has = page.contains(&format!(".SH {section}\n")) || page.contains(&quoted);
            assert!(has, "no {section} in {page}");
        }
        assert!(page("aop-status.1").expect("a page").contains("aop.toml"), "it sees nothing");
        page("aop-terminate.1").expect_err("a hidden verb has no page");
    }
}
