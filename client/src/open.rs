//! The read path: opening a part of a file at one of its storages, see [`open_at`](crate::open_at).

use std::net::TcpStream;
use std::time::Duration;

use proto::storage::{ByteRange, RangeSpec};
use proto::{Address, FileKey, GroupName};

use crate::candidates::Candidates;
use crate::client::Purpose;
use crate::open_at::{Opened, Origin, open_at, open_at_tcp, read_request};
use crate::server_queue::Peer;
use crate::unsupported::ConnectionChoice;
use crate::{Client, Connection, Download, Error, Stat};

const READ: &str = "read";

/// A file that one of its storages was asked for.
#[derive(Debug)]
pub struct Opening {
    candidates: Candidates,
    range: RangeSpec,
    first_max: u64,
    /// `None` if no storage could be asked, or the next one needs the C++ commands.
    asked: Option<Asked>,
}

/// The request to a storage that [`Opening::finish`] begins with.
#[derive(Debug)]
struct Asked {
    question: Question,
    connection: Connection,
}

/// What a storage was asked.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    /// LOCAL_SOCKET.
    Socket,
    /// READ.
    Read,
    /// OPEN, at the Unix socket.
    Open,
}

impl Asked {
    /// Waits for the answer of the storage, and returns it with its address.
    fn finish(
        self,
        client: &Client,
        key: &FileKey,
        range: RangeSpec,
    ) -> (Result<Opened, Error>, Address) {
        let Asked {
            question,
            connection,
        } = self;
        let address = connection.address().clone();
        let peer = Peer {
            address: &address,
            limit: connection.limit(),
        };
        let local = &client.shared.local;
        let answer = match question {
            Question::Read => open_at_tcp(client, peer, key, range, Some(connection)),
            Question::Socket => {
                local.finish_ask(client, connection);
                open_at(client, peer, key, range)
            }
            Question::Open => match local.finish_open(connection, key) {
                Some(file) => client.opened_locally(peer, file),
                None => open_at_tcp(client, peer, key, range, None),
            },
        };
        (answer, address)
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
            asked: None,
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
        let asked = self.asked.as_ref();
        asked.map(|asked| asked.connection.stream())
    }

    /// Time that the storage has left for its reply.
    pub fn time_left(&self) -> Duration {
        let asked = self.asked.as_ref();
        asked.map_or(Duration::ZERO, |asked| asked.connection.limit().left())
    }

    /// Reads the part of the reply that has arrived, without waiting. True if [`Opening::finish`]
    /// will not wait for this storage.
    pub fn has_answer(&mut self) -> bool {
        let asked = self.asked.as_mut();
        asked.is_none_or(|asked| asked.connection.read_ahead())
    }

    /// Sends the request for the file, if the storage was only asked where it is and has answered
    /// ([`Opening::has_answer`]). It may wait for a connection. True if the request was sent: then wait again.
    pub fn continue_request(&mut self) -> bool {
        let is_socket = |asked: &mut Asked| asked.question == Question::Socket;
        let Some(Asked { connection, .. }) = self.asked.take_if(is_socket) else {
            return false;
        };
        let (address, limit) = (connection.address().clone(), connection.limit());
        let client = self.candidates.client.clone();
        client.shared.local.finish_ask(&client, connection);
        self.ask(Peer {
            address: &address,
            limit,
        });
        self.ask_next();
        self.stream().is_some()
    }

    /// Gives up a storage that did not answer in time, and asks the next one.
    pub fn abandon_stream(&mut self) {
        if let Some(Asked { connection, .. }) = self.asked.take() {
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
        while self.asked.is_none()
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
        let (question, connection) = if let Some(asked) = shared.local.begin_ask(&client, peer) {
            (Question::Socket, asked)
        } else if let Some(asked) = shared.local.begin_open(peer, key) {
            (Question::Open, asked)
        } else {
            let request = read_request(key, self.range.at_most(self.first_max));
            match shared.pool.begin(ConnectionChoice::Any, peer, &request) {
                Ok(asked) => (Question::Read, asked),
                Err(error) => return self.candidates.failed(READ, peer.address, error),
            }
        };
        self.asked = Some(Asked {
            question,
            connection,
        });
    }

    /// Waits for the reply, and asks the other storages if it is a failure.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn finish(self) -> Result<(Stat, Download), Error> {
        let first = self.range.at_most(self.first_max);
        let mut candidates = self.candidates;
        let (client, key) = (candidates.client.clone(), candidates.key.clone());
        let answer = self.asked.map(|asked| asked.finish(&client, &key, first));
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
