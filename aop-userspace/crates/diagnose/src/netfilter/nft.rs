//! The rules of nftables, as `nft -j list ruleset` prints them (libnftables-json(5)).

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use serde_json::Value as Json;

use super::{
    Action, Base, Chain, Condition, Field, Hook, Kind, Redirect, Rule, Ruleset, SourcePorts, Value,
    iptables::goes_on,
};

/// The elements of the named sets, by table and name.
type Sets<'a> = HashMap<(String, &'a str), Vec<&'a Json>>;

/// `None` if `text` is not the output of nft.
pub(super) fn parse(text: &str) -> Option<Ruleset> {
    let document: Json = serde_json::from_str(text).ok()?;
    let objects = document.get("nftables")?.as_array()?;
    let each = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let sets: Sets<'_> = each("set")
        .filter_map(|set| {
            Some((
                (table(set)?, text_at(set, "name")?),
                list(set.get("elem").unwrap_or(&Json::Null)),
            ))
        })
        .collect();
    let mut chains: Vec<Chain> = each("chain").filter_map(chain).collect();
    for rule in each("rule") {
        let (Some(table), Some(name)) = (table(rule), text_at(rule, "chain")) else { continue };
        if let Some(chain) = chains.iter_mut().find(|it| it.table == table && it.name == name) {
            chain.rules.extend(rules(&table, list(rule.get("expr")?), &sets));
        }
    }
    Some(Ruleset { chains })
}

fn table(object: &Json) -> Option<String> {
    Some(format!("nft table {} {}", text_at(object, "family")?, text_at(object, "table")?))
}

fn text_at<'a>(object: &'a Json, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// The elements of a list; another value is a list of one.
fn list(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(elements) => elements.iter().collect(),
        Json::Null => Vec::new(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => vec![json],
    }
}

fn chain(object: &Json) -> Option<Chain> {
    let table = table(object)?;
    let name = text_at(object, "name")?.to_owned();
    let hook = match text_at(object, "hook") {
        Some("prerouting") => Some(Hook::Prerouting),
        Some("input") => Some(Hook::Input),
        Some("postrouting") => Some(Hook::Postrouting),
        Some(_) | None => None,
    };
    let is_v4 = match text_at(object, "family")? {
        "ip" => Some(true),
        "ip6" => Some(false),
        "inet" => None,
        // Of bridges, ARP and devices.
        _ => return None,
    };
    let kind = if text_at(object, "type") == Some("nat") { Kind::Nat } else { Kind::Filter };
    let drops = text_at(object, "policy") == Some("drop");
    let base = hook.map(|hook| Base { hook, kind, drops, is_v4 });
    Some(Chain { table, name, base, rules: Vec::new() })
}

/// The rules that a rule of nft stands for: one, or one for each element of its verdict map.
fn rules(table: &str, statements: Vec<&Json>, sets: &Sets<'_>) -> Vec<Rule> {
    let mut conditions = Vec::new();
    let mut action = Action::Nothing;
    let mut untracks = false;
    let mut is_known = true;
    for statement in statements {
        let Some((name, body)) = statement.as_object().and_then(|it| it.iter().next()) else {
            continue;
        };
        match name.as_str() {
            "match" => conditions.extend(condition(table, body, sets)),
            "vmap" if is_known => return verdict_map(table, body, &conditions, sets),
            "counter" | "log" | "mangle" | "last" | "ct helper" | "ct timeout" => {}
            "notrack" => untracks = true,
            "limit" | "quota" | "ct count" => conditions.push(Condition::unknown()),
            // With a statement in it, such as a limit for each element, it is a condition.
            "set" | "map" | "meter" if body.get("stmt").is_none() => {}
            "set" | "map" | "meter" => conditions.push(Condition::unknown()),
            "xt" => match (text_at(body, "type"), text_at(body, "name")) {
                (Some("match"), _) => conditions.push(Condition::unknown()),
                (Some("target"), Some(name)) if goes_on(name) => {}
                _ => is_known = false,
            },
            _ => match verdict(name, body) {
                Some(found) => action = found,
                None => is_known = false,
            },
        }
    }
    // A statement that is not known may be a condition, and may accept the packet.
    if !is_known {
        conditions.push(Condition::unknown());
        if action != Action::Accept {
            action = Action::Unknown;
        }
    }
    vec![Rule { conditions, action, untracks }]
}

fn verdict_map(table: &str, map: &Json, before: &[Condition], sets: &Sets<'_>) -> Vec<Rule> {
    let rule = |conditions, action| Rule { conditions, action, untracks: false };
    let unknown = || vec![rule(before.to_vec(), Action::Unknown)];
    let key = map.get("key").map(field);
    let pairs = map.get("data").and_then(|data| data.get("set")).map(list);
    let (Some(field), Some(pairs)) = (key, pairs) else { return unknown() };
    let of = |pair: &Json| {
        let (key, found) = (pair.get(0)?, pair.get(1)?);
        let (name, body) = found.as_object()?.iter().next()?;
        let mut conditions = before.to_vec();
        conditions.push(Condition::new(field, values(table, field, key, sets)));
        Some(rule(conditions, verdict(name, body)?))
    };
    let rules: Option<Vec<Rule>> = pairs.into_iter().map(of).collect();
    rules.unwrap_or_else(unknown)
}

