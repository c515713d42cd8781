//! Properties of a stored file.

use proto::storage::FileStat;

/// Properties of a stored file, which also identify it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Size, in bytes.
    pub size: u64,
    /// Time of storing, in seconds since the epoch. A C++ storage does not tell it.
    pub modified: Option<i64>,
    /// XXH3-128 of the content. Absent if a C++ storage stored the file, or was asked.
    pub checksum: Option<u128>,
    /// True if the file expires: [`Client::attributes`](crate::Client::attributes) tells when.
    pub expires: bool,
}

impl Stat {
    /// True if both may describe the same file, as far as both know it: the same size and the same
    /// checksum. Two files without a checksum differ if their times differ. A C++ storage knows
    /// neither.
    pub fn may_be_same(&self, other: &Stat) -> bool {
        let is_same = match (self.checksum, other.checksum) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => match (self.modified, other.modified) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            },
        };
        self.size == other.size && is_same
    }
}

impl From<FileStat> for Stat {
    fn from(stat: FileStat) -> Stat {
        Stat {
            size: stat.size,
            modified: Some(stat.modified),
            checksum: stat.checksum,
            expires: stat.expires,
        }
    }
}
