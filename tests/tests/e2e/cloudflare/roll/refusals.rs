//! Bad input, two rolls at once, and operators who do a step by hand meanwhile.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::cloudflare_api::{Delays, Fault, PlannedFault};

use super::{PATIENCE, Scene, ZONE, flat, on_roll_stage};

/// The roll ends with code 1, and says all of this.
fn fails(scene: &Scene<'_>, more: &[&str], said: &[&str]) -> Result<()> {
    let done = scene.roll(more)?;
    let text = format!("{}{}", done.text(), done.errors);
    let flat = flat(&text);
    ensure!(done.code == 1, "{done:?}");
    for text in said {
        ensure!(flat.contains(text), "{text:?} is not in: {flat}");
    }
    ensure!(!flat.contains("sesame") && !flat.contains("PRIVATE KEY"), "a secret: {flat}");
    Ok(())
}

#[test]
fn two_rolls_at_once_are_refused_and_a_damaged_record_is_named() {
    on_roll_stage(|scene| {
        let slow = Delays { deployment: Duration::from_secs(60), ..Delays::default() };
        scene.api.edit(|state| state.delays = slow);
        let mut first = scene.start_roll("roll", &["--wait", "3s"])?;
        aop_tests::wait::until("the first one has a record", PATIENCE, || scene.record().ok())?;
        fails(scene, &[], &["another `aop cloudflare roll`", "wait until it ends"])?;
        ensure!(!first.wait(PATIENCE)?.success(), "it cannot be at its end");
        fails(scene, &["--level", "host"], &["is not at its end", "roll --undo"])?;
        ensure!(scene.stored().len() == 2, "something was doubled");
        let file = scene.records().join("example.com.json");
        let whole = fs::read(&file)?;
        fs::write(&file, &whole[..whole.len() / 2])?;
        fails(
            scene,
            &[],
            &["example.com.json: this record of a roll is damaged", "move this file"],
        )?;
        fails(scene, &["--undo"], &["example.com.json: this record of a roll is damaged"])?;
        ensure!(scene.stored().len() == 2, "a fresh start was made");
        fs::write(&file, &whole)?;
        scene.api.edit(|state| state.delays = Delays::default());
        scene.roll(&["--undo"])?.success()?;
        ensure!(scene.stored().len() == 1);
        Ok(())
    });
}

#[test]
fn a_step_that_is_done_by_hand_meanwhile_is_told_and_not_fought_over() {
    on_roll_stage(|scene| {
        let named = super::super::read(&scene.stage.lab.pki.named)?;
        let begin = || -> Result<String> {
            scene.reset()?;
            let waiting = scene.roll(&["--wait", "500ms"])?;
            ensure!(waiting.text().contains("waits for a pull"), "{waiting:?}");
            let ours = scene.stored().into_iter().find(|it| it.id != scene.edge);
            Ok(ours.context("no upload")?.id)
        };
        let ours = begin()?;
        scene.api.edit_zone(ZONE, |zone| zone.certificates.retain(|it| it.id != ours));
        fails(scene, &[], &["the new certificate was deleted at Cloudflare", "`--undo`"])?;
        scene.roll(&["--undo"])?.success()?;

        begin()?;
        scene.api.edit_zone(ZONE, |zone| zone.zone = false);
        fails(scene, &[], &["the zone's certificate was switched off, by hand"])?;
        ensure!(!scene.api.edit_zone(ZONE, |zone| zone.zone), "it was switched on again");

        begin()?;
        scene.api.edit(|state| state.store(ZONE, false, &named.0, &named.1));
        fails(scene, &[], &["somebody uploaded another certificate", "deployed last"])?;
        ensure!(scene.stored().len() == 3, "{:?}", scene.stored());

        begin()?;
        scene.change(|zone| zone.ssl = "flexible".to_owned());
        fails(scene, &[], &["SSL mode of the zone is flexible", "Full (strict)"])?;

        begin()?;
        let id = scene.api.edit(|state| {
            let id = state.store(ZONE, true, &named.0, &named.1);
            state.associate(ZONE, ZONE, &id, Some(true));
            id
        });
        fails(scene, &[], &["the association of example.com was changed, by hand"])?;
        ensure!(scene.stored().iter().any(|it| it.id == id), "it was deleted");
        Ok(())
    });
}

