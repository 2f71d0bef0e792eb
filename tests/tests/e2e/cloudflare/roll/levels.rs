//! From one level to another and back, the trust of this host, undo, other hosts, and dry runs.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child;
use aop_tests::cloudflare_api::{Delays, Fault, PlannedFault};
use aop_tests::wait;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{PATIENCE, Scene, ZONE, flat, on_roll_stage, steps};

/// The steps of a way back to the global certificate: nothing is uploaded.
const ALL_STEPS_BACK: [&str; 6] = ["made", "trusted", "switched_on", "seen", "settled", "done"];

impl Scene<'_> {
    /// The certificate with which the host of the site is associated.
    pub(super) fn associated(&self) -> Option<String> {
        self.api.edit_zone(ZONE, |zone| {
            let last = zone.associations.iter().rev().find(|it| it.host == ZONE)?;
            last.enabled.is_some().then(|| last.certificate.clone())
        })
    }

    /// Cloudflare presents the certificate of the edge as its global one, and no other.
    pub(super) fn global(&self) -> Result<()> {
        self.reset()?;
        let edge = super::super::read(&self.stage.lab.pki.edge)?;
        self.api.edit(|state| state.global = Some(edge));
        self.change(|zone| {
            zone.certificates.clear();
            (zone.zone, zone.global) = (false, true);
        });
        Ok(())
    }
}

#[test]
fn from_global_to_zone_to_host_and_back_no_request_is_lost() {
    on_roll_stage(|scene| {
        let claim = || -> Result<()> {
            scene.global()?;
            scene.roll(&[])?.success().context("global to zone")?;
            let zone = scene.stored();
            ensure!(zone.len() == 1 && !zone[0].of_hosts, "{zone:?}");
            ensure!(scene.api.presented(ZONE).is_some_and(|it| it.level == "zone"));

            scene.roll(&["--level", "host"])?.success().context("zone to host")?;
            let both = scene.stored();
            ensure!(both.len() == 2 && both[1].of_hosts, "the zone's stays: {both:?}");
            ensure!(scene.associated().as_ref() == Some(&both[1].id));
            ensure!(scene.api.presented(ZONE).is_some_and(|it| it.level == "host"));

            // Without a level it stays what it is.
            scene.roll(&[])?.success().context("host to host")?;
            let next = scene.stored();
            ensure!(next.len() == 2 && next[1].id != both[1].id, "{next:?}");
            ensure!(scene.associated().as_ref() == Some(&next[1].id));
            // The hosts below the star of the site have the zone's: that one is replaced then, and
            // the host is left alone.
            let waits = scene.roll(&["--level", "zone", "--wait", "2s"])?;
            let screen = flat(&waits.text());
            ensure!(waits.code == 1 && screen.contains("keep it (example.com)"), "{waits:?}");
            ensure!(scene.associated().as_ref() == Some(&next[1].id));
            scene.roll(&["--undo"])?.success().context("undo of zone")?;
            ensure!(scene.stored().len() == 2 && scene.stored()[0].id == zone[0].id);
            ensure!(scene.associated().as_ref() == Some(&next[1].id));

            scene.roll_verb("back", &["--level", "zone"])?.success().context("back to zone")?;
            ensure!(scene.associated().is_none(), "still associated");
            let left = scene.stored();
            ensure!(left.len() == 1 && left[0].id == zone[0].id, "{left:?}");

            // No certificate of Cloudflare's own can be presented here, so this waits for one.
            let back = scene.roll_verb("back", &["--level", "global", "--wait", "1s"])?;
            ensure!(back.code == 1 && flat(&back.text()).contains("cloudflare-global"), "{back:?}");
            ensure!(flat(&back.text()).contains("waits for a pull"), "{back:?}");
            let text = fs::read_to_string(scene.stage.daemon.config_path())?;
            ensure!(text.contains("\"cloudflare-global\""), "{text}");
            scene.roll(&["--undo"])?.success().context("undo")?;
            ensure!(scene.api.presented(ZONE).is_some_and(|it| it.level == "zone"));
            Ok(())
        };
        let ((), served) = scene.under_load(claim)?;
        eprintln!("{served} requests through five changes of level, none lost");
        Ok(())
    });
}

/// Nobody here has the key of Cloudflare's global certificate, so no peer can present it. The
/// daemon gets a sighting of it in its own file, as after such a pull an earlier run leaves one.
fn has_seen_global(scene: &mut Scene<'_>) -> Result<()> {
    scene.stage.daemon.stop()?;
    let file = scene.stage.config.state.join("identities.json");
    let mut seen: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let identities = seen["sites"][0]["identities"].as_array_mut().context("no identities")?;
    let mut global = identities.first().context("no identity")?.clone();
    // The daemon counts whole seconds.
    let last_seen = jiff::Timestamp::now() + SignedDuration::from_secs(1);
    for (field, text) in [
        ("level", "global"),
        ("client_ca", "cloudflare-global"),
        ("serial", "01"),
        ("spki_sha256", "01"),
        ("last_seen", &last_seen.to_string()),
    ] {
        global[field] = text.into();
    }
    identities.push(global);
    fs::write(&file, seen.to_string())?;
    scene.stage.daemon.run()
}

