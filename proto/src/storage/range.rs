//! Parts of files.

/// A requested part of a file of any size. Bytes beyond the end of the file are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeSpec {
    /// First byte; below 0, counted from the end of the file: -1 is its last byte.
    pub offset: i64,
    /// Most bytes; 0 means up to the end of the file.
    pub size: u64,
}

/// A part of a file of known size. It lies within the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl RangeSpec {
    /// All of a file.
    pub const WHOLE: RangeSpec = RangeSpec { offset: 0, size: 0 };

    /// The requested part of a file of `file_size` bytes.
    pub fn within(self, file_size: u64) -> ByteRange {
        let offset = match u64::try_from(self.offset) {
            Ok(offset) => offset.min(file_size),
            Err(_) => file_size.saturating_sub(self.offset.unsigned_abs()),
        };
        let rest = file_size - offset;
        let len = match self.size {
            0 => rest,
            size => size.min(rest),
        };
        ByteRange { offset, len }
    }

    /// The first bytes of this part, `max` at most; `max` is not 0.
    pub fn at_most(self, max: u64) -> RangeSpec {
        let size = match self.size {
            0 if max == u64::MAX => 0,
            0 => max,
            size => size.min(max),
        };
        RangeSpec { size, ..self }
    }
}

impl From<ByteRange> for RangeSpec {
    /// For a range that is not empty: size 0 means up to the end of the file.
    fn from(range: ByteRange) -> RangeSpec {
        RangeSpec {
            // No file is longer.
            offset: i64::try_from(range.offset).unwrap_or(i64::MAX),
            size: range.len,
        }
    }
}
