//! Renewals by themselves: `aop cloudflare renew`, and what status, check, doctor and metrics say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::EtcdCluster;
use aop_tests::child::{self, CommandOutput};
use aop_tests::cloudflare_api::ReceivedCall;
use aop_tests::pki::Credentials;
use serde_json::Value;

use super::{Scene, TOKEN, ZONE, on_changed_cloudflare_stage};
use crate::documented_json::is_documented;
use crate::status_check::without_warnings;

/// The text without the ends of its lines.
fn flat(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A stage whose zone presents a leaf of `aop ca` that is valid for so many days. The site trusts
/// its CA, whose key is on the host.
fn on_renewal_stage(days: u32, claim: impl FnOnce(&mut Scene<'_>) -> Result<()>) {
    on_changed_cloudflare_stage(without_warnings, |scene| {
        let ca = scene.file("pulls-ca");
        scene.ca(&format!("create --host {ZONE} --out {}", ca.display()))?;
        scene.stage.config.site().client_ca = vec![ca.with_extension("pem")];
        let old = scene.leaf("old", days)?;
        scene.upload(&old)?;
        scene.renewing("renew = \"30d\"")?;
        scene.stage.daemon.reload()?;
        scene.pull()?.must_be_served()?;
        claim(scene)
    });
}

impl Scene<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.stage.lab.dir().join(name)
    }

    fn ca(&self, line: &str) -> Result<()> {
        let words = ["ca"].into_iter().chain(line.split(' '));
        let made = Command::new(self.stage.daemon.program()).args(words).output()?;
        ensure!(made.status.success(), "aop ca {line}: {made:?}");
        Ok(())
    }

    /// A leaf of our CA.
    fn leaf(&self, name: &str, days: u32) -> Result<Credentials> {
        let (ca, out) = (self.file("pulls-ca.pem"), self.file(name));
        let host = format!("pulls.{ZONE}");
        let (ca, path) = (ca.display(), out.display());
        self.ca(&format!("issue --ca {ca} --host {host} --days {days} --out {path}"))?;
        Ok(Credentials { certificate: out.with_extension("pem"), key: out.with_extension("key") })
    }

    fn renewing(&self, line: &str) -> Result<()> {
        let token = self.token_file(TOKEN, 0o600)?;
        let api = self.api.url();
        let ca = self.file("pulls-ca.pem");
        self.configure_with(&format!(
            "token_file = {token:?}\napi = {api:?}\nca = {ca:?}\n{line}\n"
        ))
    }

    fn renew(&self, seconds: u32) -> Result<CommandOutput> {
        let timeout = format!("{seconds}s");
        self.stage.daemon.verb(&["cloudflare", "renew", "--timeout", &timeout])
    }

    /// The only certificate in the document of the status.
    fn own(&self) -> Result<Value> {
        let status = self.stage.daemon.verb(&["status", "--json"])?.json()?;
        is_documented(&status)?;
        let own = status["cloudflare"].as_array().context("no list")?;
        ensure!(own.len() == 1, "{own:?}");
        Ok(own[0].clone())
    }

    fn check(&self) -> Result<(i32, String)> {
        let done = self.stage.daemon.verb(&["status", "--check"])?;
        Ok((done.code, done.text()))
    }

    fn uploads(&self) -> usize {
        self.api.calls().iter().filter(|call| call.method == "POST").count()
    }
}

