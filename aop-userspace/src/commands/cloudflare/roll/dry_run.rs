//! `--dry-run`: what a roll would do, with each call, and without its secrets.

use std::process::ExitCode;

use aop_cloudflare::{CertificateAndKey, RollAction, RollNext, RollRecord, plan_of_roll};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::turns::{Current, Roller};
use crate::output::{self, hanging, lines};

impl Roller {
    pub(super) fn dry_run(&mut self, record: RollRecord) -> anyhow::Result<ExitCode> {
        let current = Current::read(&self.arguments.file.config)?;
        let facts = self.facts(&record, &current)?;
        let api = current.config.cloudflare.api.to_string();
        let planned = plan_of_roll(record.clone(), facts, Timestamp::now());
        let mut text = vec![format!("{}: this would be done; nothing is changed", record.site)];
        for then in &planned {
            let makes = *then == RollNext::Act(RollAction::MakeLeaf);
            text.extend(match makes && !self.issuing.can_sign(&current.config) {
                true => no_key(&record),
                false => told(&record, then, &api),
            });
        }
        output::print(&lines(text))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The first step where the CA's key is on another host.
fn no_key(record: &RollRecord) -> Vec<String> {
    let text = format!(
        "make a key and a request for {}; stop, until the CA on another host has signed it: \
         `--certificate`",
        record.hosts.join(", ")
    );
    hanging("  ", "    ", &text, 80)
}

fn told(record: &RollRecord, then: &RollNext, api: &str) -> Vec<String> {
    let line = |text: &str| hanging("  ", "    ", text, 80);
    match then {
        RollNext::Act(action) => match call(record, action) {
            Some((request, body)) => {
                let mut lines = vec![format!("  {} {api}{}", request.0, request.1)];
                lines.extend(body.map(|body| format!("    {body}")));
                lines
            }
            None => line(&local(record, action)),
        },
        RollNext::Wait { what, .. } => line(&format!("wait for {what}")),
        RollNext::Stopped { why, cure } => line(&format!("stop: {why}; {cure}")),
        RollNext::Reached(_) | RollNext::Found(_) => Vec::new(),
        RollNext::Done => line("done"),
        RollNext::Undone => line("undone: all is as it was before"),
    }
}

/// Method, path and body of the call, if there is one.
fn call(
    record: &RollRecord,
    action: &RollAction,
) -> Option<((&'static str, String), Option<String>)> {
    let pair = CertificateAndKey {
        certificate: "(the new certificate)".to_owned(),
        private_key: Zeroizing::new("(secret)".to_owned()).into(),
    };
    let http = action.call(record, Some(pair))?.http();
    // The pair above has no secret.
    let body = http.body.as_ref().map(|body| body.expose().to_owned());
    Some(((http.method.name(), http.path), body))
}

fn local(record: &RollRecord, action: &RollAction) -> String {
    match action {
        RollAction::Trust(sites) if sites.is_empty() => {
            "check that this host accepts it (where not, add its CA to client_ca), and reload"
                .to_owned()
        }
        RollAction::Trust(sites) => {
            format!("add its client CA to client_ca of {}, and reload", sites.join(", "))
        }
        RollAction::MakeLeaf
        | RollAction::Upload
        | RollAction::Drop(_)
        | RollAction::SwitchGlobal(_)
        | RollAction::SwitchZone(_)
        | RollAction::Associate(_)
        | RollAction::DeleteOld(..) => {
            format!("make a key and a certificate for {}", record.hosts.join(", "))
        }
    }
}
