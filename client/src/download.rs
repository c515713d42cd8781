//! Reading a range of a file, from another storage when one breaks off.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use proto::{Address, FileKey};
use rustix::net::{RecvFlags, recv};

use crate::connection::DISCARD_MAX;
use crate::content_check::ContentCheck;
use crate::held_back::HeldBack;
use crate::read_range::open_at;
use crate::retry::Retry;
use crate::turns::Peer;
use crate::{Client, Connection, Error};

/// A range of a file on its way here. Read it to its end and its connection serves the next
/// request; drop it before and the connection is closed, unless no more than
/// [`Download::DISCARD_MAX`] bytes are left.
///
/// When a storage breaks off, falls silent or sends nonsense, reading goes on at the next byte from
/// another one, or from the same after the others; if all fail the trackers are asked anew where
/// the storages are. An error comes only after all of them failed at least twice, and up to four
/// times within about 2 s, without one byte of progress, or when one says that the file is gone; a
/// further read then tries again from the same byte.
#[derive(Debug)]
pub struct Download {
    client: Client,
    key: FileKey,
    /// Where the file can be had, as far as is known.
    storages: Vec<Address>,
    /// The next byte of the file.
    offset: u64,
    /// Bytes of the range from there on.
    remaining: u64,
    /// The connection that sends them; absent when it broke or nothing remains.
    connection: Option<Connection>,
    /// The storage that was given up, until the next read.
    broken: Option<(Address, Error)>,
    /// What has come of a storage that may write a failure into the content.
    held: HeldBack,
    /// For a whole file with a checksum, of whose bytes all passed here.
    check: Option<ContentCheck>,
    /// Who sent the bytes that were read.
    sources: Vec<Address>,
}

impl Download {
    /// So many bytes that nobody wants are thrown away for their connection.
    pub const DISCARD_MAX: u64 = DISCARD_MAX;

    /// `range` is the next byte and the number of bytes from there on, which `connection` sends.
    pub(crate) fn begin(
        client: &Client,
        key: &FileKey,
        storages: Vec<Address>,
        (offset, remaining): (u64, u64),
        connection: Option<Connection>,
    ) -> Download {
        let mut download = Download {
            client: client.clone(),
            key: key.clone(),
            storages,
            offset,
            remaining,
            connection,
            broken: None,
            held: HeldBack::default(),
            check: None,
            sources: Vec::new(),
        };
        download.release_when_done();
        download
    }

    /// The same for a whole file, which is compared with this checksum.
    pub(crate) fn checked(mut self, checksum: Option<u128>) -> Download {
        self.check = checksum
            .filter(|_| self.remaining > 0)
            .map(ContentCheck::new);
        self
    }

    /// Bytes not read yet; at first, the length of the range.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The byte of the file that is read next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The storages that sent the bytes read so far.
    pub fn sources(&self) -> &[Address] {
        &self.sources
    }

    /// The socket that the next bytes come from: who does not want to block waits for it before
    /// [`Download::read_ready`]. Absent when nothing remains, when bytes are at hand, or when the
    /// next read must find another storage first.
    pub fn stream(&self) -> Option<&TcpStream> {
        match &self.connection {
            Some(connection) if !self.held.is_ready() => Some(connection.stream()),
            _ => None,
        }
    }

    /// Whether bytes may be taken from [`Download::stream`] instead of being read: the storage is
    /// known to send nothing but content, no byte is buffered here, and the content is not
    /// compared with a checksum.
    pub fn may_take(&self) -> bool {
        let is_ours = self.connection.as_ref().is_some_and(Connection::is_ours);
        is_ours && self.held.is_empty() && self.check.is_none()
    }

    /// Takes note that `n` bytes were taken from [`Download::stream`]. They are not compared with
    /// a checksum.
    ///
    /// # Panics
    /// When fewer remain, or there is no stream.
    pub fn advance(&mut self, n: u64) {
        self.check = None;
        let connection = self.connection.as_mut().expect("there is a stream");
        note_source(&mut self.sources, connection.address());
        connection.advance(n);
        self.count(n);
    }

    /// The next bytes as far as they have come, which stay to be read; 0 if that is unknown. Does not
    /// wait. The storage may be given up before they are read, and another one may send others.
    pub fn peek(&self, buf: &mut [u8]) -> usize {
        let connection = self.connection.as_ref();
        let Some(connection) = connection.filter(|ours| ours.is_ours() && self.held.is_empty())
        else {
            return 0;
        };
        let left = connection.body_left();
        let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        recv(connection.stream(), &mut buf[..len], flags).map_or(0, |(n, _)| n)
    }

