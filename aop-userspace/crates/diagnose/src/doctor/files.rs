//! The findings of `aop check` about the configuration and its files.

use aop_api::VisitorError;

use super::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let checked = &host.checked;
    if let Some(error) = &checked.error {
        let said = "the configuration is not usable: a start or a reload would fail";
        let cure = "correct it; `aop check` shows the file and the line";
        return vec![
            wrong("check", said, VisitorError::Refused, cure).about(&checked.file).seen(error),
        ];
    }
    let mistakes = checked.mistakes.iter().map(|mistake| {
        let sees = match mistake.split(' ').next() {
            Some("server") => VisitorError::Certificate,
            Some("key") => VisitorError::Nothing,
            Some(_) | None => VisitorError::Tls,
        };
        wrong("mistake", mistake, sees, "correct it; then `aop check` and `aop reload`")
    });
    let others = checked.warnings.iter().filter(|it| !checked.mistakes.contains(it));
    // The finding `mode` reports that the firewall observes.
    let others = others.filter(|it| *it != aop_config::FIREWALL_OBSERVES);
    let mut findings: Vec<CheckFinding> =
        mistakes.chain(others.map(|it| notice("warning", it))).collect();
    let sites = checked.sites.iter().map(|site| {
        let files = site.files.len();
        good("site_files", "the site's files are usable")
            .about(&site.site)
            .seen(format!("{files} files"))
    });
    findings.extend(sites);
    findings
}
