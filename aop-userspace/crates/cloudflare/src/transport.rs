//! One HTTP request to the API, in the process without privilege.

use std::{io::Read, time::Duration};

use aop_config::ApiUrl;
use aop_https::{
    Agent, Body, Error, Timeout,
    http::{HeaderValue, Request, Response, header},
};

use crate::{
    ApiError, ApiToken, Call, SecretText,
    answer::{self, Answer, HttpAnswer},
    call::HttpCall,
};

/// The time limit of name resolution, connection, handshake and the whole answer together.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The longest answer. A page of 50 certificates takes a twentieth of it.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// The way to the API, with the token.
pub(crate) struct Transport {
    agent: Agent,
    api: ApiUrl,
    authorization: HeaderValue,
}

impl Transport {
    pub(crate) fn new(api: ApiUrl, token: &ApiToken) -> Result<Self, String> {
        let bearer = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut authorization =
            HeaderValue::from_str(&bearer).map_err(|_| "the token is no header".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self { agent: aop_https::client(&api, DEADLINE), api, authorization })
    }

    /// Makes a call.
    pub(crate) fn call(&self, call: &Call) -> Result<Answer, ApiError> {
        let HttpCall { method, path, body } = call.http();
        let request = Request::builder()
            .method(method.name())
            .uri(format!("{}{path}", self.api.as_str()))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, "application/json");
        let failed = |error| transport_error(call, &error);
        let response = match body.as_ref().map(SecretText::expose) {
            None => request.body(()).map_err(Error::from).and_then(|it| self.agent.run(it)),
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body)
                .map_err(Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        answer::read(call, &http_answer(response.map_err(failed)?).map_err(failed)?)
    }
}

fn http_answer(mut response: Response<Body>) -> Result<HttpAnswer, Error> {
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(MAX_ANSWER + 1).read_to_end(&mut body);
    read.map_err(Error::from)?;
    if body.len() as u64 > MAX_ANSWER {
        return Err(Error::BodyExceedsLimit(MAX_ANSWER));
    }
    Ok(HttpAnswer { status: response.status().as_u16(), retry_after, body })
}

/// Tells a call that never left this host from one whose answer was lost.
#[expect(clippy::wildcard_enum_match_arm, reason = "the errors are open-ended")]
fn transport_error(call: &Call, error: &Error) -> ApiError {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let unsent = match error {
        Error::HostNotFound
        | Error::ConnectionFailed
        | Error::ConnectProxyFailed(_)
        | Error::InvalidProxyUrl
        | Error::BadUri(_)
        | Error::Tls(_)
        | Error::Rustls(_)
        | Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        Error::Io(error) => {
            [ConnectionRefused, HostUnreachable, NetworkUnreachable].contains(&error.kind())
        }
        _ => false,
    };
    let why = match error {
        Error::Timeout(_) => format!("no answer within {} s", DEADLINE.as_secs()),
        other => other.to_string(),
    };
    if unsent { ApiError::unsent(call, &why) } else { ApiError::lost(call, &why) }
}
