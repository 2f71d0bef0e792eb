//! Rules of this repository for which there is no lint: the length of files, and the places of
//! `unsafe`, aya and clap.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

const MOST_LINES: usize = 400;

/// The only files with `unsafe` code: the pods, the frame reader, the maps.
const UNSAFE: [&str; 3] =
    ["aop-common/src/pod.rs", "aop-ebpf/src/frame.rs", "aop-ebpf/src/maps.rs"];

pub(crate) fn check() -> Result<()> {
    let mut complaints = Vec::new();
    for path in sources(workspace::root()).context("cannot list the sources")? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        complaints.extend(complaints_about(&workspace::short(&path).to_string(), &text));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{}", complaints.join("\n"))
}

/// All Rust files outside of hidden and target directories.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path)?);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complaints.push(format!("{path}: {lines} lines, over {MOST_LINES}: split it by ideas"));
    }
    for (index, line) in text.lines().enumerate() {
        let code = code_of(line);
        let mut complain = |what: &str| complaints.push(format!("{path}:{}: {what}", index + 1));
        if has_word(&code, "unsafe") && !may_be_unsafe(path, &code) {
            complain(&format!("unsafe code outside {}", UNSAFE.join(", ")));
        }
        if has_word(&code, "aya") && outside(path, &["firewall/", "firewall.rs"]) {
            complain("aya outside firewall/");
        }
        if has_word(&code, "clap") && outside(path, &["cli/", "cli.rs", "main.rs"]) {
            complain("clap outside cli/");
        }
    }
    complaints
}

/// Attributes for the loader contain the word `unsafe`, but no unsafe code.
fn may_be_unsafe(path: &str, code: &str) -> bool {
    let attribute = path.starts_with("aop-ebpf/") && code.trim_start().starts_with("#[unsafe(");
    attribute || UNSAFE.contains(&path)
}

/// Whether a path is in aop-userspace, but in none of these places.
fn outside(path: &str, places: &[&str]) -> bool {
    let inside = path.strip_prefix("aop-userspace/src/");
    inside.is_some_and(|path| !places.iter().any(|place| path.starts_with(place)))
}

/// The line without its comment and without the content of its strings.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        code.push_str(before);
        rest = match from {
            _ if from.starts_with("//") => return code,
            _ if from.starts_with("'\"'") => from.split_at(3).1,
            _ if from.starts_with('"') => after_string(from.split_at(1).1),
            _ => from.split_at(1).1,
        };
    }
    code + rest
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => return text.split_at(at + 1).1,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    ""
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_reported_with_its_length() {
        let text = "\n".repeat(MOST_LINES + 1);
        assert_eq!(
            complaints_about("a.rs", &text),
            ["a.rs: 401 lines, over 400: split it by ideas"]
        );
    }

    #[test]
    fn unsafe_code_is_allowed_only_in_its_files() {
        let code = "let a = 1;\nunsafe { b() };";
        assert_eq!(complaints_about("aop-common/src/policy.rs", code).len(), 1);
        assert!(complaints_about("aop-common/src/pod.rs", code).is_empty());
    }

    #[test]
    fn unsafe_attributes_are_allowed_in_the_packet_program() {
        let attribute = "    #[unsafe(no_mangle)]";
        assert!(complaints_about("aop-ebpf/src/log.rs", attribute).is_empty());
        assert_eq!(complaints_about("aop-common/src/lib.rs", attribute).len(), 1);
    }

    #[test]
    fn comments_strings_and_longer_words_do_not_count() {
        for line in ["// unsafe", "let a = \"say \\\"unsafe\\\" //\";", "#![deny(unsafe_code)]"] {
            assert!(complaints_about("a.rs", line).is_empty(), "{line}");
        }
        assert_eq!(complaints_about("a.rs", "f('\"', \"\"); unsafe { g() }").len(), 1);
    }

    #[test]
    fn aya_and_clap_stay_where_they_belong() {
        let code = "use aya::Ebpf;\nuse clap::Parser;";
        assert_eq!(complaints_about("aop-userspace/src/tls/mod.rs", code).len(), 2);
        assert_eq!(complaints_about("aop-userspace/src/firewall/load.rs", code).len(), 1);
        assert_eq!(complaints_about("aop-userspace/src/cli/mod.rs", code).len(), 1);
        assert!(complaints_about("xtask/src/main.rs", code).is_empty());
    }
}
