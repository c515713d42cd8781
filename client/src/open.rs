//! The read path: opening a part of a file at one of its storages.
//!
//! A storage of this system is asked with READ, which also returns the file's size, time and
//! checksum. One on this machine is asked with OPEN, which passes the open file. A C++ storage is asked with
//! FILESIZE and DOWNLOAD. Downloads, failover, ranges and `RemoteFile` all open their storage with [`open_at`], or
//! with [`open_at_tcp`] where the file must not be read here.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use proto::storage::{self, ByteRange, FileStat, RangeSpec, StorageRequest};
use proto::{Address, FileKey, GroupName};

use crate::candidates::Candidates;
use crate::client::Purpose;
use crate::local::LocalFile;
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Client, Connection, Download, Error, Stat};

const READ: &str = "read";

/// A storage that gives a part of a file: the file's properties, and where the content comes from.
pub(crate) type Opened = (Stat, Origin);

/// Where the content of a part of a file comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The part is empty.
    Nowhere,
    /// The connection behind the file's properties.
    Connection(Connection),
    /// The open file.
    File(Arc<LocalFile>),
}

/// A file that one of its storages was asked for.
#[derive(Debug)]
pub struct Opening {
    candidates: Candidates,
    range: RangeSpec,
    first_max: u64,
    asked: Asked,
}

/// The request to a storage that [`Opening::finish`] begins with.
#[derive(Debug)]
enum Asked {
    /// No storage could be asked, or the next one needs the C++ commands.
    Nobody,
    /// LOCAL_SOCKET was sent on this connection.
    Socket(Connection),
    /// READ was sent on this connection.
    Read(Connection),
    /// OPEN was sent on this connection to a Unix socket.
    Open(Connection),
}

impl Asked {
    fn connection(&self) -> Option<&Connection> {
        match self {
            Asked::Socket(connection) | Asked::Read(connection) | Asked::Open(connection) => {
                Some(connection)
            }
            Asked::Nobody => None,
        }
    }

    fn into_connection(self) -> Option<Connection> {
        match self {
            Asked::Socket(connection) | Asked::Read(connection) | Asked::Open(connection) => {
                Some(connection)
            }
            Asked::Nobody => None,
        }
    }

    /// Waits for the answer of the storage, and returns it with its address.
    fn finish(
        self,
        client: &Client,
        key: &FileKey,
        range: RangeSpec,
    ) -> Option<(Result<Opened, Error>, Address)> {
        let (address, limit) = match &self {
            Asked::Nobody => return None,
            Asked::Socket(connection) | Asked::Read(connection) | Asked::Open(connection) => {
                (connection.address().clone(), connection.limit())
            }
        };
        let peer = Peer {
            address: &address,
            limit,
        };
        let local = &client.shared.local;
        let answer = match self {
            Asked::Nobody => return None,
            Asked::Read(connection) => open_at_tcp(client, peer, key, range, Some(connection)),
            Asked::Socket(connection) => {
                local.finish_ask(client, connection);
                open_at(client, peer, key, range)
            }
            Asked::Open(connection) => match local.finish_open(connection, key) {
                Some(file) => client.opened_locally(peer, file),
                None => open_at_tcp(client, peer, key, range, None),
            },
        };
        Some((answer, address))
    }
}

impl Client {
    /// Opens a part of a file. One request to a storage, two to a C++ storage.
    ///
    /// # Errors
    /// A storage refused, with [`ErrorKind::NotFound`](crate::ErrorKind) among the reasons; or
    /// every storage failed.
    pub fn open(&self, key: &FileKey, range: RangeSpec) -> Result<(Stat, Download), Error> {
        match self.open_kept(key, range) {
            Some((stat, download, _)) => Ok((stat, download)),
            None => self.begin_open(key, range, u64::MAX)?.finish(),
        }
    }

    /// Opens a part of a file that an earlier request has opened on this machine, and returns its group, too. Asks
    /// no server. `None` if no such file is kept, or it was deleted.
    pub fn open_kept(
        &self,
        key: &FileKey,
        range: RangeSpec,
    ) -> Option<(Stat, Download, GroupName)> {
        let local = &self.shared.local;
        let known = self.cached_storages(key)?;
        let file = local.kept(key, |storage| known.addresses.contains(storage))?;
        let stat = file.stat;
        let range = range.within(stat.size);
        let download = Download::new(self, key, &stat, range, Vec::new());
        let download = download.beginning_at(Origin::File(file));
        Some((stat, download, known.group.clone()))
    }

    /// Sends the request of [`Client::open`] and does not wait for the reply. It may wait for a
    /// connection, and for a tracker if the storages of the user are not cached.
    ///
    /// The first request is for `first_max` bytes at most. The download requests the rest when
    /// these are read.
    ///
    /// # Errors
    /// No tracker answers, or none knows an active storage.
    pub fn begin_open(
        &self,
        key: &FileKey,
        range: RangeSpec,
        first_max: u64,
    ) -> Result<Opening, Error> {
        let mut opening = Opening {
            candidates: Candidates::new(self, key, Purpose::Read)?,
            range,
            first_max,
            asked: Asked::Nobody,
        };
        opening.ask_next();
        Ok(opening)
    }

