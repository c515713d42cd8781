//! A part of a file that is being read. It goes on at another storage when one fails.

mod comparison;
mod from_file;
mod reopen;

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use proto::storage::ByteRange;
use proto::{Address, FileKey};

use crate::connection::DISCARD_MAX;
use crate::content_check::ContentCheck;
use crate::held_back::HeldBack;
use crate::local::LocalFile;
use crate::open_at::Origin;
use crate::retry::Retry;
use crate::{Client, Connection, Error, Stat};

/// A part of a file that is being read. At its end the connection returns to the pool. A download
/// that is dropped earlier closes its connection, unless at most [`Download::DISCARD_MAX`] bytes of
/// the reply are missing.
///
/// If a storage fails, reading goes on at the next byte from another storage, which must have the
/// same file ([`Error::Replaced`]). If all known storages fail, the trackers are asked for others.
/// A read fails after every storage failed in two rounds at least and four at most, which take
/// about 2 s, without a byte of progress. The next read begins anew at the same byte.
///
/// The content of a whole file is compared with its checksum ([`Error::Damaged`]).
#[derive(Debug)]
pub struct Download {
    client: Client,
    key: FileKey,
    /// Identifies the file: all content must come from it.
    stat: Stat,
    /// The known storages of the file. Empty until the first one is needed.
    storages: Vec<Address>,
    /// Next byte of the file.
    offset: u64,
    /// Bytes from there to the end of the part.
    remaining: u64,
    /// The connection of the next bytes. Absent if another one has to be opened.
    connection: Option<Connection>,
    /// The open file of the next bytes, if the storage is on this machine.
    file: Option<Arc<LocalFile>>,
    /// True if the open file had bytes that could not be read without waiting: storages are asked for the rest.
    avoids_files: bool,
    /// The storage that answered READ last: it is not taken for a C++ storage when it breaks.
    knows_read: Option<Address>,
    retry: Retry,
    /// Content of a C++ storage, which may contain a failure reply.
    held: HeldBack,
    /// Content that was read by [`Download::peek`].
    peeked: Vec<u8>,
    /// Present for a whole file with a known checksum.
    check: Option<ContentCheck>,
    /// The file of this machine whose bytes are not compared, because that was done lately. Bytes of another storage
    /// are.
    verified: Option<Arc<LocalFile>>,
    /// The storages that sent the bytes read so far.
    sources: Vec<Address>,
}

impl Download {
    /// Limit on the rest of a reply that is read and discarded to keep the connection, in bytes.
    pub const DISCARD_MAX: u64 = DISCARD_MAX;

    /// A download without a connection. `storages` may be empty.
    pub(crate) fn new(
        client: &Client,
        key: &FileKey,
        stat: &Stat,
        ByteRange { offset, len }: ByteRange,
        storages: Vec<Address>,
    ) -> Download {
        let is_whole = len > 0 && len == stat.size;
        Download {
            client: client.clone(),
            key: key.clone(),
            stat: *stat,
            storages,
            offset,
            remaining: len,
            connection: None,
            file: None,
            avoids_files: false,
            knows_read: None,
            retry: Retry::default(),
            held: HeldBack::default(),
            peeked: Vec::new(),
            check: stat.checksum.filter(|_| is_whole).map(ContentCheck::new),
            verified: None,
            sources: Vec::new(),
        }
    }

    /// The download with the origin of its first bytes.
    pub(crate) fn beginning_at(mut self, origin: Origin) -> Download {
        self.set_origin(origin);
        self.release_when_done();
        self
    }

    fn set_origin(&mut self, origin: Origin) {
        match origin {
            Origin::Nowhere => {}
            Origin::Connection(connection) => {
                if connection.is_ours() {
                    self.knows_read = Some(connection.address().clone());
                }
                self.connection = Some(connection);
            }
            Origin::File(file) => {
                // Bytes of another storage may be damaged.
                let is_start = self.sources.is_empty();
                if is_start && file.is_verified() && self.check.take().is_some() {
                    self.verified = Some(Arc::clone(&file));
                }
                self.file = Some(file);
            }
        }
    }

    /// Bytes not read yet; at first, the length of the part.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Offset in the file of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The socket of the next bytes: wait for it before [`Download::read_ready`]. Absent if nothing
    /// remains, if bytes are buffered, or if the next read has to ask a storage.
    pub fn stream(&self) -> Option<&TcpStream> {
        let is_buffered = self.held.is_ready() || !self.peeked.is_empty();
        let waits = !is_buffered && !self.held.needs_confirmation() && self.file.is_none();
        let connection = self.connection.as_ref();
        connection.filter(|_| waits).map(Connection::stream)
    }

    /// True if bytes may be taken from [`Download::stream`] instead of being read: the storage
    /// sends nothing but content, and no byte is buffered.
    pub fn may_take(&self) -> bool {
        let is_ours = self.connection.as_ref().is_some_and(Connection::is_ours);
        is_ours && self.held.is_empty() && self.peeked.is_empty()
    }

    /// Records that `n` bytes were taken from [`Download::stream`], or from the file of
    /// [`Download::visit_file`]. If [`Download::is_checked`], pass them to [`Download::inspect`] next.
    ///
    /// # Panics
    /// If the reply has fewer bytes left, or there is neither stream nor file.
    pub fn advance(&mut self, n: u64) {
        match &self.file {
            Some(file) => note_source(&mut self.sources, &file.storage),
            None => {
                let connection = self.connection.as_mut().expect("there is a stream");
                note_source(&mut self.sources, connection.address());
                connection.advance(n);
            }
        }
        self.retry = Retry::default();
        self.count(n);
    }