    /// As a read, but does not wait for [`Download::stream`]: `None` when no bytes for the reader
    /// have come.
    ///
    /// # Errors
    /// As a read.
    pub fn read_ready(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(self.read_checked(buf, false)?)
    }

    /// How long [`Download::stream`] may be silent before it counts as broken.
    pub fn io_timeout(&self) -> Duration {
        self.client.pools().io_timeout()
    }

    /// Gives up the current storage, which [`Download::stream`] found to be broken: the next read
    /// goes on from another.
    pub fn abandon_stream(&mut self) {
        if let Some(connection) = self.connection.take() {
            let address = connection.address().clone();
            let error = connection.into_broken("reading the content");
            self.broken = Some(self.break_off(address, error));
        }
    }

    /// Why a storage is given up: what it said itself, if it did.
    fn break_off(&mut self, address: Address, error: Error) -> (Address, Error) {
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
        self.client.pools().note_failure(&address, &error);
        (address, error)
    }

    fn count(&mut self, n: u64) {
        self.offset += n;
        self.remaining -= n;
        self.release_when_done();
    }

    fn release_when_done(&mut self) {
        if self.remaining == 0
            && let Some(connection) = self.connection.take()
        {
            self.client.pools().put(connection);
        }
    }

    /// Reads, and compares the content if these are the last bytes of it.
    fn read_checked(&mut self, buf: &mut [u8], wait: bool) -> Result<Option<usize>, Error> {
        if buf.is_empty() {
            return Ok(Some(0));
        }
        let n = match self.remaining {
            0 => Some(0),
            _ => self.read_on(buf, wait)?,
        };
        if let (Some(check), Some(n)) = (&mut self.check, n) {
            check.update(&buf[..n]);
            if self.remaining == 0 && !check.is_good() {
                return Err(self.client.note_damaged(&self.key, &self.sources));
            }
        }
        Ok(n)
    }

    fn read_on(&mut self, buf: &mut [u8], wait: bool) -> Result<Option<usize>, Error> {
        if self.connection.is_none() && self.held.is_ready() {
            return Ok(Some(self.take_held(buf)));
        }
        let mut retry = Retry::default();
        if let Some((address, error)) = self.broken.take() {
            retry.broke(address, error);
        }
        loop {
            let Some(connection) = &mut self.connection else {
                self.reopen(&mut retry)?;
                continue;
            };
            let step = match step(connection, &mut self.held, &self.key, buf) {
                Ok(None) if wait => connection.wait_content().map(|()| None),
                step => step,
            };
            match step {
                Ok(Some(n)) => {
                    note_source(&mut self.sources, connection.address());
                    self.count(n as u64);
                    return Ok(Some(n));
                }
                Ok(None) if wait => {}
                Ok(None) => return Ok(None),
                Err(error) => {
                    let address = connection.address().clone();
                    self.connection = None;
                    let (address, error) = self.break_off(address, error);
                    if self.held.is_ready() {
                        self.broken = Some((address, error));
                        return Ok(Some(self.take_held(buf)));
                    }
                    retry.broke(address, error);
                }
            }
        }
    }

    /// What a storage sent before it broke off.
    fn take_held(&mut self, buf: &mut [u8]) -> usize {
        let n = self.held.take(buf);
        self.count(n as u64);
        n
    }

    /// Opens what remains at the next storage that agrees.
    fn reopen(&mut self, retry: &mut Retry) -> Result<(), Error> {
        loop {
            let next = retry.next(&self.client, &self.key, &mut self.storages);
            let Some((address, time)) = next else {
                return Err(Error::all_failed("download", retry.take_errors()));
            };
            let peer = Peer::new(&address, time);
            let len = Some(self.remaining);
            match open_at(&self.client, peer, &self.key, self.offset, len) {
                Ok((connection, _)) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if error.moves_on() => retry.failed(error),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads what has come for the reader, without waiting: `None` if that is nothing.
fn step(
    connection: &mut Connection,
    held: &mut HeldBack,
    key: &FileKey,
    buf: &mut [u8],
) -> Result<Option<usize>, Error> {
    if connection.is_ours() && held.is_empty() {
        return connection.read_now(buf);
    }
    loop {
        if let n @ 1.. = held.take(buf) {
            return Ok(Some(n));
        }
        if !held.fill(connection, key)? {
            return Ok(None);
        }
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
            self.client.pools().put(connection);
        }
    }
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // It waits until there is some.
        Ok(self.read_checked(buf, true)?.unwrap_or(0))
    }
}
