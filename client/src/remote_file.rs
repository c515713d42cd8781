//! A stored file with `Read` and `Seek`.

use std::io::{self, Read, Seek, SeekFrom};

use proto::storage::ByteRange;
use proto::{Address, FileKey};

use crate::{Client, Download, Error, Stat};

/// A seek forward by at most this many bytes reads and discards them; a longer one opens a new part.
const SKIP_MAX: u64 = 256 << 10;

/// A stored file of known size. The first read requests the content from the current position to
/// the end of the file, so that further reads cost no request. Wrap it in a `BufReader` for small
/// reads.
///
/// All content comes from the file that was opened ([`Error::Replaced`]). A file that is read from
/// its first byte to its last is compared with its checksum. If they differ, reads fail at the last
/// bytes until the position changes.
#[derive(Debug)]
pub struct RemoteFile {
    client: Client,
    key: FileKey,
    stat: Stat,
    position: u64,
    streaming: Option<Download>,
    /// The storages whose content was found damaged at the current position.
    damaged: Option<Vec<Address>>,
}

impl RemoteFile {
    /// Asks a storage for size and checksum of a file.
    ///
    /// # Errors
    /// As [`Client::stat`].
    pub fn open(client: &Client, key: &FileKey) -> Result<RemoteFile, Error> {
        let stat = client.stat(key)?;
        Ok(RemoteFile {
            client: client.clone(),
            key: key.clone(),
            stat,
            position: 0,
            streaming: None,
            damaged: None,
        })
    }

    /// Size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.stat.size
    }

    /// The download at the current position: the open one if it can skip there, or a new one.
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
                let rest = ByteRange {
                    offset: self.position,
                    len: self.stat.size - self.position,
                };
                let stream = self.client.read_later(&self.key, &self.stat, rest);
                Ok(self.streaming.insert(stream))
            }
        }
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.stat.size || buf.is_empty() {
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
    /// Sets the position without a request. At a position beyond the end, reads return 0.
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.stat.size.checked_add_signed(delta),
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
