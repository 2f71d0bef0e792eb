//! `aop cloudflare`, against a server that behaves as Cloudflare's API is published.
//!
//! Not tried here, because only a real zone can show it: that Cloudflare's own server answers as it
//! is published to; and a pull with Cloudflare's global certificate, whose key only Cloudflare has.

mod refused;
mod renew;
mod roll;
mod secrets;
mod status;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aop_tests::child::CommandOutput;
use aop_tests::cloudflare_api::ZoneState;
use aop_tests::pki::Credentials;
use aop_tests::{AopToml, CloudflareApi, IpVersion, Lab, Pull};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage};

const TOKEN: &str = "v1.0-sesame-and-more";
const ZONE: &str = "example.com";

/// A stage whose edge has pulled, and a Cloudflare whose zone presents the certificate of that
/// edge.
struct Scene<'a> {
    stage: &'a mut Stage,
    api: CloudflareApi,
    /// The identifier of the certificate of the edge.
    edge: String,
    good: ZoneState,
}

fn on_cloudflare_stage(claim: impl FnOnce(&mut Scene<'_>) -> Result<()>) {
    on_changed_cloudflare_stage(|_, _| (), claim);
}

fn on_changed_cloudflare_stage(
    change: impl FnOnce(&mut AopToml, &Lab),
    claim: impl FnOnce(&mut Scene<'_>) -> Result<()>,
) {
    on_changed_stage(change, |stage| {
        let api = CloudflareApi::start(&stage.lab)?;
        let edge = read(&stage.lab.pki.edge)?;
        let (edge, good) = api.edit(|state| {
            state.add_token(TOKEN, "mine");
            state.add_zone(ZONE, "mine");
            let id = state.store(ZONE, false, &edge.0, &edge.1);
            let zone = state.zone(ZONE).expect("the zone");
            zone.zone = true;
            (id, zone.clone())
        });
        stage.edge_is_served()?;
        let mut scene = Scene { stage, api, edge, good };
        scene.configure(&scene.token_file(TOKEN, 0o600)?)?;
        claim(&mut scene)
    });
}

/// Certificate and key, in PEM.
fn read(files: &Credentials) -> Result<(String, String)> {
    Ok((fs::read_to_string(&files.certificate)?, fs::read_to_string(&files.key)?))
}

impl Scene<'_> {
    /// A file with this token.
    fn token_file(&self, token: &str, mode: u32) -> Result<PathBuf> {
        let file = self.stage.lab.dir().join("token");
        fs::write(&file, format!("{token}\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Writes a configuration with this file of the token. The daemon does not read it again.
    fn configure(&self, token_file: &std::path::Path) -> Result<()> {
        let lines = format!("token_file = {token_file:?}\napi = {:?}\n", self.api.url());
        self.configure_with(&lines)
    }

    fn configure_with(&self, lines: &str) -> Result<()> {
        let text = self.stage.config.text();
        self.stage.daemon.write(&format!("{text}\n[cloudflare]\n{lines}"))
    }

    /// Makes the zone good again, and then changes it.
    fn change(&self, change: impl FnOnce(&mut ZoneState)) {
        self.api.edit_zone(ZONE, |zone| {
            *zone = self.good.clone();
            change(zone);
        });
    }

    /// Replaces the certificate of the zone. Returns the identifier of the new one.
    fn upload(&self, files: &Credentials) -> Result<String> {
        let (certificate, key) = read(files)?;
        self.change(|zone| zone.certificates.clear());
        Ok(self.api.edit(|state| state.store(ZONE, false, &certificate, &key)))
    }

    fn verb(&self, more: &[&str]) -> Result<CommandOutput> {
        let verb: Vec<&str> = ["cloudflare", "status"].iter().chain(more).copied().collect();
        self.stage.daemon.verb(&verb)
    }

    /// The document of the only site.
    fn site(&self, more: &[&str]) -> Result<Value> {
        let more: Vec<&str> = more.iter().chain(&["--json"]).copied().collect();
        let done = self.verb(&more)?;
        let document: Value =
            serde_json::from_slice(&done.output).with_context(|| format!("{done:?}"))?;
        let wrong = document["sites"][0]["findings"]
            .as_array()
            .context("no findings")?
            .iter()
            .any(|finding| finding["result"] == "wrong");
        ensure!(document["healthy"] == !wrong, "{document}");
        ensure!(done.code == i32::from(wrong), "exit code {}: {document}", done.code);
        Ok(document["sites"][0].clone())
    }

    /// Exactly these findings are made, the wrong ones marked with `!`.
    fn finds(&self, wanted: &[&str]) -> Result<Value> {
        let site = self.site(&[])?;
        let found = site["findings"].as_array().context("no findings")?.iter();
        let found: Vec<String> = found
            .map(|it| {
                let mark = if it["result"] == "wrong" { "!" } else { "" };
                format!("{mark}{}", it["name"].as_str().unwrap_or_default())
            })
            .collect();
        ensure!(found == wanted, "{found:?}, not {wanted:?}: {site:#}");
        // The screen says the same, within 80 columns.
        let screen = self.verb(&[])?.text();
        for finding in site["findings"].as_array().into_iter().flatten() {
            let (said, cure) = (&finding["said"], &finding["cure"]);
            for text in [said, cure] {
                let words: Vec<&str> = text.as_str().unwrap_or_default().split(' ').collect();
                let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
                ensure!(flat.contains(&words.join(" ")), "{text} is not in:\n{screen}");
            }
        }
        let wide = screen.lines().find(|line| line.chars().count() > 80 && line.contains("  "));
        ensure!(wide.is_none(), "{wide:?} in:\n{screen}");
        Ok(site)
    }

    /// A pull of the edge that presents what Cloudflare says is deployed.
    fn pull(&self) -> Result<Pull> {
        let pull = Pull::by_edge(&self.stage.lab, IpVersion::V4);
        Ok(match self.api.presented_in(ZONE, self.stage.lab.dir())? {
            Some(files) => pull.certificate(&files),
            None => pull.no_certificate(),
        })
    }
}