#[test]
fn a_certificate_that_ends_within_the_time_is_rolled_and_marked_as_it_arrives() {
    on_renewal_stage(20, |scene| {
        let done = scene.renew(4)?;
        ensure!(done.code == 0, "{done:?}");
        ensure!(done.text().starts_with("example.com: "), "{done:?}");
        ensure!(scene.uploads() == 1, "{:?}", scene.api.calls());
        let own = scene.own()?;
        ensure!(own["step"] == "switched_on" && own["level"] == "zone", "{own}");
        ensure!(own["days_left"] == 19 && own["last_error"].is_null(), "{own}");
        let screen = flat(&scene.stage.daemon.verb(&["status"])?.text());
        ensure!(screen.contains("cloudflare: example.com, zone level, ends in 19 d"), "{screen}");
        ensure!(screen.contains("; roll: switched_on, waits for a pull"), "{screen}");
        // Each step is a line of the log.
        for line in ["made: serial", "trusted: this host", "uploaded: as ", "switched_on: for the"]
        {
            ensure!(done.text().contains(&format!("example.com: {line}")), "{done:?}");
        }
        // The edge presents the new one, and the next pass goes on.
        scene.pull()?.must_be_served()?;
        let done = scene.renew(4)?;
        ensure!(done.code == 0 && scene.uploads() == 1, "{done:?}");
        let own = scene.own()?;
        ensure!(own["step"] == "seen" && own["days_left"] == 89, "{own}");
        let identities = scene.stage.daemon.verb(&["identities", "--json"])?.json()?;
        let marks: Vec<_> = identities["sites"][0]["identities"]
            .as_array()
            .context("no identities")?
            .iter()
            .map(|it| it["roll"].as_str())
            .collect();
        ensure!(marks.contains(&Some("new")) && marks.contains(&Some("old")), "{identities}");
        let text = scene.stage.daemon.verb(&["identities"])?.text();
        ensure!(text.contains(", the new one of the roll"), "{text}");
        ensure!(text.contains(", an old one of the roll"), "{text}");

        // A failure in between is a warning, and the next pass goes on from there.
        scene.api.edit(|state| state.tokens.clear());
        let done = scene.renew(4)?;
        ensure!(done.code == 1 && done.text().starts_with("example.com: FAILED: "), "{done:?}");
        let own = scene.own()?;
        ensure!(own["step"] == "seen" && own["last_error"].is_string(), "{own}");
        let (code, line) = scene.check()?;
        ensure!(code == 1 && line.contains("the renewal at Cloudflare fails since"), "{line}");
        scene.api.edit(|state| state.add_token(TOKEN, "mine"));
        settle_at_once(scene)?;
        let done = scene.renew(10)?;
        ensure!(done.code == 0 && done.text().contains("example.com: renewed, to "), "{done:?}");
        let own = scene.own()?;
        ensure!(own["step"].is_null() && own["last_error"].is_null(), "{own}");
        ensure!(own["days_left"] == 89, "{own}");
        let left = scene.api.edit(|state| {
            let zone = state.zone(ZONE).context("the zone")?;
            Ok::<_, anyhow::Error>(zone.certificates.len())
        })?;
        ensure!(left >= 1 && scene.uploads() == 1, "{left}");
        ensure!(scene.check()?.0 == 0, "{:?}", scene.check()?);
        scene.pull()?.must_be_served().map(drop)
    });
}

#[test]
fn a_certificate_that_ends_later_is_left_alone_and_without_the_key_nobody_is_asked() {
    on_renewal_stage(60, |scene| {
        let done = scene.renew(4)?;
        ensure!(done.code == 0, "{done:?}");
        ensure!(
            done.text() == "example.com: zone level, ends in 59 days: nothing to do\n",
            "{done:?}"
        );
        ensure!(scene.uploads() == 0, "{:?}", scene.api.calls());
        ensure!(scene.own()?["days_left"] == 59, "{}", scene.own()?);
        // The next pass of the day asks nobody.
        let calls = scene.api.calls().len();
        ensure!(scene.renew(4)?.text() == done.text(), "{done:?}");
        ensure!(scene.api.calls().len() == calls, "{:?}", scene.api.calls());
        // A day later, somebody has replaced the certificate by one that ends soon.
        scene.upload(&scene.leaf("by-hand", 15)?)?;
        asked_long_ago(scene)?;
        let done = scene.renew(4)?;
        ensure!(done.text().contains("uploaded: as ") && scene.uploads() == 1, "{done:?}");
        scene.upload(&scene.leaf("again", 60)?)?;
        fs::remove_dir_all(scene.file("state/cloudflare"))?;
        let checked = scene.stage.daemon.verb(&["check", "--json"])?.json()?;
        let cloudflare = &checked["cloudflare"];
        ensure!(cloudflare["renew_days"] == 30 && cloudflare["token_error"].is_null(), "{checked}");
        let ca = &cloudflare["ca"];
        ensure!(ca["error"].is_null() && ca["not_after"].is_string(), "{checked}");
        is_documented(&checked)?;

        scene.renewing("")?;
        let calls = scene.api.calls().len();
        let done = scene.renew(4)?;
        ensure!(done.code == 0 && done.text().starts_with("nothing to do: "), "{done:?}");
        ensure!(scene.api.calls().len() == calls, "{:?}", scene.api.calls());
        let status = scene.stage.daemon.verb(&["status", "--json"])?.json()?;
        ensure!(status["cloudflare"].as_array().is_some_and(Vec::is_empty), "{status}");
        Ok(())
    });
}

