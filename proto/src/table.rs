//! The file table of a user, one of three.

use crate::UserId;

/// Number of file tables, `t_file_01` to `t_file_03`.
const TABLES: u32 = 3;

/// The number of the user's file table, 1 to 3 (docs/protocol.md, Tables).
pub fn file_table(user: &UserId) -> u8 {
    ((ap_hash(user.as_str()) & 0x7fff_ffff) % TABLES) as u8 + 1
}

/// The AP hash of Arash Partow, as the C++ system computes it: over `char`, so that a byte above
/// 0x7f is sign-extended to 32 bits.
pub(crate) fn ap_hash(text: &str) -> u32 {
    text.bytes().enumerate().fold(0, |hash: u32, (idx, byte)| {
        let byte = i32::from(byte.cast_signed()).cast_unsigned();
        if idx % 2 == 0 {
            hash ^ ((hash << 7) ^ byte ^ (hash >> 3))
        } else {
            hash ^ !((hash << 11) ^ byte ^ (hash >> 5))
        }
    })
}
