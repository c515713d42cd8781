//! The content to upload: read in pieces, once for each attempt.

use std::io::{self, Read, Seek, SeekFrom};

use proto::HEAD_LEN;
use proto::storage::Store;
use twox_hash::XxHash3_128;

use crate::Error;

/// Size of the pieces in which content is read and sent, in bytes. An upload needs this much memory.
const BUFFER_LEN: usize = 512 << 10;

/// The content of all attempts.
pub(crate) struct Content<'a, S> {
    pub(crate) source: &'a mut S,
    /// The position of the first byte in the source.
    start: u64,
    pub(crate) size: u64,
    /// A piece of content, and space for the request in front of the first one.
    pub(crate) buffer: Vec<u8>,
    /// Of the whole content, once it was read to its end.
    pub(crate) checksum: Option<u128>,
}

impl<'a, S: Read + Seek> Content<'a, S> {
    /// `size` bytes of `source`, from its current position.
    pub(crate) fn new(source: &'a mut S, size: u64) -> io::Result<Content<'a, S>> {
        Ok(Content {
            start: source.stream_position()?,
            source,
            size,
            buffer: vec![0; HEAD_LEN + Store::LEN + piece_len(size)],
            checksum: None,
        })
    }

    /// Goes to the first byte.
    pub(crate) fn rewind(&mut self) -> Result<(), Error> {
        let start = SeekFrom::Start(self.start);
        self.source.seek(start).map_err(Error::Source)?;
        Ok(())
    }

    /// The checksum. Reads the source again if no attempt read it to its end.
    pub(crate) fn checksum(&mut self) -> Result<u128, Error> {
        if let Some(checksum) = self.checksum {
            return Ok(checksum);
        }
        self.rewind()?;
        let mut content = (&mut *self.source).take(self.size);
        let checksum = checksum_of(&mut content).map_err(Error::Source)?;
        self.checksum = Some(checksum);
        Ok(checksum)
    }
}

/// The XXH3-128 of the rest of `source`. Storages keep this checksum of each file.
///
/// # Errors
/// `source` cannot be read.
pub fn checksum_of(source: &mut dyn Read) -> io::Result<u128> {
    let mut hash = XxHash3_128::new();
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hash.finish_128()),
            Ok(n) => hash.write(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Length of the next piece if `left` bytes are left.
pub(crate) fn piece_len(left: u64) -> usize {
    left.min(BUFFER_LEN as u64) as usize
}

/// Fills `buf`, or reads to the end of the source.
pub(crate) fn read_up_to(source: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