/// Cloudflare refuses the token, or the CA's key is gone: nothing changes, and everybody is told.
fn fails(scene: &Scene<'_>, word: &str) -> Result<()> {
    let done = scene.renew(4)?;
    ensure!(done.code == 1 && done.text().contains("FAILED"), "{done:?}");
    ensure!(done.text().contains(word), "{done:?}");
    ensure!(scene.uploads() == 0, "{:?}", scene.api.calls());
    scene.pull()?.must_be_served()?;
    let own = scene.own()?;
    ensure!(own["failed_at"].is_string() && own["failing_since"].is_string(), "{own}");
    let error = own["last_error"].as_str().context("no error")?;
    ensure!(error.contains(word), "{own}");
    Ok(())
}

#[test]
fn a_failing_renewal_is_a_warning_until_it_succeeds() {
    on_renewal_stage(20, |scene| {
        let (code, line) = scene.check()?;
        ensure!(code == 0, "{line}");
        scene.renew(1)?;
        // Begin anew, with what is known of the certificate.
        fs::remove_dir_all(scene.file("state/cloudflare"))?;
        scene.api.edit(|state| state.tokens.clear());
        let done = scene.renew(4)?;
        ensure!(done.code == 1, "{done:?}");
        let (code, line) = scene.check()?;
        ensure!(code == 1 && line.contains("the renewal at Cloudflare fails since"), "{line}");
        let since = scene.own()?["failing_since"].clone();
        scene.renew(4)?;
        ensure!(scene.own()?["failing_since"] == since, "the beginning moved: {}", scene.own()?);
        let doctor = scene.stage.daemon.verb(&["doctor", "--json"])?.json()?;
        let found = doctor["findings"].as_array().context("no findings")?.iter();
        let found = found.filter(|it| it["name"] == "own_certificate");
        ensure!(found.count() == 1, "{doctor}");
        Ok(())
    });
}

#[test]
fn from_ten_days_before_the_end_on_a_failing_renewal_is_critical() {
    on_renewal_stage(9, |scene| {
        fs::rename(scene.file("pulls-ca.key"), scene.file("away.key"))?;
        fails(scene, "pulls-ca.key")?;
        let (code, line) = scene.check()?;
        ensure!(code == 2, "{line}");
        ensure!(line.contains("ends in 8 days, and its renewal fails"), "{line}");
        scene.stage.daemon.stop()?;
        let status = flat(&scene.stage.daemon.verb(&["status"])?.text());
        ensure!(status.contains("ends in 8 days, and its renewal fails"), "{status}");
        Ok(())
    });
}

#[test]
fn a_certificate_of_a_host_is_renewed_at_its_level_by_a_ca_key_under_a_passphrase() {
    on_renewal_stage(20, |scene| {
        // The host has a certificate of its own, which takes precedence over the zone's.
        let old = scene.leaf("of-host", 19)?;
        let (certificate, key) = super::read(&old)?;
        let old = scene.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
            id
        });
        let zone = scene.api.presented(ZONE).context("nothing is presented")?;
        ensure!(zone.level == "host", "{}", zone.level);
        scene.pull()?.must_be_served()?;
        // The key of the CA is under a passphrase from here on.
        let (open, locked) = (scene.file("pulls-ca.key"), scene.file("locked.key"));
        let credentials = scene.file("credentials");
        fs::create_dir(&credentials)?;
        let passphrase = credentials.join("ca-passphrase");
        fs::write(&passphrase, "correct horse\n")?;
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs8", "-topk8", "-in"]).arg(&open).arg("-out").arg(&locked);
        openssl.arg("-passout").arg(format!("file:{}", passphrase.display()));
        ensure!(openssl.status()?.success(), "no encrypted key");
        fs::rename(&locked, &open)?;
        let renew = |credentials: &Path| -> Result<CommandOutput> {
            let mut command = scene.stage.lab.origin().command("setsid");
            command.arg("--wait").arg(scene.stage.daemon.program());
            command.args(["cloudflare", "renew", "--timeout", "4s", "--config"]);
            command.arg(scene.stage.daemon.config_path());
            command.env("CREDENTIALS_DIRECTORY", credentials);
            child::finish(command, &[], Duration::from_secs(30))
        };
        let failed = renew(&scene.file("nothing"))?;
        let said = failed.text();
        ensure!(failed.code == 1 && said.contains("credential ca-passphrase"), "{failed:?}");
        ensure!(scene.uploads() == 0, "{:?}", scene.api.calls());
        ensure!(scene.own()?["last_error"].is_string(), "{}", scene.own()?);

        let done = renew(&credentials)?;
        ensure!(done.code == 0 && !format!("{done:?}").contains("correct horse"), "{done:?}");
        let own = scene.own()?;
        ensure!(own["step"] == "switched_on" && own["level"] == "host", "{own}");
        ensure!(own["last_error"].is_null(), "{own}");
        scene.pull()?.must_be_served()?;
        settle_at_once(scene)?;
        let done = renew(&credentials)?;
        ensure!(done.code == 0 && done.text().contains("example.com: renewed, to "), "{done:?}");
        let calls = scene.api.calls();
        let changes: Vec<String> =
            calls.iter().filter(|it| it.method != "GET").map(ReceivedCall::line).collect();
        let zone = scene.api.edit_zone(ZONE, |zone| zone.id.clone());
        let path = format!("/zones/{zone}/origin_tls_client_auth/hostnames");
        let wanted = [
            format!("POST {path}/certificates"),
            format!("PUT {path}"),
            format!("DELETE {path}/certificates/{old}"),
        ];
        ensure!(changes == wanted, "{changes:#?}");
        ensure!(scene.own()?["days_left"] == 89, "{}", scene.own()?);
        scene.pull()?.must_be_served().map(drop)
    });
}

