use aop_config::{HttpUpstream, UpstreamAddress};

use super::*;

fn http(version: HttpVersion) -> HttpConfig {
    HttpConfig::new(HttpUpstream { version, address: UpstreamAddress::Tcp("a:1".into()) })
}

const SHOWN: &str = ":AAAA:";

fn prepared(request: RequestHead, http: &HttpConfig) -> RequestHead {
    prepared_of(VisitorTrust::Trusted, request, http)
}

fn prepared_of(
    visitor_trust: VisitorTrust,
    mut request: RequestHead,
    http: &HttpConfig,
) -> RequestHead {
    let named = RequestHost::parse(&request).unwrap();
    let certificate = Some(SHOWN);
    let peer = PeerFacts { address: "192.0.2.7".parse().unwrap(), certificate, visitor_trust };
    rewrite_request(&mut request, &named, &peer, http).unwrap();
    request
}

fn get(fields: &[(&str, &str)]) -> RequestHead {
    let mut request =
        RequestHead { method: b"GET".into(), path: b"/a?b".into(), ..RequestHead::default() };
    request.fields.push(b"host", b"example.com");
    for (name, value) in fields {
        request.fields.push(name.as_bytes(), value.as_bytes());
    }
    request
}

fn values<'a>(head: &'a RequestHead, name: &str) -> Vec<&'a str> {
    let name = name.to_ascii_lowercase();
    let of_name = head.fields.iter().filter(|field| field.name == name.as_bytes());
    of_name.map(|field| str::from_utf8(field.value).unwrap()).collect()
}

fn contains(head: &RequestHead, name: &str) -> bool {
    !values(head, name).is_empty()
}

#[test]
fn the_peer_cannot_set_our_fields_in_any_spelling() {
    let forged = [
        "x-forwarded-for",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "x-forwarded_for",
        "X-Forwarded-Proto",
        "X-FORWARDED-HOST",
        "X_FORWARDED_HOST",
        "X-Forwarded-Prefix",
        "Forwarded",
        "FORWARDED",
        "X-SSL-Client-Verify",
        "X_SSL_CLIENT_VERIFY",
        "x-ssl-cert",
        "Client-Cert",
        "Client_Cert",
        "CLIENT-CERT-CHAIN",
        "client_cert_chain",
        "Proxy",
        "CF_Connecting_IP",
        "cf-connecting_ip",
        "X-Real-IP",
        "x_real_ip",
        "X.Forwarded.For",
        "x~forwarded!for",
        "X-Forwarded",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "True_Client_IP",
        // Each of these would change the message.
        "Transfer_Encoding",
        "Content_Length",
        "Content_Type",
        "Keep_Alive",
        "Proxy_Authorization",
        "HTTP2-Settings",
    ];
    let fields: Vec<_> = forged.iter().map(|name| (*name, "forged")).collect();
    for version in [HttpVersion::Http1, HttpVersion::H2c] {
        let head = prepared(get(&fields), &http(version));
        for field in head.fields.iter() {
            assert_ne!(field.value, b"forged", "{}", field.name.escape_ascii());
        }
        assert_eq!(values(&head, "client-cert"), [":AAAA:"]);
    }
}

