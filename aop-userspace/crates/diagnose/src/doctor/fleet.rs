//! A finding about the link to the fleet, from the status.

use aop_api::{FleetLink, FleetLinkState, moment_text};
use jiff::Timestamp;

use super::{
    HostContext,
    finding::{CheckFinding, good, notice},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    host.status.fleet.iter().map(|link| finding(link, Timestamp::now())).collect()
}

fn finding(link: &FleetLink, now: Timestamp) -> CheckFinding {
    const NAME: &str = "fleet";
    let last = link.reported_at.map_or("no report has arrived yet".to_owned(), |at| {
        format!("the last report arrived {}", moment_text(at, now))
    });
    let told =
        |finding: CheckFinding| finding.about(&link.name).seen(&last).seen_all(link.error.clone());
    let look = format!("aop fleet status --host {}", link.name);
    match (&link.state, &link.error) {
        (FleetLinkState::Reporting, None) => told(good(NAME, "the fleet sees this host")),
        (FleetLinkState::NameTaken, _) | (FleetLinkState::Reporting, Some(_)) => told(
            notice(NAME, "two hosts claim one name in the fleet")
                .cure("give one of the two another fleet.name, and reload"),
        )
        .commands(&look),
        (FleetLinkState::Starting | FleetLinkState::Failing | FleetLinkState::Unknown(_), _) => {
            told(
                notice(NAME, "the fleet does not see this host; packets and pulls go on")
                    .cure("correct the reason: docs/fleet.md has a table"),
            )
            .commands(&look)
        }
    }
}

#[cfg(test)]
mod tests {
    use aop_api::{FindingGroup, FindingOutcome};

    use super::*;

    #[test]
    fn an_etcd_that_is_away_is_told_and_is_no_failure_of_the_host() {
        let found = |state: FleetLinkState, error: Option<&str>| {
            let link = FleetLink {
                name: "web-17".into(),
                state,
                error: error.map(str::to_owned),
                ..FleetLink::starting()
            };
            finding(&link, Timestamp::now()).in_group(FindingGroup::Observed)
        };
        let fine = found(FleetLinkState::Reporting, None);
        assert_eq!(fine.result, FindingOutcome::Good);
        for (state, error) in [
            (FleetLinkState::Failing, "cannot connect"),
            (FleetLinkState::NameTaken, "another host"),
            (FleetLinkState::Reporting, "another host claims"),
        ] {
            let told = found(state, Some(error));
            assert_eq!(told.result, FindingOutcome::Told);
            assert!(told.evidence.iter().any(|it| it == error), "{:?}", told.evidence);
            assert_eq!(told.commands, ["aop fleet status --host web-17"]);
        }
    }
}
