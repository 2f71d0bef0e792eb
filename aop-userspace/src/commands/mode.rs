//! `aop mode`: shows the modes in force, or asks the daemon to change them.

use std::{process::ExitCode, time::Duration};

use aop_api::{
    ModeChange, ModeName, ModeTarget, ModesInForce, PendingMode, Request, SiteMode, StrangerStatus,
};
use clap::{Args, ValueEnum};

use crate::{
    arguments::{ConfigFile, Output, duration},
    daemon,
    output::{count, lines, when},
};

/// The most sources that are named, of those that are dropped now.
const NAMED: usize = 5;

#[derive(Args)]
pub(crate) struct ModeCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The mode to set, at once and until it is set again; without it, show the modes
    #[arg(value_enum)]
    to: Option<ModeArgument>,
    /// Only for this guarded port; may be given several times
    #[arg(long = "port", value_name = "N", requires = "to")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Only for this guarded interface; may be given several times
    #[arg(long = "interface", value_name = "IF", requires = "to")]
    interfaces: Vec<String>,
    /// Only for pulls of this site (its name or one of its hosts), not for packets; may be given
    /// several times
    #[arg(long = "site", value_name = "HOST", requires = "to")]
    #[arg(conflicts_with_all = ["ports", "interfaces"])]
    sites: Vec<String>,
    /// Enforce for this time (10s to 1h), then return to the mode before it unless `aop confirm` is
    /// run in time; a restart of the daemon does not change that
    #[arg(long, value_name = "TIME", requires = "to", value_parser = duration)]
    confirm: Option<Duration>,
    /// Also confirm once this many pulls with the right certificate were served (with --site: by
    /// that site)
    #[arg(long, value_name = "N", requires = "confirm")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pulls: Option<u64>,
    /// Enforce even if the observed traffic shows that real pulls would be refused, or known
    /// sources dropped
    #[arg(long, requires = "to")]
    force: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeArgument {
    /// Pass everything, and count what enforce would drop; with --site: serve every peer, and count
    /// what enforce would refuse
    Observe,
    /// Drop packets from strangers; with --site: refuse peers without the right certificate
    Enforce,
    /// Remove the override of a port, interface or site, or all overrides for packets, so that the
    /// configuration counts again
    Default,
}

impl ModeCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let in_force = match self.to {
            None => self.current()?,
            Some(to) => self.change(to)?,
        };
        self.output.print(&in_force, render)?;
        Ok(ExitCode::SUCCESS)
    }

    fn current(&self) -> anyhow::Result<ModesInForce> {
        let status = daemon::status(&self.file.config)?;
        let (mode, modes) = (status.mode, status.modes);
        Ok(ModesInForce { mode, modes, not_kept: None, newly_dropped: Vec::new() })
    }

    fn change(&self, to: ModeArgument) -> anyhow::Result<ModesInForce> {
        let to = match to {
            ModeArgument::Observe => ModeTarget::Observe,
            ModeArgument::Enforce => ModeTarget::Enforce,
            ModeArgument::Default => ModeTarget::Default,
        };
        let change = ModeChange {
            to,
            ports: self.ports.clone(),
            interfaces: self.interfaces.clone(),
            sites: self.sites.clone(),
            confirm_seconds: self.confirm.map(|time| time.as_secs()),
            confirm_pulls: self.pulls,
            force: self.force,
        };
        let consequence = format!(
            "the mode was not changed, because only a running daemon can do that. Start it \
             (`systemctl start aop`, or `aop run`), or change firewall.mode in {} and run `aop \
             load`",
            self.file.config.display()
        );
        daemon::ask(&self.file.config, Request::Mode(change), &consequence)
    }
}