#[test]
fn the_visitor_is_forwarded_in_the_form_that_the_site_configures() {
    let mut http = http(HttpVersion::Http1);
    for (named, normalized, forwarded) in [
        (&["198.51.100.1"][..], "198.51.100.1", "198.51.100.1"),
        (&["2001:db8::1"], "2001:db8::1", "\"[2001:db8::1]\""),
        // No visitor, nonsense, or two: the peer counts as the visitor.
        (&[], "192.0.2.7", "192.0.2.7"),
        (&["198.51.100.1, 10.0.0.1"], "192.0.2.7", "192.0.2.7"),
        (&["\"198.51.100.1\""], "192.0.2.7", "192.0.2.7"),
        (&["198.51.100.1", "10.0.0.1"], "192.0.2.7", "192.0.2.7"),
    ] {
        let fields: Vec<_> = named.iter().map(|value| ("CF-Connecting-IP", *value)).collect();
        http.forwarded = ForwardedHeaders::X;
        let head = prepared(get(&fields), &http);
        assert_eq!(values(&head, "x-forwarded-for"), [normalized]);
        assert_eq!(values(&head, "x-forwarded-proto"), ["https"]);
        assert_eq!(values(&head, "x-forwarded-host"), ["example.com"]);
        assert!(!contains(&head, "forwarded"));
        let believed = named.len() == 1 && *named[0] == *normalized;
        assert_eq!(contains(&head, "cf-connecting-ip"), believed);

        let whole = format!("for={forwarded};proto=https;host=\"example.com\"");
        http.forwarded = ForwardedHeaders::Rfc7239;
        let head = prepared(get(&fields), &http);
        assert_eq!(values(&head, "forwarded"), [&whole]);
        assert!(!contains(&head, "x-forwarded-for"));
        http.forwarded = ForwardedHeaders::Both;
        let head = prepared(get(&fields), &http);
        assert_eq!(values(&head, "forwarded"), [&whole]);
        assert_eq!(values(&head, "x-forwarded-for"), [normalized]);
    }
}

#[test]
fn an_unauthenticated_peer_cannot_name_a_visitor_or_set_fields_of_the_edge() {
    let fields = [
        ("CF-Connecting-IP", "198.51.100.1"),
        ("True-Client-IP", "198.51.100.1"),
        ("CF-Connecting-IPv6", "2001:db8::1"),
        ("CF-IPCountry", "DE"),
        ("CF-Access-Authenticated-User-Email", "a@example.com"),
        ("X-Own", "1"),
    ];
    for version in [HttpVersion::Http1, HttpVersion::H2c] {
        let mut http = http(version);
        http.forwarded = ForwardedHeaders::Both;
        let head = prepared_of(VisitorTrust::Untrusted, get(&fields), &http);
        assert_eq!(values(&head, "x-forwarded-for"), ["192.0.2.7"]);
        let forwarded = "for=192.0.2.7;proto=https;host=\"example.com\"";
        assert_eq!(values(&head, "forwarded"), [forwarded]);
        for (name, value) in fields {
            let believed = prepared(get(&fields), &http);
            assert_eq!(values(&believed, name), [value]);
            assert_eq!(contains(&head, name), name == "X-Own", "{name}");
        }
    }
}

