//! `aop doctor`: it finds nothing on a healthy host, and names each mistake of an operator before
//! it causes an outage.

mod bypasses;
mod certificates;
mod healthy;
mod lists;
pub(crate) mod packet_filter;
mod start;
mod traffic;
mod upstreams;

use anyhow::{Context, Result, ensure};
use aop_tests::TestDaemon;
use serde_json::Value;

use crate::stage::Stage;

/// The result of `aop doctor --json`.
pub(crate) struct DoctorRun {
    code: i32,
    json: Value,
}

/// Runs `aop doctor` with these options.
pub(crate) fn diagnose(daemon: &TestDaemon, options: &[&str]) -> Result<DoctorRun> {
    let line: Vec<&str> = ["doctor", "--json"].iter().chain(options).copied().collect();
    let told = daemon.verb(&line)?;
    let json = serde_json::from_slice(&told.output).with_context(|| format!("{told:?}"))?;
    Ok(DoctorRun { code: told.code, json })
}

impl DoctorRun {
    /// The findings with this result and name.
    fn findings(&self, result: &str, name: &str) -> Vec<&Value> {
        let all = self.json["findings"].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().filter(|it| it["result"] == result && it["name"] == name).collect()
    }

    /// Nothing is wrong, and the exit code is 0.
    pub(crate) fn is_clean(&self) -> Result<()> {
        ensure!(self.code == 0 && self.json["healthy"] == true, "{:#}", self.json);
        Ok(())
    }

    /// The finding `name` is wrong, with a cure and the effect on visitors, and the exit code is 1.
    pub(crate) fn finds(&self, name: &str) -> Result<&Value> {
        ensure!(self.code == 1 && self.json["healthy"] == false, "{:#}", self.json);
        let found = self.findings("wrong", name);
        let found = found.first().with_context(|| format!("no {name}: {:#}", self.json))?;
        let has = |field: &str| found[field].as_str().is_some_and(|text| !text.is_empty());
        ensure!(has("said") && has("visitor") && has("cure"), "{found:#}");
        Ok(found)
    }

    /// Only the finding `name` is wrong.
    pub(crate) fn finds_only(&self, name: &str) -> Result<&Value> {
        let found = self.finds(name)?;
        let others = self.json["findings"].as_array().context("no findings")?;
        let others: Vec<_> =
            others.iter().filter(|it| it["result"] == "wrong" && it["name"] != name).collect();
        ensure!(others.is_empty(), "{others:#?}");
        Ok(found)
    }

    /// The finding `name` is good.
    pub(crate) fn is_good(&self, name: &str) -> Result<()> {
        ensure!(!self.findings("good", name).is_empty(), "no good {name}: {:#}", self.json);
        Ok(())
    }

    /// The finding `name` is told.
    pub(crate) fn tells(&self, name: &str) -> Result<&Value> {
        let found = self.findings("told", name);
        found.first().copied().with_context(|| format!("no {name}: {:#}", self.json))
    }
}

/// No opening is left.
pub(crate) fn no_opening_is_left(stage: &Stage) -> Result<()> {
    let status = stage.daemon.status()?;
    ensure!(status.json()["openings"] == serde_json::json!([]), "{}", status.json()["openings"]);
    ensure!(!stage.config.state.join("openings.json").exists());
    Ok(())
}

/// The options for a certificate and its key.
pub(crate) fn pair_options(identity: &aop_tests::pki::Credentials) -> Result<[String; 4]> {
    let path = |path: &std::path::Path| path.to_str().map(str::to_owned).context("not UTF-8");
    let (certificate, key) = (path(&identity.certificate)?, path(&identity.key)?);
    Ok(["--certificate".to_owned(), certificate, "--key".to_owned(), key])
}

/// Runs `aop doctor` with a certificate and its key.
pub(crate) fn diagnose_pair(
    daemon: &TestDaemon,
    identity: &aop_tests::pki::Credentials,
) -> Result<DoctorRun> {
    let options = pair_options(identity)?;
    diagnose(daemon, &options.iter().map(String::as_str).collect::<Vec<_>>())
}
