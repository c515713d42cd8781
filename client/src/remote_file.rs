//! A stored file as a thing to read and seek in.

use std::io::{self, Read, Seek, SeekFrom};

use proto::{Address, FileKey};

use crate::{Client, Download, Error};

/// A seek forward of at most this many bytes reads them away; a farther one opens a new range.
const SKIP_MAX: u64 = 256 << 10;

/// A stored file of known size. Nothing is asked of a storage until the first read; then content
/// streams from there to the end of the file, so that reading on costs no further request. Wrap it
/// in a `BufReader` for small reads.
///
/// A file that is read through from its first byte is compared with its checksum, as a
/// [`Download`] is; if they differ, reading fails at the last bytes until the position changes.
#[derive(Debug)]
pub struct RemoteFile {
    client: Client,
    key: FileKey,
    size: u64,
    position: u64,
    streaming: Option<Download>,
    /// Of the whole file, if a storage knows it.
    checksum: Option<u128>,
    /// The storages whose content, up to here, was damaged.
    damaged: Option<Vec<Address>>,
}

impl RemoteFile {
    /// Opens a file, which asks a storage for its size and checksum.
    ///
    /// # Errors
    /// As [`Client::stat`].
    pub fn open(client: &Client, key: &FileKey) -> Result<RemoteFile, Error> {
        let stat = client.stat(key)?;
        Ok(RemoteFile {
            client: client.clone(),
            key: key.clone(),
            size: stat.size,
            position: 0,
            streaming: None,
            checksum: stat.checksum,
            damaged: None,
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
                let checksum = self.checksum.filter(|_| self.position == 0);
                Ok(self.streaming.insert(stream.checked(checksum)))
            }
        }
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buf.is_empty() {
            return Ok(0);
        }
        if let Some(storages) = &self.damaged {
            return Err(self.client.note_damaged(&self.key, storages).into());
        }
        let read = self.stream()?.read(buf);
        if let Err(error) = &read
            && let Some(Error::Damaged { storages, .. }) = Error::of_io(error)
        {
            self.damaged = Some(storages.clone());
        }
        let n = read?;
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
        let position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek to before byte 0"))?;
        if position != self.position && self.damaged.take().is_some() {
            self.streaming = None;
        }
        self.position = position;
        Ok(self.position)
    }
}
