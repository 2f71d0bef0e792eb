//! The copy of a server block for the loopback, in plain HTTP.
//!
//! On the loopback nginx sees plain HTTP on another port. So the copy replaces what says so
//! (`$scheme`, `$https`, `$server_port`), and leaves out TLS. An `include` stays one, unless
//! something in its files must change.

use std::collections::BTreeSet;

use super::{
    Place,
    servers::Server,
    tree::{Body, Directive},
};

/// Variables of the connection, those that the copy has instead, and their values.
const REPLACED: [(&str, &str, &str); 3] = [
    ("scheme", "aop_scheme", "https"),
    ("https", "aop_https", "on"),
    ("server_port", "aop_server_port", "443"),
];

/// The block of `server` for `port` of the loopback.
///
/// # Errors
/// The line that is not UTF-8: a copy of it would be another one.
pub(super) fn block<'a>(server: &Server<'a>, port: u16) -> Result<String, &'a Place> {
    let mut copy = Copy { lines: Vec::new(), variables: BTreeSet::new() };
    let (Body::Block(inside) | Body::Included(inside)) = &server.block.body else {
        return Ok(String::new());
    };
    copy.add(inside, 1)?;
    let mut text = format!(
        "# {}\nserver {{\n    listen 127.0.0.1:{port};\n    # The visitor's address, as aop sends \
         it.\n    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Forwarded-For;\n    # No \
         redirect of nginx itself names this port.\n    absolute_redirect off;\n",
        printable(&server.place().to_string())
    );
    if !copy.variables.is_empty() {
        text += "    # The edge speaks HTTPS, though aop relays in plain HTTP.\n";
    }
    for (_, variable, value) in REPLACED {
        if copy.variables.contains(variable) {
            text += &format!("    set ${variable} {value};\n");
        }
    }
    copy.lines.iter().for_each(|line| text += &format!("{line}\n"));
    Ok(text + "}\n")
}

struct Copy {
    lines: Vec<String>,
    variables: BTreeSet<&'static str>,
}

impl Copy {
    fn add<'a>(&mut self, directives: &'a [Directive], depth: usize) -> Result<(), &'a Place> {
        for directive in directives.iter().filter(|it| !is_left_out(it)) {
            self.add_one(directive, depth)?;
        }
        Ok(())
    }

    fn add_one<'a>(&mut self, directive: &'a Directive, depth: usize) -> Result<(), &'a Place> {
        let indent = "    ".repeat(depth);
        let written = self.replaced(&directive.written());
        if let Body::Included(inside) = &directive.body
            && inside.iter().any(changes)
        {
            self.lines.push(format!("{indent}# {};", printable(&directive.written())));
            return self.add(inside, depth);
        }
        if written.contains(char::REPLACEMENT_CHARACTER) {
            return Err(&directive.place);
        }
        match &directive.body {
            Body::None | Body::Included(_) => self.lines.push(format!("{indent}{written};")),
            Body::Lua(lua) if lua.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(&directive.place);
            }
            Body::Lua(lua) => self.lines.push(format!("{indent}{written} {{{lua}}}")),
            Body::Block(inside) => {
                self.lines.push(format!("{indent}{written} {{"));
                self.add(inside, depth + 1)?;
                self.lines.push(format!("{indent}}}"));
            }
        }
        Ok(())
    }

    fn replaced(&mut self, written: &str) -> String {
        let (text, variables) = replace(written);
        self.variables.extend(variables);
        text
    }
}

/// Whether the copy does not have this directive.
fn is_left_out(directive: &Directive) -> bool {
    let name = &*directive.name.text;
    let tls = ["ssl", "http2", "http3", "quic"];
    let own = ["listen", "set_real_ip_from", "absolute_redirect", "port_in_redirect"];
    let group = name.split('_').next().unwrap_or_default();
    tls.contains(&group) || own.contains(&name) || name.starts_with("real_ip_")
}

/// Whether the copy of this directive differs from it, at any depth.
fn changes(directive: &Directive) -> bool {
    let mut differs = false;
    directive.visit(&mut |it| {
        differs |= is_left_out(it) || !replace(&it.written()).1.is_empty();
    });
    differs
}

/// Puts the variables of the copy in place of those of the connection, and names them.
fn replace(written: &str) -> (String, Vec<&'static str>) {
    let (mut text, mut found) = (String::new(), Vec::new());
    let mut rest = written;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at + 1);
        let (brace, from) = match from.strip_prefix('{') {
            Some(inside) => ("{", inside),
            None => ("", from),
        };
        text = text + before + brace;
        let end = from.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        let (name, after) = from.split_at(end.unwrap_or(from.len()));
        match REPLACED.iter().find(|(variable, ..)| *variable == name) {
            Some((_, instead, _)) => {
                text += instead;
                found.push(*instead);
            }
            None => text += name,
        }
        rest = after;
    }
    (text + rest, found)
}

/// `text` in a comment: on one line.
fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_variables_are_replaced() {
        for (written, expected) in [
            (
                "return 301 $scheme://$host$request_uri",
                "return 301 $aop_scheme://$host$request_uri",
            ),
            ("\"${scheme}x\" $https", "\"${aop_scheme}x\" $aop_https"),
            ("$schemes $my_scheme scheme \\.php$", "$schemes $my_scheme scheme \\.php$"),
            ("$server_port$", "$aop_server_port$"),
        ] {
            assert_eq!(replace(written).0, expected);
        }
    }
}
