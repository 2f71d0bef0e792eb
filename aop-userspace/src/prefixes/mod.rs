//! The admitted prefixes: where they come from, and who they admit.
//!
//! [`load`] reads a source as a whole or refuses it as a whole. [`Admission`] is the set that
//! packets and handshakes are judged by, including prefixes that left the list and still drain.

mod admission;
mod snapshot;

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

pub use admission::{Admission, monotonic_seconds};
use aop_common::layout::MAX_PREFIXES;
use ipnet::IpNet;

use crate::config::PrefixSource;

/// The widest prefixes that are believed: nobody's network is wider.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Why a list is refused. The list before it stays.
#[derive(Debug, thiserror::Error)]
pub enum PrefixError {
    /// The file cannot be read.
    #[error("{}: cannot read the prefix list: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line is no CIDR.
    #[error("{}:{line}: {message}. The whole list is refused", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The file has no CIDR at all.
    #[error(
        "{}: the list has no prefix and would admit nobody, so it is refused. \
         Fill it, or write source = [] to mean it", .0.display()
    )]
    Empty(PathBuf),
    /// More prefixes than the maps hold.
    #[error("{count} prefixes of one family; at most {MAX_PREFIXES} fit")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// Reads the prefixes of `source`, each once.
///
/// # Errors
/// The file cannot be read, has a line that is no CIDR, or is empty; or there are more than
/// [`MAX_PREFIXES`] of a family.
pub fn load(source: &PrefixSource, extra: &[IpNet]) -> Result<Vec<IpNet>, PrefixError> {
    let mut prefixes = match source {
        PrefixSource::Cloudflare => snapshot::cloudflare(),
        PrefixSource::File(path) => file(path)?,
        PrefixSource::Inline(list) => list.clone(),
    };
    prefixes.extend_from_slice(extra);
    prefixes.sort_unstable();
    prefixes.dedup();
    let v4 = prefixes.iter().filter(|prefix| prefix.addr().is_ipv4()).count();
    let count = v4.max(prefixes.len() - v4);
    if count > MAX_PREFIXES { Err(PrefixError::TooMany { count }) } else { Ok(prefixes) }
}

fn file(path: &Path) -> Result<Vec<IpNet>, PrefixError> {
    let text = fs::read_to_string(path)
        .map_err(|error| PrefixError::Unreadable { path: path.into(), error })?;
    let mut prefixes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let refused = |message| PrefixError::Line { path: path.into(), line: index + 1, message };
        prefixes.push(parse(entry).map_err(refused)?);
    }
    if prefixes.is_empty() { Err(PrefixError::Empty(path.into())) } else { Ok(prefixes) }
}

/// Reads one CIDR, or a bare address as a prefix of full length.
///
/// # Errors
/// It is neither, has bits set behind its length, admits everybody, or spells an IPv4 network in
/// IPv6.
pub fn parse(text: &str) -> Result<IpNet, String> {
    let prefix = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(prefix), _) => prefix,
        (Err(_), Ok(address)) => IpNet::from(address),
        (Err(_), Err(_)) => {
            return Err(format!("{text:?} is not a CIDR, as 192.0.2.0/24 or 2001:db8::/32"));
        }
    };
    if prefix != prefix.trunc() {
        return Err(format!(
            "{text:?} has bits behind its length; did you mean {}?",
            prefix.trunc()
        ));
    }
    let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
    if prefix.prefix_len() < shortest {
        return Err(format!("{text:?} would admit half the world; /{shortest} is the widest"));
    }
    if let IpNet::V6(v6) = prefix
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(format!("{text:?} is an IPv4 network in IPv6 spelling; write it as IPv4"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cidr_that_is_none_is_refused_and_explained() {
        for text in [
            "",
            "cloudflare",
            "<html>",
            "300.1.1.0/24",
            "192.0.2.1/24",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "::/0",
            "128.0.0.0/1",
            "2000::/3",
            "::ffff:192.0.2.0/120",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_bare_address_is_a_prefix_of_full_length() {
        assert_eq!(parse("192.0.2.1"), Ok("192.0.2.1/32".parse().expect("a CIDR")));
        assert_eq!(parse("2001:db8::1"), Ok("2001:db8::1/128".parse().expect("a CIDR")));
    }

    #[test]
    fn one_bad_line_refuses_the_whole_list_by_its_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("list");
        fs::write(&path, "# ours\n192.0.2.0/24\n\n198.51.100.0/33 # typo\n").expect("written");
        let error = load(&PrefixSource::File(path.clone()), &[]).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("{}:4: ", path.display())), "{error}");
    }

    #[test]
    fn an_empty_file_is_refused_but_an_empty_inline_list_means_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("list");
        fs::write(&path, "# nothing\n").expect("written");
        assert!(matches!(load(&PrefixSource::File(path), &[]), Err(PrefixError::Empty(_))));
        assert_eq!(load(&PrefixSource::Inline(Vec::new()), &[]).expect("allowed"), []);
    }
}
