//! Checks the values in the file and builds the [`Config`].

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use aop_common::{Mode, layout::Ports};
use ipnet::IpNet;
use jiff::SignedDuration;
use toml::Spanned;

use crate::{
    Config, ConfigError, FirewallConfig, Interfaces, Limits, MonitorConfig, Paths,
    ReloadableConfig, StartupConfig, StatusPage, cloudflare, fleet, listeners, prefixes, sites,
    toml_schema::{RawConfig, RawFirewall, RawLimits, RawMode, RawMonitor, RawPaths},
};

/// The file that is being read, so that errors name file and line.
pub(crate) struct SourceFile<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl SourceFile<'_> {
    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.file, self.text, span, message.into())
    }

    pub(crate) fn parse<T: FromStr<Err = String>>(
        &self,
        text: &Spanned<String>,
    ) -> Result<T, ConfigError> {
        text.get_ref().parse().map_err(|message: String| self.error(text.span(), message))
    }

    pub(crate) fn path(&self, text: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(text)
    }
}

pub(crate) fn config(raw: RawConfig, src: &SourceFile<'_>) -> Result<Config, ConfigError> {
    let (listeners, senders) = listeners::read(&raw.listener, src)?;
    let sites = sites::read(&raw.site, src)?;
    let mode = raw.firewall.mode;
    let ports = ports(&raw.firewall, &listeners, src)?;
    match (listeners.is_empty(), sites.is_empty()) {
        (false, true) => {
            return Err(ConfigError::whole(
                src.file,
                "there is a [[listener]] but no [[site]]: every pull would be refused. Add a site",
            ));
        }
        (true, false) => {
            return Err(ConfigError::whole(
                src.file,
                "there is a [[site]] but no [[listener]]: nobody could reach it. Add a listener",
            ));
        }
        (true, true) if mode == RawMode::Off || ports == Ports::NONE => {
            return Err(ConfigError::whole(
                src.file,
                "nothing to do: no [[listener]], and no firewall with ports. \
                 Add a listener and a site, or set firewall.ports",
            ));
        }
        (true, true) | (false, false) => {}
    }
    Ok(Config {
        file: src.file.into(),
        fixed: StartupConfig {
            firewall: firewall(&raw.firewall),
            listeners,
            user: raw.terminator.user,
            paths: paths(raw.paths, src),
            limits: limits(&raw.limits, src)?,
            readers: raw.control.readers,
            monitor: monitor(&raw.monitor, src)?,
        },
        live: ReloadableConfig {
            interfaces: interfaces(&raw.firewall, src)?,
            mode: match mode {
                RawMode::Observe => Mode::Observe,
                RawMode::Enforce | RawMode::Off => Mode::Enforce,
            },
            ports,
            prefixes: prefixes::source(&raw.prefixes, src)?,
            refresh: prefixes::refresh(raw.prefixes.refresh.as_ref(), src)?,
            extra: cidrs(&raw.firewall.extra, src)?,
            udp: raw.firewall.udp,
            drain: duration(raw.admission.drain.as_ref(), "1h", src)?,
            probation: raw.admission.probation_syn,
            trust: duration(raw.admission.trust.as_ref(), "1h", src)?,
            budget: raw.admission.budget_syn,
            senders,
            sites,
            watch: raw.reload.watch,
            deadline: deadline(raw.limits.deadline.as_ref(), src)?,
            fleet: fleet::read(raw.fleet.as_ref(), src)?,
            shutdown: duration(raw.limits.drain.as_ref(), "30s", src)?,
            linger: duration(raw.limits.linger.as_ref(), "1h", src)?,
        },
        cloudflare: cloudflare::read(&raw.cloudflare, src)?,
    })
}

fn firewall(raw: &RawFirewall) -> Option<FirewallConfig> {
    (raw.mode != RawMode::Off).then_some(FirewallConfig { attach: raw.attach })
}

fn interfaces(raw: &RawFirewall, src: &SourceFile<'_>) -> Result<Interfaces, ConfigError> {
    let Some(names) = &raw.interfaces else { return Ok(Interfaces::Auto) };
    match names.get_ref().as_slice() {
        [only] if only == "auto" => Ok(Interfaces::Auto),
        all => match mistake_in(all) {
            None => Ok(Interfaces::Named(all.to_vec())),
            Some(mistake) => Err(src.error(names.span(), format!("firewall.interfaces {mistake}"))),
        },
    }
}

