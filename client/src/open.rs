//! Opening a file: what is known of it and the beginning of a range, in one question to a storage.

use std::net::TcpStream;
use std::time::Duration;

use proto::FileKey;
use proto::storage::{self, FileStat, Span, StorageRequest};

use crate::client::Purpose;
use crate::lacking::Way;
use crate::storages::Candidates;
use crate::turns::Peer;
use crate::{Client, Connection, Download, Error, Stat};

const READ: &str = "read";

/// A file that is being opened: the question is on its way to one of its storages.
#[derive(Debug)]
pub struct Opening {
    candidates: Candidates,
    span: Span,
    request: Vec<u8>,
    /// To the storage that was asked; absent when none could be, or the next one is to be asked in
    /// another way.
    asked: Option<Connection>,
}

impl Client {
    /// What is known of a file, and as much of `span` as there is of it, in one question to a
    /// storage; of a C++ storage, in two.
    ///
    /// # Errors
    /// A storage refused, with [`ErrorKind::NotFound`](crate::ErrorKind) among the reasons; or
    /// every storage failed.
    pub fn open(&self, key: &FileKey, span: Span) -> Result<(Stat, Download), Error> {
        self.begin_open(key, span)?.finish()
    }

    /// The same for those who do not want to wait for the answer here: asks a storage and returns.
    /// It does wait for a connection, and for a tracker if the storages of the user are not
    /// remembered.
    ///
    /// # Errors
    /// No tracker answers, or none knows an active storage.
    pub fn begin_open(&self, key: &FileKey, span: Span) -> Result<Opening, Error> {
        let request = StorageRequest::Read(storage::Read {
            key: key.clone(),
            span,
        });
        let mut opening = Opening {
            candidates: Candidates::new(self, key, Purpose::Look)?,
            span,
            request: request.encode(),
            asked: None,
        };
        opening.ask_next();
        Ok(opening)
    }
}

impl Opening {
    /// Where the answer comes from; absent when there is nothing to wait for before
    /// [`Opening::finish`].
    pub fn stream(&self) -> Option<&TcpStream> {
        self.asked.as_ref().map(Connection::stream)
    }

    /// How much longer the storage that was asked has for its answer.
    pub fn time_left(&self) -> Duration {
        let left = |asked: &Connection| asked.limit().left();
        self.asked.as_ref().map_or(Duration::ZERO, left)
    }

    /// Reads what has come of the answer, without waiting. Whether [`Opening::finish`] need not
    /// wait for the storage that was asked.
    pub fn has_answer(&mut self) -> bool {
        self.asked.as_mut().is_none_or(Connection::read_ahead)
    }

    /// Gives up the storage that was asked, which was silent for too long, and asks the next one.
    pub fn abandon_stream(&mut self) {
        if let Some(connection) = self.asked.take() {
            let address = connection.address().clone();
            let error = connection.into_broken("reading the reply");
            self.candidates
                .client
                .pools()
                .note_failure(&address, &error);
            self.candidates.failed(READ, &address, error);
            self.ask_next();
        }
    }

    /// Asks the first of the storages left that can be connected to.
    fn ask_next(&mut self) {
        let client = self.candidates.client.clone();
        while self.asked.is_none()
            && self
                .candidates
                .peek()
                .is_some_and(|next| !client.no_read().has(next))
            && let Some((address, time)) = self.candidates.next()
        {
            match client
                .pools()
                .begin(Peer::new(&address, time), &self.request)
            {
                Ok(connection) => self.asked = Some(connection),
                Err(error) => self.candidates.failed(READ, &address, error),
            }
        }
    }

    /// Waits for the answer; asks the other storages if it is none.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn finish(self) -> Result<(Stat, Download), Error> {
        let Opening {
            mut candidates,
            span,
            request,
            asked,
        } = self;
        let (client, key) = (candidates.client.clone(), candidates.key.clone());
        let ask = |peer: Peer<'_>, mut asked: Option<Connection>| {
            let read = |way| match asked.take() {
                Some(asked) => resume(&client, asked, &request, span),
                None => read_at(&client, way, peer, &request, span),
            };
            let instead = || client.open_in_two(peer, &key, span);
            client.no_read().ask(peer.address, read, instead)
        };
        let first = asked.map(|asked| {
            let address = asked.address().clone();
            let limit = asked.limit();
            let peer = Peer {
                address: &address,
                limit,
            };
            (ask(peer, Some(asked)), address)
        });
        let (stat, connection) = match first {
            Some((Err(error), address)) if error.moves_on() => {
                candidates.failed(READ, &address, error);
                candidates.ask_each(READ, |peer| ask(peer, None))
            }
            Some((answer, _)) => answer,
            None => candidates.ask_each(READ, |peer| ask(peer, None)),
        }?;
        let storages = candidates.into_all();
        let range = span.within(stat.size);
        let is_whole = range == (0, stat.size);
        let checksum = stat.checksum.filter(|_| is_whole);
        let download = Download::begin(&client, &key, storages, range, Some(connection));
        Ok((stat, download.checked(checksum)))
    }
}

/// Asks one storage for a file and a part of it. Returns the connection, behind what is known of
/// the file.
fn read_at(
    client: &Client,
    way: Way,
    peer: Peer<'_>,
    request: &[u8],
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let pools = client.pools();
    let (connection, body_len) = pools.exchange_by(way, peer, request, storage::REPLY)?;
    read_stat(client, connection, body_len, span)
}

/// The same of a storage that was asked.
fn resume(
    client: &Client,
    asked: Connection,
    request: &[u8],
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let (connection, body_len) = client.pools().resume(asked, request, storage::REPLY)?;
    read_stat(client, connection, body_len, span)
}

fn read_stat(
    client: &Client,
    mut connection: Connection,
    body_len: u64,
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let too_short = body_len < FileStat::LEN as u64;
    let mut head = [0; FileStat::LEN];
    if !too_short {
        connection
            .read_part(&mut head)
            .inspect_err(|error| client.pools().note_failure(connection.address(), error))?;
    }
    let stat = FileStat::decode(&head).map_err(|e| connection.protocol_error(e.into()))?;
    let (_, len) = span.within(stat.size);
    if too_short || body_len - FileStat::LEN as u64 != len {
        let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
        return Err(connection.body_length(actual, format!("{} and {len}", FileStat::LEN)));
    }
    Ok((stat.into(), connection))
}
