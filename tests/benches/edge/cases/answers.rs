//! Answers of every shape to a plain GET.

use super::{Case, request, sized};
use crate::script::Step;

const MEGABYTES: usize = 100 * 1024 * 1024;

pub(super) fn all() -> Vec<Case> {
    let mut cases = statuses();
    cases.extend(bodies());
    cases.extend(fields());
    cases.extend(cut());
    cases
}

fn get(name: &'static str, answer: impl Into<Vec<u8>>) -> Case {
    Case::plain(name, request("GET", "/answer", ""), answer)
}

fn statuses() -> Vec<Case> {
    let bare = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    let parts = "--b\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--b\r\n\
                 Content-Range: bytes 4-5/9\r\n\r\nef\r\n--b--\r\n";
    vec![
        get("204", bare("204 No Content", "X-After: 1\r\n")),
        get("205", sized("205 Reset Content", "", "")),
        get("304", bare("304 Not Modified", "ETag: \"one\"\r\n")),
        get(
            "206 with one range",
            sized("206 Partial Content", "Content-Range: bytes 0-3/9\r\n", "abcd"),
        ),
        get(
            "206 with two ranges",
            sized(
                "206 Partial Content",
                "Content-Type: multipart/byteranges; boundary=b\r\n",
                parts,
            ),
        ),
        get("416", sized("416 Range Not Satisfiable", "Content-Range: bytes */9\r\n", "")),
        get(
            "301",
            sized("301 Moved Permanently", "Location: https://example.com/b?c#d\r\n", "moved"),
        ),
        get(
            "401 with two challenges",
            sized(
                "401 Unauthorized",
                "WWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n",
                "no",
            ),
        ),
        get("404", sized("404 Not Found", "", "not here")),
        get("429", sized("429 Too Many Requests", "Retry-After: 7\r\n", "later")),
        get("500", sized("500 Internal Server Error", "", "the application failed")),
        get("503", sized("503 Service Unavailable", "Retry-After: 1\r\n", "busy")),
        get("a status of no standard", sized("299 Fine", "", "fine")),
        get("no reason", sized("200 ", "", "ok")),
    ]
}

fn bodies() -> Vec<Case> {
    let head = |fields: &str| Step::Send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into());
    let ask = || [Step::Send(request("GET", "/body", "").into())];
    let length = format!("Content-Length: {MEGABYTES}\r\n");
    let upload = Step::Send(request("PUT", "/body", &length).into());
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        get("an empty body", sized("200 OK", "", "")),
        Case::steps(
            "chunks of 1 byte back",
            ask(),
            [Step::ReadBody, head(chunked), Step::Chunks { total: 300, each: 1 }],
        ),
        Case::steps(
            "chunks of 64 KB back",
            ask(),
            [Step::ReadBody, head(chunked), Step::Chunks { total: 1_000_000, each: 65_536 }],
        ),
        Case::steps(
            "a body that the close ends",
            ask(),
            [Step::ReadBody, head("Connection: close\r\n"), Step::Pattern(70_000), Step::Close],
        ),
        Case::steps(
            "an answer in HTTP/1.0",
            ask(),
            [Step::ReadBody, Step::Send(b"HTTP/1.0 200 OK\r\n\r\nold".to_vec()), Step::Close],
        ),
        Case::steps(
            "100 MB down",
            ask(),
            [Step::ReadBody, head(&length), Step::Pattern(MEGABYTES)],
        ),
        Case::steps(
            "100 MB up",
            [upload, Step::Pattern(MEGABYTES)],
            [Step::ReadBody, Step::Send(sized("200 OK", "", "got it").into())],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let with = |name, fields: &str| get(name, sized("200 OK", fields, "ok"));
    let cookies: String = (0..150).map(|n| format!("Set-Cookie: n{n}=1; Path=/\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "l".repeat(30_000));
    let many: String = (0..200).map(|n| format!("X-Field-{n}: {}\r\n", "v".repeat(200))).collect();
    vec![
        with("a Date of the application", "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n"),
        with("150 cookies", &cookies),
        with("a field of 30 KB", &long),
        with("200 fields, 44 KB", &many),
        with("the same field back twice", "Vary: Accept\r\nVary: Cookie\r\n"),
        with("an empty value back", "X-Empty: \r\n"),
        with("a value back in UTF-8", "X-City: Zürich\r\n"),
        with("Via and Server", "Via: 1.1 inner\r\nServer: app/1\r\n"),
        with("a field that Connection names back", "Connection: X-Hop\r\nX-Hop: 1\r\n"),
        with("Link", "Link: </a.css>; rel=preload, </b.js>; rel=preload\r\n"),
    ]
}

/// Answers that end too early. The visitor must notice.
fn cut() -> Vec<Case> {
    let cut = |name, text: &str| {
        let ask = [Step::Send(request("GET", "/cut", "").into())];
        Case::steps(name, ask, [Step::ReadBody, Step::Send(text.into()), Step::Close])
    };
    vec![
        cut("a body that is cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"),
        cut(
            "a chunk that is cut",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n01234",
        ),
        cut("no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"),
    ]
}
