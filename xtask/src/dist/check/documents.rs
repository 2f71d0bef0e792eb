//! The documents in the package: each relative link must lead to a file of the package, because
//! documents and examples lie there as in the source tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

/// Documents about the code. They are not in the package, and the documents that link to them say
/// that they are for people with the source tree.
const SOURCE_TREE: [&str; 3] =
    ["CONTRIBUTING.md", "tests/README.md", "aop-userspace/crates/packets/README.md"];

/// Looks at all documents below `folder`; returns their number.
pub(super) fn check(folder: &Path) -> Result<usize> {
    let documents = documents(folder)?;
    let mut broken = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document)?;
        for link in links(&text) {
            let place = document.with_file_name(link);
            if !place.exists() && !SOURCE_TREE.iter().any(|known| link.ends_with(known)) {
                let name = document.strip_prefix(folder).unwrap_or(document);
                broken.push(format!("{} links to {link}", name.display()));
            }
        }
    }
    ensure!(broken.is_empty(), "links out of the package: {}", broken.join("; "));
    Ok(documents.len())
}

fn documents(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(documents(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The files that a document links to, without the part after `#`.
fn links(text: &str) -> Vec<&str> {
    let behind = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    behind.filter(|link| !link.is_empty() && !link.contains("://")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("a.md"), text).unwrap();
        write("[here](#b), [itself](a.md#c), [far](https://example.com/), [code](CONTRIBUTING.md)");
        assert_eq!(check(folder.path()).unwrap(), 1);
        write("[gone](docs/b.md#c)");
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.md links to docs/b.md"), "{error}");
    }
}
