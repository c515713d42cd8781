//! Errors of decoders.

use thiserror::Error;

/// Bytes that do not follow the protocol. The message names the field, and may be sent to the peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// This server has no such command.
    #[error("unknown command: {0}")]
    UnknownCommand(u8),
    /// The body length does not fit the command.
    #[error("invalid body length of command {command}: {actual}, expected {expected}")]
    BodyLength {
        /// The command byte of the head.
        command: u8,
        /// The length in the head, as the peer sent it.
        actual: i64,
        /// The length that the protocol requires.
        expected: &'static str,
    },
    /// The announced file size does not fit the body length (docs/protocol.md, Storage).
    #[error("file size {file_size} does not match the body length, which leaves {content_len}")]
    FileSize {
        /// The size field of the request, in bytes.
        file_size: i64,
        /// Body length less the fixed part, in bytes.
        content_len: i64,
    },
    /// A fixed text field has no NUL in it.
    #[error("{0} is not terminated")]
    Unterminated(&'static str),
    /// A text that is not UTF-8.
    #[error("{0} is not valid UTF-8")]
    NotUtf8(&'static str),
    /// A text that must not be empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A text longer than its field or its database column.
    #[error("{field} is longer than {max} {unit}")]
    TooLong {
        /// The name of the text.
        field: &'static str,
        /// The limit, in `unit`.
        max: usize,
        /// `bytes` or `characters`.
        unit: &'static str,
    },
    /// A text with a character that its kind does not allow.
    #[error("{field} may hold {allowed} only: {value:?}")]
    Character {
        /// The name of the text.
        field: &'static str,
        /// The allowed characters.
        allowed: &'static str,
        /// The text as it came.
        value: String,
    },
    /// A text that is not the address of a server.
    #[error("{value:?} is no address host:port: {why}")]
    Address {
        /// The rule that it breaks.
        why: &'static str,
        /// The text as it came.
        value: String,
    },
    /// A text that is not the expected JSON.
    #[error("{field} is not understood: {reason}")]
    Json {
        /// The name of the text.
        field: &'static str,
        /// The message of the parser, with line and column.
        reason: String,
    },
    /// A number that must not be negative.
    #[error("{field} is negative: {value}")]
    Negative {
        /// The name of the number.
        field: &'static str,
        /// The value as it came.
        value: i64,
    },
    /// A body that ends before its last field.
    #[error("{0} is cut short")]
    Truncated(&'static str),
}
