//! The process that talks to the API: it holds the token, has no privilege, and parses what the
//! network sends. It answers each message with one, until the channel closes.

#[cfg(test)]
mod tests;

use std::{os::unix::net::UnixStream, time::Duration};

use aop_sandbox::channel::{self, ChannelError, Message};
use aop_types::Cleaned;
use serde::{Deserialize, Serialize};

use crate::{
    ApiError, ApiToken, Call,
    answer::Answer,
    judge::{self, JudgeRequest, LeafVerdict},
    transport::{DEADLINE, Transport},
};

/// How long the parent waits for an answer: a call, and the time to start the process.
pub(crate) const PATIENCE: Duration = DEADLINE.saturating_add(Duration::from_secs(5));

/// The longest answer. A page of the API in this form takes twice its bytes at most.
pub(crate) const MAX_REPLY: usize = 16 * 1024 * 1024;

/// The most characters of a string in an answer: a certificate chain in hexadecimal.
const MAX_TEXT: usize = 128 * 1024;

/// A message to the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProcessRequest {
    /// The first message.
    Open {
        /// The base of the API's URLs.
        api: String,
        /// The token.
        token: ApiToken,
    },
    /// A call of the API.
    Call(Call),
    /// A question about uploaded certificates, which the parent does not parse.
    Judge(JudgeRequest),
}

/// An answer of the process. Untrusted: the process parses input from the network.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProcessReply {
    /// To [`ProcessRequest::Open`].
    Opened,
    /// To [`ProcessRequest::Call`].
    Answer(Result<Answer, ApiError>),
    /// To [`ProcessRequest::Judge`]: one for each certificate.
    Verdicts(Vec<LeafVerdict>),
    /// The request makes no sense.
    Failed(String),
}

/// Sends `request` to the process, and receives its answer.
pub(crate) fn ask(
    channel: &UnixStream,
    request: &ProcessRequest,
) -> Result<ProcessReply, ChannelError> {
    channel::send(channel, &Message::secret(request)?, &[])?;
    let Cleaned(reply) =
        channel::receive_until::<Cleaned<ProcessReply, MAX_TEXT>>(channel, MAX_REPLY, PATIENCE)?;
    Ok(reply)
}

/// The work of the process: it answers messages from `channel` until that closes. The process must
/// have a default provider of rustls, and should have dropped all privileges.
///
/// # Errors
/// The channel fails. A call that fails is an answer.
pub fn run(channel: &UnixStream) -> Result<(), ChannelError> {
    let mut transport = None;
    while let Some(request) = channel::receive(channel)? {
        let reply = match (request, &transport) {
            (ProcessRequest::Open { api, token }, None) => match open(&api, &token) {
                Ok(opened) => {
                    transport = Some(opened);
                    ProcessReply::Opened
                }
                Err(why) => ProcessReply::Failed(why),
            },
            (ProcessRequest::Call(call), Some(transport)) => {
                ProcessReply::Answer(transport.call(&call))
            }
            (ProcessRequest::Judge(request), _) => ProcessReply::Verdicts(judge::judge(request)),
            (ProcessRequest::Open { .. }, Some(_)) => {
                ProcessReply::Failed("a second token".to_owned())
            }
            (ProcessRequest::Call(_), None) => ProcessReply::Failed("no token".to_owned()),
        };
        channel::send(channel, &Message::new(&reply)?, &[])?;
    }
    Ok(())
}

fn open(api: &str, token: &ApiToken) -> Result<Transport, String> {
    Transport::new(api.parse()?, token)
}
