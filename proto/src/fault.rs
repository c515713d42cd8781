//! The body of a reply that failed.

use std::fmt;

use crate::DecodeError;
use crate::field::Fields;
use crate::head::{HEAD_LEN, Head, STATUS_FAILURE};

/// Most bytes of a description on the wire, its final NUL among them (docs/protocol.md, Frame).
pub const FAULT_MESSAGE_MAX: usize = 1024;

/// What kind of failure a reply reports. The C++ servers always send -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ErrorCode {
    /// A C++ server, or a number this version does not know.
    Unknown = -1,
    /// The request itself is wrong; the same request fails everywhere.
    BadRequest = 1,
    /// There is no such file, user or group.
    NotFound = 2,
    /// The file exists; it was left alone.
    Exists = 3,
    /// No store path has room above its reserve.
    NoSpace = 4,
    /// Something this server depends on is away; another server, or a later try, may succeed.
    Unavailable = 5,
    /// This server has more to do than it takes on.
    Busy = 6,
    /// The stored file does not match its row.
    Damaged = 7,
    /// This server takes no writes.
    ReadOnly = 8,
    /// The peer may not do this.
    Forbidden = 9,
}

impl ErrorCode {
    /// The kind behind a number from the wire.
    pub fn from_wire(number: i16) -> ErrorCode {
        match number {
            1 => ErrorCode::BadRequest,
            2 => ErrorCode::NotFound,
            3 => ErrorCode::Exists,
            4 => ErrorCode::NoSpace,
            5 => ErrorCode::Unavailable,
            6 => ErrorCode::Busy,
            7 => ErrorCode::Damaged,
            8 => ErrorCode::ReadOnly,
            9 => ErrorCode::Forbidden,
            _ => ErrorCode::Unknown,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorCode::Unknown => "unknown error",
            ErrorCode::BadRequest => "bad request",
            ErrorCode::NotFound => "not found",
            ErrorCode::Exists => "exists",
            ErrorCode::NoSpace => "no space",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Busy => "busy",
            ErrorCode::Damaged => "damaged",
            ErrorCode::ReadOnly => "read-only",
            ErrorCode::Forbidden => "forbidden",
        })
    }
}

/// A request that failed: the kind for programs, the message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub code: ErrorCode,
    /// What went wrong. Without the `[hostname]` in front when made by a service; with it when
    /// decoded from the wire.
    pub message: String,
    /// Why, for the log of the server that failed; never sent.
    pub cause: Option<String>,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Fault {
        Fault {
            code,
            message: message.into(),
            cause: None,
        }
    }

    /// With what the log should say besides the message.
    pub fn because(mut self, cause: impl Into<String>) -> Fault {
        self.cause = Some(cause.into());
        self
    }

    /// The whole failure reply: head with status -3, error number, `[hostname] message`, NUL.
    /// A message that does not fit is cut at a character.
    pub fn encode(&self, reply_command: u8, hostname: &str) -> Vec<u8> {
        let mut text = format!("[{hostname}] {}", self.message).replace('\0', " ");
        text.truncate(text.floor_char_boundary(FAULT_MESSAGE_MAX - 1));
        let head = Head {
            body_len: (2 + text.len() + 1) as i64,
            command: reply_command,
            status: STATUS_FAILURE,
        };
        let mut bytes = Vec::with_capacity(HEAD_LEN + 3 + text.len());
        bytes.extend_from_slice(&head.encode());
        bytes.extend_from_slice(&(self.code as i16).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        bytes
    }

    /// Longest body of a failure reply, in bytes.
    pub const BODY_MAX: usize = 2 + FAULT_MESSAGE_MAX;

    /// Reads the body of a failure reply. The description may be absent, unterminated or not
    /// UTF-8: what can be shown of it is kept.
    ///
    /// # Errors
    /// A body without the error number, or longer than [`Fault::BODY_MAX`].
    pub fn decode(body: &[u8]) -> Result<Fault, DecodeError> {
        if body.len() > Fault::BODY_MAX {
            return Err(DecodeError::TooLong {
                field: "error description",
                max: FAULT_MESSAGE_MAX,
                unit: "bytes",
            });
        }
        let mut fields = Fields::new(body);
        let number = fields.u16("error number")?.cast_signed();
        let text = fields.rest();
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        Ok(Fault {
            code: ErrorCode::from_wire(number),
            message: String::from_utf8_lossy(&text[..end]).into_owned(),
            cause: None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Fault {
        Fault::new(ErrorCode::BadRequest, error.to_string())
    }
}
