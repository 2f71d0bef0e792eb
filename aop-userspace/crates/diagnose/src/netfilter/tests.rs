//! Rules as tools write them, and what they do with a connection of an edge.

use super::{Packet, Redirect, Ruleset, SourcePorts, Verdict, nft};

/// `iptables-save` after `ufw enable`, shortened, and with `rules` of the user.
fn ufw(rules: &str) -> Ruleset {
    let text = format!(
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         :ufw-before-input - [0:0]\n:ufw-before-logging-input - [0:0]\n:ufw-not-local - [0:0]\n\
         :ufw-user-input - [0:0]\n:ufw-user-limit - [0:0]\n:ufw-user-limit-accept - [0:0]\n\
         -A INPUT -j ufw-before-logging-input\n-A INPUT -j ufw-before-input\n\
         -A ufw-before-input -i lo -j ACCEPT\n\
         -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A ufw-before-input -m conntrack --ctstate INVALID -j DROP\n\
         -A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT\n\
         -A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT\n\
         -A ufw-before-input -j ufw-not-local\n\
         -A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT\n\
         -A ufw-before-input -j ufw-user-input\n\
         -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN\n\
         -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN\n\
         -A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix \
         \"[UFW BLOCK] \"\n-A ufw-not-local -j DROP\n\
         -A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n{rules}\
         -A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable\n\
         -A ufw-user-limit-accept -j ACCEPT\nCOMMIT\n"
    );
    Ruleset::of_iptables(&text)
}

fn to(port: u16) -> Packet {
    Packet {
        interface: "eth0".into(),
        source: "173.245.48.7".parse().expect("an address"),
        destination: "203.0.113.10".parse().expect("an address"),
        port,
    }
}

fn is_closed(rules: &Ruleset) -> bool {
    rules.verdict(&to(443)) != Verdict::Passes
}

#[test]
fn ufw_closes_a_port_until_it_is_allowed() {
    let closed = ufw("");
    assert!(is_closed(&closed));
    let Verdict::Dropped(by) = closed.verdict(&to(443)) else { panic!("closed") };
    assert_eq!(by, "chain INPUT of iptables table filter");
    assert_eq!(closed.verdict(&to(22)), Verdict::Passes);
    let user = "-A ufw-user-input";
    for open in [
        "-p tcp -m tcp --dport 443 -j ACCEPT",
        "-p tcp -m multiport --dports 80,443 -j ACCEPT",
        "-p tcp -m multiport --dports 80,400:500 -m comment --comment \"web - all\" -j ACCEPT",
        "-s 173.245.48.0/20 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-i eth+ -j ACCEPT",
        "! -i eth1 -p tcp -j ACCEPT",
        // It is not known whether these hold, so nothing is said.
        "-m set --match-set cloudflare src -j ACCEPT",
        "-p tcp -m tcp --dport 443 -m conntrack --ctstate NEW -m recent --set --name DEFAULT \
         --mask 255.255.255.255 --rsource -j ufw-user-limit-accept",
    ] {
        assert!(!is_closed(&ufw(&format!("{user} {open}\n"))), "{open}");
    }
    for shut in [
        "-s 192.0.2.0/24 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-i eth1 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-p udp -m udp --dport 443 -j ACCEPT",
        "! -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-p tcp -m tcp --dport 443 -j REJECT --reject-with tcp-reset",
    ] {
        assert!(is_closed(&ufw(&format!("{user} {shut}\n"))), "{shut}");
    }
}

#[test]
fn the_rules_of_docker_redirect_its_ports_and_give_source_ports() {
    let text = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n\
                -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
                -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n\
                -A DOCKER -i docker0 -j RETURN\n\
                -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination \
                172.17.0.2:80\n-A DOCKER -p tcp -m tcp --dport 9443 -j REDIRECT --to-ports 443\n\
                COMMIT\n";
    let rules = Ruleset::of_iptables(text);
    let container = Redirect { address: "172.17.0.2".parse().ok(), port: Some(80) };
    assert_eq!(rules.redirect(&to(8081)), Some(container));
    assert_eq!(rules.redirect(&to(9443)), Some(Redirect { address: None, port: Some(443) }));
    assert_eq!(rules.redirect(&to(443)), None);
    assert_eq!(rules.named_ports(), [8081, 9443]);
    assert_eq!(rules.source_ports(), [SourcePorts { range: None, random: false }]);
    let fixed = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -p tcp -j MASQUERADE --to-ports \
                 8000-9000 --random\nCOMMIT\n";
    let rules = Ruleset::of_iptables(fixed);
    assert_eq!(rules.source_ports(), [SourcePorts { range: Some((8000, 9000)), random: true }]);
}

/// A table of nft with an input chain that drops, and these rules in it.
fn table(rules: &str) -> Ruleset {
    let named = |expr: &str| {
        format!(
            "{{\"rule\":{{\"family\":\"inet\",\"table\":\"filter\",\"chain\":\"input\",\"handle\":1,\
             \"expr\":{expr}}}}}"
        )
    };
    let rules: Vec<String> = rules.lines().map(|expr| named(expr.trim())).collect();
    let text = format!(
        "{{\"nftables\":[{{\"metainfo\":{{\"json_schema_version\":1}}}},\
         {{\"chain\":{{\"family\":\"inet\",\"table\":\"filter\",\"name\":\"input\",\"handle\":1,\
         \"type\":\"filter\",\"hook\":\"input\",\"prio\":0,\"policy\":\"drop\"}}}},\
         {{\"set\":{{\"family\":\"inet\",\"name\":\"cdn\",\"table\":\"filter\",\"type\":\
         \"ipv4_addr\",\"elem\":[{{\"prefix\":{{\"addr\":\"173.245.48.0\",\"len\":20}}}}]}}}}{}{}]}}",
        if rules.is_empty() { "" } else { "," },
        rules.join(",")
    );
    nft::parse(&text).expect("the output of nft")
}

