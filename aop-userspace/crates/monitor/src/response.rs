//! Answers to requests, with what a browser may do with them.

use std::borrow::Cow;

use aop_http::{BodyLength, ResponseHead};

use super::page::{Page, TEXT};

/// The result of one request.
pub(super) type Response = (ResponseHead, Cow<'static, str>);

/// An answer of one line.
pub(super) fn with_text(status: u16, text: &str) -> Response {
    with_body(status, TEXT, format!("{text}\n"))
}

/// A page.
pub(super) fn with_page(page: Page) -> Response {
    with_body(page.status.code(), page.content_type, page.body)
}

/// An answer with this body.
pub(super) fn with_body(
    status: u16,
    content_type: &str,
    body: impl Into<Cow<'static, str>>,
) -> Response {
    let body = body.into();
    let length = body.len();
    let mut response =
        ResponseHead { status, body: BodyLength::Known(length as u64), ..ResponseHead::default() };
    response.fields.push(b"cache-control", b"no-store");
    response.fields.push(b"content-type", content_type.as_bytes());
    response.fields.push(b"content-length", length.to_string().as_bytes());
    response.fields.push(b"x-content-type-options", b"nosniff");
    (response, body)
}

/// Adds what a browser may do with the response.
pub(super) fn with_policy((mut response, body): Response, policy: &str) -> Response {
    response.fields.push(b"content-security-policy", policy.as_bytes());
    response.fields.push(b"cross-origin-resource-policy", b"same-origin");
    response.fields.push(b"referrer-policy", b"no-referrer");
    (response, body)
}
