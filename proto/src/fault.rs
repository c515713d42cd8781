//! The body of a reply that failed.

use std::fmt;

use crate::DecodeError;
use crate::field::Fields;
use crate::head::{Head, STATUS_FAILURE};
use crate::idserver;

/// Most bytes of a description on the wire, including its final NUL (docs/protocol.md, Frame).
pub const FAULT_MESSAGE_MAX: usize = 1024;

/// Follows the NUL of an idserver's description and precedes the two bytes of the kind.
const KIND_MARK: &[u8] = b"kind";

/// The kind of a failure. The C++ servers always send -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ErrorCode {
    /// A C++ server, or a number this version does not know.
    Unknown = -1,
    /// The request itself is wrong; the same request fails everywhere.
    BadRequest = 1,
    /// There is no such file, user or group.
    NotFound = 2,
    /// The file exists and stays as it was.
    Exists = 3,
    /// No store path has room above its reserve.
    NoSpace = 4,
    /// Something that this server needs is away; another server, or a later attempt, may succeed.
    Unavailable = 5,
    /// This server is at one of its limits.
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

/// A failed request: the kind for programs, the message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of failure.
    pub code: ErrorCode,
    /// The failure in words. Begins with `[hostname]` only if it was decoded from the wire.
    pub message: String,
    /// The cause, for the log of the server that failed; never sent.
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

    /// Adds the cause for the log.
    pub fn because(mut self, cause: impl Into<String>) -> Fault {
        self.cause = Some(cause.into());
        self
    }

    /// The whole failure reply: head with status -3, error number, `[hostname] message`, NUL.
    /// A message that does not fit is cut at a character.
    ///
    /// A C++ storage takes the first eight bytes of an idserver's body for a number, whatever the
    /// status, unless they are negative (protocol.md, Learned from C++ nodes). So an idserver's error
    /// number is always -1, and the kind stands behind the NUL, where earlier versions do not look.
    pub fn encode(&self, reply_command: u8, hostname: &str) -> Vec<u8> {
        let mut text = format!("[{hostname}] {}", self.message).replace('\0', " ");
        let kind = (self.code as i16).to_be_bytes();
        let (number, behind) = match reply_command {
            idserver::REPLY => (
                (ErrorCode::Unknown as i16).to_be_bytes(),
                [KIND_MARK, &kind].concat(),
            ),
            _ => (kind, Vec::new()),
        };
        let text_max = FAULT_MESSAGE_MAX - 1 - behind.len();
        text.truncate(text.floor_char_boundary(text_max));
        let body = [&number[..], text.as_bytes(), &[0], &behind].concat();
        let head = Head {
            body_len: body.len() as i64,
            command: reply_command,
            status: STATUS_FAILURE,
        };
        [&head.encode()[..], &body].concat()
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
        let kind = text
            .get(end + 1..)
            .and_then(|rest| rest.strip_prefix(KIND_MARK));
        let kind = kind.and_then(|kind| kind.try_into().ok().map(i16::from_be_bytes));
        Ok(Fault {
            code: ErrorCode::from_wire(kind.unwrap_or(number)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HEAD_LEN;

    #[test]
    fn a_failure_of_an_idserver_is_no_number_and_has_its_kind() {
        for number in (-1..=9).filter(|&number| number != 0) {
            let fault = Fault::new(ErrorCode::from_wire(number), "why".repeat(500));
            let reply = fault.encode(idserver::REPLY, "vm");
            let body = &reply[HEAD_LEN..];
            let value = i64::from_be_bytes(body[..8].try_into().unwrap());
            assert!(value < 0, "{value}");
            assert_eq!(&body[..2], [0xff, 0xff]);
            assert!(body.len() <= Fault::BODY_MAX);
            let decoded = Fault::decode(body).unwrap();
            assert_eq!(decoded.code, fault.code);
            // Nothing of the kind is in the text.
            let text = decoded.message.strip_prefix("[vm] ").unwrap();
            assert!(text.len() > 1000 && "why".repeat(500).starts_with(text));
            // Other servers' failures are as they were.
            let reply = fault.encode(102, "vm");
            assert_eq!(reply[HEAD_LEN..HEAD_LEN + 2], number.to_be_bytes());
            assert_eq!(Fault::decode(&reply[HEAD_LEN..]).unwrap().code, fault.code);
        }
    }
}
