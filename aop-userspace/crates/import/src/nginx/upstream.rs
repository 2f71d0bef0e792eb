//! Whether aop can relay to the application itself, without nginx in between.
//!
//! It can if the server block only passes requests on, and does nothing on the way that aop does
//! not do. Each directive that is not known to be such keeps nginx in between.

use aop_config::Upstream;

use super::{
    Place,
    servers::{HttpBlock, Server},
    tree::{Body, Directive},
};

/// Directives of a server block that change no request and no response, or that concern TLS.
const OF_SERVER: &[&str] = &[
    "listen",
    "server_name",
    "http2",
    "http3",
    "access_log",
    "error_log",
    "server_tokens",
    "keepalive_timeout",
    "client_max_body_size",
    "client_body_timeout",
    "client_header_timeout",
    "send_timeout",
    "log_not_found",
    "resolver",
    "resolver_timeout",
    "set_real_ip_from",
    "real_ip_header",
    "real_ip_recursive",
    "proxy_set_header",
];

/// Directives of the location, which only say how to pass requests on.
const OF_LOCATION: &[&str] = &[
    "proxy_pass",
    "proxy_set_header",
    "proxy_http_version",
    "proxy_connect_timeout",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_buffering",
    "proxy_request_buffering",
    "proxy_buffers",
    "proxy_buffer_size",
    "proxy_busy_buffers_size",
    "proxy_max_temp_file_size",
    "proxy_cache_bypass",
    "client_max_body_size",
    "access_log",
    "error_log",
    "log_not_found",
];

/// Directives of `http` that server blocks inherit, and that keep nginx in between.
const OF_HTTP: &[&str] = &[
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "allow",
    "deny",
    "limit_req",
    "limit_conn",
    "add_header",
    "proxy_cache",
    "modsecurity",
    "error_page",
    "proxy_hide_header",
    "sub_filter",
    "more_set_headers",
    "more_clear_headers",
];

/// Why nginx stays in between: a line, and the reason.
type Reason<'a> = (&'a Place, String);

/// The upstream by which aop reaches the application of `server` without nginx.
///
/// # Errors
/// Why nginx stays in between.
pub(super) fn direct<'a>(
    server: &'a Server<'a>,
    http: &'a HttpBlock<'a>,
) -> Result<String, Reason<'a>> {
    if let Some(found) = http.shared.iter().find(|it| matters_in_http(it)) {
        return Err((&found.place, format!("{} of http", found.name.text)));
    }
    let mut locations = Vec::new();
    for directive in &server.directives {
        let name = &*directive.name.text;
        if name == "location" {
            locations.push(*directive);
        } else if !OF_SERVER.contains(&name) && !name.starts_with("ssl") {
            return Err((&directive.place, name.to_owned()));
        }
    }
    let location = match locations[..] {
        [only] if only.arguments.len() == 1 && only.argument(0) == "/" => only,
        [first, ..] => return Err((&first.place, "other locations than \"location /\"".into())),
        [] => return Err((server.place(), "there is no \"location /\"".into())),
    };
    let inside = location.inside();
    let known = |it: &&&Directive| OF_LOCATION.contains(&&*it.name.text) && it.body == Body::None;
    if let Some(other) = inside.iter().find(|it| !known(it)) {
        return Err((&other.place, other.name.text.to_string()));
    }
    let passes: Vec<&Directive> = inside.iter().copied().filter(|it| it.is("proxy_pass")).collect();
    let [pass] = passes[..] else { return Err((&location.place, "there is no proxy_pass".into())) };
    headers(pass, &[&inside, &server.directives, &http.shared])?;
    application(pass, http)
}

fn matters_in_http(directive: &Directive) -> bool {
    let name = &*directive.name.text;
    OF_HTTP.contains(&name) || name.contains("_by_lua") || name.starts_with("js_")
}

/// Whether aop sends the headers that nginx sets. The levels begin with the innermost.
fn headers<'a>(pass: &'a Directive, levels: &[&[&'a Directive]]) -> Result<(), Reason<'a>> {
    // As nginx: the headers of one level alone.
    let own = levels.iter().find_map(|level| {
        let headers: Vec<&Directive> =
            level.iter().copied().filter(|it| it.is("proxy_set_header")).collect();
        (!headers.is_empty()).then_some(headers)
    });
    let own = own.unwrap_or_default();
    if !own.iter().any(|it| it.argument(0).eq_ignore_ascii_case("host")) {
        let why = "nginx sends the host of proxy_pass to the application, and aop that of the site";
        return Err((&pass.place, why.into()));
    }
    let other = own.into_iter().find(|it| !aop_sends(it.argument(0), it.argument(1)));
    other.map_or(Ok(()), |other| Err((&other.place, format!("the header {}", other.argument(0)))))
}

/// Whether the application gets this header from aop with the same meaning.
fn aop_sends(header: &str, value: &str) -> bool {
    match header.to_ascii_lowercase().as_str() {
        "host" => ["$host", "$http_host"].contains(&value),
        "x-forwarded-for" => value.starts_with('$'),
        "x-forwarded-proto" => ["$scheme", "https"].contains(&value),
        "x-forwarded-host" => ["$host", "$http_host"].contains(&value),
        // aop relays WebSockets, and decides about its own connections.
        "upgrade" | "connection" => true,
        _ => false,
    }
}

/// The upstream for `proxy_pass`.
fn application<'a>(pass: &'a Directive, http: &'a HttpBlock<'a>) -> Result<String, Reason<'a>> {
    let no = |why: &str| Err((&pass.place, why.to_owned()));
    let target = pass.argument(0);
    let Some(target) = target.strip_prefix("http://") else {
        return no(if target.starts_with("https://") {
            "the application wants TLS, which aop does not speak to it"
        } else {
            "proxy_pass does not name an http:// address"
        });
    };
    if target.contains('$') {
        return no("proxy_pass has a variable");
    }
    let (address, path) = match target.strip_prefix("unix:") {
        Some(socket) => {
            let (socket, path) = socket.split_once(':').unwrap_or((socket, ""));
            (format!("unix:{socket}"), path)
        }
        None => {
            let at = target.find('/').unwrap_or(target.len());
            let (address, path) = target.split_at(at);
            (address.to_owned(), path)
        }
    };
    if !["", "/"].contains(&path) {
        return no("proxy_pass changes the path");
    }
    let group = http.shared.iter().find(|it| it.is("upstream") && it.argument(0) == address);
    let address = match group {
        None => address,
        Some(group) => {
            let inside = group.inside();
            let servers: Vec<&Directive> =
                inside.into_iter().filter(|it| it.is("server")).collect();
            let [one] = servers[..] else {
                let why = format!("the upstream {address} has {} servers", servers.len());
                return Err((&group.place, why));
            };
            if one.arguments.iter().skip(1).any(|it| ["down", "backup"].contains(&&*it.text)) {
                return Err((&one.place, "the only server is not in use".into()));
            }
            one.argument(0).to_owned()
        }
    };
    let upstream = match address.strip_prefix("unix:") {
        Some(socket) => format!("unix+http://{socket}"),
        None if has_port(&address) => format!("http://{address}"),
        None => format!("http://{address}:80"),
    };
    match upstream.parse::<Upstream>() {
        Ok(_) => Ok(upstream),
        Err(_) => no("the address in proxy_pass is none that aop can use"),
    }
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}
