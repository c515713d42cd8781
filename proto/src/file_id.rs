//! Makes file ids, which clients choose.

use md5::{Digest, Md5};

use crate::FileId;

/// Highest value of [`Seed::counter`]; it starts again at 1.
pub const COUNTER_MAX: u16 = 8000;

/// The values that make an id unique.
#[derive(Debug, Clone, Copy)]
pub struct Seed<'a> {
    /// Seconds since the epoch; the low 32 bits count.
    pub epoch_secs: u64,
    /// Microseconds of the second, 0 to 999,999.
    pub micros: u32,
    /// The user who will own the file.
    pub user_id: &'a str,
    /// The process that makes the id.
    pub pid: u32,
    /// The thread that makes the id.
    pub thread_id: u64,
    /// Any number.
    pub random: u32,
    /// 1 to [`COUNTER_MAX`]; it grows by 1 with each id of the process.
    pub counter: u16,
    /// Two digits, 0 to 99.
    pub random_tail: u8,
}

/// The id of a seed: `SSSSSSSS UUUUUU MMMMMMMMMMMMMMMM CCCC RR` without the spaces, 36 characters
/// (docs/protocol.md, File ids).
pub fn compose(seed: Seed<'_>) -> FileId {
    let digest = Md5::digest(format!(
        "{}@{}@{:X}@{}",
        seed.user_id, seed.pid, seed.thread_id, seed.random
    ));
    let middle: String = digest[4..12].iter().map(|b| format!("{b:02x}")).collect();
    let text = format!(
        "{:08x}{:06x}{middle}{:04}{:02}",
        seed.epoch_secs & 0xffff_ffff,
        seed.micros % 1_000_000,
        seed.counter % 10_000,
        seed.random_tail % 100,
    );
    FileId::new(text).expect("36 hex digits are a file id")
}

/// True if the id has the form of [`compose`]. Such an id is not used again, so its content never changes.
pub fn is_made(id: &FileId) -> bool {
    let bytes = id.as_str().as_bytes();
    let (front, decimals) = bytes.split_at(bytes.len().min(30));
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    decimals.len() == 6 && decimals.iter().all(u8::is_ascii_digit) && front.iter().all(is_hex)
}
