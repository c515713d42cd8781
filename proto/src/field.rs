//! Reading and writing the fixed fields of a body.

use byteorder::{BigEndian, ByteOrder};

use crate::DecodeError;

/// Reads the fields of a body in order; the length of the body was checked before.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Fields<'a> {
        Fields { rest: body }
    }

    /// The text of a fixed field of `len` bytes, up to the first NUL. The bytes behind the NUL are ignored: the
    /// C++ client sends uninitialised memory there.
    pub(crate) fn text(&mut self, name: &'static str, len: usize) -> Result<&'a str, DecodeError> {
        let field = self.take(name, len)?;
        let end = field
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(DecodeError::Unterminated(name))?;
        std::str::from_utf8(&field[..end]).map_err(|_| DecodeError::NotUtf8(name))
    }

    pub(crate) fn i64(&mut self, name: &'static str) -> Result<i64, DecodeError> {
        Ok(BigEndian::read_i64(self.take(name, 8)?))
    }

    pub(crate) fn u16(&mut self, name: &'static str) -> Result<u16, DecodeError> {
        Ok(BigEndian::read_u16(self.take(name, 2)?))
    }

    pub(crate) fn u8(&mut self, name: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(name, 1)?[0])
    }

    /// A signed number that must not be negative.
    pub(crate) fn unsigned(&mut self, name: &'static str) -> Result<u64, DecodeError> {
        let value = self.i64(name)?;
        u64::try_from(value).map_err(|_| DecodeError::Negative { field: name, value })
    }

    pub(crate) fn take(&mut self, name: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        let (field, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated(name))?;
        self.rest = rest;
        Ok(field)
    }

    /// True if all bytes were read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that were not read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Appends `text` as a fixed field of `len` bytes, padded with NULs.
///
/// # Panics
/// The text leaves no room for a NUL, which the name types do not allow.
pub(crate) fn put_text(body: &mut Vec<u8>, text: &str, len: usize) {
    assert!(text.len() < len, "{text:?} does not fit a field of {len}");
    body.extend_from_slice(text.as_bytes());
    body.resize(body.len() + len - text.len(), 0);
}

pub(crate) fn put_u64(body: &mut Vec<u8>, value: u64) {
    put_i64(body, i64::try_from(value).unwrap_or(i64::MAX));
}

pub(crate) fn put_i64(body: &mut Vec<u8>, value: i64) {
    body.extend_from_slice(&value.to_be_bytes());
}

/// Cuts a text at `max` bytes and replaces control characters by blanks.
pub(crate) fn bound(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
    text.shrink_to_fit();
}
