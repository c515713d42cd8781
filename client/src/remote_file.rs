//! A stored file as a thing to read and seek in.

use std::io::{self, Read, Seek, SeekFrom};

use proto::FileKey;

use crate::{Client, Download, Error};

/// A seek forward of at most this many bytes reads them away; a farther one opens a new range.
const SKIP_MAX: u64 = 256 << 10;

/// A stored file of known size. Nothing is asked of a storage until the first read; then content
/// streams from there to the end of the file, so that reading on costs no further request. Wrap it
/// in a `BufReader` for small reads.
#[derive(Debug)]
pub struct RemoteFile {
    client: Client,
    key: FileKey,
    size: u64,
    position: u64,
    streaming: Option<Download>,
}

impl RemoteFile {
    /// Opens a file, which asks a storage for its size.
    ///
    /// # Errors
    /// As [`Client::file_size`].
    pub fn open(client: &Client, key: &FileKey) -> Result<RemoteFile, Error> {
        Ok(RemoteFile {
            client: client.clone(),
            key: key.clone(),
            size: client.file_size(key)?,
            position: 0,
            streaming: None,
        })
    }

    /// Size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The stream at the current position: the one that is open, if it gets there, or a new one.
    fn stream(&mut self) -> io::Result<&mut Download> {
        let ahead = match &self.streaming {
            Some(stream) => self.position.checked_sub(stream.offset()),
            None => None,
        };
        match (self.streaming.take(), ahead) {
            (Some(mut stream), Some(ahead)) if ahead <= SKIP_MAX => {
                io::copy(&mut stream.by_ref().take(ahead), &mut io::sink())?;
                Ok(self.streaming.insert(stream))
            }
            _ => {
                let rest = self.size - self.position;
                let stream = self
                    .client
                    .read_range(&self.key, self.position, Some(rest))?;
                Ok(self.streaming.insert(stream))
            }
        }
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buf.is_empty() {
            return Ok(0);
        }
        let n = self.stream()?.read(buf)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for RemoteFile {
    /// Moves the position and does nothing else; it may lie beyond the end, where nothing is read.
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
        };
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek to before byte 0"))?;
        Ok(self.position)
    }
}
