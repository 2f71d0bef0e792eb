//! The prefix list: fetched, watched and stored lists, and lists that are rejected.

mod fetched;
mod rejected;
mod stored;
mod watched;
mod withdrawn;

use std::cell::OnceCell;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::list_server::ListResponse;
use aop_tests::{AopToml, Lab, ListServer, StatusJson, cloudflare};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage};

/// Runs `claim` on a stage whose list comes from a server. `response` is its first response, and
/// `prefixes` makes the configuration from its URL.
pub(crate) fn on_fetching_stage(
    response: ListResponse,
    prefixes: fn(String) -> PrefixesTable,
    claim: impl FnOnce(&mut Stage, &ListServer) -> Result<()>,
) {
    on_changed_fetching_stage(response, |config, url| config.prefixes = prefixes(url), claim);
}

/// As [`on_fetching_stage`]. `change` changes the configuration and gets the URL of the server.
fn on_changed_fetching_stage(
    response: ListResponse,
    change: impl FnOnce(&mut AopToml, String),
    claim: impl FnOnce(&mut Stage, &ListServer) -> Result<()>,
) {
    let server = OnceCell::new();
    let fetching = |config: &mut AopToml, lab: &Lab| {
        let started = ListServer::start(lab, response).expect("a server");
        change(config, started.url());
        server.set(started).expect("one server");
    };
    on_changed_stage(fetching, |stage| claim(stage, server.get().context("no server")?));
}

/// The response of the API with the published list.
fn published() -> ListResponse {
    ListResponse::json(&cloudflare::api(&[], &[], "38f79d050aa027e3be3865e495dcc9bc"))
}

/// A field of `prefixes` in the status.
fn list_field(status: &StatusJson, name: &str) -> Result<Value> {
    let field = status.json()["prefixes"].get(name);
    field.cloned().with_context(|| format!("no {name} in {}", status.json()["prefixes"]))
}

/// Runs `aop prefixes refresh --json` with more arguments. Returns exit code and document.
fn refresh(stage: &Stage, more: &[&str]) -> Result<(i32, Value)> {
    let verb = [&["prefixes", "refresh", "--json"], more].concat();
    let finished = stage.daemon.verb(&verb)?;
    let said = finished.text();
    let json = serde_json::from_str(&said)
        .with_context(|| format!("not JSON: {said}{}\n{}", finished.errors, stage.daemon.log()))?;
    Ok((finished.code, json))
}

/// As [`refresh`], which must have this outcome.
pub(crate) fn refresh_to(stage: &Stage, more: &[&str], outcome: &str) -> Result<Value> {
    let (code, said) = refresh(stage, more)?;
    ensure!(said["outcome"] == outcome, "not {outcome} but: {said}");
    ensure!((code == 1) == (outcome == "refused"), "exit code {code}: {said}");
    Ok(said)
}