    /// Opens a whole file for reading.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn download(&self, key: &FileKey) -> Result<Download, Error> {
        Ok(self.open(key, RangeSpec::WHOLE)?.1)
    }

    /// Opens `len` bytes of a file from byte `offset` on, or all from there to its end. An empty
    /// range may begin at the end of the file.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the range ends beyond the end of the file. Else as
    /// [`Client::open`].
    pub fn read_range(
        &self,
        key: &FileKey,
        offset: u64,
        len: Option<u64>,
    ) -> Result<Download, Error> {
        let (stat, download) = match len {
            // A RangeSpec of size 0 means up to the end of the file.
            Some(0) => {
                let stat = self.stat(key)?;
                let offset = offset.min(stat.size);
                let empty = ByteRange { offset, len: 0 };
                (stat, self.read_later(key, &stat, empty))
            }
            _ => {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                let size = len.unwrap_or(0);
                self.open(key, RangeSpec { offset, size })?
            }
        };
        let rest = stat.size.checked_sub(offset);
        if rest.is_some_and(|rest| len.is_none_or(|len| len <= rest)) {
            return Ok(download);
        }
        Err(Error::OutOfRange {
            key: key.clone(),
            offset,
            size: stat.size,
        })
    }

    /// A part of a file that was opened earlier: `stat` is its result. The first read requests the
    /// part, and fails with [`Error::Replaced`] if the storage has another file by then.
    pub fn read_later(&self, key: &FileKey, stat: &Stat, range: ByteRange) -> Download {
        Download::new(self, key, stat, range, Vec::new())
    }
}

impl Opening {
    /// The socket of the reply. Absent if [`Opening::finish`] has to ask a storage first.
    pub fn stream(&self) -> Option<&TcpStream> {
        self.asked.connection().map(Connection::stream)
    }

    /// Time that the storage has left for its reply.
    pub fn time_left(&self) -> Duration {
        let left = |asked: &Connection| asked.limit().left();
        self.asked.connection().map_or(Duration::ZERO, left)
    }

    /// Reads the part of the reply that has arrived, without waiting. True if [`Opening::finish`]
    /// will not wait for this storage.
    pub fn has_answer(&mut self) -> bool {
        match &mut self.asked {
            Asked::Socket(connection) | Asked::Read(connection) | Asked::Open(connection) => {
                connection.read_ahead()
            }
            Asked::Nobody => true,
        }
    }

    /// Sends the request for the file, if the storage was only asked where it is and has answered
    /// ([`Opening::has_answer`]). It may wait for a connection. True if the request was sent: then wait again.
    pub fn continue_request(&mut self) -> bool {
        if !matches!(self.asked, Asked::Socket(_)) {
            return false;
        }
        let asked = std::mem::replace(&mut self.asked, Asked::Nobody);
        if let Some(connection) = asked.into_connection() {
            let (address, limit) = (connection.address().clone(), connection.limit());
            let client = self.candidates.client.clone();
            client.shared.local.finish_ask(&client, connection);
            self.ask(Peer {
                address: &address,
                limit,
            });
        }
        self.ask_next();
        self.stream().is_some()
    }

    /// Gives up a storage that did not answer in time, and asks the next one.
    pub fn abandon_stream(&mut self) {
        let asked = std::mem::replace(&mut self.asked, Asked::Nobody);
        if let Some(connection) = asked.into_connection() {
            let address = connection.address().clone();
            let error = connection.into_broken("reading the reply");
            let pool = &self.candidates.client.shared.pool;
            pool.note_failure(&address, &error);
            self.candidates.failed(READ, &address, error);
            self.ask_next();
        }
    }

    /// Asks the first remaining storage that accepts a connection. Stops at a storage that needs the C++ commands.
    fn ask_next(&mut self) {
        let client = self.candidates.client.clone();
        while matches!(self.asked, Asked::Nobody)
            && let Some(next) = self.candidates.peek()
            && !client.shared.no_read.has(next)
            && let Some((address, time)) = self.candidates.next()
        {
            self.ask(Peer::new(&address, time));
        }
    }

    /// Sends OPEN to a storage on this machine, READ to another one, and first LOCAL_SOCKET if it is not known where
    /// the storage is.
    fn ask(&mut self, peer: Peer<'_>) {
        let client = self.candidates.client.clone();
        let (shared, key) = (&client.shared, &self.candidates.key);
        self.asked = if let Some(asked) = shared.local.begin_ask(&client, peer) {
            Asked::Socket(asked)
        } else if let Some(asked) = shared.local.begin_open(peer, key) {
            Asked::Open(asked)
        } else {
            let request = self.request();
            match shared.pool.begin(ConnectionChoice::Any, peer, &request) {
                Ok(connection) => Asked::Read(connection),
                Err(error) => return self.candidates.failed(READ, peer.address, error),
            }
        };
    }

