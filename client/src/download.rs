//! A part of a file that is being read. It goes on at another storage when one fails.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use proto::storage::{ByteRange, RangeSpec};
use proto::{Address, FileKey};

use crate::connection::DISCARD_MAX;
use crate::content_check::ContentCheck;
use crate::held_back::HeldBack;
use crate::open::{Opened, open_at, read_at};
use crate::retry::{Next, Retry};
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
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
    /// The storage that answered READ last: it is not taken for a C++ storage when it breaks.
    knows_read: Option<Address>,
    retry: Retry,
    /// Content of a C++ storage, which may contain a failure reply.
    held: HeldBack,
    /// Content that was read by [`Download::peek`].
    peeked: Vec<u8>,
    /// Present for a whole file with a known checksum.
    check: Option<ContentCheck>,
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
            knows_read: None,
            retry: Retry::default(),
            held: HeldBack::default(),
            peeked: Vec::new(),
            check: stat.checksum.filter(|_| is_whole).map(ContentCheck::new),
            sources: Vec::new(),
        }
    }

    /// The download with the connection of its first bytes.
    pub(crate) fn with_connection(mut self, connection: Option<Connection>) -> Download {
        self.set_connection(connection);
        self.release_when_done();
        self
    }

    fn set_connection(&mut self, connection: Option<Connection>) {
        let ours = connection
            .as_ref()
            .filter(|connection| connection.is_ours());
        if let Some(connection) = ours {
            self.knows_read = Some(connection.address().clone());
        }
        self.connection = connection;
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
        let waits = !is_buffered && !self.held.needs_confirmation();
        let connection = self.connection.as_ref();
        connection.filter(|_| waits).map(Connection::stream)
    }

    /// True if bytes may be taken from [`Download::stream`] instead of being read: the storage
    /// sends nothing but content, and no byte is buffered.
    pub fn may_take(&self) -> bool {
        let is_ours = self.connection.as_ref().is_some_and(Connection::is_ours);
        is_ours && self.held.is_empty() && self.peeked.is_empty()
    }

    /// Records that `n` bytes were taken from [`Download::stream`]. If [`Download::is_checked`],
    /// pass them to [`Download::inspect`] next.
    ///
    /// # Panics
    /// If the reply has fewer bytes left, or there is no stream.
    pub fn advance(&mut self, n: u64) {
        let connection = self.connection.as_mut().expect("there is a stream");
        note_source(&mut self.sources, connection.address());
        connection.advance(n);
        self.retry = Retry::default();
        self.count(n);
    }

    /// True if the content is compared with a checksum.
    pub fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// Adds bytes to the checksum that were taken from [`Download::stream`].
    ///
    /// # Errors
    /// [`Error::Damaged`] behind the last bytes.
    pub fn inspect(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(check) = &mut self.check {
            check.update(bytes);
            if self.remaining == 0 && !check.is_good() {
                return Err(self.client.note_damaged(&self.key, &self.sources));
            }
        }
        Ok(())
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
        Ok(filled)
    }

    /// Opens a storage now if none is open, so that a failure is known before the first read.
    ///
    /// # Errors
    /// As a read.
    pub fn connect(&mut self) -> Result<(), Error> {
        if self.remaining > 0 && self.connection.is_none() && self.peeked.is_empty() {
            self.reopen(true)?;
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

    /// Gives up the current storage, whose [`Download::stream`] broke or is silent. The next read
    /// goes on at another one.
    pub fn abandon_stream(&mut self) {
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
        if n == 0 && self.connection.is_none() {
            n = self.held.take(buf);
        }
        self.count(n as u64);
        n
    }

    /// Opens the rest of the part at the next storage. Without `wait`, returns false while a pause
    /// between two rounds lasts.
    fn reopen(&mut self, wait: bool) -> Result<bool, Error> {
        loop {
            let next = self.retry.next(&self.client, &self.key, &mut self.storages);
            let (address, time) = match next {
                Next::Ask(address, time) => (address, time),
                Next::Pause if wait => {
                    self.retry.sleep();
                    continue;
                }
                Next::Pause => return Ok(false),
                Next::GiveUp => {
                    let errors = std::mem::take(&mut self.retry).into_errors();
                    return Err(Error::all_failed("download", errors));
                }
            };
            match self.open_rest(Peer::new(&address, time)) {
                Ok(()) => return Ok(true),
                Err(error) if error.moves_on() => self.retry.failed(error),
                Err(error) => {
                    self.retry = Retry::default();
                    return Err(error);
                }
            }
        }
    }

    fn open_rest(&mut self, peer: Peer<'_>) -> Result<(), Error> {
        let range = RangeSpec::from(ByteRange {
            offset: self.offset,
            len: self.remaining,
        });
        let (client, key, choice) = (&self.client, &self.key, ConnectionChoice::Any);
        let (stat, connection): Opened = match self.knows_read.as_ref() == Some(peer.address) {
            true => read_at(client, choice, peer, key, range, None),
            false => open_at(client, peer, key, range, None),
        }?;
        if !self.stat.may_be_same(&stat) {
            return Err(Error::Replaced(self.key.clone()));
        }
        self.set_connection(connection);
        Ok(())
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
