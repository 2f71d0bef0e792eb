//! Gives an order to the hosts that are meant, wave by wave, and follows it.

use std::{collections::BTreeMap, process::ExitCode};

use aop_api::{FleetOrdered, OrderedHosts, OrderedWave, OriginReport, Request, WavePlan};
use aop_config::FleetName;
use aop_fleet::{PlannedWave, WaveSizes, orders::may_be_ordered};

use super::{
    order_page,
    orderer::{NotGiven, Orderer},
    selection::{MeantHosts, Ordering, may_include, meant},
    standing::{Standing, standing},
};
use crate::output::print;

impl Ordering {
    /// Gives `request` to the hosts, wave by wave, and follows it. Exit code 1: a host stopped it,
    /// nobody was meant, or etcd was away for too long.
    pub(super) fn give(
        self,
        request: Request,
        sizes: Option<&WaveSizes>,
    ) -> anyhow::Result<ExitCode> {
        may_be_ordered(&request).map_err(anyhow::Error::msg)?;
        request.check().map_err(anyhow::Error::msg)?;
        let ordered = self.ordered()?;
        let (client, config) = super::connect(&self.file)?;
        let stored = client.hosts()?;
        for warning in &stored.warnings {
            eprintln!("aop: warning: {warning}");
        }
        let meant = meant(&ordered, &stored);
        let taken = meant.reporting.values().flat_map(|report| &report.orders);
        let taken = taken.map(|order| order.serial).max().unwrap_or_default();
        let Plan { waves, mut reporting, silent, mut result } = Plan::of(meant, &request, sizes);
        let quiet = self.output.json;
        if !quiet {
            print(&order_page::preview(&result, &request))?;
        }
        if waves.is_empty() {
            self.output.print(&result, |it| order_page::nobody(it, &request))?;
            let as_ordered = result.as_ordered > 0 && request != Request::Confirm;
            return Ok(ExitCode::from(u8::from(!as_ordered)));
        }
        let Some(secret) = self.secret()? else {
            self.output.print(&result, |_| "--dry-run: nothing was ordered\n".to_owned())?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut orderer = Orderer { client, file: self.file, config, secret, valid: self.valid };
        let total = waves.len();
        for (number, PlannedWave { places, hosts }) in (1..).zip(waves) {
            result.waves_left = total - number;
            let hosts_of = OrderedHosts { wave: places, ..ordered.clone() };
            let silent = silent.iter().filter(|name| may_include(&hosts_of, name));
            let silent = silent.map(ToString::to_string).collect();
            let order = match orderer.give(hosts_of, request.clone(), taken, quiet) {
                Ok(order) => order,
                Err(NotGiven { why, perhaps }) => {
                    result.error = Some(why);
                    match perhaps {
                        Some(order) => result.waves.push(OrderedWave {
                            order: *order,
                            lasting: 0,
                            open: hosts.len(),
                            silent,
                            stopped: Vec::new(),
                        }),
                        None => result.waves_left += 1,
                    }
                    break;
                }
            };
            if !quiet {
                let of =
                    if total > 1 { format!(", wave {number} of {total}") } else { String::new() };
                print(&format!("order {}{of}\n", order.serial))?;
            }
            let named: BTreeMap<FleetName, OriginReport> =
                hosts.iter().filter_map(|it| reporting.remove_entry(it)).collect();
            let followed = orderer.follow(order, &named, silent, quiet);
            let stopped = !followed.wave.stopped.is_empty();
            result.waves.push(followed.wave);
            result.error = followed.ended_early;
            if stopped || result.error.is_some() {
                break;
            }
        }
        self.output.print(&result, order_page::summary)?;
        let stopped = result.waves.iter().any(|wave| !wave.stopped.is_empty());
        Ok(ExitCode::from(u8::from(stopped || result.error.is_some())))
    }
}

/// The waves, and what they are made of.
struct Plan {
    waves: Vec<PlannedWave>,
    /// The hosts of all waves that report.
    reporting: BTreeMap<FleetName, OriginReport>,
    silent: Vec<FleetName>,
    result: FleetOrdered,
}

impl Plan {
    fn of(meant: MeantHosts, request: &Request, sizes: Option<&WaveSizes>) -> Self {
        let MeantHosts { mut reporting, doubtful, silent } = meant;
        let mut result = FleetOrdered {
            silent: silent.iter().map(ToString::to_string).collect(),
            ..FleetOrdered::default()
        };
        reporting.retain(|name, report| {
            // A doubtful report proves nothing: its host stops the wave.
            if doubtful.contains(name) {
                return true;
            }
            match standing(report, request, sizes.is_some()) {
                Standing::Meant => return true,
                Standing::AsOrdered => result.as_ordered += 1,
                Standing::NotServing => result.not_serving.push(name.to_string()),
            }
            false
        });
        let waves = match sizes {
            Some(sizes) => sizes.plan(reporting.keys().cloned()),
            None if reporting.is_empty() => Vec::new(),
            None => vec![PlannedWave { places: None, hosts: reporting.keys().cloned().collect() }],
        };
        let hosts = |wave: &PlannedWave| wave.hosts.iter().map(ToString::to_string).collect();
        result.plan = waves.iter().map(|wave| WavePlan { hosts: hosts(wave) }).collect();
        Self { waves, reporting, silent, result }
    }
}
