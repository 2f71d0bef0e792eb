//! Requests of every shape, each with a short answer.

use super::{Case, ok, request, sized};
use crate::script::Step;

const MEGABYTE: usize = 1024 * 1024;

pub(super) fn all() -> Vec<Case> {
    let mut cases = methods();
    cases.extend(bodies());
    cases.extend(targets());
    cases.extend(fields());
    cases
}

fn methods() -> Vec<Case> {
    let plain = |name, method| Case::plain(name, request(method, "/", ""), ok());
    let head = sized("200 OK", "", "")
        .replace("Content-Length: 0", "Content-Length: 4321\r\nETag: \"one\"");
    vec![
        plain("GET", "GET"),
        Case::plain("HEAD with a length", request("HEAD", "/", ""), head),
        plain("OPTIONS", "OPTIONS"),
        plain("DELETE without a body", "DELETE"),
        plain("PROPFIND", "PROPFIND"),
        plain("a method of no standard", "REFRESH"),
    ]
}

fn bodies() -> Vec<Case> {
    let sized = |name, method, length: usize| {
        let head = request(method, "/body", &format!("Content-Length: {length}\r\n"));
        let steps = [Step::Send(head.into()), Step::Pattern(length)];
        Case::steps(name, steps, [Step::ReadBody, Step::Send(ok().into())])
    };
    let chunked = |name, total, each| {
        let head = request("POST", "/body", "Transfer-Encoding: chunked\r\n");
        let steps = [Step::Send(head.into()), Step::Chunks { total, each }];
        Case::steps(name, steps, [Step::ReadBody, Step::Send(ok().into())])
    };
    vec![
        sized("POST without bytes", "POST", 0),
        sized("POST of 1 byte", "POST", 1),
        sized("POST of 1 MB", "POST", MEGABYTE),
        sized("PUT of 64 KB and 1 byte", "PUT", 65_537),
        sized("PATCH of 16 KB", "PATCH", 16_384),
        sized("DELETE with a body", "DELETE", 5),
        sized("GET with a body", "GET", 5),
        chunked("chunks of 1 byte", 300, 1),
        chunked("chunks of 64 KB", MEGABYTE, 65_536),
        chunked("one chunk of 1 MB", MEGABYTE, MEGABYTE),
        chunked("no chunk but the last", 0, 1),
    ]
}

fn targets() -> Vec<Case> {
    let get = |name, target: &str| Case::plain(name, request("GET", target, ""), ok());
    let long = format!("/{}?{}", "p".repeat(4_000), "q=1&".repeat(3_000));
    vec![
        get("a target of 16 KB", &long),
        get("a query without a path", "/?"),
        get("escapes", "/%00/%2F/%e2%82%ac/%zz?%"),
        get("dots and slashes", "//a/./b/../c//"),
        get("reserved characters", "/a;b=c,d:e@f!g$h&i'j(k)l*m+n?o=p?q/r"),
        get("characters that have no place in a URL", "/a|b^c`d{e}[f]\\g"),
    ]
}

fn fields() -> Vec<Case> {
    let get = |name, fields: &str| Case::plain(name, request("GET", "/", fields), ok());
    let many: String = (0..90).map(|n| format!("X-Field-{n}: value {n}\r\n")).collect();
    let cookie = format!("Cookie: a={}\r\n", "c".repeat(30_000));
    vec![
        get("90 fields", &many),
        get("a cookie of 30 KB", &cookie),
        get("two cookies in one field", "Cookie: a=1; b=2\r\n"),
        get("the same field twice", "X-Twice: one\r\nX-Twice: two\r\n"),
        get("an empty value", "X-Empty:\r\n"),
        get("names with marks", "X!#$%&'*.^`|~: marks\r\n"),
        get("a value in UTF-8", "X-City: Zürich\r\n"),
        get("a range", "Range: bytes=0-99\r\nIf-Range: \"one\"\r\n"),
        get(
            "conditions",
            "If-None-Match: W/\"a\", \"b\"\r\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
        ),
        get("credentials", "Authorization: Basic dXNlcjpwYXNz\r\n"),
        get("a field that Connection names", "Connection: X-Hop\r\nX-Hop: 1\r\n"),
        get("the visitor's address", "CF-Connecting-IP: 192.0.2.7\r\nCF-Ray: 1-TST\r\n"),
    ]
}
