//! Reading a range of a file, from another storage when one breaks off.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proto::storage::{self, Span, StorageRequest};
use proto::{Address, ErrorCode, Fault, FileKey};

use crate::client::Purpose;
use crate::connection::DISCARD_MAX;
use crate::storages::Candidates;
use crate::{Client, Connection, Error, Stat};

/// How often all storages are tried without a byte of progress, at most.
const ROUNDS_MAX: u32 = 4;
/// How often they are tried however long that takes: the second time where the trackers say.
const ROUNDS_MIN: u32 = 2;
/// The wait before each round but the first. All of them together outlast the restart of a storage
/// that is the only one of its group, and hold the reader's thread no longer than that.
const PAUSE: Duration = Duration::from_millis(500);

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
}

impl Client {
    /// Opens a whole file for reading.
    ///
    /// # Errors
    /// As [`Client::read_range`].
    pub fn download(&self, key: &FileKey) -> Result<Download, Error> {
        self.read_range(key, 0, None)
    }

    /// Opens `len` bytes of a file from byte `offset` on, or all from there to its end. The
    /// storage has agreed when this returns: that there is no such file comes out here. An empty
    /// range is allowed anywhere up to the end of the file.
    ///
    /// # Errors
    /// A storage refused, with [`ErrorKind::NotFound`](crate::ErrorKind), or with
    /// [`ErrorKind::BadRequest`](crate::ErrorKind) for a range that reaches beyond the end; or
    /// every storage failed.
    pub fn read_range(
        &self,
        key: &FileKey,
        offset: u64,
        len: Option<u64>,
    ) -> Result<Download, Error> {
        let mut candidates = Candidates::new(self, key, Purpose::Look)?;
        // Size 0 means something else on the wire: 'to the end'.
        let (connection, remaining) = if len == Some(0) {
            candidates.ask_each("download", |address| {
                self.check_offset(address, key, offset)
            })?;
            (None, 0)
        } else {
            let open = |address: &Address| open_at(self, address, key, offset, len);
            let (connection, len) = candidates.ask_each("download", open)?;
            (Some(connection), len)
        };
        let storages = candidates.into_all();
        let range = (offset, remaining);
        Ok(Download::begin(self, key, storages, range, connection))
    }

    pub(crate) fn open_in_two(
        &self,
        address: &Address,
        key: &FileKey,
        span: Span,
    ) -> Result<(Stat, Connection), Error> {
        let stat = self.stat_at(address, key)?;
        let (offset, len) = span.within(stat.size);
        if len == 0 {
            // There is nothing to send; the connection is for those that follow.
            return Ok((stat, self.pools().get(address)?));
        }
        let (connection, _) = open_at(self, address, key, offset, Some(len))?;
        Ok((stat, connection))
    }

    /// What a storage would say to an empty range, if the wire had one.
    fn check_offset(&self, address: &Address, key: &FileKey, offset: u64) -> Result<(), Error> {
        let size = self.file_size_at(address, key)?;
        if offset <= size {
            return Ok(());
        }
        let message = format!("offset {offset} is beyond the end of the file, {size}");
        Err(Error::Fault {
            address: address.clone(),
            source: Fault::new(ErrorCode::BadRequest, message),
        })
    }
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
        };
        download.release_when_done();
        download
    }

    /// Bytes not read yet; at first, the length of the range.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The byte of the file that is read next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The socket the next [`Download::remaining`] bytes come from, none of which is buffered
    /// here; absent when nothing remains, or when the next read must find another storage first.
    /// Whoever takes bytes from it says so with [`Download::advance`].
    pub fn stream(&self) -> Option<&TcpStream> {
        self.connection.as_ref().map(Connection::stream)
    }

    /// Takes note that `n` bytes were taken from [`Download::stream`].
    ///
    /// # Panics
    /// When fewer remain, or there is no stream.
    pub fn advance(&mut self, n: u64) {
        let connection = self.connection.as_mut().expect("there is a stream");
        connection.advance(n);
        self.count(n);
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
            log::debug!("download {}: {}", self.key.file, error.chain());
            self.client.pools().note_failure(&address, &error);
            self.broken = Some((address, error));
        }
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

    fn read_on(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut retry = Retry::default();
        if let Some((address, error)) = self.broken.take() {
            retry.broke(address, error);
        }
        loop {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.reopen(&mut retry)?,
            };
            match connection.read_some(buf) {
                Ok(n) => {
                    self.count(n as u64);
                    return Ok(n);
                }
                Err(error) => {
                    let address = connection.address().clone();
                    let text = error.chain();
                    log::debug!("download {} at {}: {text}", self.key.file, self.offset);
                    self.client.pools().note_failure(&address, &error);
                    retry.broke(address, error);
                    self.connection = None;
                }
            }
        }
    }

    /// Opens what remains at the next storage that agrees.
    fn reopen(&mut self, retry: &mut Retry) -> Result<&mut Connection, Error> {
        loop {
            let Some(address) = retry.next(&self.client, &self.key, &mut self.storages) else {
                let errors = std::mem::take(&mut retry.errors);
                return Err(Error::all_failed("download", errors));
            };
            let len = Some(self.remaining);
            match open_at(&self.client, &address, &self.key, self.offset, len) {
                Ok((connection, _)) => return Ok(self.connection.insert(connection)),
                Err(error) if error.moves_on() => retry.errors.push(error),
                Err(error) => return Err(error),
            }
        }
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
        if self.remaining == 0 || buf.is_empty() {
            return Ok(0);
        }
        Ok(self.read_on(buf)?)
    }
}