    /// Copies the next bytes, which stay unread. Waits for them, also for another storage. Returns
    /// less than the length of `buf` at the end of the part only.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let len = usize::try_from(self.remaining).map_or(buf.len(), |left| left.min(buf.len()));
        let mut filled = 0;
        while filled < len {
            filled += self.read_on(&mut buf[filled..len], true)?.unwrap_or(0);
        }
        self.peeked.splice(0..0, buf[..filled].iter().copied());
        self.offset -= filled as u64;
        self.remaining += filled as u64;
        self.resume_check(self.offset);
        Ok(filled)
    }

    /// Opens a storage now if none is open, so that a failure is known before the first read.
    ///
    /// # Errors
    /// As a read.
    pub fn connect(&mut self) -> Result<(), Error> {
        let is_open = self.connection.is_some() || self.file.is_some();
        if self.remaining > 0 && !is_open && self.peeked.is_empty() {
            self.reopen(true)?;
            self.resume_check(self.offset);
        }
        Ok(())
    }

    /// As a read, but returns `None` instead of waiting for [`Download::stream`], or for
    /// [`Download::patience`] if there is no stream. It waits for the head of a storage's reply only
    /// if there was no stream before the call.
    ///
    /// # Errors
    /// As a read.
    pub fn read_ready(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(self.read_checked(buf, false)?)
    }

    /// How long [`Download::stream`] may be silent. Without a stream: how long to wait before the
    /// next [`Download::read_ready`].
    pub fn patience(&self) -> Duration {
        let pause = self.retry.pause_left();
        pause.unwrap_or_else(|| self.client.shared.pool.io_timeout())
    }

    /// Gives up the current storage, whose [`Download::stream`] broke or is silent, or the file. The next read
    /// goes on at another storage, or asks the storage for the rest of the file.
    pub fn abandon(&mut self) {
        if self.file.take().is_some() {
            self.avoids_files = true;
        }
        if let Some(connection) = self.connection.take() {
            let address = connection.address().clone();
            let error = connection.into_broken("reading the content");
            self.break_off(address, error);
        }
    }

    /// Records the failure of a storage. A failure reply in the content is preferred to `error`.
    fn break_off(&mut self, address: Address, error: Error) {
        let fault = self.held.break_off();
        if self.held.is_ready() {
            note_source(&mut self.sources, &address);
        }
        let error = match fault {
            Some(source) => Error::Fault {
                address: address.clone(),
                source,
            },
            None => error,
        };
        let (file, offset, text) = (&self.key.file, self.offset, error.chain());
        log::debug!("download {file} at {offset}: {text}");
        self.client.shared.pool.note_failure(&address, &error);
        self.retry.broke(address, error);
    }

    fn count(&mut self, n: u64) {
        self.offset += n;
        self.remaining -= n;
        self.release_when_done();
    }

    /// Returns the connection to the pool at the end of its reply.
    fn release_when_done(&mut self) {
        if self.held.is_empty()
            && let Some(connection) = self.connection.take_if(|c| c.body_left() == 0)
        {
            self.client.shared.pool.put(connection);
        }
    }

    fn read_checked(&mut self, buf: &mut [u8], wait: bool) -> Result<Option<usize>, Error> {
        if buf.is_empty() {
            return Ok(Some(0));
        }
        let n = match self.remaining {
            0 => Some(0),
            _ => self.read_on(buf, wait)?,
        };
        self.resume_check(self.offset - n.unwrap_or(0) as u64);
        if let Some(n) = n {
            self.inspect(&buf[..n])?;
        }
        Ok(n)
    }

    /// Reads at least one byte. Without `wait`, returns `None` if none has arrived.
    fn read_on(&mut self, buf: &mut [u8], wait: bool) -> Result<Option<usize>, Error> {
        loop {
            if let n @ 1.. = self.take_buffered(buf) {
                return Ok(Some(n));
            }
            if let Some(n) = self.take_from_file(buf) {
                return Ok(Some(n));
            }
            let Some(connection) = &mut self.connection else {
                if !self.reopen(wait)? {
                    return Ok(None);
                }
                continue;
            };
            let step = match self.held.read(connection, &self.key, buf) {
                Ok(None) if wait && !self.held.needs_confirmation() => {
                    connection.wait_content().map(|()| None)
                }
                step => step,
            };
            match step {
                Ok(Some(n)) => {
                    note_source(&mut self.sources, connection.address());
                    self.retry = Retry::default();
                    self.count(n as u64);
                    return Ok(Some(n));
                }
                Ok(None) if wait => {}
                Ok(None) => return Ok(None),
                Err(error) => {
                    let address = connection.address().clone();
                    self.connection = None;
                    self.break_off(address, error);
                    if !wait && !self.held.is_ready() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes peeked bytes, or the content that a storage sent before it failed.
    fn take_buffered(&mut self, buf: &mut [u8]) -> usize {
        let mut n = buf.len().min(self.peeked.len());
        buf[..n].copy_from_slice(&self.peeked[..n]);
        self.peeked.drain(..n);
        if n == 0 && self.connection.is_none() && self.file.is_none() {
            n = self.held.take(buf);
        }
        self.count(n as u64);
        n
    }
}

fn note_source(sources: &mut Vec<Address>, address: &Address) {
    if !sources.contains(address) {
        sources.push(address.clone());
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.client.shared.pool.put(connection);
        }
    }
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // With `wait` there is always a byte, or an error.
        Ok(self.read_checked(buf, true)?.unwrap_or(0))
    }
}