#[test]
fn back_and_undo_to_the_global_certificate_end_once_it_was_seen() {
    on_roll_stage(|scene| {
        let until = |scene: &Scene<'_>, verb, more: &[&str], text| {
            let look = || -> Result<Option<()>> {
                let done = scene.roll_verb(verb, more)?;
                ensure!(done.code == 1, "{done:?}");
                Ok(flat(&done.text()).contains(text).then_some(()))
            };
            wait::until(text, PATIENCE, || look().transpose())?
        };
        let is_global = |scene: &Scene<'_>| -> Result<()> {
            ensure!(scene.stored().is_empty(), "{:?}", scene.stored());
            let switches = scene.api.edit_zone(ZONE, |it| (it.zone, it.global));
            ensure!(switches == (false, true), "{switches:?}");
            Ok(())
        };
        let back = ["--level", "global", "--wait", "1s"];
        until(scene, "back", &back, "waits for a pull with the new certificate")?;
        ensure!(scene.stored().len() == 1, "deleted before the global one was seen");
        has_seen_global(scene)?;
        scene.roll_verb("back", &back[..2])?.success()?;
        ensure!(steps(&scene.record()?) == ALL_STEPS_BACK, "{}", scene.record()?);
        is_global(scene)?;

        scene.global()?;
        scene.under_load(|| {
            until(scene, "roll", &["--wait-for", "2", "--wait", "2s"], "1 of 2 hosts")
        })?;
        until(
            scene,
            "roll",
            &["--undo", "--wait", "2s"],
            "waits for a pull with the old certificate",
        )?;
        ensure!(scene.stored().len() == 1, "deleted before the global one was seen");
        has_seen_global(scene)?;
        scene.roll(&["--undo"])?.success()?;
        is_global(scene)
    });
}

#[test]
fn a_new_client_ca_is_trusted_before_its_certificate_is_presented() {
    on_roll_stage(|scene| {
        let foreign = scene.stage.lab.pki.foreign_ca.clone();
        scene.configure_ca(&foreign)?;
        let file = scene.stage.daemon.config_path();
        let before = format!("# kept\n{}", fs::read_to_string(&file)?);
        scene.stage.daemon.write(&before)?;
        let (done, _) = scene.under_load(|| scene.roll(&[]))?;
        let screen = flat(&done.success()?.text());
        scene.is_rolled()?;
        let after = fs::read_to_string(&file)?;
        let own = format!("{:?}", scene.stage.lab.pki.client_ca);
        let added = before.replacen(&own, &format!("{own}, {foreign:?}"), 1);
        ensure!(after == added, "{after}");
        ensure!(screen.contains("added \""), "{screen}");
        ensure!(screen.contains("no certificate at Cloudflare needs"), "{screen}");
        ensure!(scene.stage.daemon.log().contains("reloaded"), "no reload");
        // Rules that the new certificate cannot meet: nothing is written and nothing uploaded.
        scene.reset()?;
        let text = before.replacen("upstream = ", "require_cn = \"other\"\nupstream = ", 1);
        scene.stage.daemon.write(&text)?;
        let stopped = scene.roll(&[])?;
        ensure!(stopped.code == 1 && flat(&stopped.text()).contains("would refuse"), "{stopped:?}");
        ensure!(fs::read_to_string(&file)? == text, "the configuration was changed");
        ensure!(scene.stored().len() == 1, "something was uploaded");
        Ok(())
    });
}

