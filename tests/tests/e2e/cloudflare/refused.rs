//! Bad input, and an API that refuses or fails: each is named with its cure, and nothing is shown
//! that was not asked.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::child;
use aop_tests::cloudflare_api::{Fault, PlannedFault, Scope};

use super::{Scene, TOKEN, on_cloudflare_stage};

/// The verb fails, and says this.
fn fails(scene: &Scene<'_>, said: &[&str]) -> Result<()> {
    let done = scene.verb(&["--json"])?;
    ensure!(done.code == 1 && done.output.is_empty(), "{done:?}");
    for text in said {
        ensure!(done.errors.contains(text), "{text:?} is not in: {}", done.errors);
    }
    ensure!(!done.errors.contains("sesame"), "a token was shown: {}", done.errors);
    Ok(())
}

#[test]
fn a_token_that_is_missing_wrong_expired_or_too_narrow_is_named_with_its_cure() {
    on_cloudflare_stage(|scene| {
        let file = scene.token_file("wrong-sesame", 0o600)?;
        fails(scene, &["Invalid access token (9109)", "token is not valid", "API tokens"])?;
        scene.token_file(TOKEN, 0o600)?;
        scene.api.edit(|state| state.tokens[0].active = false);
        fails(scene, &["The token is not valid (wrong, expired or revoked)"])?;
        for scopes in [
            &[Scope::SslRead][..],
            &[Scope::ZoneRead],
            &[Scope::ZoneRead, Scope::SslRead],
            &[Scope::ZoneRead, Scope::SettingsRead],
        ] {
            scene.api.edit(|state| {
                state.tokens.clear();
                state.add_narrow_token(TOKEN, "mine", scopes);
            });
            fails(scene, &["(10000)", "is active, but may not do this", "Zone Settings: Read"])?;
        }
        // These suffice to read.
        scene.api.edit(|state| {
            state.tokens.clear();
            let scopes = [Scope::ZoneRead, Scope::SettingsRead, Scope::SslRead];
            state.add_narrow_token(TOKEN, "mine", &scopes);
        });
        scene.finds(&[])?;
        scene.token_file("", 0o600)?;
        fails(scene, &["/token: it is empty; write the token into it"])?;
        scene.token_file("Authorization: Bearer sesame", 0o600)?;
        fails(scene, &["it has the whole header"])?;
        for mode in [0o644, 0o640 | 0o004, 0o660] {
            scene.token_file(TOKEN, mode)?;
            fails(
                scene,
                &["other users of this host", &format!("`chmod 600 {}`", file.display())],
            )?;
        }
        scene.token_file(TOKEN, 0o600)?;
        let directory = file.parent().context("no directory")?;
        for path in [&*file, directory] {
            chown(path, Some(65_534), None)?;
            let cure = format!("`chown root {}`", path.display());
            fails(scene, &["another user (uid 65534), who could read or exchange", &cure])?;
            chown(path, Some(0), None)?;
        }
        for mode in [0o775, 0o757] {
            std::fs::set_permissions(directory, Permissions::from_mode(mode))?;
            let cure = format!("`chmod go-w {}`", directory.display());
            fails(scene, &["others can write to", &cure])?;
        }
        std::fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        scene.finds(&[])?;
        std::fs::remove_file(&file)?;
        fails(scene, &["cannot read the API token"])?;
        scene.configure_with(&format!("api = {:?}\n", scene.api.url()))?;
        fails(scene, &["there is no API token", "token_file = ", "CLOUDFLARE_API_TOKEN"])
    });
}

#[test]
fn a_token_comes_from_a_credential_or_the_environment_too() {
    on_cloudflare_stage(|scene| {
        scene.configure_with(&format!("api = {:?}\n", scene.api.url()))?;
        let credentials = scene.stage.lab.dir().join("credentials");
        std::fs::create_dir(&credentials)?;
        let file = scene.token_file(TOKEN, 0o440)?;
        std::fs::rename(file, credentials.join("cloudflare-token"))?;
        let directory = credentials.display().to_string();
        for (name, value) in
            [("CREDENTIALS_DIRECTORY", directory.as_str()), ("CLOUDFLARE_API_TOKEN", TOKEN)]
        {
            let mut command = scene.stage.lab.origin().command(scene.stage.daemon.program());
            command.args(["cloudflare", "status", "--config"]);
            command.arg(scene.stage.daemon.config_path()).env(name, value);
            let done = child::finish(command, &[], Duration::from_secs(30))?.success()?;
            ensure!(done.text().contains("all agree"), "{name}: {done:?}");
        }
        Ok(())
    });
}

#[test]
fn a_zone_of_another_account_and_a_host_in_no_zone_are_findings_with_a_cure() {
    on_cloudflare_stage(|scene| {
        scene.change(|zone| zone.account = "another".to_owned());
        let site = scene.finds(&["!no_zone"])?;
        let finding = &site["findings"][0];
        ensure!(finding["about"] == "example.com, *.example.com", "{finding}");
        let finding = finding.to_string();
        for text in ["sees no zone example.com", "in another account", "Zone: Read"] {
            ensure!(finding.contains(text), "{finding}");
        }
        scene.change(|zone| zone.name = "example.org".to_owned());
        scene.finds(&["!no_zone"]).map(drop)
    });
}

#[test]
fn an_api_that_fails_is_named_and_a_short_limit_is_waited_for() {
    on_cloudflare_stage(|scene| {
        let reads = |fault| PlannedFault::nth(3, fault);
        for (fault, said) in [
            (Fault::StatusBefore(500), "did not answer (HTTP status 500)"),
            (Fault::StatusBefore(502), "did not answer (HTTP status 502)"),
            (Fault::CutBefore, "did not answer ("),
            (Fault::CutWithin, "GET /zones/"),
            (Fault::Body("<html>"), "the answer is not as Cloudflare publishes it"),
            (Fault::Body("{\"success\": true, \"result\": {}}"), "not as Cloudflare publishes it"),
            (Fault::Refuse(400, 1006, "\u{1b}[31mno"), "\\u{1b}[31mno (1006)"),
            (Fault::RateLimit(61), "takes no more calls from this token for 61 s"),
            (Fault::StatusBefore(302), "a redirect, which is not followed"),
        ] {
            scene.api.plan(reads(fault.clone()));
            fails(scene, &[said, "GET /zones/"])
                .map_err(|error| error.context(format!("{fault:?}")))?;
            scene.api.heal();
        }
        scene.api.plan(PlannedFault::nth(2, Fault::RateLimit(1)).times(2));
        let begun = Instant::now();
        scene.site(&[])?;
        ensure!(begun.elapsed() >= Duration::from_secs(2), "it did not wait");
        scene.configure_with("token_file = \"token\"\napi = \"http://127.0.0.1:9\"\n")?;
        fails(scene, &["GET /zones?name=example.com", "did not answer"])?;
        scene.configure_with("token_file = \"token\"\napi = \"http://api.example.net\"\n")?;
        fails(scene, &["aop.toml:", "could take the token. Use https://"])?;
        ensure!(scene.api.calls().iter().all(|call| call.method == "GET"), "it changed something");
        Ok(())
    });
}