fn verdict(name: &str, body: &Json) -> Option<Action> {
    let target = || body.get("target").and_then(Json::as_str).unwrap_or_default().to_owned();
    Some(match name {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "return" => Action::Return,
        "continue" => Action::Nothing,
        "jump" => Action::Jump(target()),
        "goto" => Action::Goto(target()),
        "redirect" | "dnat" => {
            let address = body.get("addr");
            match address.map(|it| it.as_str().and_then(|it| it.parse().ok())) {
                // A map or a range.
                Some(None) => Action::Unknown,
                known => {
                    let port = body.get("port").and_then(range).map(|(from, _)| from);
                    Action::Redirect(Redirect { address: known.flatten(), port })
                }
            }
        }
        "masquerade" | "snat" => {
            let flags = body.get("flags").map(list).unwrap_or_default();
            let random = flags.iter().filter_map(|it| it.as_str()).any(|it| it.contains("random"));
            Action::Source(SourcePorts { range: body.get("port").and_then(range), random })
        }
        "queue" | "tproxy" | "fwd" | "dup" => Action::Unknown,
        _ => return None,
    })
}

/// The conditions of a match: its own, and the transport protocol that a field of it implies.
fn condition(table: &str, body: &Json, sets: &Sets<'_>) -> Vec<Condition> {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return vec![Condition::unknown()];
    };
    let field = field(left);
    let mut values = values(table, field, right, sets);
    let negated = match text_at(body, "op") {
        Some("==" | "in") | None => false,
        Some("!=") => true,
        Some(order) => {
            values = values.into_iter().map(|value| ordered(order, &value)).collect();
            false
        }
    };
    let mut conditions = vec![Condition { field, values, negated }];
    let header = left.get("payload").and_then(|payload| text_at(payload, "protocol"));
    if let Some(protocol @ ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6")) =
        header
    {
        conditions.push(Condition::new(Field::Protocol, vec![Value::Text(protocol.into())]));
    }
    if let Some(family) = header.and_then(|it| match it {
        "ip" => Some("ipv4"),
        "ip6" => Some("ipv6"),
        _ => None,
    }) {
        conditions.push(Condition::new(Field::Family, vec![Value::Text(family.into())]));
    }
    conditions
}

fn ordered(order: &str, bound: &Value) -> Value {
    match (order, bound) {
        ("<", Value::Ports(port, _)) => Value::Ports(0, port.saturating_sub(1)),
        ("<=", Value::Ports(port, _)) => Value::Ports(0, *port),
        (">", Value::Ports(port, _)) => Value::Ports(port.saturating_add(1), u16::MAX),
        (">=", Value::Ports(port, _)) => Value::Ports(*port, u16::MAX),
        _ => Value::Unknown,
    }
}

fn field(left: &Json) -> Field {
    if let Some(meta) = left.get("meta").and_then(|meta| text_at(meta, "key")) {
        return match meta {
            "iifname" | "iif" => Field::Interface,
            "l4proto" => Field::Protocol,
            "nfproto" => Field::Family,
            _ => Field::Unknown,
        };
    }
    if let Some(payload) = left.get("payload") {
        return match (text_at(payload, "protocol"), text_at(payload, "field")) {
            (Some("tcp" | "udp" | "th"), Some("dport")) => Field::Port,
            (Some("ip" | "ip6"), Some("saddr")) => Field::Source,
            (Some("ip" | "ip6"), Some("daddr")) => Field::Destination,
            (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => Field::Protocol,
            _ => Field::Unknown,
        };
    }
    if left.get("ct").and_then(|ct| text_at(ct, "key")) == Some("state") {
        return Field::State;
    }
    let fib = left.get("fib").and_then(|fib| Some((text_at(fib, "result")?, fib.get("flags")?)));
    match fib {
        Some(("type", flags)) if list(flags).iter().any(|flag| *flag == "daddr") => {
            Field::DestinationType
        }
        Some(_) | None => Field::Unknown,
    }
}

fn values(table: &str, field: Field, right: &Json, sets: &Sets<'_>) -> Vec<Value> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        return match sets.get(&(table.to_owned(), name)) {
            Some(elements) => elements.iter().map(|it| value(field, it)).collect(),
            None => vec![Value::Unknown],
        };
    }
    let elements = right.get("set").unwrap_or(right);
    list(elements).into_iter().map(|element| value(field, element)).collect()
}

fn value(field: Field, json: &Json) -> Value {
    // An element of a set may have a time or a comment beside it.
    let json = json.get("elem").and_then(|element| element.get("val")).unwrap_or(json);
    let address = |json: &Json| json.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let addresses = || {
        if let Some(prefix) = json.get("prefix") {
            let length = prefix.get("len").and_then(Json::as_u64);
            let length = length.and_then(|length| u8::try_from(length).ok());
            let network = prefix.get("addr").and_then(address).zip(length);
            network.and_then(|(at, length)| IpNet::new(at, length).ok()).map(Value::Network)
        } else if let Some(ends) = json.get("range") {
            let ends = ends.get(0).and_then(address).zip(ends.get(1).and_then(address));
            ends.map(|(from, to)| Value::Addresses(from, to))
        } else {
            address(json).map(|address| Value::Network(address.into()))
        }
    };
    Value::read(field, || range(json), addresses, || json.as_str().map(str::to_owned))
}

/// A port, or a range of ports.
fn range(json: &Json) -> Option<(u16, u16)> {
    let port = |json: &Json| json.as_u64().and_then(|port| u16::try_from(port).ok());
    match json.get("range") {
        Some(ends) => Some((port(ends.get(0)?)?, port(ends.get(1)?)?)),
        None => port(json).map(|port| (port, port)),
    }
}