/// The mistake in a list of interfaces, and the cure.
fn mistake_in(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return Some("is empty: name an interface, or write [\"auto\"]".to_owned());
    }
    if names.iter().any(|name| name == "auto") {
        return Some("has \"auto\" beside others: write [\"auto\"], or names".to_owned());
    }
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, it)| names[..*at].contains(it)) {
        return Some(format!("has {twice:?} twice: name it once"));
    }
    let bad = names.iter().find(|name| !is_interface_name(name))?;
    Some(format!("has {bad:?}, which is no name of an interface: `ip link` lists them"))
}

/// The kernel's rule (dev_valid_name): at most 15 bytes, no slash, colon or white space, and
/// neither `.` nor `..`.
fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
}

fn ports(
    raw: &RawFirewall,
    listeners: &[SocketAddr],
    src: &SourceFile<'_>,
) -> Result<Ports, ConfigError> {
    let mut ports = Ports::NONE;
    match &raw.ports {
        None => listeners.iter().for_each(|listener| ports.insert(listener.port())),
        Some(named) => {
            if named.get_ref().is_empty() || named.get_ref().contains(&0) {
                return Err(src.error(
                    named.span(),
                    "firewall.ports must name at least one port, from 1 to 65535",
                ));
            }
            named.get_ref().iter().for_each(|port| ports.insert(*port));
        }
    }
    Ok(ports)
}

pub(crate) fn paths(raw: RawPaths, src: &SourceFile<'_>) -> Paths {
    Paths {
        pins: src.path(raw.pins.as_deref().unwrap_or("/sys/fs/bpf/aop")),
        state: src.path(raw.state.as_deref().unwrap_or("/var/lib/aop")),
        runtime: src.path(raw.runtime.as_deref().unwrap_or("/run/aop")),
    }
}

fn limits(raw: &RawLimits, src: &SourceFile<'_>) -> Result<Limits, ConfigError> {
    let number = |raw: &Option<Spanned<usize>>, default, key| match raw {
        None => Ok(default),
        Some(raw) if (1..=1_000_000).contains(raw.get_ref()) => Ok(*raw.get_ref()),
        Some(raw) => Err(src.error(raw.span(), format!("limits.{key} must be 1 to 1000000"))),
    };
    Ok(Limits {
        connections: number(&raw.connections, 10_000, "connections")?,
        handshakes: number(&raw.handshakes, 1024, "handshakes")?,
        per_peer: number(&raw.per_peer, 256, "per_peer")?,
        workers: match &raw.workers {
            None => None,
            Some(raw) if (1..=1024).contains(raw.get_ref()) => Some(*raw.get_ref()),
            Some(raw) => Err(src.error(raw.span(), "limits.workers must be 1 to 1024"))?,
        },
    })
}

fn monitor(raw: &RawMonitor, src: &SourceFile<'_>) -> Result<Option<MonitorConfig>, ConfigError> {
    let page = match &raw.page {
        Some(page) if *page.get_ref() => StatusPage::Served,
        Some(_) | None => StatusPage::Off,
    };
    match (&raw.listen, &raw.page) {
        (Some(text), _) => Ok(Some(MonitorConfig { address: src.parse(text)?, page })),
        (None, Some(written)) if page == StatusPage::Served => Err(src.error(
            written.span(),
            "monitor.page needs monitor.listen, and that is missing. Add an address of this host \
             alone, such as listen = \"127.0.0.1:9465\", or remove page",
        )),
        (None, _) => Ok(None),
    }
}

fn cidrs(raw: &[Spanned<String>], src: &SourceFile<'_>) -> Result<Vec<IpNet>, ConfigError> {
    raw.iter()
        .map(|text| {
            aop_types::parse_prefix(text.get_ref())
                .map_err(|message| src.error(text.span(), message))
        })
        .collect()
}

pub(crate) fn duration(
    raw: Option<&Spanned<String>>,
    default: &str,
    src: &SourceFile<'_>,
) -> Result<Duration, ConfigError> {
    let text = raw.map_or(default, |raw| raw.get_ref().as_str());
    let span = raw.map_or(0..0, Spanned::span);
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok())
        .filter(|parsed| *parsed <= Duration::from_secs(30 * 24 * 3600))
        .ok_or_else(|| {
            let message =
                format!("{text:?} is not a duration of at most 30 days, such as 10s, 5m or 1h");
            src.error(span, message)
        })
}

fn deadline(raw: Option<&Spanned<String>>, src: &SourceFile<'_>) -> Result<Duration, ConfigError> {
    let deadline = duration(raw, "10s", src)?;
    match raw {
        Some(raw) if deadline < Duration::from_secs(1) => {
            Err(src.error(raw.span(), "limits.deadline must be at least 1s"))
        }
        Some(_) | None => Ok(deadline),
    }
}
