//! The parts of the configuration beside the server blocks of `http`: other servers, every port,
//! and a place for a file of ours.

use std::collections::HashSet;

use super::{
    includes,
    servers::HttpBlock,
    tree::{Directive, flat},
};
use crate::NotTaken;

/// Patterns of `include` by which nginx would read a file of ours.
const INCLUDE_ENDS: [&str; 2] = ["/*.conf", "/*"];

/// The servers of `stream` and `mail`.
pub(super) fn other_servers(main: &[Directive]) -> Vec<NotTaken> {
    let mut found = Vec::new();
    for block in flat(main).into_iter().filter(|it| it.is("stream") || it.is("mail")) {
        for server in block.inside().into_iter().filter(|it| it.is("server")) {
            let inside = server.inside();
            let listens = inside.iter().filter(|it| it.is("listen"));
            let listens: Vec<String> = listens.map(|it| it.written()).collect();
            let what = format!("a server of {} ({})", block.name.text, listens.join(", "));
            let why = "it relays bytes, not requests of a host. If the CDN pulls through it, write \
                       a site with a tcp:// upstream by hand";
            found.push(NotTaken::at(&server.place, what, why));
        }
    }
    found
}

/// Every port that stands in the configuration: alone in a `listen`, or after a colon.
pub(super) fn ports(main: &[Directive]) -> HashSet<u16> {
    let mut ports = HashSet::new();
    for directive in main {
        directive.visit(&mut |it| {
            if it.is("listen") {
                ports.extend(it.argument(0).parse::<u16>());
            }
            for after in it.words().flat_map(|word| word.split(':').skip(1)) {
                let end = after.find(|letter: char| !letter.is_ascii_digit());
                ports.extend(after[..end.unwrap_or(after.len())].parse::<u16>());
            }
        });
    }
    ports
}

/// The pattern of an `include` in `http` by which nginx would read a file of ours, as
/// `conf.d/*.conf`.
pub(super) fn include(http: &HttpBlock<'_>, folder: &str) -> Option<String> {
    let paths = http.includes.iter().map(|path| includes::absolute(folder, path));
    let fits = |path: &String| {
        let end = INCLUDE_ENDS.iter().find_map(|end| path.strip_suffix(end));
        end.is_some_and(|folder| !folder.contains(['*', '?', '[']))
    };
    paths.filter(fits).min_by_key(|path| !path.ends_with(".conf"))
}
