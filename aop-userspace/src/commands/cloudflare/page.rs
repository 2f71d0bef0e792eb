//! `aop cloudflare status` for people: each site in three parts, then what is wrong.

use aop_api::{
    CertificateAtCloudflare, CloudflareReport, FindingOutcome as Outcome, HostAtCloudflare,
    IdentitiesFrom, PresentedLevel as Level, SeenIdentity, SiteAtCloudflare, ZoneAtCloudflare,
};

use crate::{
    commands::doctor::hanging,
    output::{Colours, age, count, date, lines},
};

/// The number of certificates that arrived and are shown.
const ARRIVALS: usize = 4;
/// The continuation of a line.
const INDENT: &str = "                ";

pub(super) fn render(report: &CloudflareReport, colours: Colours) -> String {
    let mut text = Vec::new();
    for (at, site) in report.sites.iter().enumerate() {
        if at > 0 {
            text.push(String::new());
        }
        text.push(format!("{}: {}", colours.head(&site.site), verdict(site, colours)));
        text.extend(site.zones.iter().flat_map(zone_lines));
        text.extend(belief_lines(site));
        text.extend(arrival_lines(site, &report.identities_from));
        text.extend(finding_lines(site, colours));
    }
    lines(text)
}

fn verdict(site: &SiteAtCloudflare, colours: Colours) -> String {
    let of = |result| site.findings.iter().filter(|it| it.result == result).count();
    match (of(Outcome::Wrong), of(Outcome::Told)) {
        (0, 0) => colours.good("all agree"),
        (0, told) => format!("{}, {told} to know", colours.good("nothing is wrong")),
        (wrong, told) => format!("{}, {told} to know", colours.bad(&format!("{wrong} wrong"))),
    }
}

/// A line of a part: the first has its name.
fn part(name: &str, said: &str) -> Vec<String> {
    hanging(&format!("  {name:<12}"), INDENT, said)
}

fn zone_lines(zone: &ZoneAtCloudflare) -> Vec<String> {
    let on = |on: bool| if on { "on" } else { "off" };
    let ZoneAtCloudflare { status, ssl_mode, global_on, zone_on, .. } = zone;
    let head = format!(
        "zone {} ({status}), SSL mode {ssl_mode}; global {}, zone {}",
        zone.zone,
        on(*global_on),
        on(*zone_on)
    );
    let mut lines = part("Cloudflare", &head);
    for level in &[Level::Host, Level::Zone, Level::Global, Level::Nothing] {
        let hosts = zone.hosts.iter().filter(|host| host.presents == *level).map(host_text);
        let hosts: Vec<String> = hosts.collect();
        if !hosts.is_empty() {
            lines.extend(part("", &format!("presents {level} to {}", hosts.join(", "))));
        }
    }
    lines.extend(zone.certificates.iter().flat_map(|it| part("", &certificate_text(it))));
    lines
}

fn host_text(host: &HostAtCloudflare) -> String {
    let HostAtCloudflare { host, associated, enabled, association_status, presents: _ } = host;
    let link = match (associated, enabled) {
        (Some(id), Some(enabled)) => {
            let status = association_status.as_ref().map_or("", |status| status.as_str());
            let enabled = if *enabled { "associated" } else { "disabled, associated" };
            format!(" ({enabled} with {}: {status})", short(id))
        }
        (Some(_) | None, _) => String::new(),
    };
    format!("{host}{link}")
}

fn certificate_text(certificate: &CertificateAtCloudflare) -> String {
    let CertificateAtCloudflare { id, level, status, expires_on, subject, .. } = certificate;
    let until = expires_on.map_or(String::new(), |end| format!(" to {}", date(end)));
    let seen = match (&certificate.refused_as, certificate.last_seen) {
        (Some(reason), _) => format!("refused here as {reason}"),
        (None, Some(seen)) => format!("seen {} ago", age(seen)),
        (None, None) => "not seen".to_owned(),
    };
    let subject = subject.as_deref().unwrap_or("(unreadable)");
    format!("{level} {} {subject}, {status}{until}, {seen}", short(id))
}

fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn belief_lines(site: &SiteAtCloudflare) -> Vec<String> {
    let names: Vec<&str> = site.trusts.iter().map(|ca| ca.client_ca.as_str()).collect();
    let mut said = format!("trusts {}", names.join(", "));
    if !site.requires.is_empty() {
        said += &format!("; {}", site.requires.join(", "));
    }
    part("this host", &said)
}

fn arrival_lines(site: &SiteAtCloudflare, from: &IdentitiesFrom) -> Vec<String> {
    let mut lines = Vec::new();
    if *from == IdentitiesFrom::Stored {
        lines.extend(part("arrives", "no daemon runs; this is what the last one saw:"));
    }
    let name = |first: bool| if first { "arrives" } else { "" };
    if site.identities.is_empty() {
        lines.extend(part(name(lines.is_empty()), "no client certificate seen yet"));
    }
    for identity in site.identities.iter().take(ARRIVALS) {
        lines.extend(part(name(lines.is_empty()), &arrival_text(identity)));
    }
    let more = site.identities.len().saturating_sub(ARRIVALS);
    if more > 0 {
        lines.extend(part("", &format!("and {more} more (`aop identities`)")));
    }
    lines
}

fn arrival_text(identity: &SeenIdentity) -> String {
    let SeenIdentity { subject, level, pulls, last_seen, not_after, .. } = identity;
    let pulls = usize::try_from(*pulls).unwrap_or(usize::MAX);
    format!(
        "{subject} ({level}), to {}, {}, last {} ago",
        date(*not_after),
        count(pulls, "pull"),
        age(*last_seen)
    )
}

fn finding_lines(site: &SiteAtCloudflare, colours: Colours) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &site.findings {
        let mark = match finding.result {
            Outcome::Wrong => colours.bad("wrong"),
            Outcome::Told | Outcome::Untried | Outcome::Good => colours.head("to know"),
        };
        let said = format!("{}: {}", finding.about, finding.said);
        lines.extend(hanging(&format!("  {mark}: "), "    ", &said));
        lines.extend(hanging("    cure: ", "          ", &finding.cure));
    }
    lines
}
