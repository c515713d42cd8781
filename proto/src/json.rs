//! JSON text in bodies, which a NUL ends.

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::field::{Fields, bound};

/// Longest reason of an error, in bytes.
const REASON_MAX: usize = 160;

/// The text of a value, with its NUL.
///
/// # Panics
/// The value is no JSON. The values of this crate are.
pub(crate) fn encode_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("values of the protocol are JSON");
    bytes.push(0);
    bytes
}

/// Decodes all of `bytes`, a text with its NUL.
pub(crate) fn decode_json<T: for<'a> Deserialize<'a>>(
    bytes: &[u8],
    field: &'static str,
) -> Result<T, DecodeError> {
    parse_json(Fields::new(bytes).text(field, bytes.len())?, field)
}

/// Parses text from the wire.
pub(crate) fn parse_json<T: for<'a> Deserialize<'a>>(
    text: &str,
    field: &'static str,
) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| {
        let mut reason = error.to_string();
        bound(&mut reason, REASON_MAX);
        DecodeError::Json { field, reason }
    })
}
