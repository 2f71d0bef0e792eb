//! A diagnosis for people: what is wrong comes first, in lines that fit a terminal.

use std::collections::BTreeMap;

use aop_api::{Diagnosis, Finding, FindingOutcome as Outcome};

use crate::output::{self, Colours, lines};

/// The most columns of a line.
const WIDTH: usize = 80;
/// The number of pieces of evidence that are shown without `--all`.
const SHOWN: usize = 4;

pub(super) fn render(diagnosis: &Diagnosis, all: bool, colours: Colours) -> String {
    let of = |result| {
        let found = diagnosis.findings.iter().filter(move |it| it.result == result);
        found.collect::<Vec<&Finding>>()
    };
    let (wrong, notices) = (of(Outcome::Wrong), of(Outcome::Told));
    let (untried, good) = (of(Outcome::Untried), of(Outcome::Good));
    let counts = format!(
        "{} wrong, {} to know, {} not tried, {} good",
        wrong.len(),
        notices.len(),
        untried.len(),
        good.len()
    );
    let verdict = if wrong.is_empty() {
        colours.good("nothing is wrong")
    } else {
        colours.bad("something is wrong")
    };
    let mut text = vec![format!("{verdict}: {counts}")];
    let mut section = |head: String, found: &[&Finding], whole: bool| {
        if !found.is_empty() {
            text.extend([String::new(), head]);
            text.extend(if whole { at_length(found, all) } else { in_short(found) });
        }
    };
    section(colours.bad("wrong"), &wrong, true);
    section(colours.head("to know"), &notices, true);
    section(colours.head("not tried"), &untried, all);
    section(colours.head("good"), &good, all);
    // Every attack on a listener includes this attempt.
    let tried = |it: &Finding| it.name == "plain_http" && !it.evidence.is_empty();
    let stays_open = |it: &Finding| it.name == "opening";
    if diagnosis.findings.iter().any(tried) && !diagnosis.findings.iter().any(stays_open) {
        text.push(String::new());
        text.extend(hanging(
            "",
            "",
            "The doctor made its attempts from this host's loopback, which it opened for them and \
             closed again. `aop status` counts them as refused.",
        ));
    }
    lines(text)
}

/// Each finding with its evidence, consequence and cure.
fn at_length(found: &[&Finding], all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, finding) in found.iter().enumerate() {
        if at > 0 {
            lines.push(String::new());
        }
        let about = finding.about.as_ref().map_or(String::new(), |about| format!(" {about}"));
        let head = format!("{}{about}: {}", finding.group, finding.said);
        lines.extend(hanging("  ", "    ", &head));
        let shown = if all { usize::MAX } else { SHOWN };
        for evidence in finding.evidence.iter().take(shown) {
            lines.extend(hanging("    seen     ", "             ", evidence));
        }
        let more = finding.evidence.len().saturating_sub(shown);
        if more > 0 {
            lines.push(format!("             and {more} more (--all)"));
        }
        if finding.result == Outcome::Wrong {
            lines.extend(hanging("    visitor  ", "             ", finding.visitor.as_str()));
        }
        if let Some(cure) = &finding.cure {
            lines.extend(hanging("    cure     ", "             ", cure));
        }
        lines.extend(finding.commands.iter().flat_map(|command| pasteable("      ", command)));
    }
    lines
}

/// One line for all findings of the same text.
fn in_short(found: &[&Finding]) -> Vec<String> {
    let mut same: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut order = Vec::new();
    for finding in found {
        let key = (finding.group.as_str(), finding.said.as_str());
        let about = same.entry(key).or_insert_with(|| {
            order.push(key);
            Vec::new()
        });
        let name = match finding.result {
            Outcome::Untried => Some(finding.name.as_str()),
            Outcome::Good | Outcome::Told | Outcome::Wrong => finding.about.as_deref(),
        };
        about.extend(name.filter(|name| !about.contains(name)));
    }
    let line = |key: &(&str, &str)| {
        let about = same.get(key).map_or(String::new(), |about| match &about[..] {
            [] => String::new(),
            some => format!("{}: ", some.join(", ")),
        });
        hanging(&format!("  {:<9}", key.0), "           ", &format!("{about}{}", key.1))
    };
    order.iter().flat_map(line).collect()
}

/// Wraps `text`: the first line starts with `first`, the others with `rest`.
pub(in crate::commands) fn hanging(first: &str, rest: &str, text: &str) -> Vec<String> {
    output::hanging(first, rest, text, output::terminal_columns().min(WIDTH))
}

/// Wraps a command so that a shell reads its lines as one.
fn pasteable(indent: &str, command: &str) -> Vec<String> {
    let mut lines = hanging(indent, &format!("{indent}  "), command);
    if let Some((_, but_the_last)) = lines.split_last_mut() {
        but_the_last.iter_mut().for_each(|line| line.push_str(" \\"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_wrapped_so_that_a_shell_reads_one_line() {
        let command = format!("openssl {}", "-x ".repeat(40));
        let wrapped = pasteable("      ", command.trim()).join("\n");
        let again: Vec<&str> = wrapped.split_whitespace().filter(|word| *word != "\\").collect();
        assert_eq!(again.join(" "), command.trim());
        assert!(wrapped.contains(" \\\n"), "{wrapped}");
    }
}