const ACCEPT: &str = r#"{"accept":null}"#;
/// The condition of nft that a packet is for port 443.
const TO_443: &str =
    r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":443}}"#;
/// The condition that it begins a connection.
const NEW: &str = r#"{"match":{"op":"==","left":{"ct":{"key":"state"}},"right":"new"}}"#;

#[test]
fn a_statement_of_nft_that_is_not_known_may_accept() {
    for open in [
        r#"{"xt":null}"#,
        r#"{"xt":{"type":"target","name":"SYNPROXY"}}"#,
        r#"{"synproxy":{"mss":1460,"wscale":7}}"#,
        r#"{"queue":{"num":3}}"#,
        r#"{"of the future":null}"#,
        r#"{"of the future":null},{"drop":null}"#,
        r#"{"xt":{"type":"match","name":"geoip"}},{"accept":null}"#,
    ] {
        assert!(!is_closed(&table(&format!("[{TO_443},{open}]"))), "{open}");
    }
    for shut in [
        r#"{"xt":{"type":"target","name":"LOG"}}"#,
        r#"{"xt":{"type":"match","name":"geoip"}}"#,
        r#"{"limit":{"rate":9,"per":"second"}},{"log":null}"#,
    ] {
        assert!(is_closed(&table(&format!("[{TO_443},{shut}]"))), "{shut}");
    }
    let one =
        r#"{"set":{"op":"add","elem":{"payload":{"protocol":"ip","field":"saddr"}},"set":"@s""#;
    let drops = |statement: &str| table(&format!("[{statement},{{\"drop\":null}}]\n[{ACCEPT}]"));
    assert!(is_closed(&drops(&format!("{one}}}}}"))));
    let limit = r#""stmt":[{"limit":{"rate":9,"per":"second","inv":true}}]"#;
    assert!(!is_closed(&drops(&format!("{one},{limit}}}}}"))));
}

#[test]
fn the_state_of_a_connection_is_unknown_after_notrack() {
    let drops_new = format!("[{NEW},{{\"drop\":null}}]\n[{ACCEPT}]");
    assert!(is_closed(&table(&drops_new)));
    let untracked = format!("[{TO_443},{{\"notrack\":null}}]\n{drops_new}");
    assert!(!is_closed(&table(&untracked)));
    // Not so after a rule for other packets.
    let other = untracked.replacen("443", "53", 1);
    assert!(is_closed(&table(&other)));
    let save = |raw: &str| {
        let text = format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n{raw}COMMIT\n*filter\n:INPUT ACCEPT [0:0]\n\
             -A INPUT -m conntrack --ctstate NEW -j DROP\nCOMMIT\n"
        );
        Ruleset::of_iptables(&text)
    };
    assert!(is_closed(&save("")));
    for notrack in ["CT --notrack", "NOTRACK"] {
        let rule = format!("-A PREROUTING -p tcp -m tcp --dport 443 -j {notrack}\n");
        assert!(!is_closed(&save(&rule)), "{notrack}");
    }
}

#[test]
fn a_table_of_nft_closes_a_port_unless_a_rule_accepts_it() {
    assert!(is_closed(&table("")));
    let port = r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":PORT}}"#;
    let port = |right: &str| port.replace("PORT", right);
    let accept = ACCEPT;
    let state = |vmap: &str| {
        format!(r#"[{{"vmap":{{"key":{{"ct":{{"key":"state"}}}},"data":{{"set":[{vmap}]}}}}}}]"#)
    };
    let established = state(r#"["invalid",{"drop":null}],["established",{"accept":null}]"#);
    let from = |right: &str| {
        format!(
            r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"saddr"}}}},"right":"{right}"}}}}"#
        )
    };
    for open in [
        format!("[{},{accept}]", port("443")),
        format!("{established}\n[{},{accept}]", port(r#"{"set":[80,443]}"#)),
        format!("[{},{accept}]", port(r#"{"set":[{"range":[400,500]}]}"#)),
        format!("[{},{},{accept}]", from("@cdn"), port("443")),
        state(r#"["new",{"accept":null}]"#),
        // It is not known whether these hold.
        format!(r#"[{},{{"limit":{{"rate":9,"per":"second"}}}},{accept}]"#, port("443")),
        format!(r#"[{{"xt":null}},{accept}]"#),
        // The next rule follows.
        format!(
            "{}\n[{},{accept}]",
            state(r#"["established",{"accept":null}],["new",{"continue":null}]"#),
            port("443")
        ),
    ] {
        assert!(!is_closed(&table(&open)), "{open}");
    }
    for shut in [
        established.clone(),
        format!("[{},{accept}]", port("80")),
        format!("[{},{},{accept}]", from("192.0.2.1"), port("443")),
        format!("[{},{{\"drop\":null}}]\n[{accept}]", port("443")),
    ] {
        assert!(is_closed(&table(&shut)), "{shut}");
    }
}
