//! Error codes (RFC 9113, 7), and the error that ends a connection.

use thiserror::Error;

/// Why a stream or a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ErrorCode {
    /// There is no error.
    NoError = 0,
    /// A rule of the protocol is broken.
    ProtocolError = 1,
    /// The sender failed. Unknown codes count as this one.
    InternalError = 2,
    /// A flow-control window is exceeded.
    FlowControl = 3,
    /// SETTINGS were not acknowledged in time.
    SettingsTimeout = 4,
    /// A frame arrived on a side of a stream that has ended.
    StreamClosed = 5,
    /// A frame has a wrong length.
    FrameSize = 6,
    /// The server has not acted on the request.
    RefusedStream = 7,
    /// The stream is no longer needed.
    Cancel = 8,
    /// The state of header compression is lost.
    Compression = 9,
    /// The connection behind a CONNECT failed.
    Connect = 10,
    /// The peer causes too much load.
    EnhanceYourCalm = 11,
    /// The transport is not secure enough.
    InadequateSecurity = 12,
    /// The request must be sent over HTTP/1.1.
    Http11Required = 13,
}

const CODES: [ErrorCode; 14] = [
    ErrorCode::NoError,
    ErrorCode::ProtocolError,
    ErrorCode::InternalError,
    ErrorCode::FlowControl,
    ErrorCode::SettingsTimeout,
    ErrorCode::StreamClosed,
    ErrorCode::FrameSize,
    ErrorCode::RefusedStream,
    ErrorCode::Cancel,
    ErrorCode::Compression,
    ErrorCode::Connect,
    ErrorCode::EnhanceYourCalm,
    ErrorCode::InadequateSecurity,
    ErrorCode::Http11Required,
];

impl ErrorCode {
    /// The code's number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self as u32
    }

    /// The code's name in RFC 9113.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoError => "NO_ERROR",
            Self::ProtocolError => "PROTOCOL_ERROR",
            Self::InternalError => "INTERNAL_ERROR",
            Self::FlowControl => "FLOW_CONTROL_ERROR",
            Self::SettingsTimeout => "SETTINGS_TIMEOUT",
            Self::StreamClosed => "STREAM_CLOSED",
            Self::FrameSize => "FRAME_SIZE_ERROR",
            Self::RefusedStream => "REFUSED_STREAM",
            Self::Cancel => "CANCEL",
            Self::Compression => "COMPRESSION_ERROR",
            Self::Connect => "CONNECT_ERROR",
            Self::EnhanceYourCalm => "ENHANCE_YOUR_CALM",
            Self::InadequateSecurity => "INADEQUATE_SECURITY",
            Self::Http11Required => "HTTP_1_1_REQUIRED",
        }
    }
}

impl From<u32> for ErrorCode {
    fn from(number: u32) -> Self {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        CODES.get(index).copied().unwrap_or(Self::InternalError)
    }
}

/// The connection must end (RFC 9113, 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason} ({})", .code.name())]
pub struct ConnectionError {
    /// The code for GOAWAY.
    pub code: ErrorCode,
    /// The rule that the peer broke.
    pub reason: &'static str,
}

impl ErrorCode {
    /// The connection ends with this code.
    pub(super) const fn because(self, reason: &'static str) -> ConnectionError {
        ConnectionError { code: self, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_number_and_an_unknown_one_is_an_internal_error() {
        for (number, code) in (0..).zip(CODES) {
            assert_eq!((code.get(), ErrorCode::from(number)), (number, code));
        }
        for unknown in [14, 0xff, u32::MAX] {
            assert_eq!(ErrorCode::from(unknown), ErrorCode::InternalError);
        }
        let error = ErrorCode::FrameSize.because("a PING has a wrong length");
        assert_eq!(error.to_string(), "a PING has a wrong length (FRAME_SIZE_ERROR)");
    }
}