#[test]
fn bad_input_is_named_with_its_cure() {
    on_roll_stage(|scene| {
        scene.token_file("wrong-sesame", 0o600)?;
        fails(scene, &[], &["token is not valid", "API tokens"])?;
        scene.token_file(super::TOKEN, 0o600)?;
        scene.change(|zone| zone.account = "another".to_owned());
        fails(scene, &[], &["this token sees no zone example.com", "in another account"])?;
        scene.change(|_| ());
        for (code, text, cure) in [
            (1401, "missing leaf certificate", "pload the leaf that this CA issued"),
            (1402, "the key is weak", "Upload an X.509 v3 leaf"),
        ] {
            scene.reset()?;
            scene.api.plan(PlannedFault::next(Fault::Refuse(400, code, text)).on("POST", ""));
            let file = scene.stage.daemon.config_path();
            let undo = format!(
                "take it back with `aop cloudflare roll --undo --site example.com --config {}`, \
                 and begin",
                file.display()
            );
            let undo = undo.as_str();
            fails(scene, &[], &[text, cure, undo])?;
            let kept = scene.record()?["last_error"]["text"].as_str().map(str::to_owned);
            ensure!(kept.is_some_and(|it| it.contains(undo)), "{}", scene.record()?);
            // The advice is of use, at once: a refused upload was not made.
            let undone = scene.roll(&["--undo", "--list-lag", "50s"])?.success()?;
            ensure!(!undone.text().contains("note: "), "{undone:?}");
            ensure!(
                scene.stored().len() == 1 && !scene.records().join("example.com.json").exists()
            );
            scene.under_load(|| scene.roll(&[])?.success())?;
            scene.is_rolled()?;
        }
        // A refusal that has another cause: the roll goes on when that is gone.
        scene.reset()?;
        scene.api.plan(PlannedFault::next(Fault::Refuse(403, 10000, "no")).on("POST", ""));
        fails(
            scene,
            &[],
            &["no (10000)", "run the same command again, or take the roll back with"],
        )?;
        scene.under_load(|| scene.roll(&[])?.success())?;
        scene.is_rolled()?;
        // An undo says that it cannot tell whether an upload was made.
        scene.reset()?;
        scene.api.plan(PlannedFault::next(Fault::CutBefore).on("POST", ""));
        fails(scene, &["--wait", "1ms"], &["the answer was lost"])?;
        let undone = scene.roll(&["--undo"])?.success()?;
        let note = "the answer to an upload was lost, and Cloudflare's list did not show that";
        ensure!(flat(&undone.text()).contains(note), "{undone:?}");
        scene.reset()?;
        let other = scene.roll_verb("roll", &["--ca", "/nowhere/ca.pem"])?;
        ensure!(other.code == 1 && flat(&other.text()).contains("aop ca issue --csr"), "{other:?}");
        scene.reset()?;
        let back = scene.roll_verb("back", &["--level", "zone"])?;
        ensure!(back.code == 1 && back.errors.contains("nothing to go back from"), "{back:?}");
        Ok(())
    });
}

#[test]
fn a_ca_on_another_host_signs_a_request() {
    on_roll_stage(|scene| {
        let lab = scene.stage.lab.dir();
        let ca = lab.join("pki-copy.pem");
        fs::copy(&scene.stage.lab.pki.client_ca, &ca)?;
        scene.configure_ca(&ca)?;
        let csr = scene.records().join("example.com.csr");
        let waiting = scene.roll(&[])?;
        let said = flat(&waiting.text());
        ensure!(waiting.code == 1 && said.contains("aop ca issue --csr"), "{said}");
        ensure!(said.contains(&csr.display().to_string()), "{said}");
        let first = fs::read(&csr)?;
        // Asked again, it is the same request.
        ensure!(scene.roll(&[])?.code == 1 && fs::read(&csr)? == first);
        let wrong = scene.stage.lab.pki.edge.certificate.display().to_string();
        fails(scene, &["--certificate", &wrong], &["not for the key of the request"])?;
        let (own, out) = (&scene.stage.lab.pki.client_ca, lab.join("signed"));
        let mut command = scene.stage.lab.origin().command(scene.stage.daemon.program());
        command.args(["ca", "issue", "--csr"]).arg(&csr).arg("--ca").arg(own);
        command.arg("--out").arg(&out);
        aop_tests::child::finish(command, &[], PATIENCE)?.success()?;
        let signed = lab.join("signed.pem").display().to_string();
        let (done, _) = scene.under_load(|| scene.roll(&["--certificate", &signed]))?;
        done.success()?;
        scene.is_rolled()
    });
}