/// The first line has the modes in force, the second compares them with the configuration. Then
/// come the sites whose mode was set or that observe, an unconfirmed mode, and warnings if the mode
/// could not be stored, and about sources that are dropped now.
pub(super) fn render(in_force: &ModesInForce) -> String {
    let ModesInForce { mode, modes, not_kept, newly_dropped } = in_force;
    let mut first = vec![mode.to_string()];
    first.extend(modes.lines());
    let mut text = vec![first.join("; ")];
    let configured = modes.configured.as_ref();
    text.push(match (modes.set_at, configured) {
        (Some(at), Some(configured)) => format!(
            "set by `aop mode` {}; the configuration says {configured}; `aop mode default` \
             returns to it",
            when(at)
        ),
        (Some(at), None) => format!("set by `aop mode` {}", when(at)),
        (None, Some(configured)) if configured == mode => "as the configuration says".to_owned(),
        (None, Some(configured)) if *mode == ModeName::Off => {
            format!("no firewall is loaded; the configuration says {configured}")
        }
        (None, Some(configured)) => format!(
            "the configuration says {configured}; that takes effect when `aop run` or `aop load` \
             reads it"
        ),
        (None, None) => "the configuration cannot be read: see `aop check`".to_owned(),
    });
    text.extend(modes.sites.iter().map(SiteMode::line));
    text.extend(modes.pending.iter().map(PendingMode::line));
    text.extend(not_kept.iter().map(|why| format!("warning: {why}")));
    text.extend(dropped_now(newly_dropped));
    lines(text)
}

fn dropped_now(sources: &[StrangerStatus]) -> Option<String> {
    let named: Vec<String> = sources.iter().take(NAMED).map(|it| it.source.clone()).collect();
    let more = match sources.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "warning: {} that sent many packets within the last 24 hours {} dropped now: {}{more} \
             (see `aop strangers`)",
            count(sources.len(), "source"),
            if sources.len() == 1 { "is" } else { "are" },
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mode: ModeCommand,
    }

    fn parsed(line: &str) -> Result<ModeCommand, String> {
        let line = Line::try_parse_from(line.split(' '));
        line.map(|line| line.mode).map_err(|error| error.to_string())
    }

    #[test]
    fn ports_and_interfaces_may_be_named_several_times_and_need_a_mode() {
        let line = "mode enforce --port 443 --interface eth0 --port 8443 --interface eth1";
        let mode = parsed(line).expect("a command");
        assert_eq!(mode.to, Some(ModeArgument::Enforce));
        assert_eq!((mode.ports, mode.interfaces.len()), (vec![443, 8443], 2));
        let shown = parsed("mode --json").expect("a command");
        assert!(shown.to.is_none() && shown.output.json);
        for wrong in ["mode --port 443", "mode off", "mode enforce --port 0", "mode --interface a"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        let line = "mode enforce --site a.test --site b.test --confirm 5m --pulls 20";
        let mode = parsed(line).expect("a command");
        assert_eq!((mode.sites.len(), mode.pulls), (2, Some(20)));
        for wrong in [
            "mode --site a.test",
            "mode enforce --site a.test --port 443",
            "mode enforce --pulls 20",
            "mode enforce --confirm 5m --pulls 0",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    fn in_force(mode: ModeName) -> ModesInForce {
        let modes = aop_api::ModesReport::default();
        ModesInForce { mode, modes, not_kept: None, newly_dropped: Vec::new() }
    }

    #[test]
    fn the_first_two_lines_show_the_mode_in_force_and_its_origin() {
        let mut shown = in_force(ModeName::Enforce);
        shown.modes.configured = Some(ModeName::Enforce);
        assert_eq!(render(&shown), "enforce\nas the configuration says\n");
        let mut unloaded = in_force(ModeName::Off);
        unloaded.modes.configured = Some(ModeName::Enforce);
        let nothing = "off\nno firewall is loaded; the configuration says enforce\n";
        assert_eq!(render(&unloaded), nothing);
        shown.modes.ports.push(aop_api::PortMode { port: 443, mode: ModeName::Observe });
        shown.modes.set_at = Some(jiff::Timestamp::UNIX_EPOCH);
        shown.modes.configured = Some(ModeName::Observe);
        let text = render(&shown);
        let (head, rest) = text.split_once(" ago ").expect("a time");
        assert!(head.starts_with("enforce; port 443: observe\nset by `aop mode` "), "{head}");
        assert_eq!(
            rest,
            "(1970-01-01 00:00 UTC); the configuration says observe; `aop mode default` returns to \
             it\n"
        );
    }
}
