//! Output for the operator: a closing line for each connection, the status for people, sampled
//! drops, and the log of the packet program. Text from a peer is escaped.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, PullOutcome, wait};

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// The closing lines, after there are `count` of them.
fn closing_lines(stage: &Stage, count: usize) -> Result<Vec<String>> {
    let lines = || -> Vec<String> {
        let log = stage.daemon.log();
        log.lines().filter(|line| line.contains("connection closed")).map(str::to_owned).collect()
    };
    let enough = || Some(lines()).filter(|lines| lines.len() >= count);
    wait::until("the lines are there", SOON, enough).with_context(|| stage.daemon.log())
}

#[test]
fn each_connection_leaves_one_closing_line() {
    on_stage(|stage| {
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        pull.must_be_served()?;
        pull.clone().no_certificate().must_be_refused()?;
        pull.certificate(&stage.lab.pki.expired).must_be_refused()?;
        let lines = closing_lines(stage, 3)?;
        let [served, bare, expired] = &lines[..] else { anyhow::bail!("{lines:?}") };
        let address = stage.lab.edge_address(IpVersion::V4).to_string();
        ensure!(lines.iter().all(|line| line.contains(&address) && line.contains("example.com")));
        ensure!(served.contains("edge.example.com"), "no identity: {served}");
        ensure!(bare.contains("certificate_required"), "{bare}");
        ensure!(expired.contains("expired"), "{expired}");
        Ok(())
    });
}

#[test]
fn recent_refusals_are_listed_with_the_source_of_their_admission() {
    let extra = |config: &mut aop_tests::AopToml, lab: &aop_tests::Lab| {
        config.mode = "observe";
        config.extra = vec![lab.neighbour_address(IpVersion::V6).to_string() + "/128"];
    };
    on_changed_stage(extra, |stage| {
        let lab = &stage.lab;
        let bare = |family| Pull::by_edge(lab, family).no_certificate();
        bare(IpVersion::V4).must_be_refused()?;
        bare(IpVersion::V4).must_be_refused()?;
        let neighbour = lab.neighbour_address(IpVersion::V6);
        bare(IpVersion::V6).source(neighbour).must_be_refused()?;
        let stranger = Pull::by_stranger(lab, IpVersion::V4).certificate(&lab.pki.foreign);
        stranger.must_be_refused()?;
        closing_lines(stage, 4)?;
        let status = stage.daemon.status()?;
        let told = status.json()["handshakes"]["refused_lately"].as_array().context("no list")?;
        let of = |address: std::net::IpAddr| {
            let found = told.iter().find(|it| it["address"] == address.to_string());
            found
                .map(|it| (it["admitted_by"].as_str(), it["reason"].as_str(), it["count"].as_u64()))
        };
        ensure!(told.len() == 3, "{told:?}");
        let edge = of(lab.edge_address(IpVersion::V4));
        ensure!(edge == Some((Some("list"), Some("certificate_required"), Some(2))), "{edge:?}");
        let extra = of(neighbour).context("no neighbour")?;
        ensure!(extra.0 == Some("extra"), "{extra:?}");
        let stranger = of(lab.stranger_address(IpVersion::V4));
        ensure!(stranger == Some((None, Some("unknown_ca"), Some(1))), "{stranger:?}");
        Ok(())
    });
}

#[test]
fn the_presented_certificate_is_shown() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.edge_is_served()?;
        let status = stage.daemon.status()?;
        let identities = status.json()["identities"].as_array().context("no identities")?;
        let [identity] = &identities[..] else { anyhow::bail!("{identities:?}") };
        let field = |name: &str| identity[name].as_str().unwrap_or_default().to_owned();
        ensure!(field("site") == "example.com");
        ensure!(field("subject").contains("edge.example.com"), "{identity}");
        ensure!(field("issuer").contains("Example Operator Client CA"), "{identity}");
        ensure!(field("spki_sha256").len() == 64, "{identity}");
        ensure!(field("not_after").starts_with("2120-01-01"), "{identity}");
        Ok(())
    });
}

#[test]
fn the_status_for_people_contains_verdicts_peers_and_refusals() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.refuses(
            &Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate(),
            "certificate_required",
        )?;
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        let status = stage.daemon.verb(&["status"])?;
        let text = status.text();
        ensure!(status.code == 0, "{text}{}", status.errors);
        for word in ["enforcing", "eth0", "unknown_source", "173.245.48.7", "certificate_required"]
        {
            ensure!(text.contains(word), "nothing of {word}:\n{text}");
        }
        ensure!(!text.contains('\u{1b}'), "colours without a terminal:\n{text:?}");
        Ok(())
    });
}

#[test]
fn the_subject_of_a_peer_is_escaped() {
    on_stage(|stage| {
        let odd = &stage.lab.pki.odd_subject;
        Pull::by_edge(&stage.lab, IpVersion::V4).certificate(odd).must_be_served()?;
        closing_lines(stage, 1)?;
        let log = stage.daemon.log();
        ensure!(!log.contains('\u{1b}'), "{log:?}");
        ensure!(!log.lines().any(|line| line.starts_with("edge level")), "{log}");
        let status = stage.daemon.verb(&["status"])?;
        ensure!(!status.output.contains(&0x1b));
        Ok(())
    });
}

#[test]
fn the_packet_program_logs_only_on_request() {
    on_stage(|stage| {
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        let knock = || Pull::by_stranger(&stage.lab, IpVersion::V4).send();
        ensure!(knock()? == PullOutcome::Silence);
        ensure!(!stage.daemon.log().contains(&stranger), "it speaks without being asked");
        stage.daemon.run_with(&["--bpf-log", "debug"])?;
        let knock = || Pull::by_stranger(&stage.lab, IpVersion::V4).send();
        ensure!(knock()? == PullOutcome::Silence);
        wait::until("the drop is logged", SOON, || {
            stage.daemon.log().lines().any(|line| line.contains(&stranger)).then_some(())
        })
        .with_context(|| stage.daemon.log())
    });
}

#[test]
fn drops_are_shown_as_they_come() {
    on_stage(|stage| {
        let pull = Pull::by_stranger(&stage.lab, IpVersion::V4);
        let shown = std::thread::scope(|scope| {
            let knock = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                pull.send()
            });
            let shown = stage.daemon.verb(&["drops", "--json", "--for", "2s"]);
            ensure!(matches!(knock.join(), Ok(Ok(outcome)) if outcome.silent()));
            shown
        })?;
        ensure!(shown.code == 0, "{shown:?}");
        let text = shown.text();
        let line = text.lines().next().unwrap_or_default();
        for word in [
            "\"reason\":\"unknown_source\"",
            "198.51.100.66",
            "\"port\":443",
            "[\"IPv4\",\"TCP SYN\"]",
        ] {
            ensure!(line.contains(word), "nothing of {word}: {text}");
        }
        Ok(())
    });
}
