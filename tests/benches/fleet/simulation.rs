//! All simulated hosts, in one process in the namespace of the origin.

use std::sync::Arc;

use anyhow::{Context, Result};
use aop_api::{OriginReport, ReasonSum};
use aop_config::FleetConfig;
use aop_fleet::FleetAccess;
use aop_tests::Lab;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{record::Record, simulated_host::SimulatedHost};

pub(crate) struct Simulation {
    pub(crate) record: Arc<Record>,
    _hosts: JoinSet<()>,
    // Dropped after its tasks.
    _runtime: Runtime,
}

impl Simulation {
    /// Starts them at the same moment. All have the certificate of `fleet`.
    pub(crate) fn start(
        lab: &Lab,
        fleet: &FleetConfig,
        hosts: usize,
        mut report: OriginReport,
    ) -> Result<Self> {
        // Threads stay in the namespace of the thread that starts them.
        let build = || Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = lab.origin().inside(build)?.context("no runtime")?;
        let access = FleetAccess::read(fleet)?;
        let config = Arc::new(fleet.clone());
        let record = Arc::new(Record::default());
        report.dropped = ["unknown_source", "malformed", "fragment"]
            .map(|reason| ReasonSum { reason: reason.to_owned(), count: 1000 })
            .into();
        let host = |number| {
            let (config, record) = (Arc::clone(&config), Arc::clone(&record));
            SimulatedHost::new(number, &access, config, report.clone(), record)
        };
        let all = (0..hosts).map(host).collect::<Result<Vec<_>>>()?;
        let mut tasks = JoinSet::new();
        for host in all {
            tasks.spawn_on(host.live(), runtime.handle());
        }
        Ok(Self { record, _hosts: tasks, _runtime: runtime })
    }
}
