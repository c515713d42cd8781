//! The idserver's requests and replies.

use std::fmt;

use crate::field::Fields;
use crate::head::frame;
use crate::request::body_length;
use crate::{DecodeError, Head, IdKey, Request};

/// Command byte of every reply of an idserver.
pub const REPLY: u8 = 101;
/// The next number of a key.
pub const GET_ID: u8 = 40;

/// What an idserver is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdRequest {
    /// The next number of a key.
    GetId(IdKey),
}

impl IdRequest {
    /// The request as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let IdRequest::GetId(key) = self;
        let mut body = key.as_str().as_bytes().to_vec();
        body.push(0);
        frame(GET_ID, &body)
    }
}

/// For logs: the command, then the key.
impl fmt::Display for IdRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IdRequest::GetId(key) = self;
        write!(f, "get-id {key}")
    }
}

impl Request for IdRequest {
    const REPLY: u8 = REPLY;

    fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        match (head.command, usize::try_from(head.body_len)) {
            (GET_ID, Ok(len @ 2..=65)) => Ok(len),
            (GET_ID, _) => Err(body_length(head, "2 to 65")),
            (other, _) => Err(DecodeError::UnknownCommand(other)),
        }
    }

    fn decode(_head: &Head, fixed: &[u8]) -> Result<IdRequest, DecodeError> {
        let key = Fields::new(fixed).text("id key", fixed.len())?;
        Ok(IdRequest::GetId(IdKey::new(key)?))
    }
}

/// Body of the reply to GET-ID.
pub fn encode_id(value: u64) -> Vec<u8> {
    i64::try_from(value)
        .unwrap_or(i64::MAX)
        .to_be_bytes()
        .to_vec()
}

/// Reads the body of the reply to GET-ID.
///
/// # Errors
/// A body of another length, or a negative number.
pub fn decode_id(body: &[u8]) -> Result<u64, DecodeError> {
    Fields::new(body).unsigned("id value")
}
