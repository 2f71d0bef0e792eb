//! What `aop check` says of the configuration and its files.

use aop_api::Finding;

use super::{
    Patient,
    finding::{More, good, told, visitor, wrong},
};

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let checked = &patient.checked;
    if let Some(error) = &checked.error {
        let said = "the configuration cannot be run: a start or a reload would be refused";
        let cure = "correct it; `aop check` names the file and the line";
        return vec![wrong("check", said, visitor::REFUSED, cure).about(&checked.file).seen(error)];
    }
    let mistakes = checked.mistakes.iter().map(|mistake| {
        let server = mistake.starts_with("server certificate");
        let sees = if server { visitor::CERTIFICATE } else { visitor::TLS };
        wrong("mistake", mistake, sees, "as it says; then `aop check` and `aop reload`")
    });
    let others = checked.warnings.iter().filter(|it| !checked.mistakes.contains(it));
    // That the firewall observes is told of the lock itself.
    let others = others.filter(|it| *it != aop_config::OBSERVES);
    let mut findings: Vec<Finding> = mistakes.chain(others.map(|it| told("warning", it))).collect();
    let sites = checked.sites.iter().map(|site| {
        let files = site.files.len();
        good("site_files", "the site's files can be used")
            .about(&site.site)
            .seen(format!("{files} files"))
    });
    findings.extend(sites);
    findings
}
