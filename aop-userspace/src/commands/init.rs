//! `aop init`: writes a first configuration, from what this host has or from that of nginx.
//!
//! `aop-import` decides what is proposed. Here are the files and processes: `source` reads nginx,
//! `host` this host, `usable` tries the files of the sites, `outputs` writes, `page` reports.

mod host;
mod outputs;
mod page;
mod source;
mod usable;

use std::{path::PathBuf, process::ExitCode};

use aop_api::{InitReport, InitSite, NotTakenOver};
use aop_import::{ConfigProposal, NotTaken, ProposedSite, SiteUse, nginx};
use clap::Args;

use self::outputs::{InitOutputs, OutputFile};
use super::check::check_text;
use crate::output::{lines, print};

#[derive(Args)]
pub(crate) struct InitCommand {
    /// Take hosts, certificates and ports from nginx: from `nginx -T`, or from a FILE with its
    /// output or with a part of the configuration; `-` for standard input
    #[arg(long, value_name = "FILE")]
    from_nginx: Option<Option<PathBuf>>,
    /// The file to write; `-` for standard output [default: /etc/aop/aop.toml, or
    /// /etc/aop/aop.toml.new if that exists]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The file for the server blocks that nginx needs [default: nginx-loopback.conf beside the
    /// configuration]
    #[arg(long, value_name = "FILE", requires = "from_nginx")]
    nginx_output: Option<PathBuf>,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl InitCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let outputs = InitOutputs::choose(self.output, self.nginx_output)?;
        if self.json && outputs.config == OutputFile::Standard {
            anyhow::bail!("--json and the configuration cannot both go to standard output");
        }
        let host = host::facts();
        let mut proposal = match &self.from_nginx {
            None => ConfigProposal::default(),
            Some(file) => {
                let source = source::read(file.as_deref())?;
                nginx::propose(&source.bytes, &source.name, &host::is_free)?
            }
        };
        usable::judge(&mut proposal, outputs.config_path(), &host)?;
        let text = proposal.toml(&host);
        let (checked, prefixes) = check_text(outputs.config_path(), &text)?;
        let blocks = proposal.nginx_blocks();
        let good = prefixes.is_ok() && checked.mistakes.is_empty();
        let nginx_file = outputs.nginx.clone().filter(|_| blocks.is_some());
        let mut report = InitReport {
            file: outputs.config_path().display().to_string(),
            written: false,
            nginx_file: nginx_file.map(|file| file.display().to_string()),
            guarded: proposal.ports(),
            listens: listens(&proposal),
            proposed: proposal.sites.iter().map(site).collect(),
            not_taken: proposal.not_taken.iter().map(not_taken).collect(),
            check: checked,
        };
        if prefixes.is_ok() {
            outputs.write(&text, blocks.as_deref())?;
            report.written = true;
        }
        if self.json {
            print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        } else {
            eprint!("{}", lines(page::not_taken(&report)));
            let summary = lines(page::summary(&report, &proposal, &host, &outputs));
            // Beside the configuration itself only it goes to standard output.
            match outputs.config {
                OutputFile::Standard => eprint!("{summary}"),
                OutputFile::Path(_) => print(&summary)?,
            }
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn listens(proposal: &ConfigProposal) -> Vec<String> {
    match proposal.written().next() {
        Some(_) => proposal.trial.iter().map(ToString::to_string).collect(),
        None => Vec::new(),
    }
}

fn site(site: &ProposedSite) -> InitSite {
    InitSite {
        at: site.at.clone(),
        hosts: site.hosts.clone(),
        certificate: site.certificate.clone(),
        key: site.key.clone(),
        client_ca: site.client_ca.clone(),
        observes: !site.refuses,
        upstream: site.upstream.clone(),
        unusable: match &site.used {
            SiteUse::Written => None,
            SiteUse::Commented(why) => Some(why.clone()),
        },
    }
}

fn not_taken(it: &NotTaken) -> NotTakenOver {
    NotTakenOver { at: it.at.clone(), what: it.what.clone(), why: it.why.clone() }
}
