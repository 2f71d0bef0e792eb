//! The texts of the verbs that give an order.

use aop_api::{FleetOrdered, Request, StoppedHost};

use crate::output::{count, hanging, lines, terminal_columns, when};

/// The most names of hosts in a line.
const MAX_NAMES: usize = 12;

/// The hosts of each wave, and those in none, before anything is ordered.
pub(super) fn preview(result: &FleetOrdered, request: &Request) -> String {
    let mut text = Vec::new();
    let mut add = |line: String| text.extend(hanging("", "  ", &line, terminal_columns()));
    if result.as_ordered > 0 {
        let hosts = count(result.as_ordered, "host");
        add(if *request == Request::Confirm {
            format!("nothing waits on {hosts}, left out")
        } else {
            has(result.as_ordered, "is as ordered already", "are as ordered already")
        });
    }
    if !result.not_serving.is_empty() {
        let hosts =
            has(result.not_serving.len(), "does not serve the site", "do not serve the site");
        add(format!("{hosts}, left out: {}", names(&result.not_serving)));
    }
    for (number, wave) in (1..).zip(&result.plan) {
        let of = if result.plan.len() > 1 { format!("wave {number}: ") } else { String::new() };
        add(format!("{of}{}: {}", count(wave.hosts.len(), "host"), names(&wave.hosts)));
    }
    if !result.silent.is_empty() {
        let hosts = has(result.silent.len(), "does not report", "do not report");
        add(format!("{hosts}: {}", names(&result.silent)));
    }
    lines(text)
}

/// Why nothing was ordered.
pub(super) fn nobody(result: &FleetOrdered, request: &Request) -> String {
    let why = if !result.not_serving.is_empty() {
        "no other host that reports is meant: nothing was ordered. A site has the name that `aop \
         fleet status --host NAME` shows"
    } else if result.as_ordered == 0 {
        "no host that reports is meant: nothing was ordered"
    } else if *request == Request::Confirm {
        "nothing waits for a confirmation there: nothing was ordered"
    } else {
        "nothing was ordered: all are as ordered already"
    };
    lines(hanging("", "  ", why, terminal_columns()))
}

/// The results of the order.
pub(super) fn summary(result: &FleetOrdered) -> String {
    let done: usize = result.waves.iter().map(|wave| wave.lasting).sum();
    let done = count(done, "host");
    let stopped: Vec<_> = result.waves.iter().flat_map(|wave| &wave.stopped).collect();
    let mut text = Vec::new();
    let mut add = |first: &str, rest: &str, line: &str| {
        text.extend(hanging(first, rest, line, terminal_columns()));
    };
    match (&result.error, stopped.len()) {
        (Some(why), _) => add("", "  ", &format!("NOT ENDED: it holds on {done}; {why}")),
        (None, 0) => add("", "  ", &format!("OK: it holds on {done}")),
        (None, number) => {
            let stopped = count(number, "host");
            add("", "  ", &format!("STOPPED: it holds on {done}, and {stopped} stopped it"));
        }
    }
    for StoppedHost { host, why } in stopped {
        add("  ", "    ", &format!("{host}: {why}"));
    }
    for wave in result.waves.iter().filter(|wave| !wave.silent.is_empty()) {
        let hosts = has(wave.silent.len(), "does not report", "do not report");
        let until = when(wave.order.expires);
        let line = format!(
            "{hosts}, and order {} counts there until {until}: {}",
            wave.order.serial,
            names(&wave.silent)
        );
        add("", "  ", &line);
    }
    if result.waves_left > 0 {
        let waves = count(result.waves_left, "further wave");
        let line = format!("{waves} not ordered; the same command goes on where this one stopped");
        add("", "  ", &line);
    }
    lines(text)
}

/// Such as `1 host is late`, or `2 hosts are late`.
fn has(hosts: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(hosts, "host"), if hosts == 1 { one } else { many })
}

fn names(hosts: &[String]) -> String {
    let mut names: Vec<_> = hosts.iter().take(MAX_NAMES).cloned().collect();
    if hosts.len() > MAX_NAMES {
        names.push(format!("{} more", hosts.len() - MAX_NAMES));
    }
    names.join(", ")
}
