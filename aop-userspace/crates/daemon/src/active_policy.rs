//! The policy in force: the part of the configuration that a reload may change, the mode overrides,
//! the openings, the prefix list, and the prefixes that these admit.
//!
//! Everything may read it. Only a [`Turn`](super::turn::Turn) changes it.

use std::sync::Arc;

use aop_api::{PrefixStatus, terminator::AddressPolicy};
use aop_common::Mode;
use aop_config::{OnRefusal, ReloadableConfig};
use aop_firewall::FirewallPolicy;
use aop_prefixes::{CurrentList, ListOrigin, PrefixError};
use aop_tls::FileWarnings;
use aop_types::{Admission, Modes, monotonic_seconds};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{config_digest::ConfigDigest, mode_overrides::OverrideState, openings::Openings};

/// Whether the firewall, where it is on, judges packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketFilter {
    Loaded,
    /// The operator has unloaded it. Then no connection is judged by its address, either, until the
    /// next start.
    Unloaded,
}

/// The policy in force. The firewall and the terminator have it, too.
#[derive(Clone)]
pub(crate) struct ActivePolicy {
    pub(crate) live: ReloadableConfig,
    pub(crate) overrides: OverrideState,
    pub(crate) openings: Openings,
    pub(crate) list: CurrentList,
    /// The prefixes that the list, the configuration and the openings admit, and the draining ones.
    pub(crate) admission: Admission,
    pub(crate) packets: PacketFilter,
    /// The source of the configuration.
    pub(crate) source: Arc<ConfigDigest>,
    /// Warnings about the configuration.
    pub(crate) warnings: Vec<String>,
    /// Warnings about the sites' files.
    pub(crate) file_warnings: FileWarnings,
}

impl ActivePolicy {
    /// The modes in force: the configuration with the overrides.
    pub(crate) fn modes(&self) -> Modes {
        self.overrides.modes(self.live.mode)
    }

    /// The sites that observe, in the order of the configuration.
    pub(crate) fn observing(&self) -> Vec<String> {
        let sites = self.overrides.sites(&self.live).into_iter();
        sites.filter(|it| it.on_refusal == OnRefusal::Observe).map(|it| it.name).collect()
    }

    /// A digest of everything that determines how sites are served.
    pub(crate) fn digest(&self) -> String {
        self.source.digest(&self.observing())
    }

    /// The prefixes of the list, of `firewall.extra` and of the openings.
    pub(crate) fn prefixes(&self) -> Result<Vec<IpNet>, PrefixError> {
        let extra = self.live.extra.iter().copied().chain(self.openings.networks());
        self.list.list.with(&extra.collect::<Vec<_>>())
    }

    /// The prefixes that this policy admits after `before`, where `firewall.extra` was `former`. If
    /// the source has never answered, the other prefixes of `before` stay admitted.
    pub(crate) fn admission_after(
        &self,
        before: &Admission,
        former: &[IpNet],
        prefixes: &[IpNet],
    ) -> Admission {
        next_admission(before, former, &self.list, prefixes, &self.live)
    }

    /// Its part for the firewall.
    pub(crate) fn for_firewall(&self) -> FirewallPolicy {
        firewall_policy(&self.admission, &self.live, &self.modes())
    }

    /// Its part for the terminator.
    pub(crate) fn for_terminator(&self) -> AddressPolicy {
        let modes = self.modes();
        let modes = match self.packets {
            PacketFilter::Loaded => modes,
            PacketFilter::Unloaded => Modes { sites: modes.sites, ..Modes::from(Mode::Observe) },
        };
        AddressPolicy::of(&self.admission, &modes)
    }

    /// Whether the list stays in force when `live` becomes the configuration. A list that was
    /// fetched from the same source stays, since the copy on disk is never newer.
    pub(crate) fn keeps_list(&self, live: &ReloadableConfig) -> bool {
        live.prefixes == self.live.prefixes && live.prefixes.url().is_some()
    }

    /// Adds the list to a status.
    pub(crate) fn add_list(&self, prefixes: &mut PrefixStatus) {
        prefixes.source = Some(self.live.prefixes.to_string());
        prefixes.origin = Some(self.list.origin.to_string().as_str().into());
        prefixes.etag.clone_from(&self.list.list.etag);
        prefixes.age_seconds = self.list.age(Timestamp::now());
    }

    /// Warnings about the list.
    pub(crate) fn list_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let source = &self.live.prefixes;
        if self.list.origin == ListOrigin::None {
            warnings.push(format!(
                "the prefix list has never been fetched from {source}: only firewall.extra is \
                 admitted, and what an earlier run left in the maps"
            ));
        }
        if let Some(hours) = self.stale_hours() {
            warnings.push(format!(
                "the prefix list is old: {source} last confirmed it {hours} h ago. Edges in newer \
                 prefixes are dropped; see `aop prefixes refresh`"
            ));
        }
        warnings
    }

    /// Hours since the list was last confirmed, where that is longer than `stale_after`.
    pub(crate) fn stale_hours(&self) -> Option<u64> {
        let stale = self.live.stale_after()?;
        let age = self.list.age(Timestamp::now())?;
        (age > stale.as_secs()).then_some(age / 3600)
    }
}

/// The admitted set after `before`, where `firewall.extra` was `former`. Where the source has never
/// answered, the other prefixes of `before` stay admitted.
pub(crate) fn next_admission(
    before: &Admission,
    former: &[IpNet],
    list: &CurrentList,
    prefixes: &[IpNet],
    live: &ReloadableConfig,
) -> Admission {
    let mut admitted = prefixes.to_vec();
    if list.origin == ListOrigin::None {
        admitted.extend(before.admitted_prefixes().filter(|prefix| !former.contains(prefix)));
    }
    before.followed_by(&admitted, live.drain, monotonic_seconds())
}

/// The policy of the firewall.
pub(crate) fn firewall_policy(
    admission: &Admission,
    live: &ReloadableConfig,
    modes: &Modes,
) -> FirewallPolicy {
    FirewallPolicy {
        modes: modes.clone(),
        ports: live.ports,
        admission: admission.clone(),
        udp: live.udp,
        probation: live.probation,
        budget: live.budget,
    }
}