    fn request(&self) -> Vec<u8> {
        read_request(&self.candidates.key, self.range.at_most(self.first_max))
    }

    /// Waits for the reply, and asks the other storages if it is a failure.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn finish(self) -> Result<(Stat, Download), Error> {
        let first = self.range.at_most(self.first_max);
        let mut candidates = self.candidates;
        let (client, key) = (candidates.client.clone(), candidates.key.clone());
        let answer = self.asked.finish(&client, &key, first);
        let others = |candidates: &mut Candidates| {
            candidates.ask_each(READ, |peer| open_at(&client, peer, &key, first))
        };
        let (stat, origin) = match answer {
            Some((Err(error), address)) if error.moves_on() => {
                candidates.failed(READ, &address, error);
                others(&mut candidates)
            }
            Some((answer, _)) => answer,
            None => others(&mut candidates),
        }?;
        let range = self.range.within(stat.size);
        let storages = candidates.into_all();
        let download = Download::new(&client, &key, &stat, range, storages);
        Ok((stat, download.beginning_at(origin)))
    }
}

impl Client {
    pub(crate) fn opened_locally(
        &self,
        peer: Peer<'_>,
        file: Result<Arc<LocalFile>, Error>,
    ) -> Result<Opened, Error> {
        let file = file.inspect_err(|error| self.shared.pool.note_failure(peer.address, error))?;
        Ok((file.stat, Origin::File(file)))
    }
}

/// Opens a part of a file at one storage: the file itself if the storage is on this machine.
pub(crate) fn open_at(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
) -> Result<Opened, Error> {
    match client.shared.local.open(peer, key) {
        Some(file) => client.opened_locally(peer, file),
        None => open_at_tcp(client, peer, key, range, None),
    }
}

/// Opens a part of a file at one storage, with READ or the commands that the storage supports.
/// `asked` is a connection on which READ was sent already.
pub(crate) fn open_at_tcp(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
    mut asked: Option<Connection>,
) -> Result<Opened, Error> {
    let read = |choice| read_at(client, choice, peer, key, range, asked.take());
    let cpp = || open_at_cpp(client, peer, key, range);
    client.shared.no_read.ask(peer.address, read, cpp)
}

/// Opens a part of a file at a storage of this system.
pub(crate) fn read_at(
    client: &Client,
    choice: ConnectionChoice,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
    asked: Option<Connection>,
) -> Result<Opened, Error> {
    let (pool, request) = (&client.shared.pool, read_request(key, range));
    let exchange = match asked {
        Some(asked) => pool.resume(asked, &request, storage::REPLY),
        None => pool.exchange(choice, peer, &request, storage::REPLY),
    };
    let (connection, body_len) = exchange.result?;
    read_stat(client, connection, body_len, range)
}

/// Reads the file's properties, which stand in front of the content.
fn read_stat(
    client: &Client,
    mut connection: Connection,
    body_len: u64,
    range: RangeSpec,
) -> Result<Opened, Error> {
    let content_len = body_len.checked_sub(FileStat::LEN as u64);
    let mut head = [0; FileStat::LEN];
    if content_len.is_some() {
        connection
            .read_part(&mut head)
            .inspect_err(|error| client.shared.pool.note_failure(connection.address(), error))?;
    }
    let stat = FileStat::decode(&head).map_err(|e| connection.protocol_error(e.into()))?;
    let ByteRange { len, .. } = range.within(stat.size);
    if content_len != Some(len) {
        return Err(connection.body_length(body_len, format!("{} and {len}", FileStat::LEN)));
    }
    Ok((stat.into(), Origin::Connection(connection)))
}

/// Opens a part of a file at a C++ storage.
fn open_at_cpp(
    client: &Client,
    peer: Peer<'_>,
    key: &FileKey,
    range: RangeSpec,
) -> Result<Opened, Error> {
    let stat = client.stat_at(peer, key)?;
    let ByteRange { offset, len } = range.within(stat.size);
    if len == 0 {
        return Ok((stat, Origin::Nowhere));
    }
    let request = StorageRequest::Download(storage::Download {
        key: key.clone(),
        offset,
        size: len,
    });
    let (pool, request) = (&client.shared.pool, request.encode());
    let exchange = pool.exchange(ConnectionChoice::Any, peer, &request, storage::REPLY);
    let (mut connection, body_len) = exchange.result?;
    if body_len != len {
        return Err(connection.body_length(body_len, format!("exactly {len}")));
    }
    Ok((stat, Origin::Connection(connection)))
}

fn read_request(key: &FileKey, range: RangeSpec) -> Vec<u8> {
    let key = key.clone();
    StorageRequest::Read(storage::Read { key, range }).encode()
}
