//! The rules of iptables, as `iptables-save` prints them.

use super::{
    Action, Base, Chain, Condition, Field, Hook, Kind, Redirect, Rule, SourcePorts, Value,
};

/// The chains in `text`, which is about one family.
pub(super) fn parse(text: &str, is_v4: bool) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            let program = if is_v4 { "iptables" } else { "ip6tables" };
            table = format!("{program} table {name}");
        } else if let Some((name, rest)) = line.strip_prefix(':').and_then(|it| it.split_once(' '))
        {
            let base = base(&table, name, rest.starts_with("DROP"), is_v4);
            chains.push(Chain { table: table.clone(), name: name.into(), base, rules: Vec::new() });
        } else if let Some((name, rest)) =
            line.strip_prefix("-A ").and_then(|it| it.split_once(' '))
        {
            let chain = chains.iter_mut().find(|it| it.table == table && it.name == name);
            if let Some(chain) = chain {
                chain.rules.push(rule(&words(rest)));
            }
        }
    }
    chains
}

fn base(table: &str, chain: &str, drops: bool, is_v4: bool) -> Option<Base> {
    let kind = if table.ends_with(" nat") { Kind::Nat } else { Kind::Filter };
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    Some(Base { hook, kind, drops, is_v4: Some(is_v4) })
}

/// The words of a line; one in quotes may have blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_ascii_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn rule(words: &[String]) -> Rule {
    let mut rule = Rule { conditions: Vec::new(), action: Action::Nothing, untracks: false };
    let mut negated = false;
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        let mut value = String::new();
        while let Some(part) = words.next_if(|next| !next.starts_with('-') && *next != "!") {
            value += part;
        }
        apply(&mut rule, word, &value, negated);
        negated = false;
    }
    rule
}

/// Takes one option of a rule into account.
fn apply(rule: &mut Rule, option: &str, value: &str, negated: bool) {
    let field = match option {
        "-i" | "--in-interface" => Field::Interface,
        "-p" | "--protocol" => Field::Protocol,
        "-s" | "--source" => Field::Source,
        "-d" | "--destination" => Field::Destination,
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" => Field::Port,
        "--ctstate" | "--state" => Field::State,
        "--dst-type" => Field::DestinationType,
        // The conditions of a module follow its name.
        "-m" | "--comment" => return,
        "--notrack" => return rule.untracks = true,
        "-j" => {
            rule.untracks |= value == "NOTRACK";
            return rule.action = target(value);
        }
        "-g" => return rule.action = Action::Goto(value.into()),
        "--to-ports" | "--to-destination" | "--to-source" | "--random" | "--random-fully" => {
            return refine(&mut rule.action, option, value);
        }
        // After the target come its own options, which are no conditions.
        _ if rule.action != Action::Nothing => return,
        _ => return rule.conditions.push(Condition::unknown()),
    };
    let values = value.split(',').map(|value| parsed(field, value)).collect();
    rule.conditions.push(Condition { field, values, negated });
}

fn parsed(field: Field, text: &str) -> Value {
    let ports = || {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        from.parse().ok().zip(to.parse().ok())
    };
    let addresses = || {
        let network = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into));
        network.ok().map(Value::Network)
    };
    let name = || {
        Some(if field == Field::Interface {
            // A `+` at the end of a name stands for anything.
            text.replace('+', "*")
        } else if field == Field::Protocol && text == "6" {
            // Its number, where /etc/protocols is missing.
            "tcp".to_owned()
        } else {
            text.to_ascii_lowercase()
        })
    };
    Value::read(field, ports, addresses, name)
}

/// Whether a packet goes on with the next rule after this target. After others nothing is certain.
pub(super) fn goes_on(target: &str) -> bool {
    matches!(
        target,
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS" | "CT" | "NOTRACK" | "TRACE" | "SET"
    )
}

fn target(name: &str) -> Action {
    match name {
        "ACCEPT" => Action::Accept,
        "DROP" | "REJECT" => Action::Drop,
        "RETURN" => Action::Return,
        "REDIRECT" | "DNAT" => Action::Redirect(Redirect { address: None, port: None }),
        "MASQUERADE" | "SNAT" => Action::Source(SourcePorts { range: None, random: false }),
        _ if goes_on(name) => Action::Nothing,
        // A chain, or a target that is not known: then no chain has this name.
        _ => Action::Jump(name.into()),
    }
}

/// Takes an option of REDIRECT, DNAT, MASQUERADE or SNAT into account.
fn refine(action: &mut Action, option: &str, value: &str) {
    let (address, ports) = match (option, value.rsplit_once(':')) {
        ("--to-ports", _) => (None, Some(value)),
        (_, Some((address, ports))) if value.matches(':').count() == 1 || value.contains("]:") => {
            (Some(address), Some(ports))
        }
        _ => (Some(value), None),
    };
    let range = ports.and_then(|ports| {
        let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
        Some((from.parse::<u16>().ok()?, to.parse::<u16>().ok()?))
    });
    match action {
        Action::Source(source) if option.starts_with("--random") => source.random = true,
        Action::Source(source) => source.range = range,
        Action::Redirect(redirect) => {
            let address = address.map(|it| it.trim_start_matches('[').trim_end_matches(']'));
            redirect.address = address.and_then(|it| it.parse().ok());
            redirect.port = range.map(|(from, _)| from);
        }
        Action::Nothing
        | Action::Accept
        | Action::Drop
        | Action::Return
        | Action::Jump(_)
        | Action::Goto(_)
        | Action::Unknown => {}
    }
}
