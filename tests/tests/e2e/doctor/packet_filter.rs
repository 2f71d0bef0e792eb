//! The host's own packet filter: ports that it closes or redirects, and source ports that it gives.

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, child};

use super::diagnose;
use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// Sets the rules of the origin to those of `table inet t`.
pub(crate) fn rules(stage: &Stage, table: &str) -> Result<()> {
    let text = format!("flush ruleset\ntable inet t {{\n{table}\n}}\n");
    let mut nft = stage.lab.origin().command("nft");
    nft.args(["-f", "-"]);
    child::finish(nft, text.as_bytes(), SOON)?.success().map(drop).context(text)
}

const INPUT: &str = "type filter hook input priority 0; policy drop;\n\
                     ct state established,related accept\niif lo accept\ntcp dport 22 accept\n";

#[test]
fn a_packet_filter_that_closes_the_port_is_named_and_one_that_opens_it_is_not() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        rules(stage, &format!("chain input {{ {INPUT} }}"))?;
        ensure!(!Pull::by_edge(&stage.lab, IpVersion::V4).brief().send()?.served(), "closed");
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("port_closed")?;
        ensure!(found["about"] == "443", "{found}");
        ensure!(found["visitor"].to_string().contains("522"), "{found}");
        ensure!(
            found["evidence"].to_string().contains("chain input of nft table inet t"),
            "{found}"
        );
        // Open for the addresses in a set.
        let of = |v4: &str| {
            format!(
                "set cdn {{ type ipv4_addr; flags interval; elements = {{ {v4} }} }}\n\
                 set cdn6 {{ type ipv6_addr; flags interval; elements = {{ 2000::/3 }} }}\n"
            )
        };
        let open = "tcp dport { 80, 443 } ip saddr @cdn accept\n\
                    tcp dport 443 ip6 saddr @cdn6 accept\nmeta l4proto ipv6-icmp accept\n";
        let all = of("0.0.0.0/1, 128.0.0.0/1");
        rules(stage, &format!("{all}chain input {{ {INPUT}{open} }}"))?;
        stage.edge_is_served()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.is_good("packet_filter")?;
        // For a family or for some networks it may be intended.
        let one = of("173.245.48.0/20");
        for some in [
            format!("{one}chain input {{ {INPUT}{open} }}"),
            format!("chain input {{ {INPUT}meta nfproto ipv4 accept\n}}"),
        ] {
            rules(stage, &some)?;
            let diagnosis = diagnose(&stage.daemon, &[])?;
            diagnosis.is_clean()?;
            diagnosis.tells("port_closed")?;
        }
        Ok(())
    });
}

#[test]
fn a_guarded_port_that_is_sent_elsewhere_is_named() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        rules(
            stage,
            "chain pre { type nat hook prerouting priority dstnat;\ntcp dport 443 redirect to :444\n}",
        )?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("port_redirected")?;
        ensure!(found["about"] == "443" && found["said"].to_string().contains("444"), "{found}");
        Ok(())
    });
}

#[test]
fn another_port_that_is_redirected_to_a_guarded_one_is_named_until_it_is_guarded_too() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        rules(
            stage,
            "chain pre { type nat hook prerouting priority dstnat;\n\
             tcp dport 9443 redirect to :443\ntcp dport 9080 redirect to :8080\n}",
        )?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("redirect_to_port")?;
        ensure!(found["about"] == "9443", "{found}");
        let text = stage.config.text().replace("[firewall]\n", "[firewall]\nports = [443, 9443]\n");
        stage.daemon.write(&text)?;
        stage.daemon.reload()?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        ensure!(diagnosis.findings("wrong", "redirect_to_port").is_empty(), "it is guarded");
        Ok(())
    });
}

#[test]
fn address_translation_that_gives_a_guarded_port_to_containers_is_named() {
    let high = |config: &mut AopToml, _: &Lab| config.bind.push("0.0.0.0:8443".into());
    on_changed_stage(high, |stage| {
        stage.edge_is_served()?;
        let masquerade = |how: &str| {
            let rule = format!("meta l4proto tcp oifname eth0 masquerade {how}");
            rules(
                stage,
                &format!("chain post {{ type nat hook postrouting priority 100;\n{rule}\n}}"),
            )
        };
        for how in ["to :8000-9000", "random"] {
            masquerade(how)?;
            let found = diagnose(&stage.daemon, &[])?;
            let found = found.finds_only("nat_source_port")?;
            ensure!(found["about"] == "8443", "{found}");
            ensure!(found["cure"].to_string().contains("8444-65535"), "{found}");
        }
        // As Docker does it: only a connection whose port is taken may get it.
        masquerade("")?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.tells("nat_source_port")?;
        masquerade("to :8444-65535")?;
        diagnose(&stage.daemon, &[])?.is_good("packet_filter")
    });
}

#[test]
fn a_host_whose_guarded_port_is_443_may_translate_addresses() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        rules(
            stage,
            "chain post { type nat hook postrouting priority 100;\nip saddr 172.17.0.0/16 \
             oifname != docker0 masquerade\n}\nchain pre { type nat hook prerouting priority \
             dstnat;\nfib daddr type local tcp dport 8081 dnat ip to 172.17.0.2:80\n}",
        )?;
        let diagnosis = diagnose(&stage.daemon, &[])?;
        diagnosis.is_clean()?;
        diagnosis.is_good("packet_filter")
    });
}
