//! The list that is fetched or watched: what is believed, what is not, and what outlives a restart.

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

/// Tries a claim on a daemon whose list comes from a server that begins with `answer`.
pub(crate) fn on_fetching_stage(
    answer: ListResponse,
    prefixes: fn(String) -> PrefixesTable,
    claim: impl FnOnce(&mut Stage, &ListServer) -> Result<()>,
) {
    let server = OnceCell::new();
    let fetching = |config: &mut AopToml, lab: &Lab| {
        let begun = ListServer::start(lab, answer).expect("a server");
        config.prefixes = prefixes(begun.url());
        server.set(begun).expect("one server");
    };
    on_changed_stage(fetching, |stage| claim(stage, server.get().context("no server")?));
}

/// What the API says today.
fn published() -> ListResponse {
    ListResponse::json(&cloudflare::api(&[], &[], "38f79d050aa027e3be3865e495dcc9bc"))
}

/// A field of the status' `prefixes`.
fn list_field(status: &StatusJson, name: &str) -> Result<Value> {
    let field = status.json()["prefixes"].get(name);
    field.cloned().with_context(|| format!("no {name} in {}", status.json()["prefixes"]))
}

/// Runs `aop prefixes refresh --json` with further arguments: its exit code and what it says.
fn refresh(stage: &Stage, more: &[&str]) -> Result<(i32, Value)> {
    let verb = [&["prefixes", "refresh", "--json"], more].concat();
    let finished = stage.daemon.verb(&verb)?;
    let said = finished.text();
    let json = serde_json::from_str(&said)
        .with_context(|| format!("not JSON: {said}{}\n{}", finished.errors, stage.daemon.log()))?;
    Ok((finished.code, json))
}

/// A refresh that must have this outcome.
pub(crate) fn refresh_to(stage: &Stage, more: &[&str], outcome: &str) -> Result<Value> {
    let (code, said) = refresh(stage, more)?;
    ensure!(said["outcome"] == outcome, "not {outcome} but: {said}");
    ensure!((code == 1) == (outcome == "refused"), "exit code {code}: {said}");
    Ok(said)
}