#[test]
fn connection_cannot_remove_our_fields_or_fields_that_define_the_message() {
    let head = prepared(
        get(&[
            ("Connection", "close, X-Forwarded-For, client-cert, X-Own"),
            ("Connection", "host, content-length, CF-Connecting-IP, Cookie"),
            ("X-Own", "1"),
            ("Cookie", "a=b"),
            ("Content-Length", "5"),
            ("CF-Connecting-IP", "198.51.100.1"),
            ("Keep-Alive", "5"),
            ("Proxy-Connection", "close"),
            ("Proxy-Authorization", "Basic"),
            ("Upgrade", "h2c"),
            ("TE", "gzip, trailers"),
            ("Expect", "100-continue"),
        ]),
        &http(HttpVersion::Http1),
    );
    for removed in
        ["connection", "x-own", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"]
    {
        assert!(!contains(&head, removed), "{removed}");
    }
    assert_eq!(values(&head, "x-forwarded-for"), ["198.51.100.1"]);
    assert_eq!(values(&head, "client-cert"), [":AAAA:"]);
    assert_eq!(values(&head, "host"), ["example.com"]);
    assert_eq!(values(&head, "content-length"), ["5"]);
    assert_eq!(values(&head, "cookie"), ["a=b"]);
    assert_eq!(values(&head, "te"), ["trailers"]);
    // The application decides about the body.
    assert_eq!(values(&head, "expect"), ["100-continue"]);
}

#[test]
fn true_client_ip_passes_only_if_it_equals_cf_connecting_ip() {
    for (other, passes) in [("198.51.100.1", true), ("10.0.0.1", false)] {
        let fields = [("CF-Connecting-IP", "198.51.100.1"), ("True-Client-IP", other)];
        let head = prepared(get(&fields), &http(HttpVersion::Http1));
        assert_eq!(contains(&head, "true-client-ip"), passes);
    }
}

#[test]
fn fields_that_belong_into_a_head_are_removed_from_trailers() {
    let mut trailers = Fields::default();
    let forged =
        ["cf-connecting-ip", "true-client-ip", "cf_ray", "authorization", "cookie", "host"];
    let framing = ["content-length", "content_length", "transfer-encoding", "content-type"];
    for name in forged.into_iter().chain(framing) {
        trailers.push(name.as_bytes(), b"forged");
    }
    trailers.push(b"grpc-status", b"0");
    clean_trailers(&mut trailers);
    let names: Vec<_> = trailers.iter().map(|field| field.name).collect();
    assert_eq!(names, [b"grpc-status"]);
}

#[test]
fn fields_for_the_application_pass_unchanged() {
    let fields = [
        ("cookie", "a=b"),
        ("cf-ray", "abc-FRA"),
        ("authorization", "Bearer x"),
        ("x_custom", "1"),
        ("user-agent", "u"),
    ];
    let head = prepared(get(&fields), &http(HttpVersion::Http1));
    for (name, value) in fields {
        assert_eq!(values(&head, name), [value]);
    }
    assert_eq!(head.path, b"/a?b");
}

#[test]
fn target_and_host_have_the_form_of_the_upstream_s_protocol() {
    let http2 = |cookies: &[&str]| {
        let mut request = get(&[]);
        request.fields.clear();
        (request.version, request.authority) = (Version::Http2, b"example.com".into());
        for cookie in cookies {
            request.fields.push(b"cookie", cookie.as_bytes());
        }
        request
    };
    let head = prepared(http2(&["a=b", "c=d", "e=f"]), &http(HttpVersion::Http1));
    assert_eq!(head.path, b"/a?b");
    assert_eq!(values(&head, "host"), ["example.com"]);
    assert_eq!(values(&head, "cookie"), ["a=b; c=d; e=f"]);

    for request in [http2(&[]), get(&[])] {
        let head = prepared(request, &http(HttpVersion::H2c));
        let (scheme, authority) = (&head.scheme[..], &head.authority[..]);
        assert_eq!((scheme, authority), (&b"http"[..], &b"example.com"[..]));
        assert_eq!(head.path, b"/a?b");
        assert!(!contains(&head, "host"));
    }
}

#[test]
fn only_an_upgrade_to_websocket_is_passed_on() {
    let upgrade = |fields: &[(&str, &str)], body, version| {
        let mut head = RequestHead { body, ..get(fields) };
        let named = RequestHost::parse(&head).unwrap();
        let visitor_trust = VisitorTrust::Trusted;
        let peer =
            PeerFacts { address: "192.0.2.7".parse().unwrap(), certificate: None, visitor_trust };
        let upgrade = rewrite_request(&mut head, &named, &peer, &http(version)).unwrap();
        assert_eq!(upgrade == Upgrade::WebSocket, contains(&head, "upgrade"));
        upgrade
    };
    let (one, none) = (HttpVersion::Http1, BodyLength::Empty);
    let asked = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")];
    assert_eq!(upgrade(&asked, none, one), Upgrade::WebSocket);
    assert_eq!(upgrade(&asked, BodyLength::Known(0), one), Upgrade::WebSocket);
    assert_eq!(upgrade(&asked, none, HttpVersion::H2c), Upgrade::None);
    assert_eq!(upgrade(&asked[1..], none, one), Upgrade::None);
    let h2c = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")];
    assert_eq!(upgrade(&h2c, none, one), Upgrade::None);
    for body in [BodyLength::Known(5), BodyLength::Unknown] {
        assert_eq!(upgrade(&asked, body, one), Upgrade::None);
    }
}
