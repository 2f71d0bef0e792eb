//! The report for people: what was taken, what was not, and what to do next.

use aop_api::{InitReport, InitSite, NotTakenOver};
use aop_import::{ConfigProposal, KnownHost};

use super::outputs::{InitOutputs, OutputFile};
use crate::{commands::doctor::hanging, output::count};

/// The number of sites that are shown.
const SHOWN: usize = 10;

/// The parts that were not taken over, with file and line.
pub(super) fn not_taken(report: &InitReport) -> Vec<String> {
    if report.not_taken.is_empty() {
        return Vec::new();
    }
    let mut text = vec!["not taken over, or different:".to_owned()];
    for NotTakenOver { at, what, why } in &report.not_taken {
        let told = printable(&format!("{what}: {why}"));
        match at {
            Some(at) => {
                text.push(format!("  {}", printable(at)));
                text.extend(hanging("    ", "    ", &told));
            }
            None => text.extend(hanging("  ", "    ", &told)),
        }
    }
    text.push(String::new());
    text
}

/// The parts that were taken over, and the next steps.
pub(super) fn summary(
    report: &InitReport,
    proposal: &ConfigProposal,
    host: &KnownHost,
    outputs: &InitOutputs,
) -> Vec<String> {
    let mut text = taken(report);
    if proposal.sites.is_empty() && !host.certificates.is_empty() {
        let certificates = count(host.certificates.len(), "certificate");
        text.push(format!("certbot has {certificates}: a site for each is in it, as a comment"));
    }
    if let Some(error) = &report.check.error {
        text.push(String::new());
        let told = format!("Nothing was written, because `aop check` would refuse it: {error}");
        text.extend(hanging("", "", &printable(&told)));
        return text;
    }
    text.push(String::new());
    for mistake in &report.check.mistakes {
        text.extend(hanging("", "  ", &printable(&format!("wrong: {mistake}"))));
    }
    let others = report.check.warnings.iter().filter(|it| !report.check.mistakes.contains(it));
    let verdict = match report.check.mistakes.len() {
        0 => "good".to_owned(),
        wrong => count(wrong, "mistake"),
    };
    let place = match outputs.config {
        OutputFile::Standard => "standard output".to_owned(),
        OutputFile::Path(_) => report.file.clone(),
    };
    let warnings = count(others.count(), "warning");
    text.extend(hanging(
        "",
        "  ",
        &format!("written to {place}; aop check: {verdict}, {warnings}"),
    ));
    text.extend([String::new(), "next".to_owned()]);
    for (at, step) in steps(report, proposal, outputs).iter().enumerate() {
        text.extend(hanging(&format!("  {}. ", at + 1), "     ", &step.does));
        text.extend(step.commands.iter().map(|command| format!("       {command}")));
    }
    text
}

fn taken(report: &InitReport) -> Vec<String> {
    let ports: Vec<String> = report.guarded.iter().map(ToString::to_string).collect();
    let (used, unusable): (Vec<&InitSite>, Vec<&InitSite>) =
        report.proposed.iter().partition(|site| site.unusable.is_none());
    let mut text =
        vec![format!("taken: {}, ports {}", count(used.len(), "site"), ports.join(", "))];
    for site in used.iter().take(SHOWN) {
        text.extend(hanging("  ", "    ", &site.hosts.join(", ")));
        text.push(format!("    certificate {}", printable(&site.certificate)));
        text.push(format!("    key         {}", printable(&site.key)));
        let observes = if site.observes { " (observes: lets everybody in)" } else { "" };
        text.push(format!("    client CA   {}{observes}", printable(&site.client_ca.join(", "))));
        text.push(format!("    upstream    {}", site.upstream));
    }
    if used.len() > SHOWN {
        text.push(format!("  and {} more", used.len() - SHOWN));
    }
    if !unusable.is_empty() {
        text.push(format!("{} as a comment: see above", count(unusable.len(), "site")));
    }
    text
}

/// Something to do.
struct Step {
    does: String,
    commands: Vec<String>,
}

fn steps(report: &InitReport, proposal: &ConfigProposal, outputs: &InitOutputs) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |does: &str, commands: &[String]| {
        steps.push(Step { does: does.to_owned(), commands: commands.to_vec() });
    };
    match (&outputs.config, &outputs.replaces) {
        (OutputFile::Path(new), Some(old)) => {
            let (old, new) = (old.display(), new.display());
            add(
                "Compare it with the configuration that is there, and put it in its place.",
                &[format!("diff -u {old} {new}"), format!("mv {new} {old}")],
            );
        }
        (OutputFile::Path(_), None) => add("Read it, and change what is wrong.", &[]),
        (OutputFile::Standard, _) => add("Read it, and write it to /etc/aop/aop.toml.", &[]),
    }
    if proposal.nginx_blocks().is_some() {
        let reload = "nginx -t && systemctl reload nginx".to_owned();
        match (&report.nginx_file, place_of_blocks(proposal)) {
            (Some(file), Some(place)) => add(
                "Let nginx serve the same hosts on the loopback.",
                &[format!("cp {file} {place}"), reload],
            ),
            (Some(file), None) => add(
                "Let nginx serve the same hosts on the loopback: write this line into its http \
                 block.",
                &[format!("include {file};"), reload],
            ),
            (None, _) => add(
                "Let nginx serve the same hosts on the loopback: --nginx-output FILE writes the \
                 server blocks for it.",
                &[],
            ),
        }
    }
    let check = "aop check".to_owned();
    match (report.listens.first(), report.proposed.iter().find(|it| it.unusable.is_none())) {
        (Some(listen), Some(site)) => {
            let port = listen.rsplit_once(':').map_or("", |(_, port)| port);
            let host = site.hosts.first().map_or("HOST", |it| it.trim_start_matches("*."));
            add(
                "Check it, start it, and try it through Cloudflare.",
                &[
                    check,
                    "systemctl restart aop".to_owned(),
                    format!("curl https://{host}:{port}/"),
                    "aop status".to_owned(),
                ],
            );
            add(
                "Move the port of HTTPS from nginx to aop: /usr/share/doc/aop/docs/first-install.md",
                &[],
            );
        }
        _ => add(
            "Check it, put it into force, and see who would be dropped.",
            &[check, "aop reload".to_owned(), "aop status".to_owned()],
        ),
    }
    steps
}

/// Where nginx would read a file of ours.
fn place_of_blocks(proposal: &ConfigProposal) -> Option<String> {
    let pattern = proposal.include.as_deref()?;
    Some(match pattern.strip_suffix("/*.conf") {
        Some(folder) => format!("{folder}/aop-loopback.conf"),
        None => format!("{}/aop-loopback", pattern.strip_suffix("/*")?),
    })
}

/// `text` without characters that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}
