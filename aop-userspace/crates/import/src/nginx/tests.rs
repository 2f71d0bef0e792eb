//! The configurations in `configurations/`, and texts that nobody would write.
//!
//! For each `NAME.conf` there is `NAME.taken`, with all that is taken from it. With `AOP_ACCEPT=1`
//! the tests write these files anew: read them before a commit.

use std::{fs, path::Path};

use aop_config::Config;
use proptest::prelude::*;

use super::{MOST_BYTES, propose};
use crate::{ConfigProposal, KnownHost, NotTaken, ProposedSite};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configurations"))
}

fn read(input: &[u8]) -> Result<ConfigProposal, String> {
    propose(input, "/etc/nginx/sites-available/site", &|_| true).map_err(|error| error.to_string())
}

/// The configuration of aop that is made of `input`.
fn toml(proposal: &ConfigProposal) -> String {
    let interfaces = vec!["eth0".to_owned()];
    proposal.toml(&KnownHost { interfaces, certificates: Vec::new() })
}

/// All that is taken, line by line.
fn taken(input: &[u8]) -> String {
    let proposal = match read(input) {
        Ok(proposal) => proposal,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut lines: Vec<String> = proposal.sites.iter().map(site).collect();
    lines.push(format!("serves {:?}", proposal.serves));
    lines.push(format!("trial {:?}", proposal.trial));
    lines.push(format!("guards {:?}", proposal.ports()));
    lines.push(format!("include {}", proposal.include.as_deref().unwrap_or("-")));
    let note = |it: &NotTaken| {
        format!("not taken {}: {}: {}", it.at.as_deref().unwrap_or("-"), it.what, it.why)
    };
    lines.extend(proposal.not_taken.iter().map(note));
    lines.extend(proposal.nginx_blocks());
    lines.join("\n") + "\n"
}

fn site(site: &ProposedSite) -> String {
    let ProposedSite { at, hosts, certificate, key, client_ca, crl, refuses, upstream, .. } = site;
    format!(
        "site {} at {at}\n  certificate {certificate}\n  key {key}\n  client_ca {client_ca:?} crl \
         {crl:?} {}\n  upstream {upstream} ({})",
        hosts.join(" "),
        if *refuses { "refuses" } else { "observes" },
        site.because,
    )
}

fn configurations() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "conf") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn from_each_configuration_exactly_this_is_taken() {
    let configurations = configurations();
    assert!(configurations.len() >= 15);
    let mut wrong = Vec::new();
    for (name, input) in configurations {
        let taken = taken(&input);
        let file = folder().join(format!("{name}.taken"));
        if std::env::var_os("AOP_ACCEPT").is_some() {
            fs::write(&file, &taken).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != taken {
            wrong.push(format!("--- {name}\n{taken}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_proposal_is_a_configuration_with_these_sites() {
    for (name, input) in configurations() {
        let Ok(proposal) = read(&input) else { continue };
        let text = toml(&proposal);
        let config = Config::parse(Path::new("/etc/aop/aop.toml"), &text);
        let config = config.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let hosts = |at: usize| {
            let hosts = config.live.sites[at].hosts.iter();
            hosts.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(config.live.sites.len(), proposal.sites.len(), "{name}");
        for (at, site) in proposal.sites.iter().enumerate() {
            assert_eq!(hosts(at), site.hosts, "{name}");
            assert_eq!(config.live.sites[at].certificate, Path::new(&site.certificate));
            assert_eq!(config.live.sites[at].key, Path::new(&site.key));
        }
        for line in text.lines().filter(|line| line.starts_with('#')) {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
}

#[test]
fn a_text_that_is_too_large_is_refused_and_one_of_the_most_bytes_is_read() {
    let mut input = b"http { server { server_name a.example.com; } }\n".to_vec();
    input.resize(MOST_BYTES, b'#');
    assert!(read(&input).is_ok());
    input.push(b'#');
    assert!(read(&input).unwrap_err().contains("has more than 16777216 bytes"));
}

#[test]
fn words_and_depth_have_a_bound_and_the_line_is_named() {
    let many = format!("http {{\n{}}}", "deny 192.0.2.1;\n".repeat(600_000));
    let error = read(many.as_bytes()).unwrap_err();
    assert!(error.starts_with("/etc/nginx/sites-available/site:500"), "{error}");
    assert!(error.contains("more than 1000000 words"), "{error}");
    let deep = |depth: usize| format!("http {{\n{}{}}}", "a {\n".repeat(depth), "}".repeat(depth));
    assert!(read(deep(99).as_bytes()).is_ok());
    let error = read(deep(100_000).as_bytes()).unwrap_err();
    assert!(error.contains("site:101: more than 100 blocks are inside each other"), "{error}");
}

#[test]
fn files_that_include_each_other_twice_do_not_grow_without_a_bound() {
    let mut text = String::new();
    for at in 0..60 {
        let include = format!("include {}.conf;\n", at + 1).repeat(2);
        text += &format!("# configuration file /{at}.conf:\n{include}");
    }
    text += "# configuration file /60.conf:\na;\n";
    assert!(read(text.as_bytes()).unwrap_err().contains("words up to here"));
    let chain: String = (0..200)
        .map(|at| format!("# configuration file /{at}.conf:\ninclude {}.conf;\n", at + 1))
        .collect();
    let error = read(chain.as_bytes()).unwrap_err();
    assert!(error.contains("blocks and files are inside each other"), "{error}");
}

#[test]
fn a_mistake_is_named_with_file_and_line() {
    for (text, expected) in [
        ("", "site:1: there is no server block"),
        ("\u{1}\u{2}", "does not end with \";\""),
        ("just text\n", "site:1: \"just\" does not end with \";\": is the text cut?"),
        ("a;\n}\n", "site:2: a \"}\" closes nothing"),
        ("a;\n\n;", "site:3: a \";\" ends nothing"),
        ("\n{}", "site:2: a \"{\" has no name"),
        ("http {\n server {\n  listen 443", "site:3: \"listen\" does not end"),
        ("http {\n server {\n  listen 443;", "site:2: the block that begins here is not closed"),
        ("http {\n a \"b\n\nc; }", "site:2: the quote that begins here is not closed"),
        ("http { a \"b\"c; }", "site:1: a blank or \";\" must follow the quote"),
        ("server {\n a_by_lua_block {\n '}' ", "site:2: the block of Lua that begins here"),
        ("server { listen 443 ssl\n}", "site:1: \"listen\" does not end with \";\""),
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

/// Asserts the rules that hold for every text.
fn holds(input: &[u8]) {
    let Ok(proposal) = read(input) else { return };
    let text = toml(&proposal);
    if let Err(error) = Config::parse(Path::new("/etc/aop/aop.toml"), &text) {
        panic!("{error}\n{text}");
    }
    if let Some(blocks) = proposal.nginx_blocks() {
        // nginx could read the copies, too.
        read(blocks.as_bytes()).unwrap();
    }
}

#[test]
fn a_configuration_that_is_cut_anywhere_is_refused_or_read() {
    for (_, input) in configurations() {
        (0..input.len()).step_by(23).for_each(|at| holds(&input[..at]));
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic_or_a_configuration_that_cannot_be_read(
        pieces in proptest::collection::vec(piece(), 0..60)
    ) {
        let text: String = pieces.concat();
        holds(text.as_bytes());
        holds(format!("server {{ listen 443 ssl; {text} }}").as_bytes());
    }

    #[test]
    fn no_change_of_a_configuration_makes_a_panic(
        which in 0_usize..64,
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 1..8)
    ) {
        let all = configurations();
        let mut input = all[which % all.len()].1.clone();
        for (at, byte) in changes {
            let length = input.len() as f64;
            input[(at * length) as usize] = byte;
        }
        holds(&input);
    }
}

/// A piece of a configuration, or of a mistake.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        prop::sample::select(&PIECES[..]).prop_map(|it| format!("{it} ")),
        any::<char>().prop_map(String::from),
    ]
}

const PIECES: [&str; 44] = [
    "http {",
    "server {",
    "location / {",
    "location",
    "}",
    "};",
    ";",
    "\n",
    "#",
    "\"",
    "'",
    "\\",
    "listen 443 ssl;",
    "listen [::]:443 ssl;",
    "listen",
    "443",
    "ssl",
    "unix:/a",
    "server_name",
    "server_name a.example.com;",
    "*.example.com",
    ".example.com",
    "~^a$",
    "_",
    "ssl_certificate /a.pem;",
    "ssl_certificate_key /a.key;",
    "ssl_verify_client on;",
    "ssl_client_certificate a;",
    "proxy_pass http://127.0.0.1:3000;",
    "proxy_pass",
    "http://[::",
    "proxy_set_header Host $host;",
    "upstream a {",
    "server 127.0.0.1:1;",
    "$scheme",
    "${",
    "$",
    "include *;",
    "include a;",
    "\n# configuration file /a:\n",
    "content_by_lua_block {",
    "[[",
    "--",
    "]]",
];
