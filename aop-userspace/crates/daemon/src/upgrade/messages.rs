//! The messages between a daemon and its successor during a handover.
//!
//! The two may be different builds. So the first message carries the version of this protocol and
//! never changes its form; the other messages may change with that version.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the messages after the greeting.
pub(crate) const PROTOCOL: u32 = 1;

/// The first message, sent by the running daemon. Unknown fields are ignored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub protocol: u32,
    /// The version of the program, for people.
    pub version: String,
}

/// The messages of the predecessor. The descriptors that come with the handover state are, in this
/// order: the instance lock, the lock of the pins if `pins`, a channel for each draining
/// predecessor, and every listening socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PredecessorMessage {
    /// The handover state.
    #[serde(rename = "Estate")]
    HandoverState {
        /// Whether the lock of the pins is among the descriptors.
        pins: bool,
        #[serde(rename = "lingering")]
        draining: Vec<DrainingInfo>,
    },
    /// The successor is the daemon now. The predecessor may drain for as long as this channel is
    /// open.
    #[serde(rename = "Left")]
    Released {
        #[serde(rename = "lingers")]
        drains: Option<DrainingInfo>,
    },
    /// The number of connections that are open in the predecessor.
    #[serde(rename = "Open")]
    Connections(u64),
}

/// A draining predecessor: a daemon that was replaced, whose terminator still has connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DrainingInfo {
    pub pid: u32,
    pub version: String,
    /// Its deadline: it ends then at the latest.
    pub until: Timestamp,
}

/// The messages of the successor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SuccessorMessage {
    /// It is ready to take over. Its version is for people.
    #[serde(rename = "Here")]
    Ready { version: String },
    /// It has read and checked everything: from now on it may change the packet path.
    Guarding,
    /// It serves the configuration with this digest, and the predecessor may drain.
    #[serde(rename = "Served")]
    Serving { source: String },
    /// Asks a draining predecessor for the number of its connections.
    #[serde(rename = "HowMany")]
    CountConnections,
    /// It cannot take over, and ends.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_of_the_same_protocol_reads_the_messages() {
        let info = || DrainingInfo { pid: 7, version: "1".into(), until: Timestamp::UNIX_EPOCH };
        let text = |message: &PredecessorMessage| serde_json::to_string(message).expect("text");
        let one = r#"{"pid":7,"version":"1","until":"1970-01-01T00:00:00Z"}"#;
        let state = PredecessorMessage::HandoverState { pins: true, draining: vec![info()] };
        assert_eq!(text(&state), format!(r#"{{"Estate":{{"pins":true,"lingering":[{one}]}}}}"#));
        let released = PredecessorMessage::Released { drains: Some(info()) };
        assert_eq!(text(&released), format!(r#"{{"Left":{{"lingers":{one}}}}}"#));
        assert_eq!(text(&PredecessorMessage::Connections(3)), r#"{"Open":3}"#);
        let text = |message: &SuccessorMessage| serde_json::to_string(message).expect("text");
        let version = "1".to_owned();
        let ready = SuccessorMessage::Ready { version };
        assert_eq!(text(&ready), r#"{"Here":{"version":"1"}}"#);
        assert_eq!(text(&SuccessorMessage::Guarding), r#""Guarding""#);
        let serving = SuccessorMessage::Serving { source: "a".to_owned() };
        assert_eq!(text(&serving), r#"{"Served":{"source":"a"}}"#);
        assert_eq!(text(&SuccessorMessage::CountConnections), r#""HowMany""#);
        assert_eq!(text(&SuccessorMessage::Failed("b".to_owned())), r#"{"Failed":"b"}"#);
    }
}
