//! `aop mode`

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use aop_api::{ModesInForce, PendingMode, Request, SiteMode, Switch, Wish};
use aop_config::Config;
use aop_control::AskError;
use clap::{Args, ValueEnum};

use super::{ConfigFile, duration, json, print, status};

#[derive(Args)]
pub(super) struct ModeCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// What the mode becomes, at once and until it is said otherwise; without it, the modes are shown
    #[arg(value_enum)]
    to: Option<To>,
    /// Of this guarded port alone; may be given several times
    #[arg(long = "port", value_name = "N", requires = "to", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Of this guarded interface alone; may be given several times
    #[arg(long = "interface", value_name = "IF", requires = "to")]
    interfaces: Vec<String>,
    /// Of this site's pulls and of no packet, by its name or a host of it; may be given several times
    #[arg(long = "site", value_name = "HOST", requires = "to", conflicts_with_all = ["ports", "interfaces"])]
    sites: Vec<String>,
    /// Enforce for so long, 10s to 1h, and then go back to what stood before, unless `aop confirm`
    /// comes in time; also if the daemon is restarted meanwhile
    #[arg(long, value_name = "TIME", requires = "to", value_parser = duration)]
    confirm: Option<Duration>,
    /// Confirm it, too, once so many pulls with the right certificate were served (with --site, of that
    /// site)
    #[arg(long, value_name = "N", requires = "confirm", value_parser = clap::value_parser!(u64).range(1..))]
    pulls: Option<u64>,
    /// Enforce though what was observed says that real pulls would be cut
    #[arg(long, requires = "to")]
    force: bool,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// Count drops, and let them pass; with --site: let everybody in, and count who would be refused
    Observe,
    /// Drop; with --site: refuse
    Enforce,
    /// Take back what was said: of a port, interface or site, or of all packets; then the configuration
    /// counts
    Default,
}

impl ModeCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let in_force = match self.to {
            None => self.shown()?,
            Some(to) => self.switched(to)?,
        };
        print(&if self.json { json(&in_force)? } else { told(&in_force) })?;
        Ok(ExitCode::SUCCESS)
    }

    fn shown(&self) -> anyhow::Result<ModesInForce> {
        let status = status::now(&self.file.config)?;
        Ok(ModesInForce { mode: status.mode, modes: status.modes, not_kept: None })
    }

    fn switched(&self, to: To) -> anyhow::Result<ModesInForce> {
        let paths = Config::paths(&self.file.config)?;
        let to = match to {
            To::Observe => Wish::Observe,
            To::Enforce => Wish::Enforce,
            To::Default => Wish::Default,
        };
        let (ports, interfaces) = (self.ports.clone(), self.interfaces.clone());
        let confirm_seconds = self.confirm.map(|time| time.as_secs());
        let said = Switch {
            to,
            ports,
            interfaces,
            sites: self.sites.clone(),
            confirm_seconds,
            confirm_pulls: self.pulls,
            force: self.force,
        };
        match aop_control::ask(&paths.runtime, Request::Mode(said)) {
            Err(error @ AskError::NotRunning(_)) => bail!(
                "{error}: nothing was switched, since a running daemon does that. Start it \
                 (`systemctl start aop`, or `aop run`), or change firewall.mode in {} and run `aop \
                 load`",
                self.file.config.display()
            ),
            answered => Ok(answered?),
        }
    }
}

/// What is in force, and in a second line why it is not, or is, what the configuration says; a line for
/// each site that does not simply refuse.
pub(super) fn told(in_force: &ModesInForce) -> String {
    let ModesInForce { mode, modes, not_kept } = in_force;
    let mut first = vec![mode.clone()];
    first.extend(modes.lines());
    let mut lines = vec![first.join("; ")];
    let configured = modes.configured.as_deref();
    lines.push(match (modes.set_at, configured) {
        (Some(at), Some(configured)) => format!(
            "set by `aop mode` at {at:.0}; the configuration says {configured}; `aop mode default` \
             goes back to that"
        ),
        (Some(at), None) => format!("set by `aop mode` at {at:.0}"),
        (None, Some(configured)) if configured == mode => "as the configuration says".to_owned(),
        (None, Some(configured)) if mode == "off" => {
            format!("no firewall is loaded; the configuration says {configured}")
        }
        (None, Some(configured)) => format!(
            "the configuration says {configured}, which counts once `aop run` or `aop load` has read \
             it"
        ),
        (None, None) => "the configuration cannot be read: see `aop check`".to_owned(),
    });
    lines.extend(modes.sites.iter().map(SiteMode::line));
    lines.extend(modes.pending.iter().map(PendingMode::line));
    lines.extend(not_kept.iter().map(|why| format!("warning: {why}")));
    lines.join("\n") + "\n"
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
        assert_eq!(mode.to, Some(To::Enforce));
        assert_eq!((mode.ports, mode.interfaces.len()), (vec![443, 8443], 2));
        let shown = parsed("mode --json").expect("a command");
        assert!(shown.to.is_none() && shown.json);
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

    fn in_force(mode: &str) -> ModesInForce {
        ModesInForce { mode: mode.to_owned(), modes: aop_api::Modes::default(), not_kept: None }
    }

    #[test]
    fn two_lines_tell_what_is_in_force_and_why() {
        let mut told_of = in_force("enforce");
        told_of.modes.configured = Some("enforce".to_owned());
        assert_eq!(told(&told_of), "enforce\nas the configuration says\n");
        let mut unloaded = in_force("off");
        unloaded.modes.configured = Some("enforce".to_owned());
        let nothing = "off\nno firewall is loaded; the configuration says enforce\n";
        assert_eq!(told(&unloaded), nothing);
        told_of.modes.ports.push(aop_api::PortMode { port: 443, mode: "observe".to_owned() });
        told_of.modes.set_at = Some(jiff::Timestamp::UNIX_EPOCH);
        told_of.modes.configured = Some("observe".to_owned());
        assert_eq!(
            told(&told_of),
            "enforce; port 443: observe\nset by `aop mode` at 1970-01-01T00:00:00Z; the \
             configuration says observe; `aop mode default` goes back to that\n"
        );
    }
}