#[test]
fn undo_at_each_step_brings_back_what_was_before() {
    on_roll_stage(|scene| {
        let minute = Duration::from_secs(60);
        let slow = Delays { deployment: minute, ..Delays::default() };
        let refuse = || Fault::Refuse(400, 1404, "no");
        let claim = || -> Result<usize> {
            let mut tried = 0;
            for global in [false, true] {
                for step in ["trusted", "uploaded", "active", "switched_on", "seen"] {
                    if global {
                        scene.global()?
                    } else {
                        scene.reset()?
                    }
                    // Nothing has to be switched in a zone that is on already.
                    let is_whole = step == "active" && !global;
                    let mut more = vec!["--wait", if is_whole { "1m" } else { "2s" }];
                    match step {
                        "trusted" => scene.api.plan(PlannedFault::next(refuse()).on("POST", "")),
                        "uploaded" => scene.api.edit(|state| state.delays = slow),
                        "active" => scene.api.plan(PlannedFault::next(refuse()).on("PUT", "")),
                        "switched_on" => more.extend(["--wait-for", "2"]),
                        _ => more.extend(["--settle", "1m"]),
                    }
                    let at = format!("{step}, global {global}");
                    if is_whole {
                        scene.roll(&more)?.success().context(at)?;
                        continue;
                    }
                    // A busy machine may need more than one run to come there.
                    let look = || -> Result<Option<()>> {
                        let done = scene.roll(&more)?;
                        ensure!(done.code == 1, "{at}: {done:?}");
                        let reached = steps(&scene.record()?);
                        Ok((reached.last().map(String::as_str) == Some(step)).then_some(()))
                    };
                    wait::until(&at, PATIENCE, || look().transpose())??;
                    scene.api.heal();
                    scene.api.edit(|state| state.delays = Delays::default());
                    tried += 1;
                    // Nobody here has the key of Cloudflare's global certificate: it never arrives.
                    if global && matches!(step, "switched_on" | "seen") {
                        let undone = scene.roll(&["--undo", "--wait", "3s"])?;
                        let waits = "waits for a pull with the old certificate";
                        ensure!(flat(&undone.text()).contains(waits), "{at}: {undone:?}");
                        ensure!(!scene.api.edit_zone(ZONE, |it| it.zone), "{at}: still on");
                        ensure!(scene.stored().len() == 1, "{at}: deleted before it was replaced");
                        continue;
                    }
                    let undone = scene.roll(&["--undo"])?.success().context(at.clone())?;
                    ensure!(undone.text().contains("as it was before"), "{undone:?}");
                    let stored = scene.stored();
                    match global {
                        true => ensure!(stored.is_empty(), "{at}: {stored:?}"),
                        false => {
                            ensure!(stored.len() == 1 && stored[0].id == scene.edge, "{at}");
                        }
                    }
                    let (zone, on) = scene.api.edit_zone(ZONE, |it| (it.zone, it.global));
                    ensure!((zone, on) == (!global, global), "{at}: {zone} {on}");
                    ensure!(!scene.records().join("example.com.json").exists(), "{at}");
                }
            }
            Ok(tried)
        };
        let (tried, served) = scene.under_load(claim)?;
        eprintln!("{tried} rolls undone, {served} requests, none lost");
        scene.reset()?;
        let error = scene.roll(&["--undo"])?;
        ensure!(error.code == 1 && error.errors.contains("nothing to undo"), "{error:?}");
        Ok(())
    });
}

#[test]
fn a_roll_waits_for_other_hosts_and_their_reports() {
    on_roll_stage(|scene| {
        let report = |name: &str, document: &str| -> Result<_> {
            let mut command = scene.stage.lab.origin().command(scene.stage.daemon.program());
            command.args(["cloudflare", "report", "--site", ZONE, "--from", name, "--config"]);
            command.arg(scene.stage.daemon.config_path());
            child::finish(command, document.as_bytes(), PATIENCE)
        };
        let early = report("web2", "{\"sites\": []}")?;
        ensure!(early.code == 1 && early.errors.contains("no roll is under way"), "{early:?}");
        let more = ["--wait-for", "2", "--wait", "2s"];
        // A busy machine may need more than one run to come to a wait.
        let until = |text: &str| {
            let look = || -> Result<Option<()>> {
                let waiting = scene.roll(&more)?;
                ensure!(waiting.code == 1, "{waiting:?}");
                Ok(flat(&waiting.text()).contains(text).then_some(()))
            };
            wait::until(text, PATIENCE, || look().transpose())?
        };
        scene.under_load(|| until("1 of 2 hosts"))?;
        ensure!(scene.stored().len() == 2, "the old one was deleted");
        // This host's view stands for that of the other one.
        let seen = scene.stage.daemon.must_run("identities --json")?;
        let bad = report("web2", "{}")?;
        ensure!(bad.code == 1 && bad.errors.contains("aop identities --json"), "{bad:?}");
        ensure!(report("../web2", &seen)?.code == 2, "a name that is a path");
        report("web2", &seen)?.success()?;
        let ((), _) = scene.under_load(|| {
            // A report that is older than the settling time proves nothing about the old one.
            until("seen the old one no more")?;
            report("web2", &scene.stage.daemon.must_run("identities --json")?)?.success()?;
            scene.roll(&["--wait-for", "2"])?.success()?;
            Ok(())
        })?;
        scene.is_rolled()
    });
}

#[test]
fn a_dry_run_shows_each_call_without_secrets_and_changes_nothing() {
    on_roll_stage(|scene| {
        let before = fs::read_to_string(scene.stage.daemon.config_path())?;
        let screen = scene.roll(&["--dry-run"])?.success()?.text();
        eprintln!("{screen}");
        let base = scene.api.url();
        let zone = scene.api.edit_zone(ZONE, |zone| zone.id.clone());
        let path = format!("{base}/zones/{zone}/origin_tls_client_auth");
        let body = json!({"certificate": "(the new certificate)", "private_key": "(secret)"});
        for wanted in [
            format!("POST {path}"),
            body.to_string(),
            format!("DELETE {path}/{}", scene.edge),
            "wait for a pull with the new certificate".to_owned(),
        ] {
            ensure!(screen.contains(&wanted), "{wanted} is not in {screen}");
        }
        ensure!(scene.api.calls().iter().all(|call| call.method == "GET"), "it changed something");
        ensure!(!scene.records().exists(), "it left a record");
        ensure!(fs::read_to_string(scene.stage.daemon.config_path())? == before);
        let screen = scene.roll(&["--dry-run", "--level", "host"])?.success()?.text();
        ensure!(screen.contains(&format!("PUT {path}/hostnames")), "{screen}");
        Ok(())
    });
}