#[test]
fn a_certificate_of_the_zone_is_renewed_beside_one_of_a_host() {
    on_renewal_stage(20, |scene| {
        let of_host = scene.leaf("of-host", 80)?;
        let (certificate, key) = super::read(&of_host)?;
        scene.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
        });
        let done = scene.renew(4)?;
        ensure!(done.code == 0 && done.text().contains("switched_on: for the zone"), "{done:?}");
        let own = scene.own()?;
        ensure!(own["step"] == "switched_on" && own["level"] == "zone", "{own}");
        let changes = scene.api.calls().into_iter().filter(|it| it.method != "GET");
        let changes: Vec<String> = changes.map(|it| it.line()).collect();
        ensure!(changes.len() == 1 && changes[0].starts_with("POST "), "{changes:?}");
        scene.pull()?.must_be_served().map(drop)
    });
}

#[test]
fn in_a_fleet_a_renewal_adds_no_ca_that_the_other_hosts_may_lack() {
    on_renewal_stage(20, |scene| {
        let etcd = EtcdCluster::start(&scene.stage.lab, 1)?;
        scene.ca(&format!("create --host {ZONE} --out {}", scene.file("other-ca").display()))?;
        let (own, other) = (scene.file("pulls-ca.pem"), scene.file("other-ca.pem"));
        let text = fs::read_to_string(scene.stage.daemon.config_path())?;
        let text = text.replace(&format!("\nca = {own:?}"), &format!("\nca = {other:?}"));
        let text = format!("{text}\n[fleet]\n{}", etcd.table("web-1")?);
        scene.stage.daemon.write(&text)?;
        scene.stage.daemon.must_reload()?;
        let done = scene.renew(10)?;
        let said = flat(&done.text());
        ensure!(done.code == 1 && said.contains("other hosts of the fleet"), "{done:?}");
        ensure!(scene.uploads() == 0, "{:?}", scene.api.calls());
        ensure!(fs::read_to_string(scene.stage.daemon.config_path())? == text, "it was changed");
        // With the CA that the sites have, the renewal goes on.
        fs::remove_dir_all(scene.file("state/cloudflare"))?;
        scene.stage.daemon.write(&text.replace(&format!("{other:?}"), &format!("{own:?}")))?;
        let done = scene.renew(4)?;
        ensure!(done.code == 0 && scene.uploads() == 1, "{done:?}");
        Ok(())
    });
}

/// The last pass was so long ago that Cloudflare is asked again.
fn asked_long_ago(scene: &Scene<'_>) -> Result<()> {
    let file = scene.file("state/cloudflare-renewal.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&file)?)?;
    record["sites"][0]["asked"] = "2026-01-01T00:00:00Z".into();
    Ok(fs::write(&file, record.to_string())?)
}

/// The roll in progress waits for the old certificate no longer.
fn settle_at_once(scene: &Scene<'_>) -> Result<()> {
    let file = scene.file("state/cloudflare/example.com.json");
    let record = fs::read_to_string(&file)?;
    let sooner = record.replace("\"settle_ms\": 600000", "\"settle_ms\": 1");
    ensure!(sooner != record, "{record}");
    Ok(fs::write(&file, sooner)?)
}