/// The attempts to go on since the last byte of progress.
#[derive(Default)]
struct Retry {
    waiting: VecDeque<Address>,
    rounds: u32,
    /// When the first round began.
    began: Option<Instant>,
    /// The storage that broke off first: it is asked last in each round.
    broken: Option<Address>,
    errors: Vec<Error>,
}

impl Retry {
    fn broke(&mut self, address: Address, error: Error) {
        self.errors.push(error);
        self.broken.get_or_insert(address);
    }

    /// The next storage to try: first those that are known, then those that the trackers name now,
    /// or the known ones again if the trackers cannot tell. The one that broke off comes last.
    /// Waits before each round but the first.
    fn next(
        &mut self,
        client: &Client,
        key: &FileKey,
        known: &mut Vec<Address>,
    ) -> Option<Address> {
        while self.waiting.is_empty() && self.may_go_round(client.pools().io_timeout()) {
            self.rounds += 1;
            if self.rounds > 1 {
                pause();
                match client.storages_now(key, Purpose::Look) {
                    Ok(addresses) => *known = addresses,
                    Err(error) => self.errors.push(error),
                }
            }
            let (broken, others): (Vec<Address>, Vec<Address>) = client
                .pools()
                .order(known)
                .into_iter()
                .partition(|address| Some(address) == self.broken.as_ref());
            self.waiting = others.into_iter().chain(broken).collect();
        }
        self.waiting.pop_front()
    }

    /// Whether to begin another round. Servers that are silent cost a time-out each: they are not
    /// waited for four times.
    fn may_go_round(&mut self, io_timeout: Duration) -> bool {
        let began = *self.began.get_or_insert_with(Instant::now);
        self.rounds < ROUNDS_MIN || self.rounds < ROUNDS_MAX && began.elapsed() < io_timeout
    }
}

/// Lets [`PAUSE`] pass; there is nobody to end it early.
fn pause() {
    let nothing = Mutex::new(());
    Condvar::new().wait_for(&mut nothing.lock(), PAUSE);
}

/// Asks one storage for a range. Returns the connection, behind the head of the reply, and the
/// length of the range.
fn open_at(
    client: &Client,
    address: &Address,
    key: &FileKey,
    offset: u64,
    len: Option<u64>,
) -> Result<(Connection, u64), Error> {
    let request = StorageRequest::Download(storage::Download {
        key: key.clone(),
        offset,
        size: len.unwrap_or(0),
    });
    let exchange = client
        .pools()
        .exchange(address, &request.encode(), storage::REPLY);
    let (mut connection, body_len) = exchange.result?;
    match len {
        Some(len) if len != body_len => {
            let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
            Err(connection.body_length(actual, format!("exactly {len}")))
        }
        _ => Ok((connection, body_len)),
    }
}
