//! A real host: a daemon with its packet program, with or without `[fleet]`.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use aop_api::OriginReport;
use aop_config::{Config, FleetConfig};
use aop_tests::{
    AopToml, EtcdCluster, IpVersion, Lab, Pull, TestDaemon, TestUpstream, child, wait,
};

const NAME: &str = "web-1";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum Link<'a> {
    Fleet(&'a EtcdCluster),
    None,
}

pub(crate) struct Origin {
    pub(crate) daemon: TestDaemon,
    _upstream: TestUpstream,
    /// The key of the operator whom all hosts obey.
    key: PathBuf,
}

impl Origin {
    /// Starts it. It has served one pull.
    pub(crate) fn start(lab: &Lab, link: Link<'_>) -> Result<Self> {
        let upstream = TestUpstream::start(lab)?;
        let mut config = AopToml::new(lab);
        let daemon = TestDaemon::prepare(lab)?;
        let key = lab.dir().join("operator.key");
        if let Link::Fleet(etcd) = link {
            let mut create = Command::new(daemon.program());
            create.args(["fleet", "key", "create", "--json", "--out"]);
            create.arg(lab.dir().join("operator"));
            let made = child::finish(create, &[], PATIENCE)?.success()?.json()?;
            config.fleet = etcd.table(NAME)? + &format!("operators = [{}]\n", made["operator"]);
        }
        let daemon = TestDaemon::start(lab, &config)?;
        let pull = Pull::by_edge(lab, IpVersion::V4).send()?;
        ensure!(pull.served(), "{pull}");
        Ok(Self { daemon, _upstream: upstream, key })
    }

    /// Its `[fleet]`.
    pub(crate) fn fleet(&self) -> Result<FleetConfig> {
        Config::fleet(&self.daemon.config_path())?.context("no [fleet]")
    }

    /// Its report, once that tells of the pull.
    pub(crate) fn report(&self, etcd: &EtcdCluster) -> Result<OriginReport> {
        wait::until("the real host reports", PATIENCE, || {
            let text = etcd.value(&format!("/aop/hosts/{NAME}")).ok()?;
            let report: OriginReport = serde_json::from_str(&text).ok()?;
            (report.accepted > 0 && !report.sites[0].identities.is_empty()).then_some(report)
        })
    }

    /// Orders all hosts to reload, and waits until they have.
    pub(crate) fn order(&self, patience: Duration) -> Result<()> {
        let key = self.key.display().to_string();
        let line = ["fleet", "reload", "--all", "--key", &key];
        self.daemon.verb_within(&line, patience)?.success().map(drop)
    }

    /// The CPU time of its processes.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        self.daemon.process()?.with_descendants()?.iter().map(|it| it.cpu_time()).sum()
    }

    /// Their memory in MiB; a page that several of them share counts once.
    pub(crate) fn memory(&self) -> Result<f64> {
        let processes = self.daemon.process()?.with_descendants()?;
        let kibibytes: u64 = processes.iter().map(|it| it.shared_memory()).sum::<Result<_>>()?;
        Ok(kibibytes as f64 / 1024.0)
    }
}
