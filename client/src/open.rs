//! Opening a file: what is known of it and the beginning of a range, in one question to a storage.

use std::net::TcpStream;
use std::time::Duration;

use proto::storage::{self, FileStat, Span, StorageRequest};
use proto::{Address, FileKey};

use crate::lacking::Way;
use crate::storages::Candidates;
use crate::{Client, Connection, Download, Error, Stat};

const READING: &str = "reading the reply";

/// A file that is being opened: the question is on its way to the first of its storages, unless
/// that one could not be reached.
#[derive(Debug)]
pub struct Opening {
    client: Client,
    key: FileKey,
    span: Span,
    request: Vec<u8>,
    candidates: Candidates,
    first: First,
}

/// The storage that is asked first.
#[derive(Debug)]
enum First {
    /// It will be.
    Unasked,
    Asked(Connection),
    Failed(Error),
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
        let candidates = Candidates::new(self, key)?;
        let request = StorageRequest::Read(storage::Read {
            key: key.clone(),
            span,
        });
        let request = request.encode();
        let first = match candidates.first() {
            Some(address) if !self.no_read().has(address) => {
                match self.pools().begin(address, &request) {
                    Ok(connection) => First::Asked(connection),
                    Err(error) => First::Failed(error),
                }
            }
            _ => First::Unasked,
        };
        Ok(Opening {
            client: self.clone(),
            key: key.clone(),
            span,
            request,
            candidates,
            first,
        })
    }
}

impl Opening {
    /// Where the answer comes from; absent when nobody was asked yet.
    pub fn stream(&self) -> Option<&TcpStream> {
        match &self.first {
            First::Asked(connection) => Some(connection.stream()),
            First::Unasked | First::Failed(_) => None,
        }
    }

    /// How long [`Opening::stream`] may be silent before it counts as broken.
    pub fn io_timeout(&self) -> Duration {
        self.client.pools().io_timeout()
    }

    /// Gives up the storage that was asked, which was silent for too long: others are asked.
    pub fn abandon_stream(&mut self) {
        if let First::Asked(connection) = std::mem::replace(&mut self.first, First::Unasked) {
            let address = connection.address().clone();
            let error = connection.into_broken(READING);
            self.client.pools().note_failure(&address, &error);
            self.first = First::Failed(error);
        }
    }

    /// Waits for the answer; asks the other storages if it is none.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn finish(self) -> Result<(Stat, Download), Error> {
        let Opening {
            client,
            key,
            span,
            request,
            mut candidates,
            mut first,
        } = self;
        let (stat, connection) = candidates.ask_each("read", |address| {
            let read = |way| match std::mem::replace(&mut first, First::Unasked) {
                First::Asked(asked) => resume(&client, asked, &request, span),
                First::Failed(error) => Err(error),
                First::Unasked => read_at(&client, way, address, &request, span),
            };
            let instead = || client.open_in_two(address, &key, span);
            client.no_read().ask(address, read, instead)
        })?;
        let storages = candidates.into_all();
        let range = span.within(stat.size);
        let download = Download::begin(&client, &key, storages, range, Some(connection));
        Ok((stat, download))
    }
}

/// Asks one storage for a file and a part of it. Returns the connection, behind what is known of
/// the file.
fn read_at(
    client: &Client,
    way: Way,
    address: &Address,
    request: &[u8],
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let pools = client.pools();
    let (connection, body_len) = pools.exchange_by(way, address, request, storage::REPLY)?;
    read_stat(connection, body_len, span)
}

/// The same of a storage that was asked.
fn resume(
    client: &Client,
    asked: Connection,
    request: &[u8],
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let (connection, body_len) = client.pools().resume(asked, request, storage::REPLY)?;
    read_stat(connection, body_len, span)
}

fn read_stat(
    mut connection: Connection,
    body_len: u64,
    span: Span,
) -> Result<(Stat, Connection), Error> {
    let too_short = body_len < FileStat::LEN as u64;
    let mut head = [0; FileStat::LEN];
    if !too_short {
        connection.read_part(&mut head)?;
    }
    let stat = FileStat::decode(&head).map_err(|e| connection.protocol_error(e.into()))?;
    let (_, len) = span.within(stat.size);
    if too_short || body_len - FileStat::LEN as u64 != len {
        let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
        return Err(connection.body_length(actual, format!("{} and {len}", FileStat::LEN)));
    }
    Ok((stat.into(), connection))
}
