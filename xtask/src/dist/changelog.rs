//! The changelog in Debian's form, which Debian's policy demands of each package. Its one entry
//! names the CHANGELOG.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use super::build;
use crate::command;

/// The revision that cargo-deb adds to the version.
const REVISION: &str = "1";

/// Writes the changelog into `folder`.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut date = Command::new("date");
    date.args(["--utc", "--rfc-email"]).arg(format!("--date=@{}", build::epoch()?));
    let date = command::output(&mut date)?;
    fs::write(folder.join("changelog.Debian"), text(env!("CARGO_PKG_VERSION"), date.trim()))?;
    Ok(())
}

fn text(version: &str, date: &str) -> String {
    format!(
        "aop ({version}-{REVISION}) stable; urgency=medium\n\n  * /usr/share/doc/aop/CHANGELOG.md \
         has the changes.\n\n -- {MAINTAINER}  {date}\n"
    )
}

/// As in the manifest of the package.
const MAINTAINER: &str = "The aop authors <aop@invalid>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn read(file: &str) -> String {
        fs::read_to_string(workspace::root().join(file)).expect(file)
    }

    #[test]
    fn the_changelog_is_signed_by_the_maintainer_of_the_package() {
        let manifest = read("aop-userspace/Cargo.toml");
        assert!(manifest.contains(&format!("maintainer = \"{MAINTAINER}\"\n")), "{manifest}");
        let text = text("1.2.3", "Thu, 01 Jan 1970 00:00:00 +0000");
        assert!(text.starts_with("aop (1.2.3-1) "), "{text}");
        assert!(
            text.ends_with(
                "\n -- The aop authors <aop@invalid>  Thu, 01 Jan 1970 00:00:00 +0000\n"
            )
        );
    }

    #[test]
    fn the_copyright_file_has_the_licence_of_the_source_tree() {
        let copyright = read("packaging/debian/copyright");
        let plain = copyright.replace("\n .\n", "\n\n").replace("\n ", "\n");
        let licence = read("LICENSE-MIT");
        let (_, grant) = licence.split_once("authors\n\n").expect("a grant");
        assert!(plain.contains(grant.trim_end()), "{plain}");
    }
}
