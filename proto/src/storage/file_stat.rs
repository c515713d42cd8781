//! Properties of a file that every storage of this system tells.

use crate::DecodeError;
use crate::field::{Fields, put_i64, put_u64};

/// Bit of the checksum kind: there is a checksum.
const HAS_CHECKSUM: u8 = 1;
/// Bit of the checksum kind: the file expires.
const EXPIRES: u8 = 2;

/// Reply to STAT: `size 8, modified 8, checksum kind 1, checksum 16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Size of the file, in bytes.
    pub size: u64,
    /// When it was stored, seconds since the epoch.
    pub modified: i64,
    /// XXH3-128 of the content; None for a file that a C++ storage stored.
    pub checksum: Option<u128>,
    /// True if the file expires; ATTRIBUTES tells when. Programs without ATTRIBUTES take such a file for one
    /// without a checksum.
    pub expires: bool,
}

impl FileStat {
    /// Length of the reply's body, in bytes.
    pub const LEN: usize = 8 + 8 + 1 + 16;

    /// The body of the reply.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FileStat::LEN);
        put_u64(&mut body, self.size);
        put_i64(&mut body, self.modified);
        let mut kind = 0;
        if self.checksum.is_some() {
            kind |= HAS_CHECKSUM;
        }
        if self.expires {
            kind |= EXPIRES;
        }
        body.push(kind);
        body.extend_from_slice(&self.checksum.unwrap_or(0).to_be_bytes());
        body
    }

    /// Reads the body of the reply.
    ///
    /// # Errors
    /// A body that is too short, or a negative size.
    pub fn decode(body: &[u8]) -> Result<FileStat, DecodeError> {
        let mut fields = Fields::new(body);
        let size = fields.unsigned("file size")?;
        let modified = fields.i64("modified")?;
        let kind = fields.u8("checksum kind")?;
        let checksum = fields.take("checksum", 16)?;
        let checksum = checksum
            .try_into()
            .map_err(|_| DecodeError::Truncated("checksum"))?;
        Ok(FileStat {
            size,
            modified,
            checksum: (kind & HAS_CHECKSUM != 0).then(|| u128::from_be_bytes(checksum)),
            expires: kind & EXPIRES != 0,
        })
    }
}
