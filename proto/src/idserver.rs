//! The idserver's requests and replies.

use std::ops::Range;

use crate::field::Fields;
use crate::head::frame;
use crate::request::body_length;
use crate::{AccessFields, DecodeError, Head, IdKey, Permission, Request, ServerKind};

/// Command byte of every reply of an idserver.
pub const REPLY: u8 = 101;
/// The next number of a key.
pub const GET_ID: u8 = 40;
/// Several numbers of a key at once. C++ idservers refuse it.
pub const GET_IDS: u8 = 41;
/// Asks whether the database is available; takes no number. C++ idservers refuse it.
pub const PROBE: u8 = 42;

/// Most numbers in the reply to GET-IDS.
pub const IDS_MAX: u16 = 10_000;

/// Length of the body of the reply to GET-ID, in bytes.
pub const ID_LEN: usize = 8;
/// Length of the body of the reply to GET-IDS, in bytes.
pub const IDS_LEN: usize = ID_LEN + 2;

/// A request to an idserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdRequest {
    /// The next number of a key.
    GetId(IdKey),
    /// The next numbers of a key, 1 to [`IDS_MAX`]; the reply may have fewer.
    GetIds(IdKey, u16),
    /// Whether numbers can be reserved: an empty success, or the fault.
    Probe,
}

impl IdRequest {
    /// The request as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let (command, key) = match self {
            IdRequest::Probe => return frame(PROBE, &body),
            IdRequest::GetId(key) => (GET_ID, key),
            IdRequest::GetIds(key, count) => {
                body.extend_from_slice(&count.to_be_bytes());
                (GET_IDS, key)
            }
        };
        body.extend_from_slice(key.as_str().as_bytes());
        body.push(0);
        frame(command, &body)
    }
}

impl Request for IdRequest {
    const SERVER: ServerKind = ServerKind::Idserver;
    const COMMANDS: &'static [(u8, &'static str)] =
        &[(GET_ID, "get-id"), (GET_IDS, "get-ids"), (PROBE, "probe")];

    fn permission(&self) -> Permission<'_> {
        Permission::Node
    }

    fn access_fields(&self) -> AccessFields<'_> {
        match self {
            IdRequest::GetId(key) => AccessFields::thing("get-id", key.as_str()),
            IdRequest::GetIds(key, _) => AccessFields::thing("get-ids", key.as_str()),
            IdRequest::Probe => AccessFields::thing("probe", ""),
        }
    }

    fn fixed_len(head: &Head) -> Result<usize, DecodeError> {
        match (head.command, usize::try_from(head.body_len)) {
            (GET_ID, Ok(len @ 2..=65)) => Ok(len),
            (GET_ID, _) => Err(body_length(head, "2 to 65")),
            (GET_IDS, Ok(len @ 4..=67)) => Ok(len),
            (GET_IDS, _) => Err(body_length(head, "4 to 67")),
            (PROBE, Ok(0)) => Ok(0),
            (PROBE, _) => Err(body_length(head, "0")),
            (other, _) => Err(DecodeError::UnknownCommand(other)),
        }
    }

    fn decode(head: &Head, fixed: &[u8]) -> Result<IdRequest, DecodeError> {
        let mut fields = Fields::new(fixed);
        let count = match head.command {
            PROBE => return Ok(IdRequest::Probe),
            GET_IDS => Some(fields.u16("count")?),
            _ => None,
        };
        let rest = fields.rest();
        let key = IdKey::new(Fields::new(rest).text("id key", rest.len())?)?;
        match count {
            None => Ok(IdRequest::GetId(key)),
            Some(count @ 1..=IDS_MAX) => Ok(IdRequest::GetIds(key, count)),
            Some(count) => Err(DecodeError::Character {
                field: "count",
                allowed: "a number from 1 to 10000",
                value: count.to_string(),
            }),
        }
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

/// Body of the reply to GET-IDS: `first value 8, count 2`; the numbers are consecutive.
///
/// # Panics
/// There are no numbers, or more than [`IDS_MAX`].
pub fn encode_ids(values: &Range<u64>) -> Vec<u8> {
    let count = u16::try_from(values.end - values.start).unwrap_or(u16::MAX);
    assert!((1..=IDS_MAX).contains(&count), "{values:?} as a reply");
    let mut body = encode_id(values.start);
    body.extend_from_slice(&count.to_be_bytes());
    body
}

/// Reads the body of the reply to GET-IDS.
///
/// # Errors
/// A body of another length, a negative number, or none at all.
pub fn decode_ids(body: &[u8]) -> Result<Range<u64>, DecodeError> {
    let mut fields = Fields::new(body);
    let first = fields.unsigned("id value")?;
    let count = fields.u16("count")?;
    match first.checked_add(count.into()) {
        Some(end) if count > 0 => Ok(first..end),
        _ => Err(DecodeError::Character {
            field: "count",
            allowed: "a number of 1 or more",
            value: count.to_string(),
        }),
    }
}
