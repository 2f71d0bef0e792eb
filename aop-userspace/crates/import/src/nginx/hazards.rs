//! Lines that mean something else on the loopback, where TLS and the edge's address are gone.

use super::tree::{Body, Directive};
use crate::NotTaken;

/// The variables of such lines: a prefix of the name, and what is different.
const VARIABLES: [(&str, &str); 3] = [
    (
        "ssl_",
        "is empty on the loopback, where aop has ended TLS and verified the certificate: remove the \
         check from the copy once aop enforces",
    ),
    ("proxy_protocol_", "is empty on the loopback: use $remote_addr, the visitor's address"),
    ("realip_remote_", "is that of aop on the loopback: use $remote_addr, the visitor's address"),
];

/// The same for directives of `http`, which no copy can change.
const OF_HTTP: [&str; 3] = ["scheme", "https", "server_port"];

/// The differences in a server block, each kind once.
pub(super) fn of_server(block: &Directive) -> Vec<NotTaken> {
    let mut found: Vec<NotTaken> = Vec::new();
    let mut kinds: Vec<&str> = Vec::new();
    let mut add = |directive: &Directive, what: String, why: &'static str| {
        if !kinds.contains(&why) {
            kinds.push(why);
            found.push(NotTaken::at(&directive.place, what, why));
        }
    };
    block.visit(&mut |directive| {
        for (prefix, why) in VARIABLES {
            if let Some(name) = variables(directive).find(|it| it.starts_with(prefix)) {
                add(directive, format!("${name}"), why);
            }
        }
        let by_address = ["allow", "deny"].contains(&&*directive.name.text);
        if by_address && directive.argument(0) != "all" {
            add(directive, directive.written(), BY_ADDRESS);
        }
        if let Body::Lua(lua) = &directive.body
            && ["ngx.var.ssl_", "ngx.var.scheme", "ngx.var.https", "ngx.ssl"]
                .iter()
                .any(|it| lua.contains(it))
        {
            add(directive, directive.written(), LUA);
        }
    });
    found
}

const BY_ADDRESS: &str = "is compared with the visitor's address on the loopback. If it names \
                          networks of the CDN, remove it from the copy, with the \"deny all\" \
                          after it: aop admits these networks";
const LUA: &str = "this Lua asks for the TLS connection, which is aop's: the copy has it unchanged";

/// The differences in the directives of `http`.
pub(super) fn of_http(shared: &[&Directive]) -> Vec<NotTaken> {
    let mut found = Vec::new();
    for directive in shared.iter().filter(|it| !it.is("log_format") && !it.is("upstream")) {
        directive.visit(&mut |it| {
            for name in variables(it) {
                let known = VARIABLES.iter().find(|(prefix, _)| name.starts_with(prefix));
                let plain = OF_HTTP.contains(&name).then_some(
                    "says http or the loopback's port for requests that aop relays: use \
                     $http_x_forwarded_proto",
                );
                if let Some(why) = known.map(|(_, why)| *why).or(plain) {
                    found.push(NotTaken::at(&it.place, format!("${name}"), why));
                }
            }
        });
    }
    found
}

/// The names of the variables in a directive.
fn variables(directive: &Directive) -> impl Iterator<Item = &str> {
    directive.words().flat_map(|word| {
        word.split('$').skip(1).map(|from| {
            let from = from.strip_prefix('{').unwrap_or(from);
            let end = from.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            &from[..end.unwrap_or(from.len())]
        })
    })
}
