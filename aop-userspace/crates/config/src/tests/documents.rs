//! Tests that every configuration in the documents is valid.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{LISTENER, SITE, read};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// The `toml` blocks of a page, without their indentation.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match open.take() {
            Some((_, block)) if line.trim() == "```" => blocks.push(block),
            Some((indent, block)) => {
                open = Some((indent, format!("{block}{}\n", line.get(indent..).unwrap_or(""))));
            }
            None if line.trim() == "```toml" => open = Some((indent, String::new())),
            None => {}
        }
    }
    blocks
}

/// Whether a block is a whole configuration, or one that lacks a listener, a site, or both.
fn is_read(block: &str) -> Result<(), String> {
    let whole = read(block);
    let beside = [
        format!("{block}{LISTENER}{SITE}"),
        format!("{block}{LISTENER}"),
        format!("{block}{SITE}"),
    ];
    match whole {
        Err(why) if beside.into_iter().all(|text| read(&text).is_err()) => Err(why),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[test]
fn every_configuration_in_the_documents_is_valid() {
    let mut read = 0;
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    let pages = docs.map(|entry| entry.expect("an entry").path()).chain([root().join("README.md")]);
    for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
        for block in blocks(&fs::read_to_string(&page).expect("a page")) {
            if let Err(why) = is_read(&block) {
                panic!("{}: {why}\n{block}", page.display());
            }
            read += 1;
        }
    }
    assert!(read > 5, "only {read} were found");
}

#[test]
fn the_packages_configuration_is_valid_with_and_without_its_commented_lines() {
    let text = fs::read_to_string(root().join("packaging/aop.toml")).expect("the file");
    let offered = |line: &str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[')
            .then(|| rest.to_owned())
    };
    let all: Vec<String> =
        text.lines().map(|line| offered(line).unwrap_or_else(|| line.to_owned())).collect();
    for text in [text, all.join("\n")] {
        read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn an_invalid_configuration_is_found() {
    for bad in ["[firewall]\nmood = \"observe\"\n", "[firewall\n", "[monitor]\nlisten = \"*\"\n"] {
        is_read(bad).expect_err(bad);
    }
}
